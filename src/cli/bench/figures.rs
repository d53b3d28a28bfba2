//! The figures of a benchmark: repeated values, their median and spread, and how they stand to a peer and to a target. Pure.
//!
//! Figures of many units stand in one table, so a value is a float beside its [`Unit`] here, and typed wherever it is measured.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::measure::median_interval;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Unit {
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanos,
    /// Microseconds.
    #[serde(rename = "us")]
    Micros,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millis,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// 10^6 bytes.
    #[serde(rename = "MB")]
    Megabytes,
    /// Hundredths of one processor.
    #[serde(rename = "percent_of_a_cpu")]
    CpuPercent,
    /// Hundredths.
    #[serde(rename = "percent")]
    Percent,
    /// 10^9 bits per second.
    #[serde(rename = "Gbit/s")]
    Gigabits,
    /// Nanoseconds of processor time for each kilobyte.
    #[serde(rename = "ns/kB")]
    NanosPerKilobyte,
    /// 10^3 packets per second.
    #[serde(rename = "kpackets/s")]
    KiloPackets,
    /// Requests.
    #[serde(rename = "requests")]
    Requests,
    /// 10^3 requests per second.
    #[serde(rename = "krequests/s")]
    KiloRequests,
    /// 10^6 events of a simulation per second.
    #[serde(rename = "Mevents/s")]
    MegaEvents,
    /// Packets, or events that happen to single packets.
    #[serde(rename = "packets")]
    Packets,
    /// Objects of a kernel or a delay line that were added, changed or deleted.
    #[serde(rename = "writes")]
    Writes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanos => "ns",
            Self::Micros => "µs",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::Megabytes => "MB",
            Self::CpuPercent | Self::Percent => "%",
            Self::Gigabits => "Gbit/s",
            Self::NanosPerKilobyte => "ns/kB",
            Self::KiloPackets | Self::KiloRequests => "k/s",
            Self::MegaEvents => "M/s",
            Self::Packets => "packets",
            Self::Requests => "requests",
            Self::Writes => "writes",
        }
    }

    fn decimals(self, value: f64) -> usize {
        match self {
            // What takes seconds shows its milliseconds, not their parts.
            Self::Millis if value.abs() >= 1_000.0 => 0,
            Self::Packets | Self::Requests | Self::Writes => 0,
            Self::Nanos | Self::Micros | Self::KiloPackets | Self::KiloRequests | Self::NanosPerKilobyte => 1,
            Self::Millis
            | Self::Seconds
            | Self::Megabytes
            | Self::CpuPercent
            | Self::Percent
            | Self::Gigabits
            | Self::MegaEvents => 2,
        }
    }

    /// A value with its unit.
    pub(super) fn show(self, value: f64) -> String {
        format!("{} {}", self.digits(value), self.name())
    }

    fn digits(self, value: f64) -> String {
        format!("{value:.*}", self.decimals(value))
    }
}

/// One value per repetition, at least one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    unit: Unit,
    values: Vec<f64>,
}

impl Series {
    /// `None` without values: then nothing was measured.
    pub(super) fn new(unit: Unit, values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        (!values.is_empty()).then_some(Self { unit, values })
    }

    /// The unit of all values.
    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// The middle value, or the mean of the two in the middle.
    pub(super) fn median(&self) -> f64 {
        median(&self.values)
    }

    fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

impl fmt::Display for Series {
    /// Median and spread: `41.2 µs (38.0–44.1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.unit.show(self.median()))?;
        if self.values.len() > 1 {
            write!(f, " ({}–{})", self.unit.digits(self.least()), self.unit.digits(self.most()))?;
        }
        Ok(())
    }
}

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            median: f64,
            min: f64,
            max: f64,
            values: &'a [f64],
        }
        Shape { median: self.median(), min: self.least(), max: self.most(), values: &self.values }.serialize(serializer)
    }
}

/// The middle of some values; not a number when there are none.
fn median(values: &[f64]) -> f64 {
    let mut ascending = values.to_vec();
    ascending.sort_by(f64::total_cmp);
    let middle = ascending.len() / 2;
    match ascending.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => ascending[middle],
        _ => f64::midpoint(ascending[middle - 1], ascending[middle]),
    }
}

/// How longhaul is set beside the plain path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Relation {
    /// longhaul divided by plain.
    Ratio,
    /// Plain divided by longhaul, of times: how many times as fast longhaul is.
    Speedup,
    /// longhaul minus plain.
    Difference,
}

/// Which way a target bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    /// Less is better.
    AtMost,
    /// More is better.
    AtLeast,
}

/// What a target is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    /// longhaul's median.
    Value,
    /// The relation to the plain path.
    Relation,
}

/// A number to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Target {
    /// Which way.
    pub(super) bound: Bound,
    /// The number, in the row's unit, or the relation.
    pub(super) value: f64,
    /// Of what.
    pub(super) of: Subject,
}

