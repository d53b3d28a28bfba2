//! Shares of a whole as SVG: bars cut into parts, in panels, each part shaded by a number such as how far away it is.

use super::PAGE_WIDTH;
use super::heading::{AXIS_SIZE, Heading, MARGIN, TICK_SIZE};
use super::svg::{Anchor, Escaped, INK, Num, Style, Svg};
use super::text::{cut, width};
use crate::report::heat::{number, ticks};
use crate::report::palette::sequential;

const BAR: f64 = 26.0;
const BAR_GAP: f64 = 8.0;
const PANEL_HEAD: f64 = 30.0;
/// The most room for the names of the bars.
const NAME_ROOM: f64 = 150.0;
/// The bar that explains the shades: its length and height.
const SCALE: (f64, f64) = (150.0, 10.0);

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Stacks {
    /// Its title.
    pub title: String,
    /// What it shows, and of how many.
    pub subtitle: Vec<String>,
    /// The panels, one below the other.
    pub panels: Vec<StackPanel>,
    /// What the shades are, with the unit.
    pub shade: String,
}

/// Bars of one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct StackPanel {
    /// What it is.
    pub title: String,
    /// A bar each: its name and its parts.
    pub bars: Vec<(String, Vec<Part>)>,
}

/// A part of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How much of the whole it is, 0 to 1.
    pub share: f64,
    /// What it is shaded by.
    pub shade: f64,
}

/// Draws the picture.
pub fn stacks(picture: &Stacks) -> String {
    let names = picture.panels.iter().flat_map(|panel| &panel.bars).map(|(name, _)| width(name, TICK_SIZE));
    let room = names.fold(0.0, f64::max).min(NAME_ROOM);
    let (left, right) = ((MARGIN + room + 10.0).ceil(), PAGE_WIDTH - MARGIN - 20.0);
    let heading = Heading::new(&picture.title, &picture.subtitle, PAGE_WIDTH);
    let top = (heading.bottom() + 12.0 + SCALE.1 + 20.0).ceil();
    let heights = picture.panels.iter().map(|panel| PANEL_HEAD + panel.bars.len() as f64 * (BAR + BAR_GAP));
    let bottom = top + heights.sum::<f64>();
    let mut svg = Svg::new(PAGE_WIDTH, (bottom + 8.0 + TICK_SIZE + 8.0 + AXIS_SIZE + MARGIN).ceil());
    heading.draw(&mut svg);
    let parts = || picture.panels.iter().flat_map(|panel| &panel.bars).flat_map(|(_, parts)| parts);
    let most = parts().map(|part| part.shade).filter(|shade| shade.is_finite()).fold(0.0, f64::max).max(1e-9);
    draw_scale(&mut svg, picture, most, (left, heading.bottom() + 12.0));
    let mut y = top;
    for panel in &picture.panels {
        let title = cut(&panel.title, AXIS_SIZE, right - MARGIN);
        svg.text((MARGIN, y + 19.0), Style::new(AXIS_SIZE, INK, Anchor::Start), &title);
        y += PANEL_HEAD;
        for (name, parts) in &panel.bars {
            let style = Style::new(TICK_SIZE, INK, Anchor::End);
            svg.text((left - 8.0, y + BAR / 2.0 + TICK_SIZE * 0.36), style, &cut(name, TICK_SIZE, NAME_ROOM));
            draw_parts(&mut svg, parts, most, (left, right), y);
            y += BAR + BAR_GAP;
        }
    }
    for percent in (0..=100).step_by(20) {
        let x = left + (right - left) * f64::from(percent) / 100.0;
        svg.line((x, bottom - BAR_GAP), (x, bottom - 2.0), INK, " stroke-width=\"0.8\"");
        let below = (x, bottom + 4.0 + TICK_SIZE);
        svg.text(below, Style::new(TICK_SIZE, INK, Anchor::Middle), &format!("{percent} %"));
    }
    let middle = (f64::midpoint(left, right), bottom + 12.0 + TICK_SIZE + AXIS_SIZE);
    svg.text(middle, Style::new(AXIS_SIZE, INK, Anchor::Middle), "share of the requests");
    svg.finish(&picture.title)
}

/// A part's name stands in it where it fits.
fn draw_parts(svg: &mut Svg, parts: &[Part], most: f64, (left, right): (f64, f64), y: f64) {
    let mut x = left;
    for part in parts.iter().filter(|part| part.share > 0.0) {
        let wide = (right - left) * part.share.min(1.0);
        let colour = sequential(part.shade / most);
        let (px, py, w, h, fill) = (Num(x), Num(y), Num(wide), Num(BAR), colour.hex());
        let says = format!("{}: {} %", part.name, number(part.share * 100.0, 1, false));
        svg.raw(format_args!(
            "<rect class=\"part\" x=\"{px}\" y=\"{py}\" width=\"{w}\" height=\"{h}\" fill=\"{fill}\" stroke=\"#ffffff\" \
             stroke-width=\"0.8\"><title>{}</title></rect>",
            Escaped(&says)
        ));
        let whole = format!("{} {} %", part.name, number(part.share * 100.0, 0, false));
        let text = [whole.as_str(), part.name.as_str()].into_iter().find(|text| width(text, TICK_SIZE) + 6.0 <= wide);
        if let Some(text) = text {
            let middle = (x + wide / 2.0, y + BAR / 2.0 + TICK_SIZE * 0.36);
            svg.text(middle, Style::new(TICK_SIZE, colour.text_colour(), Anchor::Middle), text);
        }
        x += wide;
    }
}

fn draw_scale(svg: &mut Svg, picture: &Stacks, most: f64, (left, top): (f64, f64)) {
    let title = format!("{}:", picture.shade);
    svg.text((left, top + SCALE.1 * 0.9), Style::new(TICK_SIZE, INK, Anchor::Start), &title);
    let start = left + width(&title, TICK_SIZE) + 12.0;
    svg.raw(format_args!("<defs><linearGradient id=\"shades\">"));
    for step in 0..=20 {
        let share = f64::from(step) / 20.0;
        svg.raw(format_args!("<stop offset=\"{share}\" stop-color=\"{}\"/>", sequential(share).hex()));
    }
    svg.raw(format_args!("</linearGradient></defs>"));
    svg.rect((start, top), SCALE, &format!("fill=\"url(#shades)\" stroke=\"{}\" stroke-width=\"0.8\"", INK.hex()));
    let (marks, decimals) = ticks(0.0, most, 4);
    for mark in marks {
        let x = start + SCALE.0 * mark / most;
        svg.line((x, top + SCALE.1), (x, top + SCALE.1 + 3.0), INK, " stroke-width=\"0.8\"");
        let text = number(mark, decimals, false);
        svg.text((x, top + SCALE.1 + 4.0 + TICK_SIZE), Style::new(TICK_SIZE, INK, Anchor::Middle), &text);
    }
}
