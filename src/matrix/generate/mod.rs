//! Made matrices: pure functions of their parameters and seed. The same seed gives the same nanoseconds, on every machine.

mod cities;
mod error;
mod pairs;
mod random;
mod regions;

pub use cities::{Cities, City, parse_cities};
pub use error::GenerateError;
pub(super) use pairs::shortest_ways;
pub use pairs::{Pairs, parse_pairs};
pub use random::Random;
pub use regions::Regions;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One stream of random numbers per generator, so that one seed never gives two of them the same numbers.
#[derive(Debug, Clone, Copy)]
enum Stream {
    Random = 1,
    Cities = 2,
}

fn rng(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream as u64);
    rng
}

/// Uniform in [0, 1): the upper 53 bits of a draw. Spelled out so that it never changes with a library's version.
fn unit_interval(rng: &mut ChaCha8Rng) -> f64 {
    let bits: u64 = rng.random();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draw = |seed, stream| unit_interval(&mut rng(seed, stream)).to_bits();
        assert_eq!(draw(1, Stream::Random), draw(1, Stream::Random));
        assert_ne!(draw(1, Stream::Random), draw(1, Stream::Cities));
        assert_ne!(draw(1, Stream::Random), draw(2, Stream::Random));
    }

    #[test]
    fn draws_fill_the_unit_interval_evenly() {
        let mut rng = rng(7, Stream::Random);
        let draws: Vec<f64> = (0..10_000).map(|_| unit_interval(&mut rng)).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        // Three standard errors: 3 / sqrt(12 × 10,000).
        assert!((mean - 0.5).abs() < 0.009, "{mean}");
    }
}
