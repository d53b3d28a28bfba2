//! [`HeatMap`]: the values of a square picture, checked; how they are scaled to colours, averaged in blocks and printed.

use super::palette::{Rgb, diverging, sequential};
use crate::matrix::{DelayMatrix, MAX_NODES};
use crate::measure::Comparison;
use crate::topology::NodeName;

/// Whether values go one way from a low end or both ways from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeatMapKind {
    /// From zero (or the range given) up: delays.
    Sequential,
    /// Around zero, with a symmetric range: errors.
    Diverging,
}

/// Why values do not make a heat map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeatMapError {
    /// Too few or too many nodes.
    #[error("a heat map has 2 to {MAX_NODES} nodes, this one has {0}")]
    Nodes(usize),
    /// The number of values is not the square of the number of names.
    #[error("{nodes} nodes need {} values, there are {values}", nodes * nodes)]
    NotSquare {
        /// How many names there are.
        nodes: usize,
        /// How many values there are.
        values: usize,
    },
}

/// A square picture of one number per path, row (sender) by column (receiver).
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) names: Vec<NodeName>,
    /// Row-major; `None` where nothing was measured. The diagonal is never looked at.
    values: Vec<Option<f64>>,
    pub(super) unit: String,
    pub(super) kind: HeatMapKind,
    range: Option<(f64, f64)>,
}

/// What a cell of the (possibly block-averaged) picture shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// A node to itself.
    Diagonal,
    /// No path of the block was measured.
    Missing,
    /// The value, or the mean of the block.
    Value(f64),
}

/// What turns values into colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    kind: HeatMapKind,
}

impl Scale {
    /// Where a value lies in the range: 0 at its low end, 1 at its high end; a value beyond them is outside 0 to 1.
    pub(super) fn share(self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The colour of a value.
    pub(super) fn colour(self, value: f64) -> Rgb {
        self.at(self.share(value))
    }

    /// The colour at a share of the range.
    pub(super) fn at(self, share: f64) -> Rgb {
        match self.kind {
            HeatMapKind::Sequential => sequential(share),
            HeatMapKind::Diverging => diverging(share),
        }
    }
}

impl HeatMap {
    /// Checks and builds a heat map of `values` (row-major, in `unit`). A value that is not finite counts as not measured.
    ///
    /// `subtitle` says what is shown and where it is from; the number of nodes and the range are added to it.
    pub fn new(
        (title, subtitle): (&str, &str),
        names: &[NodeName],
        values: Vec<Option<f64>>,
        unit: &str,
        kind: HeatMapKind,
    ) -> Result<Self, HeatMapError> {
        let nodes = names.len();
        if !(2..=MAX_NODES).contains(&nodes) {
            return Err(HeatMapError::Nodes(nodes));
        }
        if values.len() != nodes * nodes {
            return Err(HeatMapError::NotSquare { nodes, values: values.len() });
        }
        let values = values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
        let (title, subtitle, unit) = (title.to_owned(), subtitle.to_owned(), unit.to_owned());
        Ok(Self { title, subtitle, names: names.to_vec(), values, unit, kind, range: None })
    }

    /// The delays of `matrix` in milliseconds.
    pub fn of_matrix(title: &str, subtitle: &str, matrix: &DelayMatrix) -> Self {
        let values = matrix.delays().iter().map(|delay| Some(delay.as_millis_f64())).collect();
        Self::unchecked(title, subtitle, matrix.names(), values, "ms", HeatMapKind::Sequential)
    }

    /// The round trips that `matrix` makes, in milliseconds: the sums of both directions.
    pub fn of_round_trips(title: &str, subtitle: &str, matrix: &DelayMatrix) -> Self {
        let nodes = 0..matrix.len();
        let pairs = nodes.clone().flat_map(|from| nodes.clone().map(move |to| (from, to)));
        let values = pairs.map(|(from, to)| Some(matrix.round_trip(from, to).as_millis_f64())).collect();
        Self::unchecked(title, subtitle, matrix.names(), values, "ms", HeatMapKind::Sequential)
    }

