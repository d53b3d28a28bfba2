//! [`Statistics`]: what a matrix looks like in a few numbers.

use super::delay_matrix::DelayMatrix;
use crate::topology::NodeIndex;
use crate::units::{Delay, Span};

/// What a matrix looks like in a few numbers, over all paths (ordered pairs of different nodes).
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Nodes.
    pub nodes: usize,
    /// Paths.
    pub paths: usize,
    /// Shortest delay.
    pub min: Delay,
    /// Median, by [`nearest_rank`] as all percentiles here.
    pub p50: Delay,
    /// Arithmetic mean, rounded down to the nanosecond.
    pub mean: Delay,
    /// 90th percentile.
    pub p90: Delay,
    /// 99th percentile.
    pub p99: Delay,
    /// Longest delay.
    pub max: Delay,
    /// Paths with no delay.
    pub zero_paths: usize,
    /// The pair whose two ways differ most; `None` when the matrix is symmetric.
    pub asymmetry: Option<Asymmetry>,
    /// Where a way over a third node would be shorter.
    pub triangle: TriangleViolations,
}

/// The pair of nodes whose two ways differ most. The first in row order when several do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asymmetry {
    /// How far the two ways differ.
    pub difference: Span,
    /// The pair.
    pub pair: (NodeIndex, NodeIndex),
}

/// Paths that are longer than some way over a third node, as paths of real networks often are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TriangleViolations {
    /// How many paths.
    pub paths: usize,
    /// Their share of all paths, from 0 to 1.
    pub share: f64,
    /// The path with the most to gain. The first in row order when several have.
    pub worst: Option<Detour>,
}

/// A path that is longer than the way over a third node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detour {
    /// The sender.
    pub from: NodeIndex,
    /// The node between.
    pub via: NodeIndex,
    /// The receiver.
    pub to: NodeIndex,
    /// How much shorter the way over it is.
    pub gain: Span,
}

impl Statistics {
    /// Looks at all paths, and at all triples of nodes: N³ steps.
    pub fn of(matrix: &DelayMatrix) -> Self {
        let mut sorted: Vec<Delay> = matrix.paths().map(|(from, to)| matrix.delay(from, to)).collect();
        sorted.sort_unstable();
        let sum: u128 = sorted.iter().map(|delay| u128::from(delay.as_nanos())).sum();
        let mean = u64::try_from(sum / sorted.len().max(1) as u128).unwrap_or(u64::MAX);
        let percentile = |percent| nearest_rank(&sorted, percent).unwrap_or_default();
        Self {
            nodes: matrix.len(),
            paths: sorted.len(),
            min: sorted.first().copied().unwrap_or_default(),
            p50: percentile(50),
            mean: Delay::from_nanos(mean),
            p90: percentile(90),
            p99: percentile(99),
            max: sorted.last().copied().unwrap_or_default(),
            zero_paths: sorted.iter().take_while(|delay| **delay == Delay::ZERO).count(),
            asymmetry: asymmetry(matrix),
            triangle: triangle_violations(matrix),
        }
    }
}

/// The `percent`-th percentile by nearest rank: the smallest element that at least `percent` % of the elements do not
/// exceed; always an element, never a mean of two. `None` for an empty slice. `sorted` is ascending, `percent` at most 100.
pub fn nearest_rank<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (percent.min(100) * sorted.len()).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The pair whose two ways differ most; `None` when all are equal.
pub fn asymmetry(matrix: &DelayMatrix) -> Option<Asymmetry> {
    let mut worst = None;
    for pair in matrix.paths().filter(|(from, to)| from < to) {
        let difference = matrix.delay(pair.0, pair.1).deviation(matrix.delay(pair.1, pair.0)).magnitude();
        if difference > worst.map_or(Span::ZERO, |worst: Asymmetry| worst.difference) {
            worst = Some(Asymmetry { difference, pair });
        }
    }
    worst
}

