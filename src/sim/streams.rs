//! Streams of random numbers: one per component, all from one seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Where the streams of one trial come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of that seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed that they are made from again, by another program.
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// The stream of the `index`th component of a kind. The same seed, kind and index give the same numbers, on every
    /// machine; another of any gives others.
    pub fn stream(self, kind: &str, index: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let bytes = kind.bytes().chain([0]).chain(index.to_le_bytes());
        rng.set_stream(fnv1a(bytes));
        rng
    }

    /// The streams of the `index`th part of a kind that has streams of its own.
    #[must_use]
    pub fn below(self, kind: &str, index: u64) -> Self {
        Self { seed: self.stream(kind, index).next_u64() }
    }
}

/// Fowler, Noll and Vo's hash, 64 bits, variant 1a: spelled out, as the standard library's may change.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Uniform in [0, 1): the upper 53 bits of a draw. Spelled out so that it never changes with a library's version.
pub fn unit_interval(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_seed_kind_and_index() {
        let draw = |seed, kind, index| Streams::new(seed).stream(kind, index).next_u64();
        assert_eq!(draw(1, "clients", 3), draw(1, "clients", 3));
        let draws = [draw(1, "clients", 3), draw(2, "clients", 3), draw(1, "servers", 3), draw(1, "clients", 4)];
        for (place, one) in draws.iter().enumerate() {
            assert!(!draws[..place].contains(one), "{draws:?}");
        }
    }

    /// So that a run of today can be repeated with the version of tomorrow.
    #[test]
    fn the_numbers_of_a_seed_stay_what_they_are() {
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
        assert_eq!(Streams::new(7).stream("clients", 0).next_u64(), 14_598_778_730_912_025_930);
    }
}
