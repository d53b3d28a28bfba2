//! The `#` lines of a CSV file: unit, kind, source, date and free comments.

use super::cell::excerpt;
use crate::matrix::delay_matrix::Metadata;
use crate::matrix::error::{Kind, Place, Problem, ReadError};
use crate::matrix::read::ReadOptions;
use crate::matrix::unit::DelayUnit;

/// What the `#` lines say, and where the data begins.
#[derive(Debug, Default)]
pub(in crate::matrix) struct Header<'a> {
    pub(in crate::matrix) unit: DelayUnit,
    pub(in crate::matrix) kind: Kind,
    /// The line that gives the kind; 0 when none does.
    kind_line: u64,
    pub(in crate::matrix) metadata: Metadata,
    pub(in crate::matrix) first_data_line: Option<&'a str>,
    unit_line: u64,
}

impl<'a> Header<'a> {
    /// Reads all `#` lines of `text`.
    pub(in crate::matrix) fn scan(file: &str, text: &'a str) -> Result<Self, ReadError> {
        let mut header = Self::default();
        for (line, number) in text.lines().zip(1u64..) {
            if let Some(comment) = line.strip_prefix('#') {
                let comment = comment.trim_start_matches('#').trim();
                header.take(comment, number).map_err(|problem| ReadError::new(file, Place::Line(number), problem))?;
            } else if header.first_data_line.is_none() && !line.trim().is_empty() {
                header.first_data_line = Some(line);
            }
        }
        Ok(header)
    }

    /// Refuses round-trip times unless the options say how to split them.
    pub(in crate::matrix) fn check_split(&self, file: &str, options: ReadOptions) -> Result<(), ReadError> {
        if self.kind == Kind::Rtt && options.split_rtt.is_none() {
            return Err(ReadError::new(file, Place::Line(self.kind_line), Problem::SplitNeeded));
        }
        Ok(())
    }

    /// Whether a line gives the kind.
    pub(in crate::matrix) fn says_kind(&self) -> bool {
        self.kind_line > 0
    }

    fn take(&mut self, comment: &str, number: u64) -> Result<(), Problem> {
        let (key, value) = key_and_value(comment).unwrap_or_default();
        match key {
            "unit" => {
                self.check_once("unit", self.unit_line)?;
                (self.unit, self.unit_line) = (excerpt(value).parse()?, number);
            }
            "kind" => {
                self.check_once("kind", self.kind_line)?;
                (self.kind, self.kind_line) = (parse_kind(&excerpt(value))?, number);
            }
            "source" if self.metadata.source.is_none() => self.metadata.source = Some(value.to_owned()),
            "date" if self.metadata.date.is_none() => self.metadata.date = Some(value.to_owned()),
            _ if comment.is_empty() => {}
            _ => self.metadata.comments.push(comment.to_owned()),
        }
        Ok(())
    }

    fn check_once(&self, key: &'static str, first: u64) -> Result<(), Problem> {
        if first > 0 {
            return Err(Problem::KeyTwice { key, first });
        }
        if self.first_data_line.is_some() {
            return Err(Problem::KeyTooLate(key));
        }
        Ok(())
    }
}

/// The known key that a comment starts with, and its value; spreadsheets add separators to the end of such lines.
pub(in crate::matrix) fn key_and_value(comment: &str) -> Option<(&'static str, &str)> {
    let (key, value) = comment.split_once(':')?;
    let known = ["unit", "kind", "source", "date"].into_iter().find(|known| key.trim().eq_ignore_ascii_case(known))?;
    let value = value.trim().trim_end_matches([',', ';', '\t']).trim_end();
    (!value.is_empty()).then_some((known, value))
}

fn parse_kind(text: &str) -> Result<Kind, Problem> {
    match text {
        "one-way" => Ok(Kind::OneWay),
        "rtt" => Ok(Kind::Rtt),
        other => Err(Problem::UnknownKind(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_taken_and_the_rest_kept_in_order() {
        let text = "# Unit: us,,,\n#kind:rtt\n\n## first: one\n# source: a: b\n#\n# date: 2024\n0,1\n# source: c\n";
        let header = Header::scan("x", text).unwrap();
        assert_eq!((header.unit, header.kind, header.kind_line), (DelayUnit::Us, Kind::Rtt, 2));
        assert_eq!(header.metadata.source.as_deref(), Some("a: b"));
        assert_eq!(header.metadata.date.as_deref(), Some("2024"));
        assert_eq!(header.metadata.comments, ["first: one", "source: c"]);
        assert_eq!(header.first_data_line, Some("0,1"));
    }

    #[test]
    fn a_file_with_one_endless_line_is_not_repeated_in_the_message() {
        let text = format!("# unit: us{}", "\r0,1".repeat(1_000));
        assert!(Header::scan("x", &text).unwrap_err().to_string().len() < 120);
    }
}
