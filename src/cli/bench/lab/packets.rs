//! Small packets through a long path: at given rates, and at the highest rate without loss.

use std::time::Duration;

use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::stream::{Flow, Stream};
use crate::cli::bench::ground::{BenchLab, Ground, uniform};
use crate::units::{Delay, Span};

const NAME: &str = "packets";

/// Each way.
const DELAY: Delay = Delay::from_millis(10);
/// The rates that are always tried, in packets per second.
const RATES: [u32; 2] = [10_000, 50_000];
/// Where the search begins, in packets per second.
const START: u32 = 50_000;
/// How much the rate rises or falls from one trial to the next.
const STEP: f64 = 1.3;
/// The most trials of a search in one direction.
const TRIALS: i32 = 8;
/// Tries at each rate: a sender that was not scheduled for a while says nothing about the path.
const TRIES: u32 = 2;
/// A sender that reaches less of the rate than this is at its own limit.
const PACE: f64 = 0.95;

/// All streams of one repetition on one kind of path.
#[derive(Debug, Clone)]
struct Streams {
    at_rates: Vec<Stream>,
    highest: f64,
    /// By the delay elements.
    dropped: u64,
}

/// Sends with delays and after they were removed.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let mut lab = ground.lab(NAME, uniform(2, DELAY)?)?;
    let (mut delayed, mut bare) = (Vec::new(), Vec::new());
    for _ in ground.repetitions("small packets through 10 ms") {
        lab.apply()?;
        delayed.push(streams(ground, &mut lab)?);
        lab.clear()?;
        bare.push(streams(ground, &mut lab)?);
    }
    lab.stop()?;
    Ok(summarise(&delayed, &bare))
}

fn streams(ground: &Ground<'_>, lab: &mut BenchLab) -> anyhow::Result<Streams> {
    let at_rates =
        RATES.iter().map(|rate| stream(lab, *rate, ground.effort.stream)).collect::<anyhow::Result<Vec<_>>>()?;
    let dropped = lab.dropped()?;
    let highest = search(|rate| stream(lab, rate, ground.effort.trial))?;
    Ok(Streams { at_rates, highest, dropped })
}

/// The highest rate that a trial got through without loss: upwards from the start, or downwards when that is too much.
fn search(mut trial: impl FnMut(u32) -> anyhow::Result<Stream>) -> anyhow::Result<f64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Some ten steps from a small number.
    let rate = |step: i32| (f64::from(START) * STEP.powi(step)) as u32;
    let mut highest = 0.0f64;
    // What was reached without loss, and whether the sender kept its pace; twice if it must be.
    let mut attempt = |wanted: u32| -> anyhow::Result<(f64, bool)> {
        let mut reached = 0.0f64;
        for _ in 0..TRIES {
            let stream = trial(wanted)?;
            if stream.lost == 0 {
                reached = reached.max(stream.rate);
            }
            if reached >= f64::from(wanted) * PACE {
                return Ok((reached, true));
            }
        }
        Ok((reached, false))
    };
    for step in 0..TRIALS {
        let (reached, passed) = attempt(rate(step))?;
        highest = highest.max(reached);
        if !passed {
            break;
        }
    }
    for step in 1..TRIALS {
        if highest > 0.0 {
            break;
        }
        highest = attempt(rate(-step))?.0;
    }
    Ok(highest)
}

fn stream(lab: &BenchLab, rate: u32, length: Duration) -> anyhow::Result<Stream> {
    Flow::start(lab, rate, length, Span::ZERO)?.finish()
}

fn summarise(delayed: &[Streams], bare: &[Streams]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, rate) in RATES.iter().enumerate() {
        let row = |what: &str, pick: fn(&Stream) -> u32| {
            let series =
                |all: &[Streams]| Series::new(Unit::Packets, all.iter().map(|one| f64::from(pick(&one.at_rates[at]))));
            let sent = delayed.first().map_or(0, |one| one.at_rates[at].sent);
            Row::new(NAME, format!("{what} of {sent} at {} k/s", rate / 1_000), series(delayed))
                .beside(Relation::Difference, series(bare))
        };
        rows.push(row("lost", |stream| stream.lost).reaching(Target::at_most(0.0)));
        rows.push(row("out of order", |stream| stream.reordered).reaching(Target::at_most(0.0)));
        rows.push(row("no room at the receiver", |stream| stream.no_room));
    }
    let highest = |all: &[Streams]| Series::new(Unit::KiloPackets, all.iter().map(|one| one.highest / 1e3));
    rows.push(
        Row::new(NAME, "highest rate without loss (best of 2 tries)", highest(delayed))
            .beside(Relation::Ratio, highest(bare))
            .reaching(Target::at_least(50.0)),
    );
    let dropped = Series::new(Unit::Packets, delayed.iter().map(|one| one.dropped as f64));
    rows.push(Row::new(NAME, "dropped by the delay element at 10 and 50 k/s", dropped).reaching(Target::at_most(0.0)));
    rows
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A path that loses everything above `path`, and a sender that reaches at most `sender`.
    fn world(path: f64, sender: f64) -> impl FnMut(u32) -> anyhow::Result<Stream> {
        move |rate| {
            let rate = f64::from(rate).min(sender);
            Ok(Stream { sent: 1_000, rate, lost: u32::from(rate > path), no_room: 0, reordered: 0, early: 0 })
        }
    }

    #[test]
    fn the_search_ends_within_a_step_of_the_limit() {
        for limit in [9_000.0, 30_000.0, 50_000.0, 120_000.0, 250_000.0] {
            let found = search(world(limit, 1e9)).unwrap();
            assert!(found <= limit && found > limit / STEP - 1.0, "{limit}: {found}");
            let found = search(world(1e9, limit)).unwrap();
            assert!(found <= limit && found > limit * 0.7, "sender {limit}: {found}");
        }
        assert!(search(world(10.0, 1e9)).unwrap() < 1e-9);
    }

    #[test]
    fn streams_become_rows() {
        let stream = |lost| Stream { sent: 500, rate: 1e4, lost, no_room: 0, reordered: 0, early: 0 };
        let streams = |lost, highest| Streams { at_rates: vec![stream(0), stream(lost)], highest, dropped: 0 };
        let rows = summarise(&[streams(4, 60_000.0)], &[streams(0, 120_000.0)]);
        let texts: Vec<String> =
            rows.iter().map(|row| format!("{}: {:?} {:?}", row.what, row.compared(), row.verdict())).collect();
        insta::assert_debug_snapshot!(texts, @r#"
        [
            "lost of 500 at 10 k/s: Some(0.0) Met",
            "out of order of 500 at 10 k/s: Some(0.0) Met",
            "no room at the receiver of 500 at 10 k/s: Some(0.0) NoTarget",
            "lost of 500 at 50 k/s: Some(4.0) NotMet",
            "out of order of 500 at 50 k/s: Some(0.0) Met",
            "no room at the receiver of 500 at 50 k/s: Some(0.0) NoTarget",
            "highest rate without loss (best of 2 tries): Some(0.5) Met",
            "dropped by the delay element at 10 and 50 k/s: None Met",
        ]
        "#);
    }
}
