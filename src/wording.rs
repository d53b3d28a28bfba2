//! Foreign text as messages repeat it: one line, nothing that a terminal obeys, never endless. Pure.

use std::fmt::{self, Display, Write};

/// The longest text that a message repeats in full, in characters.
const LONGEST_EXCERPT: usize = 40;

/// The longest message, in characters: two of the longest node names, some excerpts and what to change.
const LONGEST_MESSAGE: usize = 800;

/// The text as messages repeat it: cut when it is long, with escapes for what is not printed.
pub fn excerpt(text: &str) -> String {
    shortened(&text, LONGEST_EXCERPT)
}

/// A message that repeats foreign text, shown in one line: what terminals obey is written as an escape, and the end of what
/// is very long is cut off.
#[derive(Debug, Clone, Copy)]
pub struct OneLine<T>(pub T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(&self.0, LONGEST_MESSAGE))
    }
}

fn shortened(text: &dyn Display, longest: usize) -> String {
    let mut line = Line { text: String::new(), left: longest };
    // It fails when the line is full; then what follows is not wanted.
    let _ = write!(line, "{text}");
    line.text
}

/// A line as far as it has been written.
struct Line {
    text: String,
    left: usize,
}

impl Write for Line {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            let escape = is_obeyed(c).then(|| c.escape_debug().to_string());
            let length = escape.as_ref().map_or(1, String::len);
            if self.left < length {
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.left -= length;
            match escape {
                Some(escape) => self.text.push_str(&escape),
                None => self.text.push(c),
            }
        }
        Ok(())
    }
}

/// Whether a terminal does something else than print it: control characters, ends of lines and changes of direction.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_obeys_is_written_as_an_escape() {
        assert_eq!(excerpt("a\x1b[31m\r\n\tb\u{202e}c\u{85}é"), "a\\u{1b}[31m\\r\\n\\tb\\u{202e}c\\u{85}é");
    }

    #[test]
    fn long_texts_are_cut_at_whole_characters() {
        assert_eq!(excerpt(&"ß".repeat(40)), "ß".repeat(40));
        assert_eq!(excerpt(&"ß".repeat(41)), "ß".repeat(40) + "…");
        assert_eq!(excerpt(&"\u{7}".repeat(41)), "\\u{7}".repeat(8) + "…", "an escape is as long as it is shown");
        assert_eq!(OneLine("x".repeat(100_000)).to_string().chars().count(), LONGEST_MESSAGE + 1);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_bounded_line(text in "(\\PC|\\pC){0,60}") {
            let shown = excerpt(&text);
            prop_assert!(!shown.chars().any(is_obeyed) && shown.chars().count() <= LONGEST_EXCERPT + 1);
            if text.chars().count() <= LONGEST_EXCERPT && !text.chars().any(is_obeyed) {
                prop_assert_eq!(shown, text);
            }
        }
    }
}
