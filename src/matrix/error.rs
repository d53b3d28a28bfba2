//! [`ReadError`]: what is wrong with a file of delays, where it stands and what to change.

use std::fmt;

use super::delay_matrix::{MAX_DELAY, MAX_NODES, MatrixError};
use super::graph::GraphProblem;
use super::ping::PingProblem;
use super::region_table::TableProblem;
use super::tcconfig::TcconfigProblem;
use super::unit::{DelayUnit, UnknownUnit};
use crate::topology::{NameError, NodeName};
use crate::units::{Delay, Rtt, UnitError};
use crate::wording::OneLine;

/// A file that does not hold a delay matrix.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}", OneLine(format_args!("{}: {}", .place, .problem)))]
pub struct ReadError {
    /// The path as given, or `<stdin>`.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// What is wrong and what to change.
    pub problem: Box<Problem>,
}

impl ReadError {
    pub(super) fn new(file: &str, place: Place, problem: impl Into<Problem>) -> Self {
        Self { file: file.to_owned(), place, problem: Box::new(problem.into()) }
    }
}

/// A place in a file. Lines and columns count from 1; a column is a field, not a character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A line.
    Line(u64),
    /// A field of a line.
    Column {
        /// The line.
        line: u64,
        /// The field.
        column: usize,
    },
    /// The delay of a path in JSON.
    Element {
        /// The 0-based row and column.
        index: (usize, usize),
        /// The sender.
        from: NodeName,
        /// The receiver.
        to: NodeName,
    },
    /// The delay of a path.
    Path {
        /// The line.
        line: u64,
        /// The field.
        column: usize,
        /// The sender.
        from: NodeName,
        /// The receiver.
        to: NodeName,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(line) => write!(f, ":{line}"),
            Self::Column { line, column } => write!(f, ":{line}: column {column}"),
            Self::Element { index: (row, column), from, to } => {
                write!(f, ": delays_ns[{row}][{column}] (path `{from}` → `{to}`)")
            }
            Self::Path { line, column, from, to } => write!(f, ":{line}: column {column} (path `{from}` → `{to}`)"),
        }
    }
}

/// Whether the numbers of a file are one-way delays or round-trip times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// One-way delays: what a file means that does not say otherwise.
    #[default]
    OneWay,
    /// Round-trip times.
    Rtt,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OneWay => "one-way delay",
            Self::Rtt => "round-trip time",
        })
    }
}

