//! What each strategy had after how much time, drawn from the courses of single runs.

use std::collections::BTreeMap;

use super::course::COURSE;
use crate::experiment::report::{Given, TrialTables, figure, parsed, rows};
use crate::report::page::Block;
use crate::report::plot::{Axis, Line, LinePoint, Lines, lines};
use crate::report::statistics::Cells;

/// At how many times lines are looked at.
const TIMES: usize = 90;

/// How much above the best a logarithmic axis ends: less cannot be seen.
const LEAST: f64 = 1e-4;

/// A trial's times with the least cost by then, as a multiple of the best known of its problem; ascending.
struct Entries {
    place: (usize, u32),
    entries: Vec<(f64, f64)>,
}

impl Entries {
    /// What it had by then.
    fn at(&self, ms: f64) -> Option<f64> {
        let after = self.entries.partition_point(|(then, _)| *then <= ms);
        after.checked_sub(1).map(|last| self.entries[last].1)
    }
}

/// The picture, where trials have courses and the best that is known is not nothing.
pub(super) fn anytime(given: &Given) -> Option<Block> {
    let known = known(given);
    let of = |number| -> Vec<Entries> { given.of(number).filter_map(|trial| entries(trial, &known)).collect() };
    // Without a placement within capacities in every trial there is no line.
    let complete = |trials: &[Entries]| !trials.is_empty() && trials.iter().all(|trial| !trial.entries.is_empty());
    let all: Vec<(usize, &str, Vec<Entries>)> = given
        .strategies()
        .map(|(number, name)| (number, name, of(number)))
        .filter(|(_, _, trials)| complete(trials))
        .collect();
    let times = || all.iter().flat_map(|(_, _, trials)| trials).flat_map(|trial| &trial.entries).map(|(ms, _)| *ms);
    let (first, last) = times().fold((f64::INFINITY, 0.0_f64), |(low, high), ms| (low.min(ms), high.max(ms)));
    let first = first.max(1e-3);
    if first >= last {
        return None;
    }
    let at = |place: usize| first * libm::pow(last / first, place as f64 / (TIMES - 1) as f64);
    let line = |(category, name, trials): &(usize, &str, Vec<Entries>)| {
        let points = (0..TIMES).map(|place| point(trials, at(place)));
        Line { name: (*name).to_owned(), category: *category, points: points.collect() }
    };
    let drawn: Vec<Line> = all.iter().map(line).collect();
    let means = drawn.iter().flat_map(|line| &line.points).map(|point| point.at.1);
    let picture = Lines {
        title: "What each strategy has after how much time".to_owned(),
        subtitle: vec![
            format!("line: mean over {}", given.over),
            "band: 95 % interval".to_owned(),
            "a line begins when every trial has a placement within capacities".to_owned(),
        ],
        x: Axis::log("time since the start (ms)", [first, last]),
        y: Axis::log("cost above the best known (%)", means),
        lines: drawn.clone(),
        events: Vec::new(),
        bounds: Vec::new(),
        signs: false,
    };
    let caption = format!(
        "The best cost within capacities that each strategy has found after how much time, in one run each, above the best that \
         any strategy found for the same problem; at the lower edge: not above it by {} % or more. A strategy that says nothing before its \
         end is a level line from there.",
        LEAST * 100.0
    );
    Some(figure("cost-against-time", caption, lines(&picture)))
}

/// The best known of each problem.
fn known(given: &Given) -> BTreeMap<u64, f64> {
    let mut known: BTreeMap<u64, f64> = BTreeMap::new();
    for trial in given.trials {
        let metric = |name: &str| trial.record.metrics.get(name).copied().flatten();
        if let (Some(problem), Some(cost), Some(ratio)) = (metric("problem"), metric("cost"), metric("ratio")) {
            let best = known.entry(problem.to_bits()).or_insert(f64::INFINITY);
            *best = best.min(cost / ratio);
        }
    }
    known
}

fn entries(trial: &TrialTables, known: &BTreeMap<u64, f64>) -> Option<Entries> {
    let problem = trial.record.metrics.get("problem").copied().flatten()?;
    let best = known.get(&problem.to_bits()).copied().filter(|best| *best > 0.0)?;
    let entry = |[ms, cost]: [&str; 2]| (parsed(ms), (parsed(cost) / best).max(1.0));
    let entries = rows(trial, COURSE, ["elapsed_ms", "cost_kb_ms"]).into_iter().map(entry).collect();
    Some(Entries { place: (trial.record.topology, trial.record.repetition), entries })
}

/// The mean of all trials; a gap before each of them has something.
fn point(trials: &[Entries], ms: f64) -> LinePoint {
    let values: Option<Vec<_>> = trials.iter().map(|trial| Some((trial.place, trial.at(ms)?))).collect();
    let estimate = values.and_then(|values| Cells::new(values).estimate());
    estimate.map_or(LinePoint::upright(ms, f64::NAN, (f64::NAN, f64::NAN)), |estimate| {
        let above = |ratio: f64| (ratio - 1.0).max(LEAST) * 100.0;
        let (low, high) = estimate.ends();
        LinePoint::upright(ms, above(estimate.mean), (above(low), above(high)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_mean_of_what_all_trials_have_by_then() {
        let trial = |repetition, entries: &[(f64, f64)]| Entries { place: (0, repetition), entries: entries.to_vec() };
        let trials = [trial(0, &[(1.0, 3.0), (10.0, 2.0)]), trial(1, &[(2.0, 2.0), (20.0, 1.0)])];
        let at = |ms| point(&trials, ms).at.1;
        assert!(at(1.5).is_nan(), "one of them has nothing yet");
        assert!((at(2.0) - 150.0).abs() < 1e-9 && (at(19.0) - 100.0).abs() < 1e-9 && (at(1e3) - 50.0).abs() < 1e-9);
        assert!((point(&trials[1..], 30.0).at.1 - 0.01).abs() < 1e-12, "the lower edge");
    }
}
