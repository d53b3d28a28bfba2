//! Tables of regions as clouds and their users publish them: with gaps, units, remarks and rows in any order.

use std::collections::HashMap;

use super::csv::cell;
use super::csv::half;
use super::csv::header::Header;
use super::csv::lines::{Lines, Row};
use super::csv::separator;
use super::delay_matrix::{DelayMatrix, MAX_NODES, MatrixError};
use super::error::{Kind, Place, Problem, ReadError};
use super::read::{ReadOptions, decode};
use super::unit::DelayUnit;
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Rtt};

/// What is wrong with such a table.
#[derive(Debug, thiserror::Error)]
pub enum TableProblem {
    /// Nobody said whether these are round trips.
    #[error(
        "does not say what its numbers are; add `--split-rtt halves` if they are round-trip times, as those of clouds are, \
         or a first line `# kind: one-way`"
    )]
    KindNeeded,
    /// A row whose name no column has.
    #[error("row `{0}` has no column; add one, or leave the row out (lists of pairs are read with `--from pairs`)")]
    Stranger(String),
    /// Two rows of one name.
    #[error("row `{name}` stands already in line {first}; keep one of the two")]
    RowTwice {
        /// The name.
        name: NodeName,
        /// Where it stands first.
        first: u64,
    },
    /// Neither way of a pair.
    #[error("has no number between `{from}` and `{to}`, in neither direction; add one, or take one of the two out")]
    Gap {
        /// One end.
        from: NodeName,
        /// The other.
        to: NodeName,
    },
}

/// Texts that stand where there is no number.
const NOTHING: [&str; 12] = ["", "-", "–", "—", "x", "*", ".", "n/a", "na", "nan", "null", "none"];

/// Reads a table whose first line and first column name the regions; `file` is what errors call it.
///
/// Beyond what the CSV of a matrix allows, rows stand in any order, what a region takes to itself is left out, a gap is filled
/// from the way back, empty columns at the end do not count, fields may stand between `|`, and where commas do not separate
/// fields they may be decimal ones. What was dropped or filled is said in the comments.
pub fn parse_table(file: &str, bytes: &[u8], options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    let at_file = |problem: Problem| ReadError::new(file, Place::File, problem);
    let text = decode(bytes).map_err(at_file)?;
    let header = Header::scan(file, text)?;
    header.check_split(file, options)?;
    let kind = match (header.says_kind(), options.split_rtt) {
        (true, _) => header.kind,
        (false, Some(_)) => Kind::Rtt,
        (false, None) => return Err(at_file(TableProblem::KindNeeded.into())),
    };
    let Some(first_line) = header.first_data_line else { return Err(at_file(Problem::Empty)) };
    let separator = if first_line.trim_start().starts_with('|') { b'|' } else { separator(first_line) };
    let mut table = Table { kind, separator, unit: header.unit, names: Vec::new(), rows: HashMap::new(), own: 0 };
    let mut lines = Lines::new(file, text, separator);
    let mut cells: HashMap<(NodeIndex, NodeIndex), u64> = HashMap::new();
    while let Some(row) = lines.next()? {
        let fields = table.fields(&row);
        if table.names.is_empty() {
            table.take_names(&lines, row.line, &fields)?;
        } else if !is_rule(&fields) {
            table.take_row(&lines, row.line, &fields, &mut cells)?;
        }
    }
    let (delays, filled) = table.delays(&cells).map_err(at_file)?;
    let mut matrix = DelayMatrix::new(table.names, delays).map_err(|error| at_file(error.into()))?;
    matrix.metadata = header.metadata;
    let notes = [
        (table.own, "dropped: what {} of the regions take to themselves, where a matrix has 0"),
        (filled, "filled: {} paths without a number, from the way back"),
    ];
    let notes =
        notes.iter().filter(|(count, _)| *count > 0).map(|(count, note)| note.replace("{}", &count.to_string()));
    matrix.metadata.comments.extend(notes);
    Ok(matrix)
}

/// Whether this is the line between the head and the body of a table in Markdown.
fn is_rule(fields: &[&str]) -> bool {
    fields.iter().all(|field| !field.is_empty() && field.bytes().all(|byte| byte == b'-' || byte == b':'))
}

struct Table {
    kind: Kind,
    separator: u8,
    unit: DelayUnit,
    names: Vec<NodeName>,
    /// The line of each row.
    rows: HashMap<NodeIndex, u64>,
    /// Regions that are not at 0 from themselves.
    own: usize,
}

