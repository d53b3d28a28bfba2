//! [`Difference`]: two matrices of the same nodes, path by path.

use std::collections::HashMap;

use super::delay_matrix::DelayMatrix;
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Deviation, Span};

/// Two matrices that are not of the same nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Different numbers of nodes.
    #[error("the matrices have {left} and {right} nodes; only matrices of the same nodes can be compared")]
    Size {
        /// Nodes of the first.
        left: usize,
        /// Nodes of the second.
        right: usize,
    },
    /// A node of the first that the second lacks.
    #[error("node `{0}` is in the first matrix only; both must have the same names, or one of them none")]
    Missing(NodeName),
}

/// One path in two matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathDifference {
    /// The sender, as numbered in the first matrix.
    pub from: NodeIndex,
    /// The receiver, as numbered in the first matrix.
    pub to: NodeIndex,
    /// The delay in the first matrix.
    pub left: Delay,
    /// The delay in the second matrix.
    pub right: Delay,
}

impl PathDifference {
    /// The second minus the first.
    pub fn difference(&self) -> Deviation {
        self.right.deviation(self.left)
    }
}

/// Two matrices of the same nodes, path by path and in sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Every path, in the row order of the first matrix.
    pub paths: Vec<PathDifference>,
    /// The largest absolute difference.
    pub max: Span,
    /// The mean of the absolute differences, rounded to the nanosecond.
    pub mean_absolute: Span,
    /// The square root of the mean of the squared differences, rounded to the nanosecond.
    pub root_mean_square: Span,
}

impl Difference {
    /// Compares two matrices. Nodes are matched by name, whatever their order. When one matrix has no names of its own
    /// (its nodes are n1 to nN), they are matched by place.
    pub fn between(left: &DelayMatrix, right: &DelayMatrix) -> Result<Self, CompareError> {
        if left.len() != right.len() {
            return Err(CompareError::Size { left: left.len(), right: right.len() });
        }
        let places = matching(left, right)?;
        let path = |(from, to): (NodeIndex, NodeIndex)| PathDifference {
            from,
            to,
            left: left.delay(from, to),
            right: right.delay(places[from], places[to]),
        };
        let paths: Vec<PathDifference> = left.paths().map(path).collect();
        let absolute = || paths.iter().map(|path| path.difference().magnitude().as_nanos());
        let count = paths.len() as f64;
        let mean = absolute().map(|ns| ns as f64).sum::<f64>() / count;
        let mean_square = absolute().map(|ns| (ns as f64).powi(2)).sum::<f64>() / count;
        Ok(Self {
            max: Span::from_nanos(absolute().max().unwrap_or(0)),
            mean_absolute: span(mean),
            root_mean_square: span(mean_square.sqrt()),
            paths,
        })
    }

    /// The paths that differ by more than `tolerance`, the farthest first.
    pub fn beyond(&self, tolerance: Span) -> Vec<PathDifference> {
        let mut paths: Vec<PathDifference> =
            self.paths.iter().filter(|path| path.difference().magnitude() > tolerance).copied().collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.difference().magnitude()));
        paths
    }
}

/// For each node of `left`, its place in `right`.
fn matching(left: &DelayMatrix, right: &DelayMatrix) -> Result<Vec<NodeIndex>, CompareError> {
    let places: HashMap<&NodeName, NodeIndex> = right.names().iter().zip(0..).collect();
    let by_name = left.names().iter().map(|name| places.get(name).copied().ok_or(name));
    match by_name.collect::<Result<_, _>>() {
        Ok(places) => Ok(places),
        Err(_) if is_numbered(left) || is_numbered(right) => Ok((0..left.len()).collect()),
        Err(name) => Err(CompareError::Missing(name.clone())),
    }
}

fn is_numbered(matrix: &DelayMatrix) -> bool {
    matrix.names().iter().zip(1..).all(|(name, number)| *name == NodeName::numbered(number))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn span(ns: f64) -> Span {
    Span::from_nanos(ns.round() as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn matrix(names: &[&str], ms: &[u64]) -> DelayMatrix {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        DelayMatrix::new(names, ms.iter().map(|ms| Delay::from_millis(*ms)).collect()).unwrap()
    }

    #[test]
    fn nodes_are_matched_by_name() {
        let left = matrix(&["a", "b"], &[0, 3, 7, 0]);
        let right = matrix(&["b", "a"], &[0, 7, 7, 0]);
        let difference = Difference::between(&left, &right).unwrap();
        assert_eq!(difference.max, Span::from_millis(4));
        assert_eq!(difference.mean_absolute, Span::from_millis(2));
        // sqrt((16 + 0) / 2) = 2.828427 ms
        assert_eq!(difference.root_mean_square, Span::from_nanos(2_828_427));
        let beyond = difference.beyond(Span::from_millis(3));
        assert_eq!(beyond.iter().map(|path| (path.from, path.to)).collect::<Vec<_>>(), [(0, 1)]);
        assert_eq!(beyond[0].difference(), Deviation::from_nanos(4_000_000));
        assert!(difference.beyond(Span::from_millis(4)).is_empty());
    }

    #[test]
    fn unnamed_nodes_are_matched_by_place() {
        let left = matrix(&["a", "b"], &[0, 3, 7, 0]);
        let right = matrix(&["n1", "n2"], &[0, 3, 7, 0]);
        assert_eq!(Difference::between(&left, &right).unwrap().max, Span::ZERO);
    }

    #[test]
    fn other_nodes_are_refused() {
        let left = matrix(&["a", "b"], &[0, 3, 7, 0]);
        let other = matrix(&["a", "c"], &[0, 3, 7, 0]);
        let larger = matrix(&["a", "b", "c"], &[0; 9]);
        let message = |right| Difference::between(&left, right).unwrap_err().to_string();
        assert_eq!(
            message(&other),
            "node `b` is in the first matrix only; both must have the same names, or one of them none"
        );
        assert_eq!(
            message(&larger),
            "the matrices have 2 and 3 nodes; only matrices of the same nodes can be compared"
        );
    }

    proptest! {
        #[test]
        fn sums_keep_their_order_and_swapping_changes_only_the_sign(a in prop::collection::vec(0u64..60_000, 6), b in prop::collection::vec(0u64..60_000, 6)) {
            let of = |ms: &[u64]| matrix(&["a", "b", "c"], &[0, ms[0], ms[1], ms[2], 0, ms[3], ms[4], ms[5], 0]);
            let there = Difference::between(&of(&a), &of(&b)).unwrap();
            let back = Difference::between(&of(&b), &of(&a)).unwrap();
            prop_assert!(there.mean_absolute <= there.root_mean_square && there.root_mean_square <= there.max);
            prop_assert_eq!((there.max, there.mean_absolute, there.root_mean_square), (back.max, back.mean_absolute, back.root_mean_square));
            for (one, other) in there.paths.iter().zip(&back.paths) {
                prop_assert_eq!(one.difference().as_nanos(), -other.difference().as_nanos());
            }
            prop_assert_eq!(there.beyond(Span::ZERO).len(), a.iter().zip(&b).filter(|(a, b)| a != b).count());
        }
    }
}
