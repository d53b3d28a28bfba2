//! Axes: from numbers to the page, with round marks; and the frame that two of them make.

use super::heading::{AXIS_SIZE, MARGIN, TICK_SIZE};
use super::svg::{Anchor, FAINT, INK, Style, Svg};
use super::text::{cut, width};
use crate::report::heat::{number, ticks};

/// An axis: what it shows, from where to where.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    pub title: String,
    /// The ends; the first is the smaller one.
    pub ends: (f64, f64),
    /// How lengths go with numbers.
    pub spacing: Spacing,
}

/// How lengths on an axis go with its numbers, and how these are written.
#[derive(Debug, Clone, PartialEq)]
pub enum Spacing {
    /// Evenly.
    Even,
    /// Evenly; 1 is written as 100 %.
    Percent,
    /// By the logarithm.
    Log,
    /// Steps with names: the first is at 0, the next at 1.
    Steps(Vec<String>),
}

impl Axis {
    /// From 0 to 100 %.
    pub fn percent(title: &str) -> Self {
        Self { title: title.to_owned(), ends: (0.0, 1.0), spacing: Spacing::Percent }
    }

    /// From 0 to a little above the largest of `values`; as percents, if so asked, and then not above 100 %.
    pub fn from_zero(title: &str, values: impl IntoIterator<Item = f64>, percent: bool) -> Self {
        let most = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let top = if most > 0.0 { most * 1.06 } else { 1.0 };
        let (top, spacing) =
            if percent { (if most <= 1.0 { 1.0 } else { top }, Spacing::Percent) } else { (top, Spacing::Even) };
        Self { title: title.to_owned(), ends: (0.0, top), spacing }
    }

    /// From the smallest to the largest of `values`, evenly.
    pub fn over(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        Self { title: title.to_owned(), ends: ends(values.into_iter()), spacing: Spacing::Even }
    }

    /// From the smallest to the largest of `values` above 0, by the logarithm.
    pub fn log(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = ends(values.into_iter().filter(|value| *value > 0.0));
        let low = if low > 0.0 { low } else { high / 10.0 };
        Self { title: title.to_owned(), ends: (low * 0.95, high * 1.05), spacing: Spacing::Log }
    }

    /// Names in a row.
    pub fn steps(title: &str, names: Vec<String>) -> Self {
        let last = names.len().saturating_sub(1) as f64;
        Self { title: title.to_owned(), ends: (-0.4, last + 0.4), spacing: Spacing::Steps(names) }
    }

    /// Where a number is between the ends, 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        let (low, high) = self.ends;
        let share = match self.spacing {
            Spacing::Log => (value.max(1e-12) / low).ln() / (high / low).ln(),
            _ => (value - low) / (high - low),
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// About `wanted` round numbers with their texts.
    pub(super) fn marks(&self, wanted: usize) -> Vec<(f64, String)> {
        let (low, high) = self.ends;
        match &self.spacing {
            Spacing::Even => {
                let (marks, decimals) = ticks(low, high, wanted);
                marks.into_iter().map(|mark| (mark, number(mark, decimals, false))).collect()
            }
            Spacing::Percent => {
                let (marks, decimals) = ticks(low * 100.0, high * 100.0, wanted);
                marks.into_iter().map(|mark| (mark / 100.0, format!("{} %", number(mark, decimals, false)))).collect()
            }
            Spacing::Log => log_marks(low, high),
            Spacing::Steps(names) => {
                names.iter().enumerate().map(|(place, name)| (place as f64, name.clone())).collect()
            }
        }
    }

    /// The room that the marks' texts need beside the plot.
    pub(super) fn mark_room(&self, wanted: usize) -> f64 {
        self.marks(wanted).iter().map(|(_, text)| width(text, TICK_SIZE)).fold(0.0, f64::max)
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match (low.is_finite(), low < high) {
        (true, true) => (low, high),
        (true, false) => (low - 0.5, low + 0.5),
        _ => (0.0, 1.0),
    }
}

/// 1, 2 and 5 times the powers of ten within the range; only the powers themselves where that would be many.
fn log_marks(low: f64, high: f64) -> Vec<(f64, String)> {
    let factors: &[f64] = if high / low > 3_000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut marks = Vec::new();
    for power in -6..=9i32 {
        for factor in factors {
            let mark = factor * 10f64.powi(power);
            if (low..=high).contains(&mark) {
                let decimals = usize::try_from(-power).unwrap_or(0);
                marks.push((mark, number(mark, decimals, false)));
            }
        }
    }
    marks
}

/// The place of a plot on the page, with its axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
}

/// How many marks an upright axis is to have.
pub(super) const UPRIGHT_MARKS: usize = 6;

impl Frame<'_> {
    pub(super) fn x(&self, value: f64) -> f64 {
        self.left + self.x.share(value) * (self.right - self.left)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.share(value) * (self.bottom - self.top)
    }