fn triangle_violations(matrix: &DelayMatrix) -> TriangleViolations {
    let (mut paths, mut worst) = (0, None);
    let n = matrix.len();
    // The columns as rows, so that the inner loop walks through memory.
    let columns: Vec<Delay> = (0..n * n).map(|place| matrix.delay(place % n, place / n)).collect();
    for (from, to) in matrix.paths() {
        let direct = matrix.delay(from, to);
        let (outbound, inbound) = (&matrix.delays()[from * n..][..n], &columns[to * n..][..n]);
        let over = |via: usize| Delay::from_nanos(outbound[via].as_nanos() + inbound[via].as_nanos());
        // The two ends count as nodes between, too: their ways are as long as the direct one, never shorter.
        let shortest = (0..n).map(over).min().unwrap_or(direct);
        if shortest < direct {
            paths += 1;
            let gain = direct.deviation(shortest).magnitude();
            let via = (0..n).find(|via| over(*via) == shortest);
            if let Some(via) = via.filter(|_| gain > worst.map_or(Span::ZERO, |worst: Detour| worst.gain)) {
                worst = Some(Detour { from, via, to, gain });
            }
        }
    }
    TriangleViolations { paths, share: paths as f64 / (n * (n - 1)) as f64, worst }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::topology::NodeName;
    use proptest::prelude::*;

    fn matrix(n: usize, ms: &[u64]) -> DelayMatrix {
        let names = (1..=n).map(NodeName::numbered).collect();
        DelayMatrix::new(names, ms.iter().map(|ms| Delay::from_millis(*ms)).collect()).unwrap()
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted = [15, 20, 35, 40, 50];
        for (percent, expected) in [(0, 15), (5, 15), (20, 15), (30, 20), (40, 20), (50, 35), (99, 50), (100, 50)] {
            assert_eq!(nearest_rank(&sorted, percent), Some(expected), "{percent}");
        }
        assert_eq!(nearest_rank::<u8>(&[], 50), None);
    }

    #[test]
    fn a_small_matrix_has_known_numbers() {
        let statistics = Statistics::of(&matrix(3, &[0, 1, 10, 1, 0, 2, 4, 0, 0]));
        let ms = Delay::from_millis;
        assert_eq!((statistics.nodes, statistics.paths, statistics.zero_paths), (3, 6, 1));
        assert_eq!((statistics.min, statistics.p50, statistics.mean), (ms(0), ms(1), ms(3)));
        assert_eq!((statistics.p90, statistics.p99, statistics.max), (ms(10), ms(10), ms(10)));
        assert_eq!(statistics.asymmetry, Some(Asymmetry { difference: Span::from_millis(6), pair: (0, 2) }));
        // 1→3 takes 10, over 2 only 3; 3→1 takes 4, over 2 only 1.
        let worst = Some(Detour { from: 0, via: 1, to: 2, gain: Span::from_millis(7) });
        assert_eq!(statistics.triangle, TriangleViolations { paths: 2, share: 2.0 / 6.0, worst });
    }

    #[test]
    fn a_line_is_symmetric_and_metric() {
        let delays: Vec<u64> = (0..25u64).map(|place| (place / 5).abs_diff(place % 5)).collect();
        let statistics = Statistics::of(&matrix(5, &delays));
        assert_eq!(statistics.asymmetry, None);
        assert_eq!(statistics.triangle, TriangleViolations { paths: 0, share: 0.0, worst: None });
        // Mean distance on a line of n is (n + 1) / 3.
        assert_eq!(statistics.mean, Delay::from_millis(2));
    }

    proptest! {
        #[test]
        fn numbers_agree_with_brute_force(n in 2usize..7, ms in prop::collection::vec(0u64..20, 49)) {
            let ms: Vec<u64> = (0..n * n).map(|place| if place / n == place % n { 0 } else { ms[place] }).collect();
            let (matrix, at) = (matrix(n, &ms), |from: usize, to: usize| ms[from * n + to]);
            let statistics = Statistics::of(&matrix);
            let paths: Vec<(usize, usize)> = matrix.paths().collect();
            for (percent, found) in [(50, statistics.p50), (90, statistics.p90), (99, statistics.p99)] {
                let reaches = |limit: u64| paths.iter().filter(|(f, t)| at(*f, *t) <= limit).count() * 100 >= percent * paths.len();
                prop_assert_eq!(found, Delay::from_millis((0..20).find(|limit| reaches(*limit)).unwrap()));
            }
            let gain = |f: usize, t: usize| (0..n).map(|via| at(f, t).saturating_sub(at(f, via) + at(via, t))).max().unwrap();
            prop_assert_eq!(statistics.triangle.paths, paths.iter().filter(|(f, t)| gain(*f, *t) > 0).count());
            let best = paths.iter().map(|(f, t)| gain(*f, *t)).max().unwrap();
            prop_assert_eq!(statistics.triangle.worst.map_or(0, |worst| worst.gain.as_nanos()), best * 1_000_000);
            let widest = paths.iter().map(|(f, t)| at(*f, *t).abs_diff(at(*t, *f))).max().unwrap();
            prop_assert_eq!(statistics.asymmetry.map_or(0, |worst| worst.difference.as_nanos()), widest * 1_000_000);
        }
    }
}
