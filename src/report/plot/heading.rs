//! The heading of a plot: a title, and below it what is shown, of how many, from where.

use super::svg::{Anchor, GREY, INK, Style, Svg};
use super::text::wrap;

/// The margin of every page.
pub(super) const MARGIN: f64 = 16.0;
/// The size of axis titles.
pub(super) const AXIS_SIZE: f64 = 13.0;
/// The size of tick labels and legends.
pub(super) const TICK_SIZE: f64 = 11.0;

const TITLE_SIZE: f64 = 17.0;
const SUBTITLE_SIZE: f64 = 11.5;
const TITLE_LINE: f64 = TITLE_SIZE * 1.25;
const SUBTITLE_LINE: f64 = SUBTITLE_SIZE * 1.35;

/// Title and subtitle in lines that fit the page.
pub(super) struct Heading {
    title: Vec<String>,
    subtitle: Vec<String>,
}

impl Heading {
    /// Breaks a title and the parts of a subtitle, of which empty ones are left out, into lines for a page's width.
    pub(super) fn new(title: &str, parts: &[String], page_width: f64) -> Self {
        let room = page_width - 2.0 * MARGIN;
        let parts: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
        Self { title: wrap(title, TITLE_SIZE, room), subtitle: wrap(&parts.join(" · "), SUBTITLE_SIZE, room) }
    }

    /// Where the heading ends, from the top of the page.
    pub(super) fn bottom(&self) -> f64 {
        MARGIN + self.title.len() as f64 * TITLE_LINE + self.subtitle.len() as f64 * SUBTITLE_LINE
    }

    /// Draws it at the top of the page.
    pub(super) fn draw(&self, svg: &mut Svg) {
        let mut y = MARGIN;
        for line in &self.title {
            y += TITLE_LINE;
            svg.text((MARGIN, y - TITLE_SIZE * 0.25), Style::new(TITLE_SIZE, INK, Anchor::Start), line);
        }
        for line in &self.subtitle {
            y += SUBTITLE_LINE;
            svg.text((MARGIN, y - SUBTITLE_SIZE * 0.25), Style::new(SUBTITLE_SIZE, GREY, Anchor::Start), line);
        }
    }
}
