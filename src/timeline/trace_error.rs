//! [`TraceError`]: what is wrong with a trace, where it stands and what to change.

use super::{MomentError, TimelineError};
use crate::matrix::{MAX_DELAY, UnknownUnit};
use crate::shaping::ImpairmentError;
use crate::topology::NameError;
use crate::units::UnitError;
use crate::wording::OneLine;

/// A file that is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {}", place(*.line, *.column), OneLine(.problem))]
pub struct TraceError {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// The field, from 1, and the name of its column.
    pub column: Option<(usize, &'static str)>,
    /// What is wrong.
    pub problem: Box<TraceProblem>,
}

fn place(line: u64, column: Option<(usize, &'static str)>) -> String {
    match column {
        _ if line == 0 => String::new(),
        Some((number, name)) => format!(":{line}: column {number} ({name})"),
        None => format!(":{line}"),
    }
}

/// What is wrong with a trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceProblem {
    /// No line with data.
    #[error("there is no line after the header; write lines of time,from,to,delay")]
    Empty,
    /// The first line does not name the columns.
    #[error(
        "the first line must name the columns: time,from,to,delay and, where needed, jitter,loss,rate; it lacks `{0}`"
    )]
    NoHeader(&'static str),
    /// A column that nobody knows.
    #[error(
        "unknown column `{0}`; known are time, from, to, delay, jitter, loss and rate, with a unit such as delay_ms"
    )]
    UnknownColumn(String),
    /// A column twice.
    #[error("the column `{0}` is there twice")]
    ColumnTwice(&'static str),
    /// Another number of fields than the header has.
    #[error("{found} fields, but the header has {wanted}")]
    Fields {
        /// In this line.
        found: usize,
        /// In the header.
        wanted: usize,
    },
    /// Quotation marks that do not close.
    #[error("the line cannot be split into fields: {0}")]
    Quotes(String),
    /// An instant.
    #[error(transparent)]
    Time(#[from] MomentError),
    /// A time before the start that the file itself names.
    #[error("`{time}` is before the start at `{start}`")]
    BeforeStart {
        /// The time.
        time: String,
        /// What `# start:` says.
        start: String,
    },
    /// A name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A unit.
    #[error(transparent)]
    Unit(#[from] UnknownUnit),
    /// A delay or a jitter.
    #[error("`{0}` is not a duration; write a number in the unit of the column, or a number and a unit such as 20ms")]
    Duration(String),
    /// A delay below zero.
    #[error("`{0}` is negative; a packet cannot arrive before it is sent")]
    Negative(String),
    /// A delay beyond what a path may have.
    #[error("`{0}` is more than {MAX_DELAY}, the longest delay of a path")]
    TooLong(String),
    /// A loss or a rate.
    #[error(transparent)]
    Quantity(#[from] UnitError),
    /// Values that make no sense together.
    #[error(transparent)]
    Impairment(#[from] ImpairmentError),
    /// A node's path to itself.
    #[error("the path from `{0}` to itself cannot be impaired")]
    Itself(String),
    /// Two values for one path at one instant.
    #[error("the path from `{from}` to `{to}` has another value for this instant in line {first}")]
    Twice {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
        /// The other line.
        first: u64,
    },
    /// A node that is not there.
    #[error("there is no node `{name}`; there are {nodes}")]
    UnknownNode {
        /// As written.
        name: String,
        /// Which ones there are, in words.
        nodes: String,
    },
    /// The steps are no timeline.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
}
