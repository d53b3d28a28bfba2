//! Delays over time as SVG: for a few paths what was intended and what was measured, one panel each on one time axis.

use std::fmt::Write;

use super::heading::{AXIS_SIZE, Heading, MARGIN, TICK_SIZE};
use super::svg::{Anchor, FAINT, GREY, INK, Num, Style, Svg};
use super::text::width;
use crate::report::Rgb;
use crate::report::heat::{number, ticks};

const PAGE_WIDTH: f64 = 820.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
/// The height of a panel, and the room for its name above.
const PANEL: f64 = 150.0;
const NAME_ROOM: f64 = 26.0;
/// Colours that differ in lightness too, for print without colour.
const MEASURED: Rgb = Rgb(0, 90, 160);
const INTENDED: Rgb = Rgb(214, 96, 0);
const MARKED: Rgb = Rgb(150, 150, 150);

/// A probe: when it was sent, in seconds, its one-way delay in milliseconds, and whether it met a switch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoursePoint {
    /// Seconds since the start of the replay.
    pub at: f64,
    /// Milliseconds; `None` when it did not arrive.
    pub delay: Option<f64>,
    /// Whether it met a switch of its path.
    pub straddles: bool,
}

/// One path over time.
#[derive(Debug, Clone, PartialEq)]
pub struct CoursePath {
    /// "n1 → n2".
    pub name: String,
    /// From when on which delay was intended: seconds and milliseconds, ascending.
    pub intended: Vec<(f64, f64)>,
    /// The probes, in order.
    pub points: Vec<CoursePoint>,
}

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Its title.
    pub title: String,
    /// What it shows, in parts.
    pub subtitle: Vec<String>,
    /// The paths, one panel each.
    pub paths: Vec<CoursePath>,
    /// When the replay ends, in seconds.
    pub end: f64,
}

