//! [`DelayMatrix`]: a square matrix that cannot be wrong once it exists.

use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Rtt};

/// The most nodes that a matrix may have. Eight bytes a path are 512 MiB then, and a placement problem keeps as much three more
/// times; the largest that is asked for so far are 50 regions of 100 nodes.
pub const MAX_NODES: usize = 8_192;

/// The longest delay that a path may have.
pub const MAX_DELAY: Delay = Delay::from_millis(60_000);

/// Why names and delays do not make a matrix. Places are 0-based; the file formats translate them to lines and columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// Fewer than two nodes.
    #[error("a delay matrix needs at least 2 nodes, this one has {0}")]
    TooFewNodes(usize),
    /// More nodes than [`MAX_NODES`].
    #[error("a delay matrix has at most {MAX_NODES} nodes, this one has {0}")]
    TooManyNodes(usize),
    /// The number of delays is not the square of the number of names.
    #[error("{nodes} nodes need {} delays, there are {delays}", nodes * nodes)]
    NotSquare {
        /// How many names there are.
        nodes: usize,
        /// How many delays there are.
        delays: usize,
    },
    /// Two nodes have one name.
    #[error("node name `{name}` stands at places {} and {}", first + 1, second + 1)]
    DuplicateName {
        /// The name.
        name: NodeName,
        /// Where it stands first.
        first: NodeIndex,
        /// Where it stands again.
        second: NodeIndex,
    },
    /// A node is not at distance zero from itself.
    #[error("the delay from `{name}` to itself is {delay}; the diagonal must be 0")]
    NonZeroDiagonal {
        /// The node.
        name: NodeName,
        /// Its place.
        node: NodeIndex,
        /// The delay found.
        delay: Delay,
    },
    /// A delay is longer than [`MAX_DELAY`].
    #[error("the delay from `{from}` to `{to}` is {delay}; at most {MAX_DELAY} is allowed")]
    TooLong {
        /// The sender.
        from: NodeName,
        /// The receiver.
        to: NodeName,
        /// Row and column.
        place: (NodeIndex, NodeIndex),
        /// The delay found.
        delay: Delay,
    },
}

/// Where a matrix comes from: free text that travels with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Who measured or made it.
    pub source: Option<String>,
    /// When.
    pub date: Option<String>,
    /// Any other `# key: value` lines and comments, in order.
    pub comments: Vec<String>,
}

/// N×N one-way delays: `d[i][j]` is what a packet takes from node i to node j.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayMatrix {
    names: Vec<NodeName>,
    delays: Vec<Delay>,
    /// Where it comes from.
    pub metadata: Metadata,
}

impl DelayMatrix {
    /// Checks and builds a matrix from names and row-major delays.
    pub fn new(names: Vec<NodeName>, delays: Vec<Delay>) -> Result<Self, MatrixError> {
        let n = names.len();
        if n < 2 {
            return Err(MatrixError::TooFewNodes(n));
        }
        if n > MAX_NODES {
            return Err(MatrixError::TooManyNodes(n));
        }
        if delays.len() != n * n {
            return Err(MatrixError::NotSquare { nodes: n, delays: delays.len() });
        }
        check_names(&names)?;
        check_delays(&names, &delays)?;
        Ok(Self { names, delays, metadata: Metadata::default() })
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never true: a matrix has at least two nodes. Here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> &[NodeName] {
        &self.names
    }

    /// All delays, row-major.
    pub fn delays(&self) -> &[Delay] {
        &self.delays
    }

    /// The one-way delay of a path. Panics when an index is not below `len`.
    pub fn delay(&self, from: NodeIndex, to: NodeIndex) -> Delay {
        self.delays[from * self.len() + to]
    }

    /// The round trip that the two delays between a pair of nodes add up to.
    pub fn round_trip(&self, from: NodeIndex, to: NodeIndex) -> Rtt {
        self.delay(from, to).round_trip(self.delay(to, from))
    }

    /// All ordered pairs of different nodes, row by row.
    pub fn paths(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex)> + use<> {
        let n = self.len();
        (0..n).flat_map(move |from| (0..n).filter(move |to| *to != from).map(move |to| (from, to)))
    }
}

fn check_names(names: &[NodeName]) -> Result<(), MatrixError> {
    let mut seen = std::collections::BTreeMap::new();
    for (second, name) in names.iter().enumerate() {
        if let Some(first) = seen.insert(name, second) {
            return Err(MatrixError::DuplicateName { name: name.clone(), first, second });
        }
    }
    Ok(())
}

fn check_delays(names: &[NodeName], delays: &[Delay]) -> Result<(), MatrixError> {
    let n = names.len();
    for (place, delay) in delays.iter().enumerate() {
        let (from, to) = (place / n, place % n);
        if from == to && *delay != Delay::ZERO {
            return Err(MatrixError::NonZeroDiagonal { name: names[from].clone(), node: from, delay: *delay });
        }
        if *delay > MAX_DELAY {
            let (from_name, to_name) = (names[from].clone(), names[to].clone());
            return Err(MatrixError::TooLong { from: from_name, to: to_name, place: (from, to), delay: *delay });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn matrix(names: &[&str], ms: &[u64]) -> Result<DelayMatrix, MatrixError> {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        DelayMatrix::new(names, ms.iter().map(|ms| Delay::from_millis(*ms)).collect())
    }

    #[test]
    fn rows_are_senders() {
        let matrix = matrix(&["a", "b", "c"], &[0, 1, 2, 3, 0, 5, 6, 7, 0]).unwrap();
        assert_eq!((matrix.delay(0, 2), matrix.delay(2, 0)), (Delay::from_millis(2), Delay::from_millis(6)));
        assert_eq!(matrix.round_trip(0, 2), Rtt::from_millis(8));
        assert_eq!(matrix.paths().collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]);
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        for (names, ms, message) in [
            (&["a"][..], &[0][..], "a delay matrix needs at least 2 nodes, this one has 1"),
            (&["a", "b"], &[0, 1, 2], "2 nodes need 4 delays, there are 3"),
            (&["a", "b", "a"], &[0; 9], "node name `a` stands at places 1 and 3"),
            (&["a", "b"], &[0, 1, 2, 3], "the delay from `b` to itself is 3ms; the diagonal must be 0"),
            (&["a", "b"], &[0, 60_001, 2, 0], "the delay from `a` to `b` is 60.001s; at most 60s is allowed"),
        ] {
            assert_eq!(matrix(names, ms).unwrap_err().to_string(), message);
        }
        let names: Vec<NodeName> = (0..=MAX_NODES).map(NodeName::numbered).collect();
        assert_eq!(DelayMatrix::new(names, Vec::new()), Err(MatrixError::TooManyNodes(8_193)));
    }

    #[test]
    fn the_longest_delay_is_allowed() {
        assert!(matrix(&["a", "b"], &[0, 60_000, 0, 0]).is_ok());
    }
}
