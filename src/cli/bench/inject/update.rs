//! What becomes of a stream of packets while the delays of 1,000 destinations change again and again.

use std::time::{Duration, Instant};

use super::batch::{self, Leaves};
use super::rows::{self, Destination, SHORTEST, Shape, destinations};
use super::tc;
use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::stream::{Flow, Stream};
use crate::cli::bench::ground::{BenchLab, Ground, asking_for, uniform};
use crate::units::{Delay, Span};

const NAME: &str = "update";

/// All delays differ, and each change changes all of them.
const SHAPE: Shape = Shape { destinations: 1_000, delays: 1_000 };
/// How much longer every second set of delays is. None of its delays is one of the first set, so that all change.
const LONGER: Span = Span::from_micros(5_025);
/// Packets per second from the first node to the second.
const RATE: u32 = 10_000;
/// A packet that takes less was not delayed at all, or not by a delay of either set.
const LEAST: Span = Span::from_nanos(SHORTEST.as_nanos() / 2);

/// One stream and the changes during it.
#[derive(Debug, Clone)]
struct Changes {
    stream: Stream,
    times: Vec<Duration>,
}

/// The three ways to change.
#[derive(Debug, Default)]
struct Ways {
    ours: Vec<Changes>,
    change: Vec<Changes>,
    rebuild: Vec<Changes>,
}

/// Sends while longhaul changes delays, and while tc does.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let mut lab = ground.lab(NAME, uniform(2, Delay::ZERO)?)?;
    let sets = [Span::ZERO, LONGER].map(|longer| destinations(lab.address(1), SHAPE, longer));
    let backend = asking_for(ground.chosen());
    let beside = tc::available() && ground.has_netem();
    let mut ways = Ways::default();
    for _ in ground.repetitions("changes under packets") {
        let set = |lab: &mut BenchLab, all: &[Destination]| {
            let row = rows::row(all);
            let clock = Instant::now();
            lab.apply_row(0, row, backend)?;
            Ok(clock.elapsed())
        };
        set(&mut lab, &sets[0])?;
        ways.ours.push(changes(ground, &mut lab, &sets, set)?);
        lab.clear()?;
        if beside {
            tc::batch(&lab, batch::root(&sets[0], Leaves::Netem))?;
            ways.change.push(changes(ground, &mut lab, &sets, |lab, all| tc::batch(lab, batch::change(all)))?);
            ways.rebuild.push(changes(ground, &mut lab, &sets, |lab, all| tc::batch(lab, batch::rebuild(all)))?);
            tc::remove_root(&lab)?;
        }
    }
    lab.stop()?;
    Ok(summarise(&ways))
}

/// Sends a stream and sets one set of delays after the other until all is sent.
fn changes(
    ground: &Ground<'_>,
    lab: &mut BenchLab,
    sets: &[Vec<Destination>; 2],
    set: impl Fn(&mut BenchLab, &[Destination]) -> anyhow::Result<Duration>,
) -> anyhow::Result<Changes> {
    let flow = Flow::start(lab, RATE, 3 * ground.effort.stream, LEAST)?;
    let mut times = Vec::new();
    while !flow.is_sent() {
        times.push(set(lab, &sets[(times.len() + 1) % 2])?);
    }
    // The last change may have come after the last packet; it is counted nevertheless, as one of many.
    Ok(Changes { stream: flow.finish()?, times })
}

fn summarise(ways: &Ways) -> Vec<Row> {
    let ours = &ways.ours;
    let (sent, times) = (ours.first().map_or(0, |one| one.stream.sent), counts(ours));
    let what = format!("lost of {sent} while {} delays change {times} times", SHAPE.delays);
    let mut rows = vec![
        Row::new(NAME, what, packets(ours, LOST)).reaching(Target::at_most(0.0)),
        Row::new(NAME, "not delayed", packets(ours, EARLY)).reaching(Target::at_most(0.0)),
        Row::new(NAME, "out of order, as every second change shrinks delays", packets(ours, REORDERED)),
        Row::new(NAME, "one change of all delays", middle_times(ours)),
    ];
    for (name, peer) in [("tc -batch of qdisc change", &ways.change), ("tc -batch rebuilding the root", &ways.rebuild)]
    {
        if peer.is_empty() {
            let why_not = if tc::available() { super::NO_NETEM } else { tc::MISSING };
            rows.push(Row::not_measured(NAME, format!("beside {name}"), why_not));
            continue;
        }
        let row = |what: &str, pick| {
            Row::new(NAME, format!("  {what}"), packets(ours, pick)).beside(Relation::Difference, packets(peer, pick))
        };
        let lost = row("", LOST);
        rows.push(Row { what: format!("lost beside {name} ({} changes)", counts(peer)), ..lost });
        rows.push(row("not delayed", EARLY));
        rows.push(row("out of order", REORDERED));
        let times = Row::new(NAME, "  one change", middle_times(ours));
        rows.push(times.beside(Relation::Speedup, middle_times(peer)));
    }
    rows
}

const LOST: fn(&Stream) -> u32 = |stream| stream.lost;
const EARLY: fn(&Stream) -> u32 = |stream| stream.early;
const REORDERED: fn(&Stream) -> u32 = |stream| stream.reordered;

fn packets(all: &[Changes], pick: fn(&Stream) -> u32) -> Option<Series> {
    Series::new(Unit::Packets, all.iter().map(|one| f64::from(pick(&one.stream))))
}

/// The median time of a change in each repetition.
fn middle_times(all: &[Changes]) -> Option<Series> {
    let middle = |one: &Changes| Series::new(Unit::Millis, one.times.iter().map(|time| time.as_secs_f64() * 1e3));
    Series::new(Unit::Millis, all.iter().filter_map(middle).map(|times| times.median()))
}

/// How many changes there were: `12`, or `9–14` where repetitions differ.
fn counts(all: &[Changes]) -> String {
    let count = |one: &Changes| one.times.len();
    let (least, most) = (all.iter().map(count).min().unwrap_or(0), all.iter().map(count).max().unwrap_or(0));
    if least == most { least.to_string() } else { format!("{least}–{most}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::bench::figures::Verdict;

    fn changes(lost: u32, millis: &[u64]) -> Changes {
        let stream = Stream { sent: 3_000, rate: 1e4, lost, no_room: 0, reordered: 2, early: 1 };
        Changes { stream, times: millis.iter().map(|one| Duration::from_millis(*one)).collect() }
    }

    #[test]
    fn changes_become_rows() {
        let ways = Ways {
            ours: vec![changes(0, &[8, 10, 30]), changes(0, &[10])],
            change: vec![changes(0, &[20, 20]), changes(0, &[20, 20])],
            rebuild: vec![],
        };
        let rows = summarise(&ways);
        let texts: Vec<&str> = rows.iter().map(|row| row.what.as_str()).collect();
        assert_eq!(texts[0], "lost of 3000 while 1000 delays change 1–3 times");
        assert_eq!(texts[4], "lost beside tc -batch of qdisc change (2 changes)");
        assert_eq!([rows[0].verdict(), rows[1].verdict()], [Verdict::Met, Verdict::NotMet]);
        assert_eq!(rows[7].compared(), Some(2.0));
        assert_eq!(rows[8].verdict(), Verdict::NotMeasured);
    }
}
