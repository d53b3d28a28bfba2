//! Legends: keys with their names in a row below the heading, in as many rows as it takes.

use super::heading::TICK_SIZE;
use super::svg::{Anchor, GREY, INK, Num, Style, Svg};
use super::text::{cut, width};
use crate::report::Rgb;
use crate::report::palette::{CATEGORY_COUNT, category};

/// The height of a row.
const ROW: f64 = 18.0;
/// The room of a key with its distance from the name, and of the gap after a name.
const KEY: f64 = 34.0;
const GAP: f64 = 20.0;

/// What stands beside a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    /// The line of a category, with its sign where lines have signs.
    Line(usize, bool),
    /// The area of a category.
    Area(usize),
    /// The line of a bound.
    Bound,
    /// Hatched: nothing is sure.
    Open,
}

/// Keys and names in rows.
pub(super) struct Legend {
    rows: Vec<Vec<(Key, String)>>,
}

impl Legend {
    /// Breaks entries into rows that fit `room`.
    pub(super) fn new(entries: impl IntoIterator<Item = (Key, String)>, room: f64) -> Self {
        let mut rows: Vec<Vec<(Key, String)>> = Vec::new();
        let mut used = f64::INFINITY;
        for (key, name) in entries {
            let name = cut(&name, TICK_SIZE, room - KEY);
            let wide = KEY + width(&name, TICK_SIZE) + GAP;
            if used + wide - GAP > room {
                rows.push(Vec::new());
                used = 0.0;
            }
            used += wide;
            if let Some(row) = rows.last_mut() {
                row.push((key, name));
            }
        }
        Self { rows }
    }

    /// How much room it takes.
    pub(super) fn height(&self) -> f64 {
        self.rows.len() as f64 * ROW
    }

    /// Draws it with this upper left corner.
    pub(super) fn draw(&self, svg: &mut Svg, left: f64, top: f64) {
        for (place, row) in self.rows.iter().enumerate() {
            let (mut x, y) = (left, top + ROW * (place as f64 + 0.5));
            for (key, name) in row {
                draw_key(svg, *key, (x, y));
                svg.text((x + KEY - 6.0, y + TICK_SIZE * 0.36), Style::new(TICK_SIZE, INK, Anchor::Start), name);
                x += KEY + width(name, TICK_SIZE) + GAP;
            }
        }
    }
}

fn draw_key(svg: &mut Svg, key: Key, (x, y): (f64, f64)) {
    match key {
        Key::Line(number, sign) => {
            svg.line((x, y), (x + 24.0, y), category(number), &format!(" stroke-width=\"2\"{}", dash(number)));
            if sign {
                draw_sign(svg, number, (x + 12.0, y));
            }
        }
        Key::Area(number) => {
            svg.rect((x + 4.0, y - 6.0), (16.0, 12.0), &format!("fill=\"{}\"", category(number).hex()));
        }
        Key::Bound => svg.line((x, y), (x + 24.0, y), GREY, BOUND),
        Key::Open => {
            svg.rect((x + 4.0, y - 6.0), (16.0, 12.0), &format!("fill=\"url(#open)\" stroke=\"{}\"", GREY.hex()));
        }
    }
}

/// How the line of a bound is drawn.
pub(super) const BOUND: &str = " stroke-width=\"1.2\" stroke-dasharray=\"3 3\"";

/// The pattern of what is not sure; needed where [`Key::Open`] is.
pub(super) fn define_open(svg: &mut Svg) {
    svg.raw(format_args!(
        "<defs><pattern id=\"open\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
         <rect width=\"6\" height=\"6\" fill=\"#ffffff\"/>\
         <path d=\"M-1 1L1 -1M0 6L6 0M5 7L7 5\" stroke=\"#8c8c8c\" stroke-width=\"1\"/></pattern></defs>"
    ));
}

/// The dashes of a category's line, so that lines differ in print without colour too.
pub(super) fn dash(number: usize) -> String {
    const DASHES: [&str; 5] = ["", "8 3", "2.5 2.5", "9 3 2 3", "5 3"];
    // Where colours come again, dashes do not.
    let dashes = DASHES[(number + number / CATEGORY_COUNT) % DASHES.len()];
    if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") }
}

/// The sign of a category: circle, square, triangle, diamond, cross.
pub(super) fn draw_sign(svg: &mut Svg, number: usize, (x, y): (f64, f64)) {
    let colour: Rgb = category(number);
    let (fill, x, y) = (colour.hex(), Num(x), Num(y));
    match (number + number / CATEGORY_COUNT) % 5 {
        0 => svg.raw(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"3.6\" fill=\"{fill}\"/>")),
        1 => svg.raw(format_args!("<path d=\"M{x} {y}m-3.3 -3.3h6.6v6.6h-6.6z\" fill=\"{fill}\"/>")),
        2 => svg.raw(format_args!("<path d=\"M{x} {y}m0 -4.2l4.2 7.4h-8.4z\" fill=\"{fill}\"/>")),
        3 => svg.raw(format_args!("<path d=\"M{x} {y}m0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z\" fill=\"{fill}\"/>")),
        _ => svg.raw(format_args!(
            "<path d=\"M{x} {y}m-3.4 -3.4l6.8 6.8m0 -6.8l-6.8 6.8\" stroke=\"{fill}\" stroke-width=\"2\"/>"
        )),
    }
}
