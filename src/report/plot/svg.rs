//! A small SVG writer: escaped text, short numbers, the few shapes that the plots need.

use std::fmt::{self, Write};

use crate::report::Rgb;

/// The colour of axes, ticks and labels.
pub(super) const INK: Rgb = Rgb(38, 38, 38);
/// The colour of secondary text.
pub(super) const GREY: Rgb = Rgb(89, 89, 89);
/// The colour of grid lines.
pub(super) const FAINT: Rgb = Rgb(222, 222, 222);

/// An SVG document under construction.
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

/// Where text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How text is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) colour: Rgb,
    pub(super) anchor: Anchor,
    /// Degrees, clockwise around the point.
    pub(super) turn: f64,
}

impl Style {
    pub(super) fn new(size: f64, colour: Rgb, anchor: Anchor) -> Self {
        Self { size, colour, anchor, turn: 0.0 }
    }

    pub(super) fn turned(self, degrees: f64) -> Self {
        Self { turn: degrees, ..self }
    }
}

/// A coordinate or length: at most two decimals, none where they are zero.
pub(super) struct Num(pub(super) f64);

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 * 100.0).round() / 100.0;
        // Adding zero turns a negative zero into a plain one.
        write!(f, "{}", rounded + 0.0)
    }
}

/// Text with the characters that XML gives a meaning replaced, and those that it forbids left out.
pub(in crate::report) struct Escaped<'a>(pub(in crate::report) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' => {}
                letter if letter.is_control() => f.write_char(' ')?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    /// Adds markup as it is.
    pub(super) fn raw(&mut self, markup: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(markup);
        self.body.push('\n');
    }

    /// Adds text at a point on its baseline.
    pub(super) fn text(&mut self, (x, y): (f64, f64), style: Style, text: &str) {
        let anchor = match style.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let turn = match style.turn {
            0.0 => String::new(),
            turn => format!(" transform=\"rotate({} {} {})\"", Num(turn), Num(x), Num(y)),
        };
        let (x, y, size, colour) = (Num(x), Num(y), Num(style.size), style.colour.hex());
        let text = Escaped(text);
        self.raw(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}{turn}>{text}</text>"
        ));
    }

    /// Adds text with a white rim, so that it reads on lines that run behind it.
    pub(super) fn text_with_rim(&mut self, at: (f64, f64), style: Style, text: &str) {
        self.raw(format_args!(
            "<g stroke=\"#ffffff\" stroke-width=\"3.4\" stroke-linejoin=\"round\" paint-order=\"stroke\">"
        ));
        self.text(at, style, text);
        self.raw(format_args!("</g>"));
    }

    /// Adds a straight line; `extra` is further attributes.
    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: Rgb, extra: &str) {
        let (x1, y1, x2, y2) = (Num(x1), Num(y1), Num(x2), Num(y2));
        let colour = colour.hex();
        self.raw(format_args!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{colour}\"{extra}/>"));
    }

    /// Adds a rectangle; `extra` is further attributes.
    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), extra: &str) {
        let (x, y, width, height) = (Num(x), Num(y), Num(width), Num(height));
        self.raw(format_args!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {extra}/>"));
    }

    /// The whole document on a white ground, with `title` for screen readers.
    pub(super) fn finish(self, title: &str) -> String {
        let (width, height, title, body) = (Num(self.width), Num(self.height), Escaped(title), self.body);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"'DejaVu Sans', Verdana, sans-serif\" role=\"img\">\n\
             <title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
        )
    }
}
