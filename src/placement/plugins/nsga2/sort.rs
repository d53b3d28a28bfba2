//! Fast non-dominated sorting and crowding distance.

use std::cmp::Ordering;

/// What is minimised, and by how much capacities are exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fitness {
    pub(super) objectives: [f64; 3],
    pub(super) violation: f64,
}

impl Fitness {
    /// Deb's rule: what keeps capacities before what does not, less violation before more; otherwise no worse in anything and
    /// better in something.
    pub(super) fn dominates(&self, other: &Self) -> bool {
        if self.violation > 0.0 || other.violation > 0.0 {
            return self.violation < other.violation;
        }
        let pairs = || self.objectives.iter().zip(&other.objectives);
        pairs().all(|(one, other)| one <= other) && pairs().any(|(one, other)| one < other)
    }

    /// An order in which nobody comes before who dominates it; equal for equals only.
    fn order(&self, other: &Self) -> Ordering {
        let mut objectives = self.objectives.iter().zip(&other.objectives).map(|(one, other)| one.total_cmp(other));
        let first = objectives.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        self.violation.total_cmp(&other.violation).then(first)
    }
}

/// The fronts, best first; each has the places of its members in ascending order.
///
/// Equals share a front. Taken in order, one can only be dominated by those before it, so its front is the first that has nobody
/// who dominates it.
pub(super) fn fronts(all: &[Fitness]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|one, other| all[*one].order(&all[*other]).then(one.cmp(other)));
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    // Of equals only the first is compared with.
    let mut faces: Vec<Vec<usize>> = Vec::new();
    let mut last: Option<(usize, usize)> = None;
    for place in order {
        if let Some((_, front)) = last.filter(|(before, _)| all[*before].order(&all[place]).is_eq()) {
            fronts[front].push(place);
            continue;
        }
        let free = |face: &Vec<usize>| !face.iter().rev().any(|other| all[*other].dominates(&all[place]));
        let front = faces.iter().position(free).unwrap_or(faces.len());
        if front == faces.len() {
            faces.push(Vec::new());
            fronts.push(Vec::new());
        }
        faces[front].push(place);
        fronts[front].push(place);
        last = Some((place, front));
    }
    for front in &mut fronts {
        front.sort_unstable();
    }
    fronts
}

/// How far the neighbours in each objective are apart, by the objective's range, added up; infinite at both ends of each. Equals
/// in an objective are in the order of their places.
pub(super) fn crowding(all: &[Fitness], front: &[usize]) -> Vec<f64> {
    let mut distances = vec![0.0; front.len()];
    for objective in 0..3 {
        let value = |member: usize| all[front[member]].objectives[objective];
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|one, other| value(*one).total_cmp(&value(*other)).then(one.cmp(other)));
        let (Some(first), Some(last)) = (order.first(), order.last()) else { continue };
        let range = value(*last) - value(*first);
        if range <= 0.0 {
            continue; // Nothing is told apart by it.
        }
        for neighbours in order.windows(3) {
            distances[neighbours[1]] += (value(neighbours[2]) - value(neighbours[0])) / range;
        }
        distances[*first] = f64::INFINITY;
        distances[*last] = f64::INFINITY;
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Few values, so that many are equal in something.
    fn population() -> impl Strategy<Value = Vec<Fitness>> {
        let value = || (0u8..6).prop_map(|value| f64::from(value) / 5.0);
        let violation = prop_oneof![3 => Just(0.0), 1 => (1u8..4).prop_map(f64::from)];
        let one = ([value(), value(), value()], violation);
        prop::collection::vec(one.prop_map(|(objectives, violation)| Fitness { objectives, violation }), 0..40)
    }

    /// Fronts as they are defined: those that nobody left dominates, again and again.
    fn naive(all: &[Fitness]) -> Vec<Vec<usize>> {
        let mut left: Vec<usize> = (0..all.len()).collect();
        let mut fronts = vec![];
        while !left.is_empty() {
            let free = |place: &usize| !left.iter().any(|other| all[*other].dominates(&all[*place]));
            let (front, rest) = left.iter().copied().partition(free);
            fronts.push(front);
            left = rest;
        }
        fronts
    }

    proptest! {
        #[test]
        fn fronts_are_those_of_the_definition(all in population()) {
            prop_assert_eq!(fronts(&all), naive(&all));
        }

        #[test]
        fn crowding_is_that_of_the_definition(all in population()) {
            for front in naive(&all) {
                let distances = crowding(&all, &front);
                for (member, distance) in distances.iter().enumerate() {
                    let mut wanted = 0.0;
                    for objective in 0..3 {
                        let key = |other: usize| (all[front[other]].objectives[objective], other);
                        let before = (0..front.len()).map(key).filter(|one| *one < key(member));
                        let after = (0..front.len()).map(key).filter(|one| *one > key(member));
                        let before = before.max_by(|one, other| one.partial_cmp(other).expect("numbers"));
                        let after = after.min_by(|one, other| one.partial_cmp(other).expect("numbers"));
                        let values = || (0..front.len()).map(|other| key(other).0);
                        let range = values().fold(0.0, f64::max) - values().fold(1.0, f64::min);
                        wanted += match (before, after) {
                            _ if range <= 0.0 => 0.0,
                            (Some(before), Some(after)) => (after.0 - before.0) / range,
                            _ => f64::INFINITY,
                        };
                    }
                    let both = distance.is_infinite() && wanted.is_infinite();
                    prop_assert!(both || (distance - wanted).abs() < 1e-9, "{distance} for {wanted}");
                }
            }
        }
    }
}
