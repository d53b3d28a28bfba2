//! Order statistics: nearest-rank percentiles and the exact confidence interval of a median. Pure.

/// Half of what a 95 % interval may miss.
const TAIL: f64 = 0.025;

/// The nearest-rank percentile of ascending values: the smallest one that at least `percent` % of them do not exceed.
/// `None` when there are none. `percent` is 0 to 100; 0 gives the smallest.
pub(crate) fn percentile<T: Copy>(ascending: &[T], percent: u32) -> Option<T> {
    let rank = (ascending.len() as u128 * u128::from(percent)).div_ceil(100).max(1);
    ascending.get(usize::try_from(rank).ok()? - 1).copied()
}

/// The 95 % confidence interval of the median of which `ascending` are independent samples: two of the samples,
/// chosen by the binomial distribution, whatever the samples' own one. `None` below 6 samples, where even
/// smallest to largest covers less.
pub(crate) fn median_interval<T: Copy>(ascending: &[T]) -> Option<(T, T)> {
    let n = ascending.len();
    let low = lower_rank(n)?.checked_sub(1)?;
    Some((ascending[low], ascending[n - 1 - low]))
}

/// The largest 1-based rank `k` for which fewer than `k` of `n` samples fall below the median with probability
/// at most [`TAIL`].
fn lower_rank(n: usize) -> Option<usize> {
    let mut ln_probability = n as f64 * 0.5f64.ln();
    let mut cumulated = 0.0;
    let mut rank = None;
    for below in 0..n {
        cumulated += ln_probability.exp();
        if cumulated > TAIL {
            break;
        }
        rank = Some(below + 1);
        ln_probability += ((n - below) as f64).ln() - ((below + 1) as f64).ln();
    }
    rank
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn percentiles_by_nearest_rank() {
        let values: Vec<u32> = (1..=10).collect();
        for (percent, expected) in [(0, 1), (10, 1), (11, 2), (50, 5), (90, 9), (91, 10), (99, 10), (100, 10)] {
            assert_eq!(percentile(&values, percent), Some(expected), "p{percent}");
        }
        assert_eq!(percentile::<u32>(&[], 50), None);
        assert_eq!(percentile(&[7], 1), Some(7));
    }

    #[test]
    fn interval_ranks_are_the_tabled_ones() {
        // Ranks of the 95 % interval of the median as printed in tables of the sign test.
        for (n, low) in [(6, 1), (8, 1), (9, 2), (10, 2), (12, 3), (15, 4), (20, 6), (25, 8), (30, 10), (100, 40)] {
            assert_eq!(lower_rank(n), Some(low), "n = {n}");
        }
        for n in 0..6 {
            assert_eq!(lower_rank(n), None, "n = {n}");
        }
        assert_eq!(lower_rank(100_000), Some(49_690));
    }

    #[test]
    fn intervals_cover_the_true_median_as_often_as_they_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for n in [6, 10, 25] {
            let rounds = 4_000;
            let covered = (0..rounds)
                .filter(|_| {
                    // Squares of uniform numbers: a skewed distribution whose median is 0.25.
                    let mut values: Vec<f64> = (0..n).map(|_| rng.random::<f64>().powi(2)).collect();
                    values.sort_by(f64::total_cmp);
                    let (low, high) = median_interval(&values).unwrap();
                    (low..=high).contains(&0.25)
                })
                .count();
            let share = covered as f64 / f64::from(rounds);
            assert!((0.94..=0.99).contains(&share), "n = {n}: {share}");
        }
    }

    proptest! {
        #[test]
        fn a_percentile_is_the_smallest_value_that_covers_its_share(
            mut values in prop::collection::vec(0u32..50, 1..60), percent in 1u32..=100
        ) {
            values.sort_unstable();
            let brute = *values
                .iter()
                .find(|value| values.iter().filter(|other| other <= value).count() * 100 >= values.len() * percent as usize)
                .unwrap();
            prop_assert_eq!(percentile(&values, percent), Some(brute));
        }

        #[test]
        fn the_interval_holds_the_median(mut values in prop::collection::vec(any::<u32>(), 6..200)) {
            values.sort_unstable();
            let (low, high) = median_interval(&values).unwrap();
            let median = percentile(&values, 50).unwrap();
            prop_assert!(low <= median && median <= high);
        }
    }
}
