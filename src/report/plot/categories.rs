//! Names below a plot, one per slot: level where they fit, turned where they do not; each with a note where it has one.

use super::heading::{AXIS_SIZE, MARGIN, TICK_SIZE};
use super::svg::{Anchor, GREY, INK, Style, Svg};
use super::text::{cut, width};

/// The most room for a turned name.
const LONGEST: f64 = 130.0;

/// The names.
pub(super) struct Names {
    shown: Vec<(String, String)>,
    slot: f64,
    turned: bool,
    /// The room of the names without the title.
    height: f64,
}

impl Names {
    /// Names with their notes, each for a slot of this width.
    pub(super) fn new<'a>(names: impl Iterator<Item = (&'a str, &'a str)>, slot: f64) -> Self {
        let names: Vec<(&str, &str)> = names.collect();
        let widest = names.iter().map(|(name, _)| width(name, TICK_SIZE)).fold(0.0, f64::max);
        let turned = widest + 6.0 > slot;
        // A turned name has its note behind it.
        let shown = names.iter().map(|(name, note)| match turned {
            true if !note.is_empty() => (cut(&format!("{name}: {note}"), TICK_SIZE, LONGEST), String::new()),
            true => (cut(name, TICK_SIZE, LONGEST), String::new()),
            false => ((*name).to_owned(), cut(note, TICK_SIZE - 1.0, slot - 4.0)),
        });
        let shown: Vec<(String, String)> = shown.collect();
        let longest = shown.iter().map(|(name, _)| width(name, TICK_SIZE)).fold(0.0, f64::max);
        let notes = shown.iter().any(|(_, note)| !note.is_empty());
        let height = match (turned, notes) {
            (true, _) => (longest + TICK_SIZE) * std::f64::consts::FRAC_1_SQRT_2,
            (false, true) => TICK_SIZE * 2.4,
            (false, false) => TICK_SIZE,
        };
        Self { shown, slot, turned, height }
    }

    /// The room below the plot, with a title (where it is not empty) and the margin.
    pub(super) fn height(&self, title: &str) -> f64 {
        let title = if title.is_empty() { 0.0 } else { AXIS_SIZE + 8.0 };
        8.0 + self.height + title + MARGIN
    }

    /// Draws the names below a plot, and the title below them.
    pub(super) fn draw(&self, svg: &mut Svg, (left, right): (f64, f64), bottom: f64, title: &str) {
        for (place, (name, note)) in self.shown.iter().enumerate() {
            let x = left + self.slot * (place as f64 + 0.5);
            if self.turned {
                let style = Style::new(TICK_SIZE, INK, Anchor::End).turned(-45.0);
                svg.text((x + TICK_SIZE * 0.3, bottom + 7.0 + TICK_SIZE * 0.5), style, name);
                continue;
            }
            let y = bottom + 8.0 + TICK_SIZE * 0.8;
            svg.text((x, y), Style::new(TICK_SIZE, INK, Anchor::Middle), name);
            if !note.is_empty() {
                svg.text((x, y + TICK_SIZE * 1.4), Style::new(TICK_SIZE - 1.0, GREY, Anchor::Middle), note);
            }
        }
        if !title.is_empty() {
            let below = (f64::midpoint(left, right), bottom + 8.0 + self.height + 6.0 + AXIS_SIZE * 0.8);
            svg.text(below, Style::new(AXIS_SIZE, INK, Anchor::Middle), title);
        }
    }
}
