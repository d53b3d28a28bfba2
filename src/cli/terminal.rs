//! What the output must fit into: the width of a terminal, and text broken to it.

use std::os::fd::AsFd;

/// The letters a line of the terminal that `stream` is; nothing when it is none.
pub(super) fn columns(stream: impl AsFd) -> Option<usize> {
    terminal_size::terminal_size_of(stream).map(|(terminal_size::Width(columns), _)| columns.into())
}

/// `text` behind `head`, broken between words into lines of at most `columns` letters; further lines are indented by
/// `indent` blanks. Words that are too long for a line, such as paths, are left whole.
pub(super) fn hanging(head: &str, text: &str, indent: usize, columns: usize) -> String {
    let mut lines = vec![format!("{head:indent$}")];
    let mut empty = true;
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if !empty && line + 1 + word.chars().count() > columns {
            lines.push(" ".repeat(indent));
            empty = true;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if empty { "" } else { " " });
            line.push_str(word);
        }
        empty = false;
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::hanging;

    #[test]
    fn text_hangs_beside_its_head() {
        assert_eq!(hanging("a: ", "one two three", 4, 12), "a:  one two\n    three");
        assert_eq!(hanging("", "one two", 0, usize::MAX), "one two");
        assert_eq!(hanging("a", "unbreakable", 2, 5), "a unbreakable");
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_line_is_too_long(text in "([a-zé]{1,9} ){0,30}", columns in 20usize..80) {
            let broken = hanging("head", &text, 6, columns);
            let words: Vec<&str> = broken.split_whitespace().skip(1).collect();
            prop_assert_eq!(words, text.split_whitespace().collect::<Vec<_>>());
            prop_assert!(broken.lines().all(|line| line.chars().count() <= columns), "{}", broken);
        }
    }
}
