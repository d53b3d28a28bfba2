//! Smooth weighted round robin: turns in the proportion of weights, those of one as far apart as can be.
//!
//! nginx's rule: at every turn each current value grows by its weight; the greatest has the turn and loses the sum of all
//! weights. Weights are whole numbers here. With fractions the rounding of the last bit decides between equals, and the
//! order of turns differs with the way in which the weights were computed.

/// What a weight of 1 is in whole numbers: shares are kept to a millionth.
const SCALE: f64 = 1e6;

/// Turns among the places `0..len` of a list that the caller keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Swrr {
    weights: Vec<i64>,
    current: Vec<i64>,
    total: i64,
}

impl Swrr {
    /// A place without weight is put in at this number.
    pub(super) fn insert(&mut self, place: usize) {
        self.weights.insert(place, 0);
        self.current.insert(place, 0);
    }

    /// A place is taken out.
    pub(super) fn remove(&mut self, place: usize) {
        self.total -= self.weights.remove(place);
        self.current.remove(place);
    }

    /// New shares, one for each place, as whole numbers; what is not nothing counts one at least.
    ///
    /// Who had a weight and has one keeps its current value, so that turns stay smooth across updates; who comes or comes
    /// back begins at 0. The values of those who left need not have added up to 0; what is missing or over is spread over
    /// those who stay. That changes nothing among them, and keeps newcomers from waiting for turns that nobody lost.
    pub(super) fn set(&mut self, shares: impl Iterator<Item = f64> + Clone) {
        let whole = shares.map(whole);
        let stays = |(had, has): (&i64, i64)| *had > 0 && has > 0;
        let (mut stay, mut sum) = (0, 0);
        for (both, current) in self.weights.iter().zip(whole.clone()).zip(&self.current) {
            let counts = i64::from(stays(both));
            stay += counts;
            sum += counts * current;
        }
        let over = if stay == 0 { 0 } else { sum / stay };
        for ((weight, current), new) in self.weights.iter_mut().zip(&mut self.current).zip(whole) {
            *current = if stays((weight, new)) { *current - over } else { 0 };
            *weight = new;
        }
        self.total = self.weights.iter().sum();
    }

    /// Whose turn it is; the lowest place of equals. `None` if nobody has a weight.
    pub(super) fn next(&mut self) -> Option<usize> {
        let (mut most, mut turn) = (i64::MIN, usize::MAX);
        for (place, (current, weight)) in self.current.iter_mut().zip(&self.weights).enumerate() {
            *current += weight;
            if *weight > 0 && *current > most {
                (most, turn) = (*current, place);
            }
        }
        *self.current.get_mut(turn)? -= self.total;
        Some(turn)
    }
}

/// A share as a whole number.
#[allow(clippy::cast_possible_truncation)]
fn whole(share: f64) -> i64 {
    if share > 0.0 { ((share * SCALE).round() as i64).max(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn swrr(shares: &[f64]) -> Swrr {
        let mut swrr = Swrr::default();
        (0..shares.len()).for_each(|place| swrr.insert(place));
        swrr.set(shares.iter().copied());
        swrr
    }

    fn turns(swrr: &mut Swrr, count: usize) -> String {
        (0..count).filter_map(|_| swrr.next()).map(|place| char::from(b"abcdefghij"[place])).collect()
    }

    #[test]
    fn turns_are_those_of_the_known_examples() {
        for (weights, order) in [
            (vec![5.0, 1.0, 1.0], "aabacaa"),
            (vec![3.0, 2.0], "ababa"),
            (vec![5.0, 3.0, 2.0], "abcaabacba"),
            (vec![7.0, 2.0, 1.0], "aabaacaaba"),
            (vec![0.7, 0.2, 0.1], "aabaacaaba"),
        ] {
            // Twice: after a whole round everything begins anew.
            assert_eq!(turns(&mut swrr(&weights), 2 * order.len()), order.repeat(2), "{weights:?}");
        }
    }

    #[test]
    fn no_weight_means_no_turn() {
        assert_eq!(Swrr::default().next(), None);
        assert_eq!(swrr(&[0.0, 0.0]).next(), None);
        assert_eq!(turns(&mut swrr(&[0.0, 1e-9, 0.0]), 3), "bbb");
        assert_eq!(swrr(&[f64::NAN]).next(), None);
    }

    /// Weights set anew to what they were change nothing; a place that was away has no claim from before.
    #[test]
    fn an_update_goes_on_where_the_turns_were() {
        let mut swrr = swrr(&[5.0, 1.0, 1.0]);
        assert_eq!(turns(&mut swrr, 3), "aab");
        swrr.set([5.0, 1.0, 1.0].into_iter());
        assert_eq!(turns(&mut swrr, 4), "acaa");
        assert_eq!(turns(&mut swrr, 1), "a");
        swrr.set([0.0, 1.0, 1.0].into_iter());
        assert_eq!(turns(&mut swrr, 4), "bcbc");
        swrr.set([5.0, 1.0, 1.0].into_iter());
        assert_eq!(turns(&mut swrr, 7).matches('a').count(), 5);
    }

    proptest! {
        /// In any row of turns each place has its share of them, give or take a number that does not grow with the row;
        /// places that come and go hundreds of times leave no debt behind.
        #[test]
        fn everyone_has_its_share(weights in prop::collection::vec(1u32..1000, 1..8), flicker in 0usize..300) {
            let shares: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
            let mut swrr = swrr(&shares);
            for step in 0..flicker {
                let without = |(place, share): (usize, &f64)| if place == step % shares.len() { 0.0 } else { *share };
                swrr.set(shares.iter().enumerate().map(without));
                swrr.next();
                swrr.set(shares.iter().copied());
                swrr.next();
            }
            let (total, rounds) = (shares.iter().sum::<f64>(), 2000);
            let mut had = vec![0.0; shares.len()];
            (0..rounds).filter_map(|_| swrr.next()).for_each(|place| had[place] += 1.0);
            for (share, had) in shares.iter().zip(had) {
                let due = share / total * f64::from(rounds);
                prop_assert!((had - due).abs() <= shares.len() as f64 + 1.0, "{had} turns, {due} due");
            }
        }
    }
}
