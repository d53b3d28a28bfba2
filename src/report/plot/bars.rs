//! Bars with intervals as SVG: a number per thing, or per thing and category, with the single values as dots.

use super::Bound;
use super::axes::{Axis, Frame};
use super::heading::TICK_SIZE;
use super::stage::{Plan, Stage};
use super::svg::{Anchor, GREY, INK, Num, Style, Svg};
use super::text::width;
use crate::report::palette::category;

const PLOT_HEIGHT: f64 = 280.0;
/// The widest bar.
const MAX_BAR: f64 = 64.0;

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// Its title.
    pub title: String,
    /// What it shows, of how many, and what the intervals are.
    pub subtitle: Vec<String>,
    /// The upright axis.
    pub y: Axis,
    /// What the groups are; may be empty.
    pub x: String,
    /// Groups of bars beside each other.
    pub groups: Vec<BarGroup>,
    /// Names of the categories, where groups have more than a bar each.
    pub categories: Vec<String>,
    /// What is to be kept, level.
    pub bounds: Vec<Bound>,
}

/// Bars beside each other.
#[derive(Debug, Clone, PartialEq)]
pub struct BarGroup {
    /// What stands below.
    pub name: String,
    /// The bars.
    pub bars: Vec<Bar>,
}

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// The number of its colour.
    pub category: usize,
    /// Its height; nothing where there is no value.
    pub value: Option<f64>,
    /// The ends of its interval.
    pub interval: Option<(f64, f64)>,
    /// The single values.
    pub dots: Vec<f64>,
    /// What stands above it where there is room.
    pub text: String,
}

/// Draws the picture.
pub fn bars(picture: &Bars) -> String {
    let x = Axis::steps(&picture.x, Vec::new());
    let mut stage = Stage::set(&Plan {
        title: &picture.title,
        subtitle: &picture.subtitle,
        x: &x,
        y: &picture.y,
        areas: &picture.categories,
        bounds: &picture.bounds,
        names: picture.groups.iter().map(|group| (group.name.as_str(), "")).collect(),
        gap: 26.0,
        height: PLOT_HEIGHT,
    });
    for (place, group) in picture.groups.iter().enumerate() {
        let slot = (stage.start(place), stage.slot);
        draw_group(&mut stage.svg, &stage.frame, group, slot);
    }
    let Frame { left, right, bottom, .. } = stage.frame;
    stage.svg.line((left, bottom), (right, bottom), INK, " stroke-width=\"1\"");
    stage.finish(&picture.title)
}

fn draw_group(svg: &mut Svg, frame: &Frame, group: &BarGroup, (start, slot): (f64, f64)) {
    let count = group.bars.len().max(1) as f64;
    let wide = (slot * 0.82 / count).min(MAX_BAR);
    let first = start + (slot - wide * count) / 2.0;
    // Either all of a group's texts stand or none.
    let texts = group
        .bars
        .iter()
        .all(|bar| width(&bar.text, TICK_SIZE) + 3.0 <= if group.bars.len() > 1 { wide } else { slot });
    for (place, bar) in group.bars.iter().enumerate() {
        let x = first + wide * place as f64;
        draw_bar(svg, frame, bar, (x, wide));
        if texts {
            let dots = bar.dots.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let high = bar.interval.map_or(f64::NEG_INFINITY, |(_, high)| high).max(dots).max(bar.value.unwrap_or(0.0));
            let above = (x + wide / 2.0, frame.y(high) - 7.0);
            svg.text_with_rim(above, Style::new(TICK_SIZE, INK, Anchor::Middle), &bar.text);
        }
    }
}

fn draw_bar(svg: &mut Svg, frame: &Frame, bar: &Bar, (x, wide): (f64, f64)) {
    let Some(value) = bar.value.filter(|value| value.is_finite()) else {
        let middle = (x + wide / 2.0, frame.bottom - 6.0);
        svg.text(middle, Style::new(TICK_SIZE, GREY, Anchor::Middle), "–");
        return;
    };
    let (top, gap) = (frame.y(value), (wide * 0.06).min(2.0));
    let fill = format!("class=\"bar\" fill=\"{}\"", category(bar.category).hex());
    svg.rect((x + gap, top), (wide - 2.0 * gap, frame.bottom - top), &fill);
    // Many trials: small dots, side by side in the order of the trials.
    let (inner, count) = (wide * 0.7, bar.dots.len());
    for (place, dot) in bar.dots.iter().enumerate().filter(|(_, dot)| dot.is_finite()) {
        let across = x + wide / 2.0 + inner * ((place as f64 + 0.5) / count as f64 - 0.5);
        let (cx, cy, radius) = (Num(across), Num(frame.y(*dot)), Num((inner / count as f64 * 0.45).clamp(1.0, 2.4)));
        svg.raw(format_args!(
            "<circle class=\"dot\" cx=\"{cx}\" cy=\"{cy}\" r=\"{radius}\" fill=\"#ffffff\" fill-opacity=\"0.75\" \
             stroke=\"{}\" stroke-width=\"0.7\"/>",
            INK.hex()
        ));
    }
    if let Some((low, high)) = bar.interval {
        let (middle, cap) = (x + wide / 2.0, (wide * 0.16).clamp(1.5, 6.0));
        let (low, high) = (frame.y(low), frame.y(high));
        for (from, to) in [
            ((middle, low), (middle, high)),
            ((middle - cap, low), (middle + cap, low)),
            ((middle - cap, high), (middle + cap, high)),
        ] {
            svg.line(from, to, INK, " stroke-width=\"1.4\"");
        }
    }
}
