//! The distribution of the error as SVG: empirical CDF, its confidence band, the medians of the paths.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::heading::{AXIS_SIZE, Heading, MARGIN, TICK_SIZE};
use super::svg::{Anchor, FAINT, GREY, INK, Num, Style, Svg};
use super::text::width;
use crate::measure::{Basis, Comparison, Sample};
use crate::report::Rgb;
use crate::report::heat::{counted, number, thousands, ticks};
use crate::units::Deviation;

const PAGE: (f64, f64) = (760.0, 500.0);
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const BOTTOM: f64 = 58.0;
/// Room between the heading and the plot for the labels of the vertical lines.
const MARK_ROOM: f64 = 32.0;
/// Colours that differ in lightness too, for print without colour.
const PROBES: Rgb = Rgb(0, 90, 160);
const BAND: Rgb = Rgb(178, 206, 230);
const MEDIANS: Rgb = Rgb(214, 96, 0);

/// The errors of a run, ready to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorCdf {
    title: String,
    subtitle: String,
    /// What the errors are of.
    basis: Basis,
    /// Signed errors of all probes that arrived, ascending, in microseconds.
    probes: Vec<f64>,
    /// Signed errors of the paths' medians, ascending, in microseconds.
    medians: Vec<f64>,
    lost: u64,
}

impl ErrorCdf {
    /// From the raw samples of a run and the comparison made of them; samples of paths that it does not know are left out.
    pub fn new(title: &str, subtitle: &str, samples: &[Sample], comparison: &Comparison) -> Self {
        let paths: BTreeMap<_, _> = comparison.paths.iter().map(|path| ((path.from, path.to), path)).collect();
        let errors = samples.iter().filter_map(|sample| {
            let path = paths.get(&(sample.from, sample.to))?;
            Some(match comparison.basis {
                Basis::OneWay => sample.one_way?.deviation(path.intended_median),
                Basis::RoundTrip => sample.rtt?.deviation(path.intended_rtt_median),
            })
        });
        let probes = ascending_micros(errors);
        let medians = ascending_micros(comparison.paths.iter().filter_map(|path| path.error));
        let (title, subtitle) = (title.to_owned(), subtitle.to_owned());
        Self { title, subtitle, basis: comparison.basis, probes, medians, lost: comparison.lost }
    }
}

fn ascending_micros(errors: impl Iterator<Item = Deviation>) -> Vec<f64> {
    let mut micros: Vec<f64> = errors.map(|error| error.as_nanos() as f64 / 1_000.0).collect();
    micros.sort_by(f64::total_cmp);
    micros
}

