//! Writing a delay matrix as CSV.

use std::fmt::Write as _;

use super::header::key_and_value;
use crate::matrix::delay_matrix::{DelayMatrix, Metadata};
use crate::matrix::unit::DelayUnit;

/// What separates fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delimiter {
    /// `,`
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
}

impl Delimiter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Tab => "\t",
        }
    }
}

/// How a matrix is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvOptions {
    /// The unit of the numbers.
    pub unit: DelayUnit,
    /// Whether to write the names, in the first row and the first column.
    pub names: bool,
    /// What separates fields.
    pub delimiter: Delimiter,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { unit: DelayUnit::Ms, names: true, delimiter: Delimiter::Comma }
    }
}

/// The matrix as CSV with metadata lines. Reading it back gives the same nanoseconds.
pub fn to_csv(matrix: &DelayMatrix, options: CsvOptions) -> String {
    let separator = options.delimiter.as_str();
    let mut text = metadata_lines(&matrix.metadata);
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "# unit: {}\n# kind: one-way", options.unit);
    if options.names {
        for name in matrix.names() {
            text.push_str(separator);
            text.push_str(&quoted(name.as_str()));
        }
        text.push('\n');
    }
    for (name, row) in matrix.names().iter().zip(matrix.delays().chunks(matrix.len())) {
        let name = options.names.then(|| quoted(name.as_str()));
        let cells = row.iter().map(|delay| options.unit.format(delay.as_nanos()));
        let fields: Vec<String> = name.into_iter().chain(cells).collect();
        text.push_str(&fields.join(separator));
        text.push('\n');
    }
    text
}

fn metadata_lines(metadata: &Metadata) -> String {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = String::new();
    for (key, value) in [("source", &metadata.source), ("date", &metadata.date)] {
        // Read back, a key without a value would be a comment.
        if let Some(value) = value.as_deref().map(one_line).filter(|value| !value.is_empty()) {
            let _ = writeln!(text, "# {key}: {value}");
        }
    }
    for comment in metadata.comments.iter().map(|comment| one_line(comment)).filter(|comment| !comment.is_empty()) {
        // A comment must not be read back as something that it is not.
        let reserved = match key_and_value(&comment) {
            Some(("source", _)) => metadata.source.is_none(),
            Some(("date", _)) => metadata.date.is_none(),
            Some(_) => true,
            None => false,
        };
        let _ = writeln!(text, "# {}{}", if reserved { "note: " } else { "" }, comment);
    }
    text
}

/// A name as a field: quoted when it has a character that any reader could take for something else.
fn quoted(name: &str) -> String {
    if name.contains([',', ';', '"', '#']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::matrix::{ReadOptions, parse, to_json};
    use crate::topology::NodeName;
    use crate::units::Delay;
    use proptest::prelude::*;

    fn names() -> impl Strategy<Value = Vec<NodeName>> {
        prop::collection::btree_set("[a-z0-9.;,#\"' éß-]{1,8}|\\PC{1,6}", 2..7).prop_map(|texts| {
            let mut names: Vec<NodeName> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            names.dedup();
            names.sort();
            names.dedup();
            names
        })
    }

    fn matrices() -> impl Strategy<Value = DelayMatrix> {
        let metadata = (
            prop::option::of("[a-z:,# ]{0,12}[a-z]"),
            prop::option::of("[0-9-]{4,10}"),
            prop::collection::vec("(unit|kind|source|date|free)?:? ?[a-z]{1,8}", 0..4),
        );
        (names(), metadata).prop_filter("two nodes", |(names, _)| names.len() >= 2).prop_flat_map(
            |(names, metadata)| {
                let n = names.len();
                prop::collection::vec(0u64..=60_000_000_000, n * n).prop_map(move |mut ns| {
                    (0..n).for_each(|node| ns[node * n + node] = 0);
                    let mut matrix =
                        DelayMatrix::new(names.clone(), ns.into_iter().map(Delay::from_nanos).collect()).unwrap();
                    let (source, date, comments) = metadata.clone();
                    matrix.metadata = Metadata { source: source.map(|text| text.trim().to_owned()), date, comments };
                    matrix
                })
            },
        )
    }

    fn options() -> impl Strategy<Value = CsvOptions> {
        let unit = prop::sample::select(vec![DelayUnit::Ns, DelayUnit::Us, DelayUnit::Ms, DelayUnit::S]);
        let delimiter = prop::sample::select(vec![Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab]);
        (unit, any::<bool>(), delimiter).prop_map(|(unit, names, delimiter)| CsvOptions { unit, names, delimiter })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_to_the_nanosecond(matrix in matrices(), options in options()) {
            let text = to_csv(&matrix, options);
            let read = parse("written", text.as_bytes(), ReadOptions::default()).unwrap();
            prop_assert_eq!(read.delays(), matrix.delays());
            if options.names {
                prop_assert_eq!(read.names(), matrix.names());
            }
            let twice = to_csv(&read, options);
            prop_assert_eq!(twice, text, "writing again changes nothing");
        }

        #[test]
        fn windows_line_ends_and_a_byte_order_mark_change_nothing(matrix in matrices(), options in options()) {
            let text = to_csv(&matrix, options);
            let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
            let read = parse("written", windows.as_bytes(), ReadOptions::default()).unwrap();
            prop_assert_eq!(read, parse("written", text.as_bytes(), ReadOptions::default()).unwrap());
        }

        #[test]
        fn json_reads_back_whole(matrix in matrices()) {
            let read = parse("written", to_json(&matrix).as_bytes(), ReadOptions::default()).unwrap();
            prop_assert_eq!(read, matrix);
        }
    }

    #[test]
    fn comments_cannot_pose_as_keys() {
        let metadata = Metadata { comments: vec!["unit: s".to_owned(), "a\nb".to_owned()], ..Metadata::default() };
        assert_eq!(metadata_lines(&metadata), "# note: unit: s\n# a b\n");
    }

    #[test]
    fn what_is_empty_leaves_no_line() {
        let comments = vec![String::new(), " \n".to_owned(), "a".to_owned()];
        let metadata = Metadata { source: Some("\n".to_owned()), date: Some(String::new()), comments };
        assert_eq!(metadata_lines(&metadata), "# a\n");
    }
}
