//! The schedule file: YAML that names matrices and says from when on each holds.

use serde::Deserialize;

use super::moment::{MomentError, parse_moment};
use super::{Pace, Repeat};
use crate::units::Span;
use crate::wording::OneLine;

/// What a schedule file says. The files that it names are not read here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// In the order of their instants.
    pub steps: Vec<ScheduleStep>,
    /// How passes follow each other.
    pub pace: Pace,
}

/// A matrix and its instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleStep {
    /// From the start of a pass.
    pub at: Span,
    /// The file of the matrix as it is written there.
    pub matrix: String,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{place}: {}", OneLine(.problem))]
pub struct ScheduleError {
    /// The file.
    pub file: String,
    /// `:line:column`, or nothing.
    pub place: String,
    /// What is wrong and what to change.
    pub problem: String,
}

/// Why matrices cannot follow each other at a pace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaceError {
    /// Each would last no time.
    #[error("`{0}` is no time for a matrix to last; write more than that, such as 10m")]
    NoTime(String),
    /// There is none.
    #[error("`matrices` is empty; write at least one")]
    NoMatrix,
    /// They last longer than a replay may.
    #[error(transparent)]
    Moment(#[from] MomentError),
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    api_version: String,
    timeline: Option<Vec<Entry>>,
    every: Option<Time>,
    matrices: Option<Vec<String>>,
    length: Option<Time>,
    until: Option<Time>,
    repeat: Option<Times>,
}

/// One step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: Time,
    matrix: String,
}

/// An instant in a file: text, or a plain number of seconds.
#[derive(Debug, Clone, Copy)]
struct Time(Span);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_moment(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// How often, in a file.
#[derive(Debug, Clone, Copy)]
struct Times(Repeat);

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// Reads a schedule; `file` is what errors call it.
pub fn parse_schedule(file: &str, text: &str) -> Result<Schedule, ScheduleError> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map_or(String::new(), |at| format!(":{}:{}", at.line(), at.column()));
        ScheduleError { file: file.to_owned(), place, problem: error.without_snippet().to_string() }
    })?;
    document.resolve().map_err(|problem| ScheduleError { file: file.to_owned(), place: String::new(), problem })
}

impl Document {
    fn resolve(self) -> Result<Schedule, String> {
        if self.api_version != "longhaul/v1" {
            return Err(format!("apiVersion is `{}`; this longhaul reads longhaul/v1", self.api_version));
        }
        let repeat = self.repeat.map_or(Repeat::default(), |Times(repeat)| repeat);
        let until = self.until.map(|Time(until)| until);
        let length = self.length.map(|Time(length)| length);
        match (self.timeline, self.every, self.matrices) {
            (Some(entries), None, None) => {
                let steps: Vec<_> =
                    entries.into_iter().map(|Entry { at: Time(at), matrix }| ScheduleStep { at, matrix }).collect();
                Ok(Schedule { steps: in_order(steps)?, pace: Pace { length, repeat, until } })
            }
            (None, Some(Time(every)), Some(matrices)) => {
                if length.is_some() {
                    return Err("`length` belongs to `timeline`; with `every` a pass takes every × matrices".to_owned());
                }
                Schedule::every(every, &matrices, repeat, until).map_err(|error| error.to_string())
            }
            _ => Err("write either `timeline` (a list of `at` and `matrix`) or `every` and `matrices`".to_owned()),
        }
    }
}

fn in_order(mut steps: Vec<ScheduleStep>) -> Result<Vec<ScheduleStep>, String> {
    if steps.is_empty() {
        return Err("`timeline` is empty; write at least one step with `at` and `matrix`".to_owned());
    }
    steps.sort_by_key(|step| step.at);
    match steps.windows(2).find(|pair| pair[0].at == pair[1].at) {
        Some([one, other]) => Err(format!(
            "`{}` and `{}` are both at {}; a step has one matrix",
            one.matrix,
            other.matrix,
            super::write_moment(one.at)
        )),
        _ => Ok(steps),
    }
}