    /// The measured medians in milliseconds, one way or there and back, as they are judged; paths without any are missing.
    /// `names` are the nodes of the comparison's matrix.
    pub fn of_measured(title: &str, subtitle: &str, names: &[NodeName], comparison: &Comparison) -> Self {
        let medians = comparison.paths.iter().map(|path| (path, comparison.judged_ms(path).1));
        let values = scatter(names.len(), medians.map(|(path, value)| (path.from, path.to, value)));
        Self::unchecked(title, subtitle, names, values, "ms", HeatMapKind::Sequential)
    }

    /// The errors of the medians (measured minus intended), in microseconds when all are below a millisecond.
    pub fn of_errors(title: &str, subtitle: &str, names: &[NodeName], comparison: &Comparison) -> Self {
        let errors = || comparison.paths.iter().filter_map(|path| path.error);
        let small = errors().all(|error| error.magnitude().as_nanos() < 1_000_000);
        let (unit, scale) = if small { ("µs", 1_000.0) } else { ("ms", 1.0) };
        let paths = comparison.paths.iter();
        let scaled = paths.map(|path| (path.from, path.to, path.error.map(|error| error.as_millis_f64() * scale)));
        let values = scatter(names.len(), scaled);
        Self::unchecked(title, subtitle, names, values, unit, HeatMapKind::Diverging)
    }

    fn unchecked(
        title: &str,
        subtitle: &str,
        names: &[NodeName],
        values: Vec<Option<f64>>,
        unit: &str,
        kind: HeatMapKind,
    ) -> Self {
        let (title, subtitle, unit) = (title.to_owned(), subtitle.to_owned(), unit.to_owned());
        Self { title, subtitle, names: names.to_vec(), values, unit, kind, range: None }
    }

    /// Fixes the ends of the colour range, so that two pictures can be compared. Ignored unless `low < high`, both finite.
    #[must_use]
    pub fn with_range(mut self, low: f64, high: f64) -> Self {
        self.range = (low.is_finite() && high.is_finite() && low < high).then_some((low, high));
        self
    }

    /// Two pictures with one colour range that holds both, so that they can be compared by eye.
    #[must_use]
    pub fn on_one_scale(self, other: Self) -> (Self, Self) {
        let ((low, high), (other_low, other_high)) = (self.range(), other.range());
        let (low, high) = (low.min(other_low), high.max(other_high));
        (self.with_range(low, high), other.with_range(low, high))
    }

    /// The range of the colours: given, or from 0 to the largest value (sequential), or symmetric about 0 (diverging).
    pub fn range(&self) -> (f64, f64) {
        if let Some(range) = self.range {
            return range;
        }
        let (low, high) = self.extremes().unwrap_or((0.0, 1.0));
        match self.kind {
            HeatMapKind::Sequential => {
                let low = low.min(0.0);
                (low, if high > low { high } else { low + 1.0 })
            }
            HeatMapKind::Diverging => {
                let reach = low.abs().max(high.abs());
                if reach > 0.0 { (-reach, reach) } else { (-1.0, 1.0) }
            }
        }
    }

    /// Smallest and largest value off the diagonal; `None` when there is none.
    pub(super) fn extremes(&self) -> Option<(f64, f64)> {
        let n = self.names.len();
        let off_diagonal = self.values.iter().enumerate().filter(|(place, _)| place / n != place % n);
        off_diagonal.filter_map(|(_, value)| *value).fold(None, |ends, value| {
            let (low, high) = ends.unwrap_or((value, value));
            Some((value.min(low), value.max(high)))
        })
    }

    /// The number of paths without a value.
    pub(super) fn missing(&self) -> usize {
        let n = self.names.len();
        self.values.iter().enumerate().filter(|(place, value)| value.is_none() && place / n != place % n).count()
    }

    /// The colour scale; made once per picture, because finding the range looks at every value.
    pub(super) fn scale(&self) -> Scale {
        let (low, high) = self.range();
        Scale { low, high, kind: self.kind }
    }

    /// Whether a cell of the picture averaged over `block` is nothing but diagonal.
    pub(super) fn shows_diagonal(&self, block: usize) -> bool {
        block == 1 || self.names.len() % block == 1
    }

