//! [`GenerateError`]: parameters that make no matrix.

use crate::matrix::{MAX_DELAY, MAX_NODES, MatrixError};
use crate::topology::NameError;
use crate::units::{Delay, Rtt};

/// Parameters that make no matrix.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GenerateError {
    /// Too few or too many nodes.
    #[error("{nodes} nodes ({what}) are not between 2 and {MAX_NODES}")]
    Nodes {
        /// How many.
        nodes: usize,
        /// How they came about.
        what: String,
    },
    /// The longest delay that the parameters can give is over the limit.
    #[error("{what} can give a delay of {delay}; at most {MAX_DELAY} is allowed")]
    TooLong {
        /// Which parameters.
        what: &'static str,
        /// The longest delay.
        delay: Delay,
    },
    /// A deviation of the noise that is none.
    #[error("a noise of {0} is too much; at most 10s is allowed")]
    Noise(Rtt),
    /// Two places without any way between them.
    #[error("there is no way from `{from}` to `{to}` over the given pairs; add pairs that connect them")]
    Unconnected {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// A node's name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A rule of the matrix.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
}

impl GenerateError {
    /// Whether so many nodes can be.
    pub(super) fn check_nodes(nodes: usize, what: impl Into<String>) -> Result<(), Self> {
        if (2..=MAX_NODES).contains(&nodes) { Ok(()) } else { Err(Self::Nodes { nodes, what: what.into() }) }
    }

    /// Whether the longest delay is allowed.
    pub(super) fn check_longest(delay: Delay, what: &'static str) -> Result<(), Self> {
        if delay <= MAX_DELAY { Ok(()) } else { Err(Self::TooLong { what, delay }) }
    }
}