/// The smallest value that at least the share `p` of the ascending `values` does not exceed.
fn quantile(values: &[f64], p: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (p * values.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    values[rank.min(values.len()) - 1]
}

/// Half the height of the 95 % confidence band of an empirical CDF of `n` values (Dvoretzky, Kiefer, Wolfowitz, Massart).
fn dkw(n: usize) -> f64 {
    ((2.0f64 / 0.05).ln() / (2.0 * n as f64)).sqrt()
}

/// From values and shares to the page.
struct Frame {
    low: f64,
    high: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        LEFT + share.clamp(0.0, 1.0) * (PAGE.0 - LEFT - RIGHT)
    }

    fn y(&self, share: f64) -> f64 {
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

/// Draws the share of probes whose error (measured minus intended, in microseconds) is at most x.
///
/// The axis goes from the 0.1 % to the 99.9 % quantile, less far where a few probes would squeeze all others,
/// and the picture counts the probes beyond it. A second line shows the medians of the paths.
pub fn error_cdf(cdf: &ErrorCdf) -> String {
    let (low, high) = axis(&cdf.probes);
    let heading = Heading::new(&cdf.title, &subtitle(cdf, low, high), PAGE.0);
    let mut svg = Svg::new(PAGE.0, PAGE.1);
    heading.draw(&mut svg);
    let frame = Frame { low, high, top: heading.bottom() + MARK_ROOM, bottom: PAGE.1 - BOTTOM };
    draw_axes(&mut svg, &frame, cdf.basis);
    if cdf.probes.is_empty() {
        let middle = (f64::midpoint(LEFT, PAGE.0 - RIGHT), f64::midpoint(frame.top, frame.bottom));
        svg.text(middle, Style::new(AXIS_SIZE, GREY, Anchor::Middle), "no probe arrived");
        return svg.finish(&cdf.title);
    }
    draw_band(&mut svg, &frame, &cdf.probes);
    draw_marks(&mut svg, &frame, &cdf.probes);
    draw_steps(&mut svg, &frame, &cdf.medians, "medians", MEDIANS, " stroke-width=\"1.6\" stroke-dasharray=\"5 3\"");
    draw_steps(&mut svg, &frame, &cdf.probes, "probes", PROBES, " stroke-width=\"2\"");
    draw_legend(&mut svg, &frame, cdf);
    svg.finish(&cdf.title)
}

/// The ends of the x axis: quantiles, zero, and a little air.
fn axis(probes: &[f64]) -> (f64, f64) {
    if probes.is_empty() {
        return (-1.0, 1.0);
    }
    let (p1, p99) = (quantile(probes, 0.01), quantile(probes, 0.99));
    let reach = (p99 - p1).max(1.0);
    let low = quantile(probes, 0.001).max(p1 - reach).min(0.0);
    let high = quantile(probes, 0.999).min(p99 + reach).max(0.0);
    let air = ((high - low) * 0.03).max(0.5);
    (low - air, high + air)
}

/// What the picture shows, of how many, and what lies beyond its axis.
fn subtitle(cdf: &ErrorCdf, low: f64, high: f64) -> Vec<String> {
    let n = cdf.probes.len();
    let mut parts = vec![cdf.subtitle.clone()];
    parts.push(format!("n = {} on {}", counted(n, "probe"), counted(cdf.medians.len(), "path")));
    parts.push(format!("{} lost", thousands(usize::try_from(cdf.lost).unwrap_or(usize::MAX))));
    let outside: Vec<f64> = cdf.probes.iter().copied().filter(|error| *error < low || *error > high).collect();
    if let [first, .., last] | [first @ last] = outside.as_slice() {
        let farthest = if first.abs() > last.abs() { first } else { last };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let reach = thousands(farthest.abs().round() as usize);
        let sign = if *farthest < 0.0 { "−" } else { "+" };
        parts.push(format!("{} beyond the axis, up to {sign}{reach} µs", thousands(outside.len())));
    }
    parts
}

fn draw_axes(svg: &mut Svg, frame: &Frame, basis: Basis) {
    let (left, right) = (LEFT, PAGE.0 - RIGHT);
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        let y = frame.y(share);
        svg.line((left, y), (right, y), FAINT, " stroke-width=\"0.8\"");
        let style = Style::new(TICK_SIZE, INK, Anchor::End);
        svg.text((left - 8.0, y + TICK_SIZE * 0.36), style, &format!("{} %", step * 20));
    }
    let (marks, decimals) = ticks(frame.low, frame.high, 8);
    for mark in marks {
        let x = frame.x(mark);
        svg.line((x, frame.bottom), (x, frame.bottom + 4.0), INK, " stroke-width=\"0.8\"");
        let style = Style::new(TICK_SIZE, INK, Anchor::Middle);
        svg.text((x, frame.bottom + 17.0), style, &number(mark, decimals, false));
    }
    let outline = format!("fill=\"none\" stroke=\"{}\" stroke-width=\"0.8\"", INK.hex());
    svg.rect((left, frame.top), (right - left, frame.bottom - frame.top), &outline);
    let style = Style::new(AXIS_SIZE, INK, Anchor::Middle);
    let what = match basis {
        Basis::OneWay => "one-way error: measured − intended (µs)",
        Basis::RoundTrip => "round-trip error: measured − intended (µs)",
    };
    svg.text((f64::midpoint(left, right), PAGE.1 - MARGIN - 2.0), style, what);
    let beside = (MARGIN + AXIS_SIZE, f64::midpoint(frame.top, frame.bottom));
    svg.text(beside, style.turned(-90.0), "share of probes ≤ x");
}

/// The corners of the empirical CDF on the page, moved by `shift`, from the left to the right end of the axis.
/// Steps closer than a quarter of a unit are drawn as one, which keeps a million probes small.
fn corners(frame: &Frame, values: &[f64], shift: f64) -> Vec<(f64, f64)> {
    let n = values.len() as f64;
    let share = |count: usize| frame.y(count as f64 / n + shift);
    let before = values.partition_point(|value| *value < frame.low);
    let mut points = vec![(frame.x(frame.low), share(before))];
    let mut drawn = f64::NEG_INFINITY;
    let mut count = before;
    for value in values[before..].iter().take_while(|value| **value <= frame.high) {
        count += 1;
        let x = frame.x(*value);
        if x - drawn < 0.25 {
            if let Some(last) = points.last_mut() {
                last.1 = share(count);
            }
            continue;
        }
        let level = points.last().map_or(frame.bottom, |last| last.1);
        points.extend([(x, level), (x, share(count))]);
        drawn = x;
    }
    let level = points.last().map_or(frame.bottom, |last| last.1);
    points.push((frame.x(frame.high), level));
    points
}

fn path_data(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut data = String::new();
    for (place, (x, y)) in points.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(data, "{}{} {}", if place == 0 { "M" } else { "L" }, Num(x), Num(y));
    }
    data
}

