//! How wide text is in the embedded font, and cutting and wrapping it to a width.

/// Widths of the printable ASCII characters of `DejaVu` Sans, in hundredths of the font size.
const WIDTHS: [u8; 95] = [
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69,
    61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63,
    59, 82, 59, 59, 52, 64, 34, 64, 84,
];

/// The width of `text` at font size `size`, in the same unit. Characters outside ASCII are taken as wide ones.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|letter| letter_width(letter) * size).sum()
}

fn letter_width(letter: char) -> f64 {
    let code = letter as usize;
    match letter {
        ' '..='~' => f64::from(WIDTHS[code - 32]) / 100.0,
        '·' => 0.32,
        _ if code < 0x2e80 => 0.84,
        _ => 1.05,
    }
}

/// The text, or as much of its beginning as fits `room` with an ellipsis.
pub(super) fn cut(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut used = width("…", size);
    let kept = text.chars().take_while(|letter| {
        used += letter_width(*letter) * size;
        used <= room
    });
    format!("{}…", kept.collect::<String>().trim_end())
}

/// The text in lines that fit `room`, broken at blanks; a word that is too long alone is cut.
pub(super) fn wrap(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line, size) + width(" ", size) + width(word, size) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(cut(word, size, room)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_at_blanks_and_cut_where_there_are_none() {
        assert_eq!(wrap("one two three", 10.0, width("one two", 10.0) + 0.1), ["one two", "three"]);
        assert!(wrap("", 10.0, 50.0).is_empty());
        let cut = cut("a-very-long-name", 10.0, 50.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 50.0, "{cut}");
    }
}
