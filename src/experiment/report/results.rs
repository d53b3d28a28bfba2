//! What the trials of a run gave, by point, strategy and metric; and numbers as they are printed.

use std::collections::BTreeMap;

use crate::experiment::outcome::{Better, MetricUnit, Table};
use crate::experiment::run::{Description, MetricDescription, PointDescription, TrialRecord};
use crate::report::number;
use crate::report::statistics::{Cells, Estimate, interval_words};

/// A run as far as it has come.
#[derive(Debug, Clone)]
pub struct Results<'a> {
    /// The plan as understood.
    pub description: &'a Description,
    /// What trials gave, sorted by point, topology, repetition and strategy.
    pub records: Vec<TrialRecord>,
    /// What simulations of them gave, if there are any, sorted likewise.
    pub simulated: Vec<TrialRecord>,
}

/// A trial of the plan as written, with its tables by name.
#[derive(Debug, Clone)]
pub struct TrialTables {
    /// What it gave.
    pub record: TrialRecord,
    /// Its tables.
    pub tables: BTreeMap<String, Table>,
}

impl Results<'_> {
    /// The plan as written; a description without points has none.
    pub fn written(&self) -> Option<&PointDescription> {
        self.description.points.first()
    }

    /// A metric of a strategy (by its number) at a point, by topology and repetition.
    pub fn cells(&self, point: usize, strategy: usize, metric: &str) -> Cells {
        let ours = self.records.iter().filter(|record| record.point == point && record.strategy == strategy);
        Cells::new(ours.filter_map(|record| {
            let value = record.metrics.get(metric).copied().flatten()?;
            Some(((record.topology, record.repetition), value))
        }))
    }

    /// How many trials the plan has.
    pub fn planned(&self) -> usize {
        let places = |point: &PointDescription| point.topologies.len() * point.strategies.len();
        self.description.points.iter().map(places).sum::<usize>() * self.description.repetitions as usize
    }

    /// What intervals are over, in words.
    pub fn interval_words(&self) -> String {
        let topologies = self.written().map_or(0, |point| point.topologies.len());
        interval_words(topologies, self.description.repetitions)
    }
}

impl MetricDescription {
    /// What it is, with its unit, as axes and tables head it.
    pub(crate) fn heading(&self) -> String {
        match self.unit {
            MetricUnit::Share => format!("{} (%)", self.what),
            MetricUnit::Index => format!("{} (0 to 1)", self.what),
            MetricUnit::KilobyteMilliseconds => format!("{} (KB·ms)", self.what),
            MetricUnit::Factor | MetricUnit::Count => self.what.clone(),
            MetricUnit::Milliseconds => format!("{} (ms)", self.what),
        }
    }

    /// Whether `a` is better than `b`.
    pub(crate) fn prefers(&self, a: f64, b: f64) -> bool {
        match self.better {
            Better::More => a > b,
            Better::Less => a < b,
        }
    }

    /// An interval without what the metric cannot be.
    pub(crate) fn possible(&self, (low, high): (f64, f64)) -> (f64, f64) {
        match self.unit {
            MetricUnit::Share | MetricUnit::Index => (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0)),
            MetricUnit::Milliseconds | MetricUnit::KilobyteMilliseconds | MetricUnit::Count => (low.max(0.0), high),
            MetricUnit::Factor => (low.max(1.0), high),
        }
    }

    /// Whether it is written as percents.
    pub(crate) fn is_percent(&self) -> bool {
        self.unit == MetricUnit::Share
    }

    fn factor(&self) -> f64 {
        if self.is_percent() { 100.0 } else { 1.0 }
    }

    fn unit_word(&self) -> &'static str {
        match self.unit {
            MetricUnit::Share => " %",
            MetricUnit::Index | MetricUnit::Factor | MetricUnit::Count => "",
            MetricUnit::Milliseconds => " ms",
            MetricUnit::KilobyteMilliseconds => " KB·ms",
        }
    }

    /// Decimals that show two digits of what is uncertain; where that is not known, as many as the unit has by habit.
    fn decimals(&self, half: Option<f64>) -> usize {
        let (usual, most) = match self.unit {
            MetricUnit::Share => (1, 2),
            MetricUnit::Index => (3, 3),
            MetricUnit::Factor => (2, 3),
            MetricUnit::Milliseconds => (1, 3),
            MetricUnit::KilobyteMilliseconds => (0, 0),
            MetricUnit::Count => (0, 1),
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
        match half.map(|half| half * self.factor()).filter(|half| *half > 0.0) {
            Some(half) => (1.0 - half.log10().floor()).clamp(0.0, f64::from(most)) as usize,
            None => usual,
        }
    }

    /// A value with its unit.
    pub(crate) fn value(&self, value: f64) -> String {
        // A time that one decimal would make nothing has as many as show two digits.
        let small = self.unit == MetricUnit::Milliseconds && value > 0.0 && value < 0.1;
        let decimals = if small { self.decimals(Some(value)).max(1) } else { self.decimals(None) };
        format!("{}{}", number(value * self.factor(), decimals, false), self.unit_word())
    }

    /// Mean ± half of the interval, without the unit.
    pub(crate) fn bare(&self, estimate: Estimate) -> String {
        let decimals = self.decimals(estimate.half);
        let mean = number(estimate.mean * self.factor(), decimals, false);
        match estimate.half {
            Some(half) => format!("{mean} ± {}", number(half * self.factor(), decimals, false)),
            None => mean,
        }
    }

    /// Mean ± half of the interval, with the unit.
    pub(crate) fn estimate(&self, estimate: Estimate) -> String {
        format!("{}{}", self.bare(estimate), self.unit_word())
    }

    /// A difference of two values with its interval: in percentage points for shares.
    pub(crate) fn difference(&self, estimate: Estimate) -> String {
        let decimals = self.decimals(estimate.half);
        let mean = number(estimate.mean * self.factor(), decimals, true);
        let unit = if self.is_percent() { " points" } else { self.unit_word() };
        match estimate.half {
            Some(half) => format!("{mean} ± {}{unit}", number(half * self.factor(), decimals, false)),
            None => format!("{mean}{unit}"),
        }
    }
}
