//! [`Grid`]: a table like a delay matrix of something else: jitters, losses or rates of paths.

use std::fmt;
use std::str::FromStr;

use super::csv::cell::excerpt;
use super::csv::header::Header;
use super::csv::layout::Layout;
use super::csv::lines::{Lines, Row};
use super::csv::separator;
use super::delay_matrix::{MAX_NODES, MatrixError};
use super::error::{Place, Problem, ReadError};
use super::read::decode;
use super::unit::DelayUnit;
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Probability, Rate, Span, UnitError, scaled_decimal};

/// What a cell of a [`Grid`] can hold.
pub trait Quantity: Sized + Copy + FromStr<Err = UnitError> + fmt::Display {
    /// What a cell without a unit means in a file of that unit; `None` where a number alone means nothing.
    fn plain(text: &str, unit: DelayUnit) -> Option<Self>;
}

impl Quantity for Span {
    fn plain(text: &str, unit: DelayUnit) -> Option<Self> {
        let ns = scaled_decimal(text, unit.nanos())?;
        u64::try_from(ns).ok().map(Self::from_nanos)
    }
}

impl Quantity for Probability {
    fn plain(text: &str, _: DelayUnit) -> Option<Self> {
        (scaled_decimal(text, 1) == Some(0)).then_some(Self::ZERO)
    }
}

impl Quantity for Rate {
    fn plain(_: &str, _: DelayUnit) -> Option<Self> {
        None
    }
}

/// One value or none for each path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid<T> {
    /// The nodes in order; `None` where the file names none.
    pub names: Option<Vec<NodeName>>,
    size: usize,
    cells: Vec<Option<T>>,
}

impl<T: Quantity> Grid<T> {
    /// Reads CSV of a delay matrix's layouts. Cells have their unit, as in `0.5%` or `10mbit`; times may be plain numbers of
    /// the file's unit. Empty cells and `-` say nothing, nor does the diagonal. `file` is what errors call it.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ReadError> {
        let text = decode(bytes).map_err(|problem| ReadError::new(file, Place::File, problem))?;
        let header = Header::scan(file, text)?;
        let Some(first_line) = header.first_data_line else {
            return Err(ReadError::new(file, Place::File, Problem::Empty));
        };
        let mut lines = Lines::new(file, text, separator(first_line));
        let mut rows = Vec::new();
        while let Some(row) = lines.next()? {
            rows.push(row);
            if rows.len() > MAX_NODES + 1 {
                return Err(lines.error(Place::File, Problem::TooManyNodes));
            }
        }
        Reader { lines, header }.read(&rows)
    }

    /// How many nodes it has.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Never true; here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// What it says of a path. Panics when an index is not below `len`.
    pub fn get(&self, from: NodeIndex, to: NodeIndex) -> Option<T> {
        self.cells[from * self.size + to]
    }
}

struct Reader<'a> {
    lines: Lines<'a>,
    header: Header<'a>,
}