struct Frame {
    top: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Frame {
    fn x(&self, at: f64) -> f64 {
        let share = (at - self.start) / (self.end - self.start);
        LEFT + share.clamp(0.0, 1.0) * (PAGE_WIDTH - LEFT - RIGHT)
    }

    fn y(&self, delay: f64) -> f64 {
        self.top + PANEL - (delay / self.high).clamp(0.0, 1.0) * PANEL
    }
}

/// Draws the picture: intended delays as lines, probes as dots, pale where they met a switch, crosses where they were lost.
pub fn course(course: &Course) -> String {
    let heading = Heading::new(&course.title, &course.subtitle, PAGE_WIDTH);
    let first = heading.bottom() + 30.0;
    let height = first + course.paths.len() as f64 * (PANEL + NAME_ROOM) + 48.0 + MARGIN;
    let mut svg = Svg::new(PAGE_WIDTH, height.ceil());
    heading.draw(&mut svg);
    draw_legend(&mut svg, heading.bottom() + 14.0);
    let start = course.paths.iter().filter_map(|path| path.points.first()).map(|point| point.at).fold(0.0, f64::min);
    for (place, path) in course.paths.iter().enumerate() {
        let top = first + place as f64 * (PANEL + NAME_ROOM) + NAME_ROOM;
        let frame = Frame { top, high: ceiling(path), start, end: course.end.max(start + 1e-3) };
        let last = place + 1 == course.paths.len();
        draw_panel(&mut svg, &frame, path, last);
    }
    let style = Style::new(AXIS_SIZE, INK, Anchor::Middle);
    svg.text(
        (f64::midpoint(LEFT, PAGE_WIDTH - RIGHT), height - MARGIN - 2.0),
        style,
        "time since the start of the replay (s)",
    );
    svg.finish(&course.title)
}

/// The top of a panel's axis: a little above all but the wildest probes.
fn ceiling(path: &CoursePath) -> f64 {
    let intended = path.intended.iter().map(|(_, delay)| *delay).fold(0.0, f64::max);
    let mut seen: Vec<f64> = path.points.iter().filter_map(|point| point.delay).collect();
    seen.sort_by(f64::total_cmp);
    let usual = seen.get((seen.len() * 99 / 100).min(seen.len().saturating_sub(1))).copied().unwrap_or(0.0);
    (intended.max(usual) * 1.15).max(0.1)
}

fn draw_panel(svg: &mut Svg, frame: &Frame, path: &CoursePath, last: bool) {
    let (left, right, bottom) = (LEFT, PAGE_WIDTH - RIGHT, frame.top + PANEL);
    svg.text((left, frame.top - 7.0), Style::new(AXIS_SIZE, INK, Anchor::Start), &path.name);
    let (marks, decimals) = ticks(0.0, frame.high, 4);
    for mark in marks {
        let y = frame.y(mark);
        svg.line((left, y), (right, y), FAINT, " stroke-width=\"0.8\"");
        let style = Style::new(TICK_SIZE, INK, Anchor::End);
        svg.text((left - 6.0, y + TICK_SIZE * 0.36), style, &number(mark, decimals, false));
    }
    let (marks, decimals) = ticks(frame.start, frame.end, 9);
    for mark in marks {
        let x = frame.x(mark);
        svg.line((x, bottom), (x, bottom + 4.0), INK, " stroke-width=\"0.8\"");
        if last {
            let style = Style::new(TICK_SIZE, INK, Anchor::Middle);
            svg.text((x, bottom + 17.0), style, &number(mark, decimals, false));
        }
    }
    let beside = (MARGIN + AXIS_SIZE, f64::midpoint(frame.top, bottom));
    svg.text(beside, Style::new(AXIS_SIZE, INK, Anchor::Middle).turned(-90.0), "one-way (ms)");
    draw_intended(svg, frame, path);
    draw_points(svg, frame, path);
    let outline = format!("fill=\"none\" stroke=\"{}\" stroke-width=\"0.8\"", INK.hex());
    svg.rect((left, frame.top), (right - left, PANEL), &outline);
}

/// The intended delay: level until it changes.
fn draw_intended(svg: &mut Svg, frame: &Frame, path: &CoursePath) {
    let mut data = String::new();
    let ends = path.intended.iter().skip(1).map(|(at, _)| *at).chain(std::iter::once(frame.end));
    for (place, ((at, delay), end)) in path.intended.iter().zip(ends).enumerate() {
        let (verb, y) = (if place == 0 { "M" } else { "L" }, frame.y(*delay));
        // Writing to a string cannot fail.
        let _ = write!(data, "{verb}{} {}L{} {}", Num(frame.x(*at)), Num(y), Num(frame.x(end)), Num(y));
    }
    let colour = INTENDED.hex();
    svg.raw(format_args!(
        "<path class=\"intended\" d=\"{data}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"5\" stroke-opacity=\"0.55\"/>"
    ));
}

/// All dots of a kind as one path of round ends, which keeps a hundred thousand probes small.
fn draw_points(svg: &mut Svg, frame: &Frame, path: &CoursePath) {
    let dots = |marked: bool| {
        let mut data = String::new();
        let mut drawn = None;
        for point in path.points.iter().filter(|point| point.straddles == marked) {
            let Some(delay) = point.delay else { continue };
            let here = (round(frame.x(point.at)), round(frame.y(delay)));
            // A dot on a dot is no news.
            if drawn.replace(here) != Some(here) {
                let _ = write!(data, "M{} {}h0", Num(here.0), Num(here.1));
            }
        }
        data
    };
    for (class, colour, data) in [("straddling", MARKED, dots(true)), ("measured", MEASURED, dots(false))] {
        let colour = colour.hex();
        svg.raw(format_args!(
            "<path class=\"{class}\" d=\"{data}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.6\" stroke-linecap=\"round\"/>"
        ));
    }
    let mut lost = String::new();
    for point in path.points.iter().filter(|point| point.delay.is_none()) {
        let _ = write!(lost, "M{} {}l4 4m0 -4l-4 4", Num(frame.x(point.at) - 2.0), Num(frame.top + 4.0));
    }
    svg.raw(format_args!(
        "<path class=\"lost\" d=\"{lost}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1\"/>",
        INK.hex()
    ));
}

fn round(value: f64) -> f64 {
    (value * 2.0).round() / 2.0
}

fn draw_legend(svg: &mut Svg, y: f64) {
    let mut x = LEFT;
    let entries = [("intended", INTENDED), ("measured", MEASURED), ("met a switch, not judged", MARKED), ("lost", INK)];
    for (place, (entry, colour)) in entries.into_iter().enumerate() {
        match place {
            0 => svg.line((x, y), (x + 22.0, y), colour, " stroke-width=\"5\" stroke-opacity=\"0.55\""),
            3 => svg.raw(format_args!(
                "<path d=\"M{} {}l4 4m0 -4l-4 4\" fill=\"none\" stroke=\"{}\" stroke-width=\"1\"/>",
                Num(x + 9.0),
                Num(y - 2.0),
                colour.hex()
            )),
            _ => svg.raw(format_args!(
                "<path d=\"M{} {}h0\" stroke=\"{}\" stroke-width=\"5\" stroke-linecap=\"round\"/>",
                Num(x + 11.0),
                Num(y),
                colour.hex()
            )),
        }
        let style = Style::new(TICK_SIZE, GREY, Anchor::Start);
        svg.text((x + 28.0, y + TICK_SIZE * 0.36), style, entry);
        x += 28.0 + width(entry, TICK_SIZE) + 22.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::png;

    #[test]
    fn a_picture_has_its_panels_and_every_probe_or_its_cross() {
        let point = |place: u32| CoursePoint {
            at: f64::from(place) / 10.0,
            delay: (place != 7).then_some(if place < 15 { 50.2 } else { 20.1 }),
            straddles: (13..16).contains(&place),
        };
        let path = CoursePath {
            name: "n1 → n2".to_owned(),
            intended: vec![(0.0, 50.0), (1.5, 20.0)],
            points: (0..30).map(point).collect(),
        };
        let picture = Course {
            title: "Delays over time".to_owned(),
            subtitle: vec!["two steps".to_owned()],
            paths: vec![path.clone(), CoursePath { points: vec![], ..path }],
            end: 3.0,
        };
        let svg = course(&picture);
        assert_eq!(svg.matches("class=\"intended\"").count(), 2);
        assert_eq!(svg.matches("h0").count(), 29 + 2, "29 probes arrived, and 2 in the legend");
        assert!(svg.contains("n1 → n2") && svg.contains("time since the start of the replay (s)"));
        assert!(png(&svg, 1.0).is_ok_and(|png| png.len() > 1_000));
    }
}
