//! The rows of any CSV text with the lines that they start in.

use csv::{Reader, ReaderBuilder, StringRecord};

use crate::matrix::error::{Place, Problem, ReadError};

/// A row and the line that it starts in.
pub(in crate::matrix) struct Row {
    pub(in crate::matrix) fields: StringRecord,
    pub(in crate::matrix) line: u64,
}

/// The rows of a text, without comments and blank lines.
pub(in crate::matrix) struct Lines<'a> {
    file: &'a str,
    text: &'a str,
    reader: Reader<&'a [u8]>,
}

impl<'a> Lines<'a> {
    pub(in crate::matrix) fn new(file: &'a str, text: &'a str, separator: u8) -> Self {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .comment(Some(b'#'))
            .from_reader(text.as_bytes());
        Self { file, text, reader }
    }

    pub(in crate::matrix) fn error(&self, place: Place, problem: impl Into<Problem>) -> ReadError {
        ReadError::new(self.file, place, problem)
    }

    pub(in crate::matrix) fn next(&mut self) -> Result<Option<Row>, ReadError> {
        loop {
            let mut fields = StringRecord::new();
            let position = self.reader.position().clone();
            let more = self
                .reader
                .read_record(&mut fields)
                .map_err(|error| self.error(Place::Line(position.line()), Problem::Io(std::io::Error::other(error))))?;
            if !more {
                return Ok(None);
            }
            if fields.len() == 1 && fields[0].trim().is_empty() {
                continue;
            }
            let line = self.start(&position);
            if fields.as_slice().contains('\n') {
                return Err(self.error(Place::Line(line), Problem::OpenQuote));
            }
            return Ok(Some(Row { fields, line }));
        }
    }

    /// The line of the data that follows `position`: the reader's own line numbers stop before the comments and empty lines
    /// that it skips. A line of separators alone is data to it.
    fn start(&self, position: &csv::Position) -> u64 {
        let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        let rest = self.text.get(from..).unwrap_or_default();
        let skipped =
            rest.split('\n').take_while(|line| line.starts_with('#') || line.bytes().all(|byte| byte == b'\r')).count();
        position.line() + skipped as u64
    }
}