impl Reader<'_> {
    fn read<T: Quantity>(&self, rows: &[Row]) -> Result<Grid<T>, ReadError> {
        let Some((first, rest)) = rows.split_first() else {
            return Err(self.lines.error(Place::File, Problem::Empty));
        };
        let is_cell = |text: &str| self.cell::<T>(text).is_ok() && !text.trim().is_empty();
        let layout = Layout::of(&first.fields, rest.first().map(|row| &row.fields), is_cell);
        let skipped = layout.skipped_columns();
        let size = first.fields.len() - skipped;
        if size < 2 {
            return Err(self.lines.error(Place::File, MatrixError::TooFewNodes(size)));
        }
        let (names, data) = match layout {
            Layout::Unnamed => (None, rows),
            Layout::Header | Layout::HeaderAndColumn => (Some(self.names(first, skipped)?), rest),
        };
        if data.len() != size {
            let problem = Problem::NotSquare { rows: data.len(), columns: size };
            return Err(self.lines.error(Place::File, problem));
        }
        let mut cells = Vec::with_capacity(size * size);
        for (from, row) in data.iter().enumerate() {
            if row.fields.len() != first.fields.len() {
                let (found, expected) = (row.fields.len(), first.fields.len());
                let problem = Problem::Ragged { found, expected, first: first.line };
                return Err(self.lines.error(Place::Line(row.line), problem));
            }
            if let (Some(names), 1) = (&names, skipped) {
                self.check_row_name(row, names, from)?;
            }
            for (to, text) in row.fields.iter().skip(skipped).enumerate() {
                let place = Place::Column { line: row.line, column: to + skipped + 1 };
                let cell = self.cell(text).map_err(|problem| self.lines.error(place, problem))?;
                cells.push(cell.filter(|_| from != to));
            }
        }
        Ok(Grid { names, size, cells })
    }

    fn names(&self, first: &Row, skipped: usize) -> Result<Vec<NodeName>, ReadError> {
        let mut names: Vec<NodeName> = Vec::new();
        for (index, text) in first.fields.iter().enumerate().skip(skipped) {
            let place = Place::Column { line: first.line, column: index + 1 };
            let name: NodeName =
                text.parse().map_err(|error: crate::topology::NameError| self.lines.error(place.clone(), error))?;
            if let Some(earlier) = names.iter().position(|known| *known == name) {
                let problem = Problem::DuplicateName { name, first: earlier + skipped + 1 };
                return Err(self.lines.error(place, problem));
            }
            names.push(name);
        }
        Ok(names)
    }

    fn check_row_name(&self, row: &Row, names: &[NodeName], from: NodeIndex) -> Result<(), ReadError> {
        let text = row.fields.get(0).unwrap_or_default().trim();
        if text == names[from].as_str() {
            return Ok(());
        }
        let (found, expected) = (excerpt(text), names[from].clone());
        let known = names.iter().any(|name| name.as_str() == text);
        let problem = if known { Problem::RowOrder { found, expected } } else { Problem::RowName { found, expected } };
        Err(self.lines.error(Place::Column { line: row.line, column: 1 }, problem))
    }

    fn cell<T: Quantity>(&self, text: &str) -> Result<Option<T>, Problem> {
        let text = text.trim();
        if text.is_empty() || text == "-" {
            return Ok(None);
        }
        match T::plain(text, self.header.unit) {
            Some(value) => Ok(Some(value)),
            None => excerpt(text).parse().map(Some).map_err(Problem::Quantity),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn texts<T: Quantity>(text: &str) -> Result<Vec<String>, String> {
        let grid = Grid::<T>::parse("x.csv", text.as_bytes()).map_err(|error| error.to_string())?;
        let names = grid.names.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        let cells = grid.cells.iter().map(|cell| cell.map_or("-".to_owned(), |cell| cell.to_string()));
        Ok(names.into_iter().chain(cells).collect())
    }

    #[test]
    fn layouts_are_those_of_delay_matrices() {
        for text in ["a,b\n0%,1%\n0.5%,0%\n", ",a,b\na,-,1%\nb,0.5%,\n", "to;a;b\n# c\na;0;1%\nb;0.5%;0\n"] {
            assert_eq!(texts::<Probability>(text).unwrap(), ["a", "b", "-", "1%", "0.5%", "-"], "{text}");
        }
        assert_eq!(texts::<Probability>("0%,1%\n0.5%,0%\n").unwrap(), ["-", "1%", "0.5%", "-"]);
        assert_eq!(texts::<Rate>("-,10mbit\n,-\n").unwrap(), ["-", "10mbit", "-", "-"]);
        assert_eq!(texts::<Span>("# unit: us\n0,1500\n2ms,0\n").unwrap(), ["-", "1.5ms", "2ms", "-"]);
    }

    #[test]
    fn wrong_cells_are_told_with_their_place() {
        for (text, message) in [
            (
                "a,b\n0%,5\n1%,0%\n",
                "x.csv:2: column 2: `5` is not a probability; write a number and a unit, such as 0.5% or 10%",
            ),
            ("a,b\n0%,101%\n1%,0%\n", "x.csv:2: column 2: `101%` is too large for a probability"),
            (
                ",a,b\nb,0%,5%\na,1%,0%\n",
                "x.csv:2: column 1: row name `b` where `a` is expected; rows must stand in the order of the columns",
            ),
            ("a,b\n0%,1%\n", "x.csv: is not square: 1 rows of 2 delays; give each node one row and one column"),
            ("a,b\n0%,1%\n1%\n", "x.csv:3: has 1 fields, 2 are expected as in line 1"),
            ("# nothing\n", "x.csv: is empty; write one row of delays per node"),
        ] {
            assert_eq!(texts::<Probability>(text).unwrap_err(), message);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[#\"a01.,%;\t\r\n -]{0,60}") {
            let _ = Grid::<Rate>::parse("x", &bytes);
            let _ = Grid::<Probability>::parse("x", text.as_bytes());
            let _ = Grid::<Span>::parse("x", text.as_bytes());
        }
    }
}
