//! Trials that belong together: the same topology and repetition under several strategies.

use std::collections::BTreeMap;

use super::Estimate;

/// From so many topologies on, a topology counts as one: repetitions on it are averaged first. The interval then says what
/// to expect of topologies like these, and repetitions of few topologies cannot make it narrower than they know.
const TOPOLOGIES: usize = 3;

/// One number per topology and repetition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cells {
    values: BTreeMap<(usize, u32), f64>,
}

impl Cells {
    /// From topology, repetition and value; what is not finite is left out.
    pub fn new(values: impl IntoIterator<Item = ((usize, u32), f64)>) -> Self {
        Self { values: values.into_iter().filter(|(_, value)| value.is_finite()).collect() }
    }

    /// How many trials there are.
    pub fn trials(&self) -> usize {
        self.values.len()
    }

    /// The single values, by topology and repetition.
    pub fn values(&self) -> Vec<f64> {
        self.values.values().copied().collect()
    }

    /// Those of one topology.
    #[must_use]
    pub fn on(&self, topology: usize) -> Self {
        Self::new(self.values.iter().filter(|((other, _), _)| *other == topology).map(|(key, value)| (*key, *value)))
    }

    /// The differences to `other` where both have a value for the same topology and repetition.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let both = self.values.iter().filter_map(|(key, value)| Some((*key, value - other.values.get(key)?)));
        Self::new(both)
    }

    /// How many times the value of `other` of the same repetition each value is, whatever their topologies: for cells of one
    /// topology each.
    #[must_use]
    pub fn by_repetition_over(&self, other: &Self) -> Self {
        let there = |repetition| other.values.iter().find(|((_, one), _)| *one == repetition).map(|(_, value)| *value);
        let quotient = |((topology, repetition), value): (&(usize, u32), &f64)| {
            Some(((*topology, *repetition), value / there(*repetition)?))
        };
        Self::new(self.values.iter().filter_map(quotient))
    }

    /// The values that count as independent: means of topologies where there are at least three, otherwise all.
    fn independent(&self) -> Vec<f64> {
        let mut topologies: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for ((topology, _), value) in &self.values {
            topologies.entry(*topology).or_default().push(*value);
        }
        if topologies.len() < TOPOLOGIES {
            return self.values();
        }
        topologies.values().map(|values| values.iter().sum::<f64>() / values.len() as f64).collect()
    }

    /// The mean with its interval over what counts as independent; `None` where there is nothing.
    pub fn estimate(&self) -> Option<Estimate> {
        Estimate::of(&self.independent())
    }
}

/// What an interval of [`Cells::estimate`] is over, in words, for plans with that many topologies and repetitions.
pub fn interval_words(topologies: usize, repetitions: u32) -> String {
    let plural = |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let repeated = plural(repetitions as usize, "repetition", "repetitions");
    match topologies {
        TOPOLOGIES.. if repetitions > 1 => format!("{topologies} topologies, the mean of {repeated} each"),
        1 => repeated,
        _ if repetitions == 1 => plural(topologies, "topology", "topologies"),
        _ => format!("{topologies} topologies × {repeated}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(values: &[((usize, u32), f64)]) -> Cells {
        Cells::new(values.iter().copied())
    }

    #[test]
    fn differences_are_of_the_same_topology_and_repetition() {
        let one = cells(&[((0, 0), 5.0), ((0, 1), 7.0), ((1, 0), 9.0)]);
        let other = cells(&[((0, 0), 4.0), ((1, 0), 9.5), ((1, 1), 100.0)]);
        assert_eq!(one.minus(&other).values(), [1.0, -0.5]);
        assert_eq!(one.on(0).values(), [5.0, 7.0]);
    }

    #[test]
    fn repetitions_of_a_few_topologies_do_not_count_as_topologies() {
        let many = cells(&[((0, 0), 1.0), ((0, 1), 3.0), ((1, 0), 4.0), ((2, 0), 6.0), ((2, 1), 6.0)]);
        let estimate = many.estimate().expect("some");
        assert_eq!((estimate.n, estimate.mean), (3, 4.0), "means 2, 4 and 6");
        let few = many.on(0).estimate().expect("some");
        assert_eq!((few.n, few.mean), (2, 2.0));
        assert_eq!(interval_words(5, 5), "5 topologies, the mean of 5 repetitions each");
        assert_eq!(interval_words(1, 3), "3 repetitions");
        assert_eq!(interval_words(2, 1), "2 topologies");
        assert_eq!(interval_words(2, 4), "2 topologies × 4 repetitions");
    }
}
