//! Draws from a placer's stream, spelled out so that they never change with a library's version.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Uniform in [0, 1): the upper 53 bits of a draw.
pub(super) fn unit_interval(stream: &mut ChaCha8Rng) -> f64 {
    (stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// One of `0..count`, all as likely but for one part in 2^64 / `count`; 0 of none.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn below(stream: &mut ChaCha8Rng, count: usize) -> usize {
    ((u128::from(stream.next_u64()) * count as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn draws_stay_below_and_reach_everything() {
        let mut stream = ChaCha8Rng::seed_from_u64(1);
        let mut had = [0; 3];
        (0..3000).for_each(|_| had[below(&mut stream, 3)] += 1);
        assert!(had.iter().all(|count| (900..1100).contains(count)), "{had:?}");
        let mean = (0..10_000).map(|_| unit_interval(&mut stream)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
