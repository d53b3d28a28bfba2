//! Distributions beside each other as SVG: every value as a dot, and a box over the middle half of them.

use std::fmt::Write;

use super::Bound;
use super::axes::{Axis, Frame};
use super::stage::{Plan, Stage};
use super::svg::{INK, Num, Svg};
use crate::report::palette::category;
use crate::report::statistics::Five;

const PLOT_HEIGHT: f64 = 300.0;
/// The distance of dots in a row, and of rows of dots.
const DOT: f64 = 3.4;

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Boxes {
    /// Its title.
    pub title: String,
    /// What it shows, and of how many.
    pub subtitle: Vec<String>,
    /// The upright axis.
    pub y: Axis,
    /// The distributions.
    pub boxes: Vec<Spread>,
    /// What is to be kept, level.
    pub bounds: Vec<Bound>,
}

/// A distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// What stands below.
    pub name: String,
    /// What stands below that.
    pub note: String,
    /// The number of its colour.
    pub category: usize,
    /// The values.
    pub values: Vec<f64>,
}

/// Draws the picture.
pub fn boxes(picture: &Boxes) -> String {
    let x = Axis::steps("", Vec::new());
    let mut stage = Stage::set(&Plan {
        title: &picture.title,
        subtitle: &picture.subtitle,
        x: &x,
        y: &picture.y,
        areas: &[],
        bounds: &picture.bounds,
        names: picture.boxes.iter().map(|spread| (spread.name.as_str(), spread.note.as_str())).collect(),
        gap: 10.0,
        height: PLOT_HEIGHT,
    });
    for (place, spread) in picture.boxes.iter().enumerate() {
        let middle = stage.frame.left + stage.slot * (place as f64 + 0.5);
        draw_dots(&mut stage.svg, &stage.frame, spread, (middle, stage.slot * 0.42));
        draw_box(&mut stage.svg, &stage.frame, spread, middle);
    }
    stage.frame.outline(&mut stage.svg);
    stage.finish(&picture.title)
}

/// Dots of nearly the same height stand side by side around the middle, closer where there would be no room.
fn draw_dots(svg: &mut Svg, frame: &Frame, spread: &Spread, (middle, reach): (f64, f64)) {
    let mut values: Vec<f64> = spread.values.iter().copied().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let row = |value: f64| (frame.y(value) / DOT).round();
    let mut data = String::new();
    for run in values.chunk_by(|a, b| (row(*a) - row(*b)).abs() < 0.5) {
        let distance = (2.0 * reach / run.len() as f64).min(DOT);
        for (place, value) in run.iter().enumerate() {
            let across = middle + distance * (place as f64 - (run.len() - 1) as f64 / 2.0);
            // Writing to a string cannot fail.
            let _ = write!(data, "M{} {}h0", Num(across), Num(frame.y(*value)));
        }
    }
    let colour = category(spread.category).hex();
    svg.raw(format_args!(
        "<path class=\"values\" d=\"{data}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"3\" stroke-opacity=\"0.75\" \
         stroke-linecap=\"round\"/>"
    ));
}

fn draw_box(svg: &mut Svg, frame: &Frame, spread: &Spread, middle: f64) {
    let Some(five) = Five::of(&spread.values) else { return };
    let half = 17.0;
    let (lower, upper, median) = (frame.y(five.lower), frame.y(five.upper), frame.y(five.median));
    let extra = " stroke-width=\"1.2\"";
    svg.line((middle, frame.y(five.low)), (middle, lower), INK, extra);
    svg.line((middle, upper), (middle, frame.y(five.high)), INK, extra);
    let style = format!("class=\"box\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.3\"", INK.hex());
    svg.rect((middle - half, upper), (2.0 * half, lower - upper), &style);
    svg.line((middle - half, median), (middle + half, median), INK, " stroke-width=\"2.6\"");
}