fn draw_steps(svg: &mut Svg, frame: &Frame, values: &[f64], class: &str, colour: Rgb, extra: &str) {
    if values.is_empty() {
        return;
    }
    let (data, colour) = (path_data(corners(frame, values, 0.0).into_iter()), colour.hex());
    svg.raw(format_args!("<path class=\"{class}\" d=\"{data}\" fill=\"none\" stroke=\"{colour}\"{extra}/>"));
}

fn draw_band(svg: &mut Svg, frame: &Frame, probes: &[f64]) {
    let half = dkw(probes.len());
    let upper = corners(frame, probes, half);
    let lower = corners(frame, probes, -half);
    let data = path_data(upper.into_iter().chain(lower.into_iter().rev()));
    svg.raw(format_args!("<path class=\"band\" d=\"{data}z\" fill=\"{}\" fill-opacity=\"0.75\"/>", BAND.hex()));
}

/// Vertical lines at zero, the median and the 99 % quantile, labelled above the plot without overlap.
fn draw_marks(svg: &mut Svg, frame: &Frame, probes: &[f64]) {
    let (p50, p99) = (quantile(probes, 0.5), quantile(probes, 0.99));
    let decimals = usize::from(p99.abs().max(p50.abs()) < 99.95);
    let labelled = |name: &str, value: f64| (value, format!("{name} {} µs", number(value, decimals, true)));
    let marks = [(0.0, "0".to_owned()), labelled("p50", p50), labelled("p99", p99)];
    for ((value, _), dash) in marks.iter().zip(["", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 2\""]) {
        let x = frame.x(*value);
        svg.line((x, frame.top), (x, frame.bottom), GREY, &format!(" stroke-width=\"1.1\"{dash}"));
    }
    for ((x, label), (value, _)) in spread(frame, &marks).into_iter().zip(&marks) {
        svg.text((x, frame.top - 8.0), Style::new(TICK_SIZE, INK, Anchor::Middle), label);
        svg.line((x, frame.top - 5.0), (frame.x(*value), frame.top), GREY, " stroke-width=\"0.7\"");
    }
}

/// Middles for labels that are as close to their values as they can be without touching each other or the edge.
fn spread<'a>(frame: &Frame, marks: &'a [(f64, String)]) -> Vec<(f64, &'a str)> {
    let mut order: Vec<usize> = (0..marks.len()).collect();
    order.sort_by(|a, b| marks[*a].0.total_cmp(&marks[*b].0));
    let half = |place: usize| width(&marks[place].1, TICK_SIZE) / 2.0;
    let mut middles: Vec<f64> = marks.iter().map(|(value, _)| frame.x(*value)).collect();
    let mut edge = LEFT;
    for place in &order {
        middles[*place] = middles[*place].max(edge + half(*place));
        edge = middles[*place] + half(*place) + 10.0;
    }
    let mut edge = PAGE.0 - RIGHT;
    for place in order.iter().rev() {
        middles[*place] = middles[*place].min(edge - half(*place));
        edge = middles[*place] - half(*place) - 10.0;
    }
    middles.into_iter().zip(marks).map(|(middle, (_, label))| (middle, label.as_str())).collect()
}

