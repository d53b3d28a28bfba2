//! Delay matrices in CSV: metadata lines (`# unit: ms`), with or without names, separated by commas, semicolons or tabs.

pub(in crate::matrix) mod cell;
pub(in crate::matrix) mod header;
pub(in crate::matrix) mod layout;
pub(in crate::matrix) mod lines;
mod rows;
mod write;

pub(in crate::matrix) use rows::half;
pub use write::{CsvOptions, Delimiter, to_csv};

use super::delay_matrix::{DelayMatrix, MAX_NODES};
use super::error::{Place, Problem, ReadError};
use super::read::ReadOptions;
use header::Header;

/// Reads a delay matrix from CSV text; `file` is what errors call it.
pub(super) fn parse(file: &str, text: &str, options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    let header = Header::scan(file, text)?;
    header.check_split(file, options)?;
    let Some(first_line) = header.first_data_line else {
        return Err(ReadError::new(file, Place::File, Problem::Empty));
    };
    let (names, delays) = rows::read(file, text, &header, separator(first_line))?;
    let mut matrix = DelayMatrix::new(names, delays).map_err(|error| ReadError::new(file, Place::File, error))?;
    matrix.metadata = header.metadata;
    Ok(matrix)
}

/// Whether the first line of data alone has more fields than any matrix.
pub(super) fn first_line_is_too_wide(bytes: &[u8]) -> bool {
    let is_data = |line: &&[u8]| !line.starts_with(b"#") && !line.trim_ascii().is_empty();
    let Some(line) = bytes.split(|byte| *byte == b'\n').find(is_data) else { return false };
    let line = String::from_utf8_lossy(line);
    let separator = char::from(separator(&line));
    // One field more than the nodes is a row with its name.
    line.split('"').step_by(2).flat_map(str::chars).filter(|c| *c == separator).count() > MAX_NODES
}

/// The separator of a line: a tab or semicolon outside quotation marks, where there is one, decides against the comma,
/// because commas also occur within fields that are so separated (as decimal commas, which are refused by name).
pub(in crate::matrix) fn separator(line: &str) -> u8 {
    let unquoted: Vec<u8> =
        line.split('"').step_by(2).flat_map(str::bytes).filter(|byte| b"\t;,".contains(byte)).collect();
    *[b'\t', b';'].iter().find(|candidate| unquoted.contains(candidate)).unwrap_or(&b',')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::matrix::RttSplit;
    use proptest::prelude::*;

    #[test]
    fn separators_are_found_outside_quotation_marks() {
        for (line, expected) in [
            ("0,1,2", b','),
            ("0;1,5;2,5", b';'),
            ("0\t1,5\t2", b'\t'),
            ("\"a;b\",c", b','),
            ("single", b','),
            ("\"a\tb\";c", b';'),
        ] {
            assert_eq!(separator(line), expected, "{line}");
        }
    }

    fn delays_ms(text: &str, options: ReadOptions) -> Vec<f64> {
        let matrix = crate::matrix::parse("x.csv", text.as_bytes(), options).unwrap();
        matrix.delays().iter().map(|delay| delay.as_millis_f64()).collect()
    }

    #[test]
    fn layouts_separators_and_units_are_all_the_same_matrix() {
        for text in [
            "0,3\n4,0\n",
            "a,b\n0,3\n4,0",
            ",a,b\na,0,3\nb,4,0\n",
            "to;a;b\n\na;0;3\n# between\nb;4;0\n",
            "0\t3\n4\t0\n",
            "# unit: us\n0,3000\n4000,0\n",
            "# unit: s\n0, 0.003\n4ms ,0\n",
            "\"a\",\"b\"\n\"0\",\"3\"\n4,0\n",
        ] {
            assert_eq!(delays_ms(text, ReadOptions::default()), [0.0, 3.0, 4.0, 0.0], "{text}");
        }
    }

    #[test]
    fn round_trips_are_halved_only_when_told() {
        let text = "# kind: rtt\n0,10\n7,0\n";
        let halves = ReadOptions { split_rtt: Some(RttSplit::Halves), ..ReadOptions::default() };
        assert_eq!(delays_ms(text, halves), [0.0, 5.0, 3.5, 0.0]);
        let error = crate::matrix::parse("x.csv", text.as_bytes(), ReadOptions::default()).unwrap_err();
        assert!(error.to_string().contains("--split-rtt halves"), "{error}");
    }

    #[test]
    fn lines_are_counted_past_comments_blank_lines_and_windows_line_ends() {
        let text = "# c\r\n\r\n0,1,2\r\n# c\r\n\r\n1,0,2\r\n\r\n1,x,0\r\n";
        for text in [text.to_owned(), text.replace("\r\n", "\n")] {
            let error = crate::matrix::parse("x.csv", text.as_bytes(), ReadOptions::default()).unwrap_err();
            assert!(error.to_string().starts_with("x.csv:8: column 2 (path `n3` → `n2`): `x` is not"), "{error}");
        }
    }

    #[test]
    fn a_line_of_separators_is_counted_once() {
        for text in ["# c\n\n0\t1\n\t\n1\t0\n", "# c\n \n0\t1\n\t"] {
            let error = crate::matrix::parse("x.csv", text.as_bytes(), ReadOptions::default()).unwrap_err();
            assert!(
                error.to_string().starts_with("x.csv:4: column 1 (path `n2` → `n1`): the cell is empty"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = crate::matrix::parse("x", &bytes, ReadOptions::default());
        }

        #[test]
        fn any_csv_like_text_is_read_or_refused(text in "[#\"a01.,;\t\r\n -]{0,60}") {
            if let Ok(matrix) = crate::matrix::parse("x", text.as_bytes(), ReadOptions::default()) {
                prop_assert_eq!(matrix.delays().len(), matrix.len() * matrix.len());
            }
        }
    }
}