impl Target {
    /// longhaul's median is to be at most `value`.
    pub(super) const fn at_most(value: f64) -> Self {
        Self { bound: Bound::AtMost, value, of: Subject::Value }
    }

    /// longhaul's median is to be at least `value`.
    pub(super) const fn at_least(value: f64) -> Self {
        Self { bound: Bound::AtLeast, value, of: Subject::Value }
    }

    /// The ratio to the plain path, or how many times as fast, is to be at least `value`.
    pub(super) const fn ratio_at_least(value: f64) -> Self {
        Self { bound: Bound::AtLeast, value, of: Subject::Relation }
    }

    /// The difference to what stands beside is to be at most `value`.
    pub(super) const fn difference_at_most(value: f64) -> Self {
        Self { bound: Bound::AtMost, value, of: Subject::Relation }
    }
}

/// Whether a target was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// It was.
    Met,
    /// It was not.
    NotMet,
    /// It was not, but the repetitions are so few or differ so much among themselves that it may yet hold.
    Unclear,
    /// There is none: the row informs.
    NoTarget,
    /// There is nothing to judge.
    NotMeasured,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The measurement that it belongs to.
    pub(super) measurement: &'static str,
    /// What was measured.
    pub(super) what: String,
    /// With longhaul.
    pub(super) longhaul: Option<Series>,
    /// The same on the plain kernel path, where there is such a thing.
    pub(super) plain: Option<Series>,
    /// How the two are set beside each other.
    pub(super) relation: Relation,
    /// What is to be reached.
    pub(super) target: Option<Target>,
    /// Why there are no figures.
    pub(super) problem: Option<String>,
}

impl Row {
    /// A row without a peer and a target; add them with [`beside`](Self::beside) and [`reaching`](Self::reaching).
    pub(super) fn new(measurement: &'static str, what: impl Into<String>, longhaul: Option<Series>) -> Self {
        let problem = longhaul.is_none().then(|| "nothing arrived".to_owned());
        let what = what.into();
        Self { measurement, what, longhaul, plain: None, relation: Relation::Ratio, target: None, problem }
    }

    /// A row about the machine alone.
    pub(super) fn of_the_machine(measurement: &'static str, what: impl Into<String>, plain: Option<Series>) -> Self {
        Self { problem: None, plain, ..Self::new(measurement, what, None) }
    }

    /// A row that only says why it has no figures.
    pub(super) fn not_measured(measurement: &'static str, what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { problem: Some(problem.into()), ..Self::new(measurement, what, None) }
    }

    /// Sets the plain path beside it.
    pub(super) fn beside(self, relation: Relation, plain: Option<Series>) -> Self {
        Self { plain, relation, ..self }
    }