impl Table {
    /// The fields of a row, without those that only close it.
    fn fields<'r>(&self, row: &'r Row) -> Vec<&'r str> {
        let mut fields: Vec<&str> = row.fields.iter().map(str::trim).collect();
        if self.separator == b'|' && fields.first() == Some(&"") {
            fields.remove(0);
        }
        let used = fields.iter().rposition(|field| !field.is_empty()).map_or(0, |place| place + 1);
        fields.truncate(used);
        fields
    }

    fn take_names(&mut self, lines: &Lines<'_>, line: u64, fields: &[&str]) -> Result<(), ReadError> {
        let mut seen = HashMap::new();
        for (index, text) in fields.iter().enumerate().skip(1) {
            let place = Place::Column { line, column: index + 1 };
            let name: NodeName =
                text.parse().map_err(|error: crate::topology::NameError| lines.error(place.clone(), error))?;
            if let Some(first) = seen.insert(name.clone(), index + 1) {
                return Err(lines.error(place, Problem::DuplicateName { name, first }));
            }
            self.names.push(name);
        }
        match self.names.len() {
            0 | 1 => Err(lines.error(Place::File, MatrixError::TooFewNodes(self.names.len()))),
            2..=MAX_NODES => Ok(()),
            _ => Err(lines.error(Place::Line(line), Problem::TooManyNodes)),
        }
    }

    fn take_row(
        &mut self,
        lines: &Lines<'_>,
        line: u64,
        fields: &[&str],
        cells: &mut HashMap<(NodeIndex, NodeIndex), u64>,
    ) -> Result<(), ReadError> {
        let Some((name, numbers)) = fields.split_first() else { return Ok(()) };
        let at = |column| Place::Column { line, column };
        let Some(from) = self.names.iter().position(|known| known.as_str() == *name) else {
            return Err(lines.error(at(1), TableProblem::Stranger(cell::excerpt(name))));
        };
        if let Some(first) = self.rows.insert(from, line) {
            return Err(lines.error(at(1), TableProblem::RowTwice { name: self.names[from].clone(), first }));
        }
        if numbers.len() > self.names.len() {
            let (found, expected) = (fields.len(), self.names.len() + 1);
            return Err(lines.error(Place::Line(line), Problem::Ragged { found, expected, first: 1 }));
        }
        for (to, text) in numbers.iter().enumerate() {
            let (names, column) = (&self.names, to + 2);
            let path = || Place::Path { line, column, from: names[from].clone(), to: names[to].clone() };
            match self.number(text).map_err(|problem| lines.error(path(), problem))? {
                None => {}
                Some(ns) if from == to => self.own += usize::from(ns > 0),
                Some(ns) => drop(cells.insert((from, to), ns)),
            }
        }
        Ok(())
    }

    /// The nanoseconds of a cell, if it has any.
    fn number(&self, text: &str) -> Result<Option<u64>, Problem> {
        if NOTHING.contains(&text.to_ascii_lowercase().as_str()) {
            return Ok(None);
        }
        let parse = |text: &str| cell::parse(text, self.kind, self.unit).map(Some);
        let point = text.replacen(',', ".", 1);
        // Three digits behind a comma may be thousands.
        let digits = point.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
        let decimal = self.separator != b',' && digits != 3 && !text.contains('.');
        match parse(text) {
            Err(Problem::DecimalComma { .. }) if decimal => parse(&point),
            result => result,
        }
    }

    /// All delays, and how many of them are those of the way back.
    fn delays(&self, cells: &HashMap<(NodeIndex, NodeIndex), u64>) -> Result<(Vec<Delay>, usize), Problem> {
        let n = self.names.len();
        let (mut delays, mut filled) = (Vec::with_capacity(n * n), 0);
        for (from, to) in (0..n).flat_map(|from| (0..n).map(move |to| (from, to))) {
            let (there, back) = (cells.get(&(from, to)), cells.get(&(to, from)));
            let ns = match there.or(back) {
                _ if from == to => 0,
                Some(ns) => *ns,
                None => {
                    let (from, to) = (self.names[from].clone(), self.names[to].clone());
                    return Err(TableProblem::Gap { from, to }.into());
                }
            };
            filled += usize::from(from != to && there.is_none());
            delays.push(match self.kind {
                Kind::OneWay => Delay::from_nanos(ns),
                Kind::Rtt => half(Rtt::from_nanos(ns), from < to),
            });
        }
        Ok((delays, filled))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::matrix::RttSplit;
    use proptest::prelude::*;

    const HALVES: ReadOptions =
        ReadOptions { split_rtt: Some(RttSplit::Halves), latency_unit: None, ignore_unsupported: false };

    fn ms(text: &str) -> Vec<f64> {
        let matrix = parse_table("t.csv", text.as_bytes(), HALVES).unwrap();
        assert_eq!(matrix.names()[0].as_str(), "US East (N. Virginia)", "{text}");
        matrix.delays().iter().map(|delay| delay.as_millis_f64()).collect()
    }

    #[test]
    fn tables_as_they_are_found_are_one_matrix() {
        for text in [
            "Source,US East (N. Virginia),\"Europe, Ireland\",Mumbai\nUS East (N. Virginia),,68.5,190\n\
             \"Europe, Ireland\",68.5,,122\nMumbai,190,122,\n",
            // A byte-order mark, the line ends of Windows, semicolons, decimal commas, units, empty columns at the end.
            "\u{feff};US East (N. Virginia);Europe, Ireland;Mumbai;;\r\nUS East (N. Virginia);4,2 ms;68,5 ms;190 ms;;\r\n\
             Europe, Ireland;68,50ms;2,1ms;122ms;;\r\nMumbai;190;122;-;;\r\n;;;;;\r\n",
            // Another order of rows, and half a table.
            "\tUS East (N. Virginia)\tEurope, Ireland\tMumbai\nMumbai\t190\t122\nEurope, Ireland\t68.5\tN/A\nUS East (N. Virginia)\n",
            "| from | US East (N. Virginia) | Europe, Ireland | Mumbai |\n|---|---:|---:|---:|\n\
             | US East (N. Virginia) | — | 68.5 | 190 |\n| Europe, Ireland | 68.5 | — | 122 |\n",
        ] {
            assert_eq!(ms(text), [0.0, 34.25, 95.0, 34.25, 0.0, 61.0, 95.0, 61.0, 0.0], "{text}");
        }
    }

    #[test]
    fn what_is_dropped_and_filled_is_told_and_kept_to_the_nanosecond() {
        let text = "# unit: ns\n# source: somebody\n,a,b\na,5,7\nb,,\n";
        let matrix = parse_table("t.csv", text.as_bytes(), HALVES).unwrap();
        let both = Delay::round_trip(matrix.delay(0, 1), matrix.delay(1, 0));
        assert_eq!((both.as_nanos(), matrix.metadata.source.as_deref()), (7, Some("somebody")));
        assert_eq!(
            matrix.metadata.comments,
            [
                "dropped: what 1 of the regions take to themselves, where a matrix has 0",
                "filled: 1 paths without a number, from the way back"
            ]
        );
        let one_way = parse_table("t.csv", b"# kind: one-way\n,a,b\na,,7\nb,8,\n", ReadOptions::default()).unwrap();
        assert_eq!(one_way.delay(1, 0), Delay::from_millis(8));
    }

    #[test]
    fn wrong_tables_are_refused_where_they_are_wrong() {
        for (text, message) in [
            ("", "t.csv: is empty; write one row of delays per node"),
            (",a\na,1\n", "t.csv: a delay matrix needs at least 2 nodes, this one has 1"),
            (",a,a\n", "t.csv:1: column 3: node name `a` stands already in column 2; give each node a name of its own"),
            (
                ",a,b\nc,1,2\n",
                "t.csv:2: column 1: row `c` has no column; add one, or leave the row out (lists of pairs \
              are read with `--from pairs`)",
            ),
            (",a,b\na,,2\na,1\n", "t.csv:3: column 1: row `a` stands already in line 2; keep one of the two"),
            (",a,b\na,1,2,3\n", "t.csv:2: has 4 fields, 3 are expected as in line 1"),
            (
                ",a,b\na,1,2?\n",
                "t.csv:2: column 3 (path `a` → `b`): `2?` is not a round-trip time; write a number of \
              milliseconds such as 1.5, or a number and a unit such as 20ms",
            ),
            (
                ";a;b\na;;1,234\n",
                "t.csv:2: column 3 (path `a` → `b`): `1,234` has a decimal comma; write `1.234` with a point",
            ),
            (
                ",a,b,c\na,,1,2\n",
                "t.csv: has no number between `b` and `c`, in neither direction; add one, or take one of \
              the two out",
            ),
        ] {
            assert_eq!(parse_table("t.csv", text.as_bytes(), HALVES).unwrap_err().to_string(), message, "{text}");
        }
        let unsaid = parse_table("t.csv", b",a,b\na,,7\nb,8,\n", ReadOptions::default()).unwrap_err().to_string();
        assert!(unsaid.starts_with("t.csv: does not say what its numbers are; add `--split-rtt halves`"), "{unsaid}");
    }

    proptest! {
        #[test]
        fn any_table_like_text_is_read_or_refused(text in "[#\"ab01.,;|\t\r\n -]{0,60}") {
            let _ = parse_table("x", text.as_bytes(), HALVES);
        }
    }
}