    /// The cell of rows `row*block..` and columns `column*block..`; `block` 1 is the plain value.
    pub(super) fn cell(&self, row: usize, column: usize, block: usize) -> Cell {
        let n = self.names.len();
        let ends = |start: usize| start * block..((start + 1) * block).min(n);
        let (mut sum, mut count, mut off_diagonal) = (0.0, 0u32, false);
        for from in ends(row) {
            for to in ends(column).filter(|to| *to != from) {
                off_diagonal = true;
                if let Some(value) = self.values[from * n + to] {
                    sum += value;
                    count += 1;
                }
            }
        }
        match (off_diagonal, count) {
            (false, _) => Cell::Diagonal,
            (true, 0) => Cell::Missing,
            (true, _) => Cell::Value(sum / f64::from(count)),
        }
    }

    /// Texts of all values with one number of decimals, so that they can be compared by eye; a value that would then
    /// read as zero has two.
    pub(super) fn printer(&self) -> impl Fn(f64) -> String + use<> {
        let largest = self.extremes().map_or(0.0, |(low, high)| low.abs().max(high.abs()));
        let whole = self.values.iter().flatten().all(|value| value.fract() == 0.0);
        let decimals = match largest {
            _ if whole => 0,
            largest if largest < 9.995 => 2,
            largest if largest < 99.95 => 1,
            _ => 0,
        };
        let signed = self.kind == HeatMapKind::Diverging;
        let vanishes = move |value: f64| value != 0.0 && (value * 10f64.powi(decimals)).abs() < 0.5;
        let places = usize::try_from(decimals).unwrap_or(0);
        move |value| number(value, if vanishes(value) { 2 } else { places }, signed)
    }

    /// The letters of the longest text of a value.
    pub(super) fn widest(&self) -> usize {
        let print = self.printer();
        self.values.iter().flatten().map(|value| print(*value).chars().count()).max().unwrap_or(1)
    }
}

/// Row-major values of an n×n picture from places and values; places that are not there are ignored.
fn scatter(n: usize, places: impl Iterator<Item = (usize, usize, Option<f64>)>) -> Vec<Option<f64>> {
    let mut values = vec![None; n * n];
    for (from, to, value) in places.filter(|(from, to, _)| *from < n && *to < n) {
        values[from * n + to] = value;
    }
    values
}

/// A count and its noun: `1 path`, `2,000 paths`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// A number with a fixed number of decimals, a true minus sign and, if `signed`, a plus sign; never "−0".
pub(crate) fn number(value: f64, decimals: usize, signed: bool) -> String {
    let digits = format!("{:.decimals$}", value.abs());
    let zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    match (value < 0.0 && !zero, signed && !zero) {
        (true, _) => format!("−{digits}"),
        (false, true) => format!("+{digits}"),
        (false, false) => digits,
    }
}

/// A count with commas: `39,800`.
pub(super) fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Round marks (1, 2 or 5 times a power of ten) within the range, at most about `wanted`, with their decimals.
pub(super) fn ticks(low: f64, high: f64, wanted: usize) -> (Vec<f64>, usize) {
    let raw = (high - low) / wanted.max(1) as f64;
    if !raw.is_finite() || raw <= 0.0 {
        return (vec![low], 0);
    }
    let power = raw.log10().floor();
    let unit = 10f64.powf(power);
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * unit >= raw * 0.999_999).unwrap_or(10.0) * unit;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let first = (low / step - 1e-9).ceil();
    let marks = (0..=wanted * 3).map(|place| (first + place as f64) * step);
    (marks.take_while(|mark| *mark <= high + step * 1e-9).collect(), decimals)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn names(n: usize) -> Vec<NodeName> {
        (1..=n).map(NodeName::numbered).collect()
    }