    /// Where the plot begins beside an upright axis.
    pub(super) fn left_of(y: &Axis) -> f64 {
        (MARGIN + AXIS_SIZE + 10.0 + y.mark_room(UPRIGHT_MARKS) + 8.0).ceil()
    }

    /// The room below a plot for the marks and the title of a level axis.
    pub(super) fn below(x: &Axis) -> f64 {
        let title = if x.title.is_empty() { 0.0 } else { AXIS_SIZE + 8.0 };
        8.0 + TICK_SIZE + title + MARGIN
    }

    /// Lines across, their numbers, the title.
    pub(super) fn draw_upright(&self, svg: &mut Svg) {
        for (mark, text) in self.y.marks(UPRIGHT_MARKS) {
            let y = self.y(mark);
            svg.line((self.left, y), (self.right, y), FAINT, " stroke-width=\"0.8\"");
            svg.text((self.left - 8.0, y + TICK_SIZE * 0.36), Style::new(TICK_SIZE, INK, Anchor::End), &text);
        }
        let beside = (MARGIN + AXIS_SIZE * 0.8, f64::midpoint(self.top, self.bottom));
        // A long title in smaller letters, so that it stays beside the plot.
        let room = self.bottom - self.top + 20.0;
        let size = (AXIS_SIZE * room / width(&self.y.title, AXIS_SIZE).max(1.0)).clamp(8.5, AXIS_SIZE);
        let title = cut(&self.y.title, size, room);
        svg.text(beside, Style::new(size, INK, Anchor::Middle).turned(-90.0), &title);
    }

    /// Ticks with numbers as far as they have room, the title, the outline.
    pub(super) fn draw_level(&self, svg: &mut Svg) {
        let mut free = f64::NEG_INFINITY;
        for (mark, text) in self.x.marks(8) {
            let (x, half) = (self.x(mark), width(&text, TICK_SIZE) / 2.0);
            svg.line((x, self.bottom), (x, self.bottom + 4.0), INK, " stroke-width=\"0.8\"");
            if x - half >= free {
                svg.text((x, self.bottom + 8.0 + TICK_SIZE), Style::new(TICK_SIZE, INK, Anchor::Middle), &text);
                free = x + half + 4.0;
            }
        }
        let middle = (f64::midpoint(self.left, self.right), self.bottom + 8.0 + TICK_SIZE + 6.0 + AXIS_SIZE);
        svg.text(middle, Style::new(AXIS_SIZE, INK, Anchor::Middle), &self.x.title);
        self.outline(svg);
    }

    pub(super) fn outline(&self, svg: &mut Svg) {
        let outline = format!("fill=\"none\" stroke=\"{}\" stroke-width=\"0.8\"", INK.hex());
        svg.rect((self.left, self.top), (self.right - self.left, self.bottom - self.top), &outline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_say_their_unit() {
        let texts = |axis: &Axis| axis.marks(5).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(&Axis::percent("")), ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]);
        assert_eq!(texts(&Axis::log("", [0.7, 30.0])), ["1", "2", "5", "10", "20"]);
        assert_eq!(texts(&Axis::steps("", vec!["a".to_owned(), "b".to_owned()])), ["a", "b"]);
        assert_eq!(Axis::over("", [4.0, 6.0, f64::NAN]).ends, (4.0, 6.0));
        assert_eq!(Axis::over("", [4.0]).ends, (3.5, 4.5));
        assert_eq!(Axis::from_zero("", [], true).ends, (0.0, 1.0));
    }

    #[test]
    fn a_logarithmic_axis_gives_every_factor_the_same_length() {
        let axis = Axis { title: String::new(), ends: (1.0, 100.0), spacing: Spacing::Log };
        assert!((axis.share(10.0) - 0.5).abs() < 1e-12);
        assert!(axis.share(0.0).abs() < 1e-12 && (axis.share(1e9) - 1.0).abs() < 1e-12);
    }
}
