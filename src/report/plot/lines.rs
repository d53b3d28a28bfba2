//! Lines with bands as SVG: something over time, over a parameter, or a distribution; with events and bounds.

use std::fmt::Write;

use super::axes::{Axis, Frame};
use super::heading::{Heading, MARGIN, TICK_SIZE};
use super::legend::{BOUND, Key, Legend, dash, draw_sign};
use super::svg::{Anchor, GREY, Num, Style, Svg};
use super::text::{cut, width};
use super::{Bound, PAGE_WIDTH};
use crate::report::palette::category;

const PLOT_HEIGHT: f64 = 300.0;
/// The height of a row of events' names.
const EVENT_ROW: f64 = 15.0;

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// Its title.
    pub title: String,
    /// What it shows, of how many, and what the bands are.
    pub subtitle: Vec<String>,
    /// The level axis.
    pub x: Axis,
    /// The upright axis.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
    /// What happens when: on the level axis.
    pub events: Vec<(f64, String)>,
    /// What is to be kept.
    pub bounds: Vec<Bound>,
    /// Whether points have signs, as where there are few.
    pub signs: bool,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// The number of its colour.
    pub category: usize,
    /// Its points; one that is not finite is a gap.
    pub points: Vec<LinePoint>,
}

/// A point of a line, and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinePoint {
    /// Where it is.
    pub at: (f64, f64),
    /// The edges of the band there; the same as the point where nothing is known.
    pub edges: ((f64, f64), (f64, f64)),
}

impl LinePoint {
    /// A point whose band goes up and down.
    pub fn upright(x: f64, y: f64, (low, high): (f64, f64)) -> Self {
        Self { at: (x, y), edges: ((x, low), (x, high)) }
    }

    /// A point whose band goes to both sides.
    pub fn level(x: f64, y: f64, (low, high): (f64, f64)) -> Self {
        Self { at: (x, y), edges: ((low, y), (high, y)) }
    }

    fn is_finite(&self) -> bool {
        self.at.0.is_finite() && self.at.1.is_finite()
    }
}

/// Draws the picture.
pub fn lines(picture: &Lines) -> String {
    let left = Frame::left_of(&picture.y);
    let right = PAGE_WIDTH - MARGIN - 10.0;
    let heading = Heading::new(&picture.title, &picture.subtitle, PAGE_WIDTH);
    let keys = picture.lines.iter().map(|line| (Key::Line(line.category, picture.signs), line.name.clone()));
    let bounds = picture.bounds.iter().map(|bound| (Key::Bound, bound.name().to_owned()));
    let legend = Legend::new(keys.chain(bounds), right - left);
    let names = place_events(picture, left, right);
    let rows = names.iter().map(|(_, row, _)| row + 1).max().unwrap_or(0) as f64;
    let top = (heading.bottom() + 8.0 + legend.height() + 8.0 + rows * EVENT_ROW).ceil();
    let frame = Frame { left, right, top, bottom: top + PLOT_HEIGHT, x: &picture.x, y: &picture.y };
    let mut svg = Svg::new(PAGE_WIDTH, (frame.bottom + Frame::below(&picture.x)).ceil());
    heading.draw(&mut svg);
    legend.draw(&mut svg, left, heading.bottom() + 8.0);
    frame.draw_upright(&mut svg);
    draw_events(&mut svg, &frame, picture, &names);
    draw_bounds(&mut svg, &frame, &picture.bounds);
    for line in &picture.lines {
        draw_band(&mut svg, &frame, line);
    }
    for line in &picture.lines {
        draw_line(&mut svg, &frame, line, picture.signs);
    }
    frame.draw_level(&mut svg);
    svg.finish(&picture.title)
}

/// For each event the left end of its name, its row from the plot up, and the name as printed.
fn place_events(picture: &Lines, left: f64, right: f64) -> Vec<(f64, usize, String)> {
    let mut ends: Vec<f64> = Vec::new();
    let mut placed = Vec::new();
    for (at, name) in &picture.events {
        let name = cut(name, TICK_SIZE, right - left);
        let wide = width(&name, TICK_SIZE);
        let middle = left + picture.x.share(*at) * (right - left);
        let start = (middle - wide / 2.0).clamp(left, right - wide);
        let row = ends.iter().position(|end| end + 10.0 <= start).unwrap_or(ends.len());
        if row == ends.len() {
            ends.push(0.0);
        }
        ends[row] = start + wide;
        placed.push((start, row, name));
    }
    placed
}

fn draw_events(svg: &mut Svg, frame: &Frame, picture: &Lines, names: &[(f64, usize, String)]) {
    let mut labels = Vec::new();
    for ((at, _), (start, row, name)) in picture.events.iter().zip(names) {
        let (x, baseline) = (frame.x(*at), frame.top - 5.0 - EVENT_ROW * *row as f64);
        svg.line((x, baseline + 2.0), (x, frame.bottom), GREY, " stroke-width=\"1\" stroke-dasharray=\"6 3\"");
        labels.push(((*start, baseline), name));
    }
    // After all lines, which pass behind the names of other events.
    for (at, name) in labels {
        svg.text_with_rim(at, Style::new(TICK_SIZE, GREY, Anchor::Start), name);
    }
}

fn draw_bounds(svg: &mut Svg, frame: &Frame, bounds: &[Bound]) {
    for bound in bounds {
        match bound {
            Bound::Upright(at, _) => svg.line((frame.x(*at), frame.top), (frame.x(*at), frame.bottom), GREY, BOUND),
            Bound::Level(at, _) => svg.line((frame.left, frame.y(*at)), (frame.right, frame.y(*at)), GREY, BOUND),
        }
    }
}

fn draw_band(svg: &mut Svg, frame: &Frame, line: &Line) {
    for run in line.points.split(|point| !point.is_finite()).filter(|run| run.len() > 1) {
        let there = run.iter().map(|point| point.edges.0);
        let corners = there.chain(run.iter().rev().map(|point| point.edges.1));
        let data = path(frame, corners);
        let colour = category(line.category).hex();
        svg.raw(format_args!("<path class=\"band\" d=\"{data}z\" fill=\"{colour}\" fill-opacity=\"0.17\"/>"));
    }
}

fn draw_line(svg: &mut Svg, frame: &Frame, line: &Line, signs: bool) {
    let colour = category(line.category).hex();
    for run in line.points.split(|point| !point.is_finite()).filter(|run| !run.is_empty()) {
        let (data, dash) = (path(frame, run.iter().map(|point| point.at)), dash(line.category));
        svg.raw(format_args!(
            "<path class=\"line\" d=\"{data}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-linejoin=\"round\"{dash}/>"
        ));
        for point in run.iter().filter(|_| signs) {
            draw_sign(svg, line.category, (frame.x(point.at.0), frame.y(point.at.1)));
        }
    }
}

fn path(frame: &Frame, points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut data = String::new();
    for (place, (x, y)) in points.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(data, "{}{} {}", if place == 0 { "M" } else { "L" }, Num(frame.x(x)), Num(frame.y(y)));
    }
    data
}
