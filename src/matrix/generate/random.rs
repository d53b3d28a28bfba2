//! [`Random`]: delays that grow with the distance of the node numbers, the way the `TraDE` experiments make them.

use super::{GenerateError, Stream, rng, unit_interval};
use crate::matrix::DelayMatrix;
use crate::topology::NodeName;
use crate::units::Delay;

/// Parameters of `d[i][j] = floor((base + U(0, addition) · |i − j| / n) · U(0.5, 1.5))` in whole milliseconds, each
/// path drawn for itself, row by row. The presets of the paper are (base, addition) = (5, 20) light, (5, 50) mid and
/// (5, 100) heavy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random {
    /// The number of nodes.
    pub nodes: usize,
    /// What every path has.
    pub base: Delay,
    /// The most that distance adds.
    pub addition: Delay,
    /// The seed.
    pub seed: u64,
}

impl Random {
    /// Makes the matrix, with nodes n1 to nN.
    pub fn generate(self) -> Result<DelayMatrix, GenerateError> {
        GenerateError::check_nodes(self.nodes, "parameter nodes")?;
        GenerateError::check_longest(self.longest(), "base and addition")?;
        let names = (1..=self.nodes).map(NodeName::numbered).collect();
        let mut rng = rng(self.seed, Stream::Random);
        let mut delays = Vec::with_capacity(self.nodes * self.nodes);
        for from in 0..self.nodes {
            for to in 0..self.nodes {
                let (addition, factor) = (unit_interval(&mut rng), unit_interval(&mut rng) + 0.5);
                delays.push(self.delay(from, to, addition, factor));
            }
        }
        Ok(DelayMatrix::new(names, delays)?)
    }

    /// The formula for one path; `addition` is from [0, 1), `factor` from [0.5, 1.5).
    fn delay(self, from: usize, to: usize, addition: f64, factor: f64) -> Delay {
        if from == to {
            return Delay::ZERO;
        }
        let distance = from.abs_diff(to) as f64 / self.nodes as f64;
        let unscaled = self.base.as_millis_f64() + addition * self.addition.as_millis_f64() * distance;
        Delay::from_millis_f64((unscaled * factor).floor()).unwrap_or_default()
    }

    fn longest(self) -> Delay {
        let sum = self.base.as_nanos().saturating_add(self.addition.as_nanos());
        Delay::from_nanos(sum.saturating_add(sum / 2))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn random(nodes: usize, base: u64, addition: u64, seed: u64) -> Random {
        Random { nodes, base: Delay::from_millis(base), addition: Delay::from_millis(addition), seed }
    }

    #[test]
    fn the_formula_is_the_papers() {
        let of = |from, to, addition, factor| random(9, 5, 50, 0).delay(from, to, addition, factor);
        // floor((5 + 0.5·50·4/9) · 1.2) = floor(19.33)
        assert_eq!(of(1, 5, 0.5, 1.2), Delay::from_millis(19));
        // floor((5 + 0) · 0.5) = floor(2.5)
        assert_eq!(of(8, 0, 0.0, 0.5), Delay::from_millis(2));
        // floor((5 + 0.9·50·8/9) · 1.4) = floor(63.0) in the reals; 45·8/9 is 40 exactly
        assert_eq!(of(8, 0, 0.9, 1.5), Delay::from_millis(67));
        assert_eq!(of(3, 3, 0.9, 1.5), Delay::ZERO);
    }

    #[test]
    fn the_mean_is_that_of_the_formula() {
        // E[d] = E[(b + A/2·|i−j|/n)·1] − 1/2 for the floor, to within a few standard errors; |i−j| has mean (n+1)/3.
        let n = 60;
        let matrix = random(n, 5, 100, 1).generate().unwrap();
        let total: f64 = matrix.delays().iter().map(|delay| delay.as_millis_f64()).sum();
        let mean = total / (n * (n - 1)) as f64;
        let expected = 5.0 + 50.0 * (n as f64 + 1.0) / 3.0 / n as f64 - 0.5;
        assert!((mean - expected).abs() < 1.0, "{mean} {expected}");
    }

    #[test]
    fn seeds_repeat_and_differ() {
        let of = |seed| random(9, 5, 50, seed).generate().unwrap();
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (random, message) in [
            (random(1, 5, 5, 0), "1 nodes (parameter nodes) are not between 2 and 8192"),
            (random(8193, 5, 5, 0), "8193 nodes (parameter nodes) are not between 2 and 8192"),
            (random(2, 60_000, 5, 0), "base and addition can give a delay of 90.0075s; at most 60s is allowed"),
        ] {
            assert_eq!(random.generate().unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn delays_are_whole_milliseconds_in_range(nodes in 2usize..12, base in 0u64..100, addition in 0u64..500, seed: u64) {
            let matrix = random(nodes, base, addition, seed).generate().unwrap();
            for (from, to) in matrix.paths() {
                let ns = matrix.delay(from, to).as_nanos();
                prop_assert_eq!(ns % 1_000_000, 0);
                prop_assert!(ns / 1_000_000 >= base / 2 && ns <= (base + addition) * 1_500_000);
            }
        }
    }
}