    fn map(n: usize, values: Vec<Option<f64>>) -> HeatMap {
        HeatMap::new(("t", "s"), &names(n), values, "ms", HeatMapKind::Sequential).unwrap()
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let build = |n: usize, values: usize| {
            HeatMap::new(("t", "s"), &names(n), vec![None; values], "ms", HeatMapKind::Sequential)
        };
        assert_eq!(build(1, 1), Err(HeatMapError::Nodes(1)));
        assert_eq!(build(3, 8).unwrap_err().to_string(), "3 nodes need 9 values, there are 8");
    }

    #[test]
    fn the_diagonal_is_no_value_and_not_a_number_is_missing() {
        let map = map(2, vec![Some(99.0), Some(3.0), Some(f64::NAN), None]);
        assert_eq!(map.extremes(), Some((3.0, 3.0)));
        assert_eq!(map.missing(), 1);
        assert_eq!(
            [map.cell(0, 0, 1), map.cell(0, 1, 1), map.cell(1, 0, 1)],
            [Cell::Diagonal, Cell::Value(3.0), Cell::Missing]
        );
    }

    #[test]
    fn error_ranges_are_symmetric() {
        let values = vec![None, Some(-3.0), Some(1.0), None];
        let map = HeatMap::new(("t", "s"), &names(2), values, "ms", HeatMapKind::Diverging).unwrap();
        assert_eq!(map.range(), (-3.0, 3.0));
        assert_eq!(map.scale().colour(0.0), diverging(0.5));
    }

    #[test]
    fn numbers_have_a_true_minus_and_no_negative_zero() {
        let texts: Vec<_> = [-1.26, -0.04, 0.0, 2.0].map(|value| number(value, 1, true)).into();
        assert_eq!(texts, ["−1.3", "0.0", "0.0", "+2.0"]);
    }

    #[test]
    fn two_pictures_can_share_a_scale() {
        let (first, second) = (map(2, vec![Some(5.0); 4]), map(2, vec![Some(20.0); 4]));
        let (first, second) = first.on_one_scale(second);
        assert_eq!((first.range(), second.range()), ((0.0, 20.0), (0.0, 20.0)));
        assert_eq!(map(2, vec![Some(5.0); 4]).with_range(3.0, 3.0).range(), (0.0, 5.0));
    }

    #[test]
    fn small_values_beside_large_ones_do_not_read_as_zero() {
        let map = map(2, vec![None, Some(0.04), Some(130.25), None]);
        let print = map.printer();
        assert_eq!([0.04, 0.0, 130.25].map(print), ["0.04", "0", "130"]);
        assert_eq!(map.widest(), 4);
    }

    #[test]
    fn counts_have_commas() {
        assert_eq!([0, 999, 1_000, 999_000, 16_773_120].map(thousands), ["0", "999", "1,000", "999,000", "16,773,120"]);
    }

    proptest! {
        #[test]
        fn blocks_average_what_is_in_them(n in 2usize..12, block in 1usize..5, seed in 0u32..1000) {
            let value = |place: usize| f64::from((u32::try_from(place).unwrap() * 7919 + seed) % 101);
            let map = map(n, (0..n * n).map(|place| Some(value(place))).collect());
            for row in 0..n.div_ceil(block) {
                for column in 0..n.div_ceil(block) {
                    let inside: Vec<f64> = (0..n * n)
                        .filter(|place| place / n / block == row && place % n / block == column && place / n != place % n)
                        .map(value)
                        .collect();
                    let expected = if inside.is_empty() {
                        Cell::Diagonal
                    } else {
                        Cell::Value(inside.iter().sum::<f64>() / inside.len() as f64)
                    };
                    prop_assert_eq!(map.cell(row, column, block), expected);
                }
            }
        }

        #[test]
        fn ticks_are_few_round_and_inside(low in -1e4f64..1e4, span in 1e-3f64..1e5, wanted in 2usize..9) {
            let (marks, decimals) = ticks(low, low + span, wanted);
            prop_assert!(marks.len() <= wanted + 1);
            for mark in marks {
                prop_assert!(mark >= low - span * 1e-6 && mark <= low + span * (1.0 + 1e-6));
                let scaled = mark * 10f64.powi(i32::try_from(decimals).unwrap());
                prop_assert!((scaled - scaled.round()).abs() < 1e-3);
            }
        }
    }
}
