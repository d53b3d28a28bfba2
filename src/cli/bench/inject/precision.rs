//! How far delays of 1 to 200 ms are off on every back-end, on an idle path and on one that carries 1 Gbit/s.

use std::time::Duration;

use anyhow::ensure;

use super::rows::{self, Destination};
use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::iperf::{self, Running, Transfer, gigabits, raise_buffers};
use crate::cli::bench::ground::{BenchLab, Ground, asking_for, micros, uniform};
use crate::measure::{Sample, percentile};
use crate::shaping::Backend;
use crate::units::{Delay, Rate, Span};

const NAME: &str = "precision";

/// From the first node to the second, in milliseconds.
const DELAYS: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 200];
/// Those that are measured under load in the short form.
const QUICK: [u64; 3] = [1, 10, 100];
/// What the load is to be.
const LOAD: Rate = Rate::from_gigabits(1);
/// Between two probes.
const INTERVAL: Span = Span::from_millis(5);
/// A stream doubles its rate once a round trip; after so many of them it has reached the load.
const DOUBLINGS: u32 = 14;

/// The error of one path in one repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Errors {
    p50: Span,
    p99: Span,
}

/// All repetitions of one delay.
#[derive(Debug, Clone, Default)]
struct Path {
    millis: u64,
    idle: Vec<Errors>,
    loaded: Vec<Errors>,
    reached: Vec<Rate>,
}

/// Measures every delay on the idle path and, right after it, on the loaded one.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for backend in &ground.backends {
        // The longest delay, for which late answers are waited.
        let mut lab = ground.lab(NAME, uniform(2, Delay::from_millis(200))?)?;
        if iperf::available() {
            raise_buffers(&lab)?;
        }
        let mut paths: Vec<Path> = DELAYS.iter().map(|millis| Path { millis: *millis, ..Path::default() }).collect();
        for _ in ground.repetitions(&format!("precision, {backend}")) {
            for path in &mut paths {
                path.measure(ground, &mut lab, *backend)?;
            }
        }
        lab.stop()?;
        rows.extend(summarise(&backend.to_string(), &paths));
    }
    Ok(rows)
}

impl Path {
    fn measure(&mut self, ground: &Ground<'_>, lab: &mut BenchLab, backend: Backend) -> anyhow::Result<()> {
        let delay = Delay::from_millis(self.millis);
        let row = rows::row(&[Destination { address: lab.address(1), delay }]);
        lab.apply_row(0, row, asking_for(backend))?;
        let probes = 10 * ground.effort.probes;
        self.idle.extend(errors(delay, &lab.probe(probes, INTERVAL)?));
        if iperf::available() && (!ground.effort.quick || QUICK.contains(&self.millis)) {
            let (samples, transfer) = under_load(lab, delay, probes)?;
            self.loaded.extend(errors(delay, &samples));
            self.reached.push(transfer.rate);
        }
        lab.clear()
    }
}

/// Probes while a stream of TCP runs on the same path.
fn under_load(lab: &mut BenchLab, delay: Delay, probes: u32) -> anyhow::Result<(Vec<Sample>, Transfer)> {
    let settle = Duration::from_secs((DOUBLINGS * delay.as_duration()).as_secs() + 1);
    // Preparing to probe and waiting for late answers are covered too: the path must not fall idle meanwhile.
    let length = Duration::from_secs((probes * INTERVAL.as_duration()).as_secs() + 3);
    let stream = Running::start(lab, (0, 1), length, settle, Some(LOAD))?;
    std::thread::sleep(settle);
    let samples = lab.probe(probes, INTERVAL)?;
    let ended = stream.has_ended();
    let transfer = stream.finish()?;
    ensure!(!ended, "iperf3's stream ended before the last probe");
    Ok((samples, transfer))
}

/// The errors of the path from the first node.
fn errors(intended: Delay, samples: &[Sample]) -> Option<Errors> {
    let delays = samples.iter().filter(|one| one.from == 0).filter_map(|one| one.one_way);
    let mut errors: Vec<Span> = delays.map(|delay| delay.deviation(intended).magnitude()).collect();
    errors.sort_unstable();
    Some(Errors { p50: percentile(&errors, 50)?, p99: percentile(&errors, 99)? })
}

fn summarise(backend: &str, paths: &[Path]) -> Vec<Row> {
    let mut rows = Vec::new();
    for path in paths {
        let series = |all: &[Errors], pick: fn(&Errors) -> Span| {
            Series::new(Unit::Micros, all.iter().map(|one| micros(pick(one))))
        };
        let reached = Series::new(Unit::Gigabits, path.reached.iter().map(|rate| gigabits(*rate)));
        let beside = reached
            .map_or_else(String::new, |rate| format!(", beside the same under {}", Unit::Gigabits.show(rate.median())));
        let row = |what: &str, pick: fn(&Errors) -> Span| {
            Row::new(
                NAME,
                format!("{backend}, {} ms: one-way |error| {what}{beside}", path.millis),
                series(&path.idle, pick),
            )
            .beside(Relation::Difference, series(&path.loaded, pick))
        };
        rows.push(row("p50", |errors| errors.p50).reaching(Target::at_most(100.0)));
        rows.push(row("p99", |errors| errors.p99).reaching(Target::at_most(500.0)));
    }
    if !iperf::available() {
        rows.push(Row::not_measured(NAME, format!("{backend}: under 1 Gbit/s"), iperf::MISSING));
    }
    rows
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::bench::figures::Verdict;

    #[test]
    fn errors_are_those_of_the_way_there() {
        let sample = |from: usize, micros: Option<u64>| {
            let one_way = micros.map(Delay::from_micros);
            Sample { from, to: 1 - from, seq: 0, sent_ns: 0, one_way, rtt: None }
        };
        let samples =
            [sample(0, Some(1_010)), sample(0, Some(1_030)), sample(0, Some(900)), sample(1, Some(0)), sample(0, None)];
        let expected = Errors { p50: Span::from_micros(30), p99: Span::from_micros(100) };
        let intended = Delay::from_millis(1);
        assert_eq!(errors(intended, &samples), Some(expected));
        assert_eq!(errors(intended, &samples[3..]), None);
    }

    #[test]
    fn idle_paths_have_targets_and_loaded_ones_stand_beside() {
        let errors = |p50, p99| Errors { p50: Span::from_micros(p50), p99: Span::from_micros(p99) };
        let path = Path { millis: 1, idle: vec![errors(60, 600)], loaded: vec![errors(90, 900)], reached: vec![LOAD] };
        let rows = summarise("netem", &[path, Path::default()]);
        assert_eq!(rows[0].what, "netem, 1 ms: one-way |error| p50, beside the same under 1.00 Gbit/s");
        assert_eq!(rows[0].compared(), Some(-30.0));
        let verdicts: Vec<Verdict> = rows[..4].iter().map(Row::verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::NotMet, Verdict::NotMeasured, Verdict::NotMeasured]);
    }
}