    /// Sets a target.
    pub(super) fn reaching(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// The ratio or difference to the plain path: the median over the repetitions, each taken with the plain path's
    /// repetition next to it in time; of the medians when the numbers of repetitions differ.
    pub(super) fn compared(&self) -> Option<f64> {
        let value = median(&self.pairs());
        value.is_finite().then_some(value)
    }

    /// The 95 % confidence interval of [`compared`](Self::compared); `None` below 6 repetitions, which have none.
    pub(super) fn interval(&self) -> Option<(f64, f64)> {
        let mut ascending = self.pairs();
        ascending.sort_by(f64::total_cmp);
        median_interval(&ascending).filter(|(low, high)| low.is_finite() && high.is_finite())
    }

    /// Ratio or difference of each repetition.
    fn pairs(&self) -> Vec<f64> {
        let (Some(ours), Some(plain)) = (&self.longhaul, &self.plain) else { return Vec::new() };
        let relate = |ours: f64, plain: f64| match self.relation {
            Relation::Ratio => ours / plain,
            Relation::Speedup => plain / ours,
            Relation::Difference => ours - plain,
        };
        if ours.values.len() == plain.values.len() {
            ours.values.iter().zip(&plain.values).map(|(ours, plain)| relate(*ours, *plain)).collect()
        } else {
            vec![relate(ours.median(), plain.median())]
        }
    }

    /// Whether the target was reached.
    pub(super) fn verdict(&self) -> Verdict {
        if self.longhaul.is_none() && (self.plain.is_none() || self.target.is_some()) {
            return Verdict::NotMeasured;
        }
        let Some(target) = self.target else { return Verdict::NoTarget };
        let value = match target.of {
            Subject::Value => self.longhaul.as_ref().map(Series::median),
            Subject::Relation => self.compared(),
        };
        let reaches = |value: f64| match target.bound {
            Bound::AtMost => value <= target.value,
            Bound::AtLeast => value >= target.value,
        };
        match (value, target.of, self.interval()) {
            (None, ..) => Verdict::NotMeasured,
            (Some(value), ..) if reaches(value) => Verdict::Met,
            (_, Subject::Relation, None) => Verdict::Unclear,
            (_, Subject::Relation, Some((low, high))) if reaches(low) || reaches(high) => Verdict::Unclear,
            _ => Verdict::NotMet,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::*;
    use proptest::prelude::*;

    fn series(values: &[f64]) -> Option<Series> {
        Series::new(Unit::Gigabits, values.iter().copied())
    }

    #[test]
    fn series_show_median_and_spread() {
        assert_eq!(series(&[3.0, 1.0, 2.0]).unwrap().to_string(), "2.00 Gbit/s (1.00–3.00)");
        assert_eq!(series(&[3.0, 1.0]).unwrap().to_string(), "2.00 Gbit/s (1.00–3.00)");
        assert_eq!(series(&[7.126]).unwrap().to_string(), "7.13 Gbit/s");
        assert_eq!(Series::new(Unit::Packets, [12.0]).unwrap().to_string(), "12 packets");
        let millis = |value| Series::new(Unit::Millis, [value]).unwrap().to_string();
        assert_eq!((millis(26.3), millis(132_595.8)), ("26.30 ms".to_owned(), "132596 ms".to_owned()));
        assert_eq!(series(&[]), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair_so_that_drift_cancels() {
        // The machine slows down by half between the pairs; each pair says 90 %, the medians would say otherwise.
        let row = Row::new("x", "y", series(&[9.0, 4.5, 1.8])).beside(Relation::Ratio, series(&[10.0, 5.0, 2.0]));
        assert!((row.compared().unwrap() - 0.9).abs() < 1e-12);
        let odd = Row::new("x", "y", series(&[9.0])).beside(Relation::Difference, series(&[10.0, 8.0]));
        assert_eq!(odd.compared(), Some(0.0));
        let nothing = Row::new("x", "y", series(&[9.0])).beside(Relation::Ratio, series(&[0.0]));
        assert_eq!(nothing.compared(), None);
        let times =
            Row::new("x", "y", series(&[2.0, 4.0, 8.0])).beside(Relation::Speedup, series(&[200.0, 440.0, 720.0]));
        assert_eq!(times.compared(), Some(100.0));
        assert_eq!(times.clone().reaching(Target::ratio_at_least(50.0)).verdict(), Verdict::Met);
        assert_eq!(times.reaching(Target::ratio_at_least(101.0)).verdict(), Verdict::Unclear);
    }

    #[test]
    fn verdicts_follow_the_target() {
        let row = || Row::new("x", "y", series(&[4.0, 5.0, 9.0])).beside(Relation::Ratio, series(&[5.0, 5.0, 10.0]));
        assert_eq!(row().verdict(), Verdict::NoTarget);
        for (target, verdict) in [
            (Target::at_most(5.0), Verdict::Met),
            (Target::at_most(4.9), Verdict::NotMet),
            (Target::at_least(5.0), Verdict::Met),
            (Target::at_least(5.1), Verdict::NotMet),
            (Target::ratio_at_least(0.9), Verdict::Met),
            (Target::ratio_at_least(0.91), Verdict::Unclear),
            (Target::ratio_at_least(1.01), Verdict::Unclear),
            (Target::difference_at_most(0.9), Verdict::Met),
        ] {
            assert_eq!(row().reaching(target).verdict(), verdict, "{target:?}");
        }
        let alone = Row::new("x", "y", series(&[4.0])).reaching(Target::ratio_at_least(0.9));
        assert_eq!(alone.verdict(), Verdict::NotMeasured);
        assert_eq!(Row::not_measured("x", "y", "no z").verdict(), Verdict::NotMeasured);
        assert_eq!(Row::of_the_machine("x", "y", series(&[4.0])).verdict(), Verdict::NoTarget);
    }

    #[test]
    fn intervals_are_those_of_the_median() {
        let row =
            |ours: &[f64]| Row::new("x", "y", series(ours)).beside(Relation::Ratio, series(&vec![1.0; ours.len()]));
        assert_eq!(row(&[3.0, 1.0, 2.0]).interval(), None);
        // Of ten values the second and the ninth, as the tables of the sign test have it.
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(row(&ten).interval(), Some((2.0, 9.0)));
        let verdict = |target| row(&ten).reaching(Target::ratio_at_least(target)).verdict();
        assert_eq!([5.5, 8.0, 9.5].map(verdict), [Verdict::Met, Verdict::Unclear, Verdict::NotMet]);
    }

    proptest! {
        #[test]
        fn half_of_the_values_lie_on_each_side_of_the_median(values in prop::collection::vec(-1e6f64..1e6, 1..40)) {
            let middle = series(&values).unwrap().median();
            let below = values.iter().filter(|value| **value < middle).count();
            let above = values.iter().filter(|value| **value > middle).count();
            prop_assert!(below <= values.len() / 2 && above <= values.len() / 2);
        }
    }
}