impl Schedule {
    /// Every so long the next of `matrices`.
    pub fn every(every: Span, matrices: &[String], repeat: Repeat, until: Option<Span>) -> Result<Self, PaceError> {
        let text = || super::write_moment(every);
        if every == Span::ZERO {
            return Err(PaceError::NoTime(text()));
        }
        if matrices.is_empty() {
            return Err(PaceError::NoMatrix);
        }
        let at = |place: usize| {
            let ns = every.as_nanos().checked_mul(place as u64).map(Span::from_nanos);
            ns.filter(|at| *at <= super::moment::LATEST).ok_or_else(|| MomentError::TooLate(text()))
        };
        let steps = matrices
            .iter()
            .enumerate()
            .map(|(place, matrix)| Ok(ScheduleStep { at: at(place)?, matrix: matrix.clone() }));
        let pace = Pace { length: Some(at(matrices.len())?), repeat, until };
        Ok(Self { steps: steps.collect::<Result<_, MomentError>>()?, pace })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEAD: &str = "apiVersion: longhaul/v1\n";

    fn told(rest: &str) -> Result<String, String> {
        let schedule = parse_schedule("day.yaml", &format!("{HEAD}{rest}")).map_err(|error| error.to_string())?;
        let steps: Vec<String> = schedule.steps.iter().map(|step| format!("{} {}", step.at, step.matrix)).collect();
        let span = |span: Option<Span>| span.map_or("-".to_owned(), |span| span.to_string());
        Ok(format!(
            "{} | length {} repeat {} until {}",
            steps.join(", "),
            span(schedule.pace.length),
            schedule.pace.repeat,
            span(schedule.pace.until)
        ))
    }

    #[test]
    fn both_forms_are_read() {
        for (rest, expected) in [
            (
                "timeline:\n  - {at: 10m, matrix: b.csv}\n  - {at: 0, matrix: a.csv}\n",
                "0ms a.csv, 600s b.csv | length - repeat 1 until -",
            ),
            (
                "every: 10m\nmatrices: [a.csv, b.csv]\nrepeat: forever\nuntil: 1h\n",
                "0ms a.csv, 600s b.csv | length 1200s repeat forever until 3600s",
            ),
            (
                "timeline: [{at: 0s, matrix: a.csv}]\nlength: 30s\nrepeat: 3\n",
                "0ms a.csv | length 30s repeat 3 until -",
            ),
        ] {
            assert_eq!(told(rest), Ok(expected.to_owned()), "{rest}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (rest, part) in [
            ("timeline: []\n", "day.yaml: `timeline` is empty"),
            ("every: 10m\n", "day.yaml: write either `timeline`"),
            ("every: 0s\nmatrices: [a]\n", "day.yaml: `0s` is no time for a matrix to last; write more"),
            ("every: 10m\nmatrices: []\n", "day.yaml: `matrices` is empty; write at least one"),
            ("every: 300d\nmatrices: [a, b]\n", "is more than 366 days after the start"),
            ("every: 10m\nmatrices: [a]\nlength: 1m\n", "`length` belongs to `timeline`"),
            (
                "timeline: [{at: 1s, matrix: a.csv}, {at: 1000ms, matrix: b.csv}]\n",
                "day.yaml: `a.csv` and `b.csv` are both at 1s; a step has one matrix",
            ),
            ("timeline: [{at: soon, matrix: a.csv}]\n", "day.yaml:2:"),
            ("timeline: [{at: soon, matrix: a.csv}]\n", "`soon` is not a time"),
            ("timeline: [{at: 1s, matrx: a.csv}]\n", "day.yaml:2:"),
            ("every: 1s\nmatrices: [a]\nrepeat: 0\n", "`0` is not a number of passes; write 1 or more, or forever"),
        ] {
            let error = told(rest).unwrap_err();
            assert!(error.contains(part), "{rest}: {error}");
        }
        let other = parse_schedule("x.yaml", "apiVersion: longhaul/v2\nevery: 1s\nmatrices: [a]\n").unwrap_err();
        assert_eq!(other.to_string(), "x.yaml: apiVersion is `longhaul/v2`; this longhaul reads longhaul/v1");
    }
}
