//! What holds of every error: one bounded line that a terminal can show, and a place that is in the file.

use longhaul::matrix::{Place, ReadError};

/// The longest message: two long names, an excerpt and what to change.
const LONGEST: usize = 1_000;

/// One line, without control characters, not endless.
pub(crate) fn message(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(!text.is_empty(), "an error without words");
    let bad = text.chars().find(|c| c.is_control() || ('\u{2028}'..='\u{202e}').contains(c));
    assert!(bad.is_none(), "{bad:?} in the message {text:?}");
    let length = text.chars().count();
    assert!(length <= LONGEST, "a message of {length} characters: {text}");
}

/// How many lines there are, by any reader's count.
fn lines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n' || *byte == b'\r').count() as u64
}

/// A line is one of the file's.
pub(crate) fn line_within(line: u64, bytes: &[u8]) {
    assert!((1..=lines(bytes)).contains(&line), "line {line} of {}", lines(bytes));
}

/// The error is fit to be shown and its place is in the file.
pub(crate) fn refusal(error: &ReadError, bytes: &[u8]) {
    message(error);
    match error.place {
        Place::File | Place::Element { .. } => {}
        Place::Line(line) | Place::Column { line, .. } | Place::Path { line, .. } => line_within(line, bytes),
    }
}
