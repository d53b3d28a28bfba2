//! How far injected delays are off, over all probes of all paths of an idle lab.

use super::lateness::{Lateness, LatenessMeter};
use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::{BenchLab, Ground, asking_for, micros, uniform};
use crate::matrix::{DelayMatrix, ReadOptions, parse};
use crate::measure::{ErrorSummary, Tolerance, compare};
use crate::units::{Delay, Span};

const NAME: &str = "accuracy";

/// `TraDE`'s Table I: 9 nodes, delays of 5 to 40 ms.
const TRADE: &str = include_str!("../../../../matrices/trade.csv");

/// Between two probes of a path.
const INTERVAL: Span = Span::from_millis(10);

/// The matrix of 9 nodes that several measurements use.
pub(super) fn trade() -> anyhow::Result<DelayMatrix> {
    Ok(parse("trade.csv", TRADE.as_bytes(), ReadOptions::default())?)
}

/// Measures every back-end that works here.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for backend in &ground.backends {
        let choice = asking_for(*backend);
        let (mut delayed, mut bare, mut timers) = (Vec::new(), Vec::new(), Vec::new());
        let mut lab = ground.lab(NAME, trade()?)?;
        let nothing = uniform(lab.matrix().len(), Delay::ZERO)?;
        let intended = lab.matrix().clone();
        for _ in ground.repetitions(&format!("accuracy, {backend}")) {
            bare.extend(errors(ground, &mut lab, &nothing)?);
            lab.apply_by(choice)?;
            let meter = LatenessMeter::start();
            delayed.extend(errors(ground, &mut lab, &intended)?);
            timers.extend(meter.stop());
            lab.clear()?;
        }
        lab.stop()?;
        rows.extend(summarise(&backend.to_string(), &delayed, &bare));
        rows.extend(machine(&timers));
    }
    Ok(rows)
}

/// The error of all probes against `intended`; on the bare path, where nothing is intended, that is the delay itself.
fn errors(ground: &Ground<'_>, lab: &mut BenchLab, intended: &DelayMatrix) -> anyhow::Result<Option<ErrorSummary>> {
    let samples = lab.probe(ground.effort.probes, INTERVAL)?;
    Ok(compare(intended, &samples, Tolerance { relative: 0.0, absolute: Span::ZERO }).error)
}

/// The rows of one back-end from one summary per repetition.
fn summarise(backend: &str, delayed: &[ErrorSummary], bare: &[ErrorSummary]) -> Vec<Row> {
    let row = |what: &str, pick: fn(&ErrorSummary) -> Span| {
        let series = |all: &[ErrorSummary]| Series::new(Unit::Micros, all.iter().map(|one| micros(pick(one))));
        Row::new(NAME, format!("{backend}: one-way |error| {what}, 9 nodes"), series(delayed))
            .beside(Relation::Difference, series(bare))
    };
    vec![
        row("p50", |error| error.p50).reaching(Target::at_most(100.0)),
        row("p99", |error| error.p99).reaching(Target::at_most(500.0)),
        row("max", |error| error.max),
    ]
}

/// How late the machine woke another thread meanwhile: the part of the error that no program can help.
fn machine(timers: &[Lateness]) -> Vec<Row> {
    let row = |what: &str, pick: fn(&Lateness) -> Span| {
        let series = Series::new(Unit::Micros, timers.iter().map(|one| micros(pick(one))));
        Row::of_the_machine(NAME, format!("  meanwhile, a bare timer's lateness {what}"), series)
    };
    vec![row("p50", |late| late.p50), row("p99", |late| late.p99), row("max", |late| late.max)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::*;
    use crate::cli::bench::figures::Verdict;

    #[test]
    fn the_shipped_matrix_is_the_one_of_nine_nodes() {
        let matrix = trade().unwrap();
        assert_eq!(matrix.len(), 9);
        assert!(matrix.paths().all(|(from, to)| matrix.delay(from, to) > Delay::ZERO));
    }

    #[test]
    fn summaries_become_three_rows_with_the_bare_path_beside() {
        let error = |p50, p99, max| ErrorSummary {
            p50: Span::from_micros(p50),
            p99: Span::from_micros(p99),
            max: Span::from_micros(max),
        };
        let rows =
            summarise("netem", &[error(60, 400, 900), error(120, 700, 950)], &[error(10, 30, 40), error(20, 30, 50)]);
        let medians: Vec<f64> = rows.iter().map(|row| row.longhaul.as_ref().unwrap().median()).collect();
        assert_eq!(medians, [90.0, 550.0, 925.0]);
        assert_eq!(rows[0].compared(), Some(75.0));
        let verdicts: Vec<Verdict> = rows.iter().map(Row::verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::NotMet, Verdict::NoTarget]);
    }
}
