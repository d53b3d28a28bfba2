//! [`IntendedError`]: what is wrong with an impairment file, where it stands and what to change.

use std::fmt;

use crate::matrix::ReadError;
use crate::shaping::ImpairmentError;
use crate::topology::NodeName;
use crate::wording::OneLine;

/// Why nothing sensible is intended.
#[derive(Debug, thiserror::Error)]
pub enum IntendedError {
    /// A matrix is not one, or a file cannot be read.
    #[error(transparent)]
    Matrix(#[from] ReadError),
    /// Something in the impairment file.
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

/// A place in a file: line and column from 1, or the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spot(Option<(u64, u64)>);

impl Spot {
    /// The file as a whole.
    pub const FILE: Self = Self(None);

    pub(super) fn of(location: serde_saphyr::Location) -> Self {
        if location == serde_saphyr::Location::UNKNOWN {
            Self(None)
        } else {
            Self(Some((location.line(), location.column())))
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |(line, column)| write!(f, ":{line}:{column}"))
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
    #[error("no node of the matrix is called `{0}`")]
    UnknownNode(String),
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
}
