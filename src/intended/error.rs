//! [`IntendedError`]: what is wrong with an impairment file, where it stands and what to change.

use crate::matrix::{MAX_DELAY, MatrixError, ReadError};
use crate::shaping::{ImpairmentError, TableError};
use crate::topology::{NameError, NodeName};
use crate::units::Delay;
use crate::wording::OneLine;
use crate::yaml::Spot;

/// Why nothing sensible is intended.
#[derive(Debug, thiserror::Error)]
pub enum IntendedError {
    /// A matrix is not one, or a file cannot be read.
    #[error(transparent)]
    Matrix(#[from] ReadError),
    /// Something in the impairment file, or in one that it names.
    #[error("{file}{}", OneLine(format_args!("{}: {}", .spot, .problem)))]
    File {
        /// The file as it was given.
        file: String,
        /// Where in it.
        spot: Spot,
        /// What is wrong.
        problem: Box<FileProblem>,
    },
}

impl IntendedError {
    pub(super) fn new(file: &str, spot: Spot, problem: FileProblem) -> Self {
        Self::File { file: file.to_owned(), spot, problem: Box::new(problem) }
    }
}

/// What is wrong with an impairment file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileProblem {
    /// It is no YAML, or not of this form.
    #[error("{0}")]
    Form(String),
    /// Another version of the format.
    #[error("apiVersion is `{0}`; this longhaul reads longhaul/v1")]
    Version(String),
    /// Defaults with ends.
    #[error("defaults are for every path; `from` and `to` belong under paths")]
    DefaultsWithEnds,
    /// A name or pattern that no node has.
    #[error("there is no node and no region called `{0}`")]
    UnknownNode(String),
    /// A rule from a node to itself alone.
    #[error("this rule is for no path: `from` and `to` mean one and the same node")]
    NoPath,
    /// A region that is not there.
    #[error("there is no region called `{0}`; regions are listed under regions")]
    UnknownRegion(String),
    /// A region and a node of one name.
    #[error("a node is called `{0}` too; give the region another name")]
    RegionIsNode(String),
    /// A pattern where names are needed.
    #[error("`{0}` is a pattern; without a matrix a region lists its nodes by name")]
    PatternWithoutMatrix(String),
    /// A node of two regions where delays are between regions.
    #[error("node `{0}` is in region `{1}` already; with delays between regions a node is in one")]
    InTwoRegions(NodeName, String),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Nothing says how long paths are.
    #[error("nothing says how long paths are; name a matrix, or list regions with the delays between them")]
    NoDelays,
    /// Two delay matrices.
    #[error("matrix is given already; `matrices: {{delay: …}}` is the same; keep one of the two")]
    TwoMatrices,
    /// A pair of regions without a delay.
    #[error("no delay is given from region `{0}` to region `{1}`, nor back")]
    NoRegionDelay(String, String),
    /// A table beside the delay matrix that is for other nodes.
    #[error("it is for other nodes than the delay matrix: {0}")]
    OtherNodes(String),
    /// The nodes and delays make no matrix.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// Less than nothing.
    #[error("the path from {from} to {to}: {less} less than its delay of {delay} is below zero")]
    BelowZero {
        /// The sender.
        from: NodeName,
        /// The receiver.
        to: NodeName,
        /// The delay before.
        delay: Delay,
        /// What is to be taken off.
        less: Delay,
    },
    /// A delay beyond what can be.
    #[error("the path from {from} to {to}: a delay of {delay} is more than {MAX_DELAY}")]
    TooLong {
        /// The sender.
        from: NodeName,
        /// The receiver.
        to: NodeName,
        /// The delay.
        delay: Delay,
    },
    /// Several models of loss in one rule.
    #[error("loss, bursts and states exclude each other; keep one of them")]
    SeveralLosses,
    /// A field that says something only beside another.
    #[error("{0} says nothing without {1} in this rule or before it")]
    Alone(&'static str, &'static str),
    /// A field that does not go with a service.
    #[error("a rule for a service has no exceptions of its own; put `except` into a rule without `service`")]
    ExceptOfService,
    /// What rules add up to for a path makes no sense.
    #[error("the path from {from} to {to}: {cause}")]
    Nonsense {
        /// The sender.
        from: NodeName,
        /// The receiver.
        to: NodeName,
        /// What is wrong.
        cause: ImpairmentError,
    },
    /// A word of a table that is no number.
    #[error("`{0}` is no entry of a table; entries are whole numbers from -32768 to 32767")]
    Entry(String),
    /// A line of samples that is no delay.
    #[error("`{0}` is no delay; write one on each line, as 1.5 in milliseconds or with its unit as in 20ms")]
    Sample(String),
    /// Numbers that make no table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Bytes that are no text.
    #[error("is no UTF-8 text")]
    NoText,
}
