//! Nodes that took no part in a measurement, or not to its end: paths from and to them are not judged, and not good. Pure.

use std::collections::BTreeMap;

use crate::topology::NodeIndex;

use super::sample::{Comparison, PathResult, Verdict};

/// The nodes that are missing from a measurement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// By their places.
    pub nodes: BTreeMap<NodeIndex, MissingNode>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingNode {
    /// In its own words, or those of who could not reach it.
    pub why: String,
    /// Whether it is known all the same what its paths are to take.
    pub row_known: bool,
}

impl Missing {
    /// Nodes and why they are missing, where it is known what their paths are to take.
    pub fn of(nodes: impl IntoIterator<Item = (NodeIndex, String)>) -> Self {
        let nodes = nodes.into_iter().map(|(node, why)| (node, MissingNode { why, row_known: true }));
        Self { nodes: nodes.collect() }
    }

    /// With these nodes, too, of which it is not known what their paths are to take.
    #[must_use]
    pub fn and_unknown(mut self, nodes: impl IntoIterator<Item = (NodeIndex, String)>) -> Self {
        self.nodes.extend(nodes.into_iter().map(|(node, why)| (node, MissingNode { why, row_known: false })));
        self
    }

    /// Whether nobody is missing.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether an end of a path is missing.
    pub fn concerns(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.nodes.contains_key(&from) || self.nodes.contains_key(&to)
    }

    /// How many paths of `count` nodes begin or end at one of them.
    pub fn paths_of(&self, node: NodeIndex, count: usize) -> usize {
        if self.nodes.contains_key(&node) { 2 * count.saturating_sub(1) } else { 0 }
    }

    fn knows_row(&self, node: NodeIndex) -> bool {
        self.nodes.get(&node).is_none_or(|missing| missing.row_known)
    }
}

impl Comparison {
    /// The same without these nodes: no path of theirs passes, and so the whole does not.
    #[must_use]
    pub fn without(mut self, missing: Missing) -> Self {
        for path in self.paths.iter_mut().filter(|path| missing.concerns(path.from, path.to)) {
            path.verdict = Verdict::Fail;
        }
        if !missing.is_empty() {
            self.verdict = Verdict::Fail;
        }
        self.missing = missing;
        self
    }

    /// Whether an end of a path is missing.
    pub fn lacks(&self, path: &PathResult) -> bool {
        self.missing.concerns(path.from, path.to)
    }

    /// Whether it is known what a path is to take one way, and there and back.
    pub fn intention_known(&self, path: &PathResult) -> (bool, bool) {
        let there = self.missing.knows_row(path.from);
        (there, there && self.missing.knows_row(path.to))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::matrix::DelayMatrix;
    use crate::measure::{Sample, Tolerance, compare};
    use crate::topology::NodeName;
    use crate::units::{Delay, Span};

    #[test]
    fn paths_of_missing_nodes_fail_and_no_others() {
        let names = (1..=3).map(NodeName::numbered).collect();
        let matrix = DelayMatrix::new(names, vec![Delay::ZERO; 9]).unwrap();
        let sample = |(from, to)| Sample { from, to, seq: 0, sent_ns: 1, one_way: Some(Delay::ZERO), rtt: None };
        let samples: Vec<Sample> = matrix.paths().map(sample).collect();
        let tolerance = Tolerance { relative: 0.05, absolute: Span::from_millis(1) };
        let whole = compare(&matrix, &samples, tolerance);
        assert_eq!(whole.clone().without(Missing::default()), whole);
        assert_eq!(whole.verdict, Verdict::Pass);
        let without = whole.without(Missing::of([]).and_unknown([(1, "gone".to_owned())]));
        assert_eq!(without.verdict, Verdict::Fail);
        for path in &without.paths {
            let touches = path.from == 1 || path.to == 1;
            assert_eq!((path.verdict == Verdict::Fail, without.lacks(path)), (touches, touches), "{path:?}");
            assert_eq!(without.intention_known(path), (path.from != 1, !touches));
        }
        assert_eq!((without.missing.paths_of(1, 3), without.missing.paths_of(0, 3)), (4, 0));
    }
}