/// What is wrong with a file of delays.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Opening or reading failed.
    #[error("{}", describe_io(.0))]
    Io(#[source] std::io::Error),
    /// The path is a directory.
    #[error("is a directory; name a file in it")]
    Directory,
    /// The file has more bytes than the largest matrix takes.
    #[error("is larger than {0} bytes, more than a matrix of {MAX_NODES} nodes takes")]
    TooLarge(u64),
    /// A NUL byte.
    #[error("has a NUL byte at offset {0}, so it is a binary file; give a text file (CSV or JSON)")]
    Binary(usize),
    /// A byte-order mark of UTF-16, and then not pairs of bytes that are characters.
    #[error("is UTF-16 text that is not whole; save it as UTF-8")]
    Utf16,
    /// Bytes that are not UTF-8.
    #[error("byte {byte:#04x} at offset {offset} is not UTF-8; save the file as UTF-8 text")]
    NotUtf8 {
        /// The 0-based offset of the first wrong byte.
        offset: usize,
        /// That byte.
        byte: u8,
    },
    /// No line with data.
    #[error("is empty; write one row of delays per node")]
    Empty,
    /// A header, then nothing.
    #[error("has a header but no delays; write one row of delays per node below it")]
    HeaderOnly,
    /// An unknown unit.
    #[error(transparent)]
    Unit(#[from] UnknownUnit),
    /// An unknown kind.
    #[error("unknown kind `{0}`; write one-way or rtt")]
    UnknownKind(String),
    /// `unit` or `kind` stands twice.
    #[error("`{key}` stands already in line {first}; keep one of the two")]
    KeyTwice {
        /// The key.
        key: &'static str,
        /// Where it stands first.
        first: u64,
    },
    /// `unit` or `kind` stands after data that it would have changed.
    #[error("`{0}` stands below the first row of data; move it to the top of the file")]
    KeyTooLate(&'static str),
    /// Round-trip times without a word on how to split them.
    #[error(
        "holds round-trip times, and a delay matrix holds one-way delays; \
         add `--split-rtt halves` to give each way half of them"
    )]
    SplitNeeded,
    /// A quotation mark that is not closed.
    #[error("a quoted field goes on over the end of the line; close the quotation mark")]
    OpenQuote,
    /// One field where there should be many.
    #[error("`{0}` is one field; separate the delays by commas, semicolons or tabs")]
    NoSeparator(String),
    /// More nodes than allowed.
    #[error("has more than {MAX_NODES} nodes, the most that a delay matrix may have")]
    TooManyNodes,
    /// A row with another number of fields than the first.
    #[error("has {found} fields, {expected} are expected as in line {first}")]
    Ragged {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
        /// The line that says so.
        first: u64,
    },
    /// As many fields in each row, but another number of rows.
    #[error("is not square: {rows} rows of {columns} delays; give each node one row and one column")]
    NotSquare {
        /// Rows of delays.
        rows: usize,
        /// Delays in each.
        columns: usize,
    },
    /// A node name that is none.
    #[error("{0}; write a name")]
    Name(#[from] NameError),
    /// Two columns with one name.
    #[error("node name `{name}` stands already in column {first}; give each node a name of its own")]
    DuplicateName {
        /// The name.
        name: NodeName,
        /// The column where it stands first.
        first: usize,
    },
    /// A row whose name is another column's.
    #[error("row name `{found}` where `{expected}` is expected; rows must stand in the order of the columns")]
    RowOrder {
        /// The name there.
        found: String,
        /// The name of the column of the same number.
        expected: NodeName,
    },
    /// A row whose name no column has.
    #[error("row name `{found}` is no column's name; `{expected}` is expected here")]
    RowName {
        /// The name there.
        found: String,
        /// The name of the column of the same number.
        expected: NodeName,
    },
    /// A cell with nothing in it.
    #[error("the cell is empty; write the {0} in {unit}", unit = .1.plural())]
    MissingDelay(Kind, DelayUnit),
    /// NaN.
    #[error("`{text}` is not a number; write the measured {kind} in {unit}", unit = .unit.plural())]
    NotANumber {
        /// The text there.
        text: String,
        /// What is expected.
        kind: Kind,
        /// In which unit.
        unit: DelayUnit,
    },
    /// Infinity.
    #[error("`{text}` is infinite; a {kind} is at most {limit}", limit = limit(*.kind))]
    Infinite {
        /// The text there.
        text: String,
        /// What is expected.
        kind: Kind,
    },
    /// A negative number.
    #[error("`{text}` is negative; a {kind} is 0 or more {unit}", unit = .unit.plural())]
    Negative {
        /// The text there.
        text: String,
        /// What is expected.
        kind: Kind,
        /// In which unit.
        unit: DelayUnit,
    },
    /// A decimal comma.
    #[error("`{text}` has a decimal comma; write `{point}` with a point", point = .text.replace(',', "."))]
    DecimalComma {
        /// The text there.
        text: String,
    },
    /// An exponent.
    #[error("`{text}` has an exponent; write it as a plain decimal number of {unit}", unit = .unit.plural())]
    Exponent {
        /// The text there.
        text: String,
        /// In which unit.
        unit: DelayUnit,
    },
    /// Anything else that is no delay.
    #[error("`{text}` is not a {kind}; write a number of {unit} such as 1.5, or a number and a unit such as 20ms",
        unit = .unit.plural())]
    NotADelay {
        /// The text there.
        text: String,
        /// What is expected.
        kind: Kind,
        /// In which unit.
        unit: DelayUnit,
    },
    /// A node that is not at distance zero from itself.
    #[error("`{text}` from `{name}` to itself; the diagonal must be 0 (`matrix convert --from table` drops it)")]
    Diagonal {
        /// The text there.
        text: String,
        /// The node.
        name: NodeName,
    },
    /// A delay that is too long.
    #[error("`{text}` is {kind} over {limit}, the longest allowed; is the unit right (it is {unit})?",
        kind = article(*.kind), limit = limit(*.kind), unit = .unit.plural())]
    TooLong {
        /// The text there.
        text: String,
        /// What is expected.
        kind: Kind,
        /// In which unit.
        unit: DelayUnit,
    },
    /// A line of a list of cities or pairs with another number of fields.
    #[error("has {found} fields; a line is `{expected}`")]
    Fields {
        /// How many there are.
        found: usize,
        /// What a line looks like.
        expected: &'static str,
    },
    /// A latitude or longitude that is none.
    #[error("`{text}` is not a {what}; write decimal degrees from -{limit} to {limit}")]
    Coordinate {
        /// The text there.
        text: String,
        /// Latitude or longitude.
        what: &'static str,
        /// The largest absolute value.
        limit: u8,
    },
    /// A city or pair that a list gives twice.
    #[error("`{name}` stands already in line {first}; keep one of the two")]
    ListedTwice {
        /// The city, or the two ends of the pair.
        name: String,
        /// Where it stands first.
        first: u64,
    },
    /// Text that starts as JSON but is no matrix.
    #[error("is not a delay matrix in JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// JSON with another number of rows than of names.
    #[error("`delays_ns` has {rows} rows, `names` has {names} names; give each name one row")]
    JsonRows {
        /// How many rows there are.
        rows: usize,
        /// How many names there are.
        names: usize,
    },
    /// JSON with a row of another length than there are names.
    #[error("`delays_ns[{row}]` has {found} delays, `names` has {names} names; give each name one delay")]
    JsonRow {
        /// The 0-based row.
        row: usize,
        /// How many delays it has.
        found: usize,
        /// How many names there are.
        names: usize,
    },
    /// JSON whose `unit` contradicts its `delays_ns`.
    #[error("unit `{0}` contradicts `delays_ns`; write \"unit\": \"ns\"")]
    JsonUnit(String),
    /// A graph that does not become a matrix.
    #[error(transparent)]
    Graph(#[from] GraphProblem),
    /// A file of tcconfig that does not become a matrix.
    #[error(transparent)]
    Tcconfig(#[from] TcconfigProblem),
    /// A table of regions that does not become a matrix.
    #[error(transparent)]
    Table(#[from] TableProblem),
    /// A log of ping that does not become a matrix.
    #[error(transparent)]
    Ping(#[from] PingProblem),
    /// Text that is no address.
    #[error("`{0}` is not an IP address; write one such as 10.0.0.2 or fd00::2")]
    Address(String),
    /// A cell that is no quantity of its kind.
    #[error("{0}")]
    Quantity(UnitError),
    /// A rule of the matrix itself.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
}

/// The longest delay, and twice that for a round trip.
pub(crate) fn limit(kind: Kind) -> String {
    match kind {
        Kind::OneWay => MAX_DELAY.to_string(),
        Kind::Rtt => max_rtt().to_string(),
    }
}

/// The longest round-trip time: two of the longest delays.
pub(crate) fn max_rtt() -> Rtt {
    Delay::round_trip(MAX_DELAY, MAX_DELAY)
}

fn article(kind: Kind) -> String {
    format!("a {kind}")
}

fn describe_io(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            "may not be read (permission denied); check its mode and owner".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}
