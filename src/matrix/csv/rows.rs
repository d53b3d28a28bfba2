//! The rows of a CSV file: names and delays, each checked where it stands.

use std::collections::HashMap;

use super::cell;
use super::header::Header;
use super::layout::Layout;
use super::lines::{Lines, Row};
use crate::matrix::delay_matrix::{MAX_NODES, MatrixError};
use crate::matrix::error::{Kind, Place, Problem, ReadError};
use crate::topology::NodeName;
use crate::units::{Delay, Rtt};

/// Reads names and row-major delays from the data lines of `text`.
pub(super) fn read(
    file: &str,
    text: &str,
    header: &Header<'_>,
    separator: u8,
) -> Result<(Vec<NodeName>, Vec<Delay>), ReadError> {
    let mut lines = Lines::new(file, text, separator);
    let Some(first) = lines.next()? else {
        return Err(lines.error(Place::File, Problem::Empty));
    };
    let second = lines.next()?;
    let layout = Layout::of(&first.fields, second.as_ref().map(|row| &row.fields), cell::looks_like_number);
    let columns = first.fields.len() - layout.skipped_columns();
    check_size(&lines, &first, columns)?;
    let mut table = Table { header, layout, first_line: first.line, names: Vec::new(), rows: 0, delays: Vec::new() };
    if layout == Layout::Unnamed {
        table.names = (1..=columns).map(NodeName::numbered).collect();
        table.add(&lines, &first)?;
    } else {
        table.names = column_names(&lines, &first, layout)?;
    }
    let mut next = second;
    while let Some(row) = next {
        table.add(&lines, &row)?;
        next = lines.next()?;
    }
    table.finish(&lines)
}

fn check_size(lines: &Lines<'_>, first: &Row, columns: usize) -> Result<(), ReadError> {
    let text = first.fields.get(0).unwrap_or_default().trim();
    if columns == 1 && first.fields.len() == 1 && text.contains([' ', '|', ':']) {
        let problem = Problem::NoSeparator(cell::excerpt(text));
        return Err(lines.error(Place::Line(first.line), problem));
    }
    match columns {
        0 | 1 => Err(lines.error(Place::File, MatrixError::TooFewNodes(columns))),
        2..=MAX_NODES => Ok(()),
        _ => Err(lines.error(Place::Line(first.line), Problem::TooManyNodes)),
    }
}

fn column_names(lines: &Lines<'_>, first: &Row, layout: Layout) -> Result<Vec<NodeName>, ReadError> {
    let mut names = Vec::new();
    let mut seen = HashMap::new();
    for (index, text) in first.fields.iter().enumerate().skip(layout.skipped_columns()) {
        let column = index + 1;
        let place = Place::Column { line: first.line, column };
        let name: NodeName =
            text.parse().map_err(|error: crate::topology::NameError| lines.error(place.clone(), error))?;
        if let Some(earlier) = seen.insert(name.clone(), column) {
            return Err(lines.error(place, Problem::DuplicateName { name, first: earlier }));
        }
        names.push(name);
    }
    Ok(names)
}

/// The matrix as far as it has been read.
struct Table<'a> {
    header: &'a Header<'a>,
    layout: Layout,
    first_line: u64,
    names: Vec<NodeName>,
    rows: usize,
    delays: Vec<Delay>,
}

impl Table<'_> {
    fn add(&mut self, lines: &Lines<'_>, row: &Row) -> Result<(), ReadError> {
        let (found, expected) = (row.fields.len(), self.names.len() + self.layout.skipped_columns());
        if found != expected {
            let problem = Problem::Ragged { found, expected, first: self.first_line };
            return Err(lines.error(Place::Line(row.line), problem));
        }
        if self.rows == MAX_NODES {
            return Err(lines.error(Place::Line(row.line), Problem::TooManyNodes));
        }
        // Rows beyond the square are only counted, for the message at the end.
        if self.rows < self.names.len() {
            self.check_row_name(row)
                .map_err(|problem| lines.error(Place::Column { line: row.line, column: 1 }, problem))?;
            self.add_delays(lines, row)?;
        }
        self.rows += 1;
        Ok(())
    }

    fn check_row_name(&self, row: &Row) -> Result<(), Problem> {
        if self.layout != Layout::HeaderAndColumn {
            return Ok(());
        }
        let expected = &self.names[self.rows];
        let found: NodeName = row.fields.get(0).unwrap_or_default().parse()?;
        if found == *expected {
            return Ok(());
        }
        let (known, found) = (self.names.contains(&found), cell::excerpt(found.as_str()));
        let expected = expected.clone();
        Err(if known { Problem::RowOrder { found, expected } } else { Problem::RowName { found, expected } })
    }

    fn add_delays(&mut self, lines: &Lines<'_>, row: &Row) -> Result<(), ReadError> {
        let skipped = self.layout.skipped_columns();
        for (to, text) in row.fields.iter().skip(skipped).enumerate() {
            let delay = self.delay(to, text).map_err(|problem| {
                let (from, to_name) = (self.names[self.rows].clone(), self.names[to].clone());
                let (line, column) = (row.line, to + skipped + 1);
                let place = if self.rows == to {
                    Place::Column { line, column }
                } else {
                    Place::Path { line, column, from, to: to_name }
                };
                lines.error(place, problem)
            })?;
            self.delays.push(delay);
        }
        Ok(())
    }

    fn delay(&self, to: usize, text: &str) -> Result<Delay, Problem> {
        // Nobody measures a node to itself, and many tables leave that out.
        if self.rows == to && matches!(text.trim(), "" | "-" | "–" | "—") {
            return Ok(Delay::ZERO);
        }
        let ns = cell::parse(text, self.header.kind, self.header.unit)?;
        if self.rows == to && ns != 0 {
            let name = self.names[to].clone();
            return Err(Problem::Diagonal { text: cell::excerpt(text.trim()), name });
        }
        Ok(match self.header.kind {
            Kind::OneWay => Delay::from_nanos(ns),
            Kind::Rtt => half(Rtt::from_nanos(ns), self.rows < to),
        })
    }

    fn finish(self, lines: &Lines<'_>) -> Result<(Vec<NodeName>, Vec<Delay>), ReadError> {
        let (rows, columns) = (self.rows, self.names.len());
        if rows == columns {
            return Ok((self.names, self.delays));
        }
        let problem = if rows == 0 { Problem::HeaderOnly } else { Problem::NotSquare { rows, columns } };
        Err(lines.error(Place::File, problem))
    }
}

/// Half of a round trip. An odd nanosecond stays above the diagonal, so that the halves of a symmetric table add up again.
pub(in crate::matrix) fn half(rtt: Rtt, above_diagonal: bool) -> Delay {
    let (larger, smaller) = rtt.split_evenly();
    if above_diagonal { larger } else { smaller }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_symmetric_table_add_up() {
        let rtt = Rtt::from_nanos(25);
        assert_eq!(half(rtt, true).round_trip(half(rtt, false)), rtt);
    }
}