/// The lower right, or the upper left where the curve rises so late that it would run through the legend.
fn legend_corner(frame: &Frame, probes: &[f64], wide: f64) -> (f64, f64) {
    let right = PAGE.0 - RIGHT - wide - 10.0;
    let passed = probes.iter().filter(|error| frame.x(**error) < right).count();
    if frame.y(passed as f64 / probes.len() as f64) < frame.bottom - 82.0 {
        (right, frame.bottom - 72.0)
    } else {
        (LEFT + 10.0, frame.top + 10.0)
    }
}

fn draw_legend(svg: &mut Svg, frame: &Frame, cdf: &ErrorCdf) {
    let half = dkw(cdf.probes.len()) * 100.0;
    let entries = [
        format!("all probes (n = {})", thousands(cdf.probes.len())),
        format!("95 % confidence: DKW band, ±{half:.1} points, probes taken as independent"),
        format!("medians of the paths (n = {})", thousands(cdf.medians.len())),
    ];
    let wide = entries.iter().map(|entry| width(entry, TICK_SIZE)).fold(0.0, f64::max) + 50.0;
    let (x, y) = legend_corner(frame, &cdf.probes, wide);
    svg.rect((x, y), (wide, 62.0), &format!("fill=\"#ffffff\" fill-opacity=\"0.88\" stroke=\"{}\"", FAINT.hex()));
    for (row, entry) in entries.iter().enumerate() {
        let middle = y + 13.0 + 18.0 * row as f64;
        let (from, to) = ((x + 8.0, middle), (x + 36.0, middle));
        match row {
            0 => svg.line(from, to, PROBES, " stroke-width=\"2\""),
            1 => svg.rect((x + 8.0, middle - 5.0), (28.0, 10.0), &format!("fill=\"{}\"", BAND.hex())),
            _ => svg.line(from, to, MEDIANS, " stroke-width=\"1.6\" stroke-dasharray=\"5 3\""),
        }
        svg.text((x + 43.0, middle + TICK_SIZE * 0.36), Style::new(TICK_SIZE, INK, Anchor::Start), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_band_has_its_closed_form() {
        // n = 185: sqrt(ln 40 / 370) = 0.0998…
        assert!((dkw(185) - 0.099_85).abs() < 1e-4, "{}", dkw(185));
    }

    proptest! {
        #[test]
        fn quantiles_agree_with_counting(mut values in prop::collection::vec(-1e3f64..1e3, 1..60), percent in 1u32..=100) {
            values.sort_by(f64::total_cmp);
            let p = f64::from(percent) / 100.0;
            let share = |x: f64| values.iter().filter(|value| **value <= x).count() as f64 / values.len() as f64;
            let expected = values.iter().copied().find(|value| share(*value) >= p - 1e-9);
            prop_assert_eq!(Some(quantile(&values, p)), expected);
        }

        #[test]
        fn the_curve_rises_and_ends_at_the_share_within_the_axis(mut values in prop::collection::vec(-1e4f64..1e4, 1..400)) {
            values.sort_by(f64::total_cmp);
            let (low, high) = axis(&values);
            let frame = Frame { low, high, top: 100.0, bottom: 400.0 };
            let points = corners(&frame, &values, 0.0);
            prop_assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1));
            let inside = values.iter().filter(|value| **value <= high).count() as f64 / values.len() as f64;
            prop_assert!((points[points.len() - 1].1 - frame.y(inside)).abs() < 1e-6);
        }

        #[test]
        fn labels_never_touch(values in prop::collection::vec(-100.0f64..100.0, 3)) {
            let frame = Frame { low: -100.0, high: 100.0, top: 0.0, bottom: 1.0 };
            let marks: Vec<_> = values.iter().map(|value| (*value, format!("p50 {value:.1} µs"))).collect();
            let mut places: Vec<_> = spread(&frame, &marks);
            places.sort_by(|a, b| a.0.total_cmp(&b.0));
            for pair in places.windows(2) {
                let halves = f64::midpoint(width(pair[0].1, TICK_SIZE), width(pair[1].1, TICK_SIZE));
                prop_assert!(pair[1].0 - pair[0].0 >= halves);
            }
        }
    }
}
