//! What delays to others cost a destination that has none.

use std::time::Duration;

use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::iperf::{self, gigabits, raise_buffers, transfer};
use crate::cli::bench::ground::{BenchLab, Ground, matrix_of, micros};
use crate::measure::{Sample, Tolerance, compare};
use crate::units::{Delay, Span};

const NAME: &str = "unmatched";

/// How many nodes there are; the last one is near to all, the others are far from each other.
const NODES: usize = 9;
const SENDER: usize = 0;
const NEAR: usize = NODES - 1;
const DELAY: Delay = Delay::from_millis(10);

/// Short, so that both sides of a pair see the same machine.
const LENGTH: Duration = Duration::from_secs(1);
const PROBES: u32 = 20;
const INTERVAL: Span = Span::from_millis(2);

/// With and without delays to the others, next to each other in time.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    with: Side,
    without: Side,
}

/// One side of a pair.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    gigabits: Option<f64>,
    round_trip: Option<f64>,
}

/// Measures pairs, the order turned round from one to the next, so that neither drift nor order counts.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let tcp = iperf::available();
    let far = |from: usize, to: usize| if from == NEAR || to == NEAR { Delay::ZERO } else { DELAY };
    let mut lab = ground.lab(NAME, matrix_of(NODES, far)?)?;
    if tcp {
        raise_buffers(&lab)?;
    }
    let mut pairs = Vec::new();
    for repetition in ground.repetitions("unmatched traffic") {
        for round in 0..ground.effort.rounds {
            let mut pair = Pair::default();
            let with_first = (repetition + round) % 2 == 0;
            for with in [with_first, !with_first] {
                if with {
                    lab.apply()?;
                } else {
                    lab.clear()?;
                }
                let side = side(&mut lab, tcp)?;
                *(if with { &mut pair.with } else { &mut pair.without }) = side;
            }
            pairs.push(pair);
        }
    }
    lab.stop()?;
    Ok(summarise(&pairs, tcp))
}

fn side(lab: &mut BenchLab, tcp: bool) -> anyhow::Result<Side> {
    let round_trip = round_trip(lab)?.map(micros);
    let gigabits = if tcp { Some(gigabits(transfer(lab, SENDER, NEAR, LENGTH, Duration::ZERO)?.rate)) } else { None };
    Ok(Side { gigabits, round_trip })
}

/// The median round trip of ICMP echoes from the sender to the near node.
fn round_trip(lab: &mut BenchLab) -> anyhow::Result<Option<Span>> {
    let samples: Vec<Sample> = lab.probe(PROBES, INTERVAL)?;
    let comparison = compare(lab.matrix(), &samples, Tolerance { relative: 0.0, absolute: Span::ZERO });
    let path = comparison.paths.iter().find(|path| (path.from, path.to) == (SENDER, NEAR));
    Ok(path.and_then(|path| path.rtt).map(|rtt| Span::from_nanos(rtt.p50.as_nanos())))
}

fn summarise(pairs: &[Pair], tcp: bool) -> Vec<Row> {
    let series = |unit: Unit, pick: fn(&Side) -> Option<f64>, side: fn(&Pair) -> &Side| {
        Series::new(unit, pairs.iter().filter_map(|pair| pick(side(pair))))
    };
    let row = |what: &str, unit: Unit, relation: Relation, pick: fn(&Side) -> Option<f64>| {
        let plain = series(unit, pick, |pair| &pair.without);
        Row::new(NAME, what, series(unit, pick, |pair| &pair.with)).beside(relation, plain)
    };
    let what = format!("TCP, delays to {} others, {} pairs", NODES - 2, pairs.len());
    let transfers = if tcp {
        row(&what, Unit::Gigabits, Relation::Ratio, |side| side.gigabits).reaching(Target::ratio_at_least(0.99))
    } else {
        Row::not_measured(NAME, what, iperf::MISSING)
    };
    let pings = row("ping round trip p50", Unit::Micros, Relation::Difference, |side| side.round_trip);
    vec![transfers, pings]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::bench::figures::Verdict;

    fn pair(with: f64, without: f64) -> Pair {
        let side = |gigabits| Side { gigabits: Some(gigabits), round_trip: Some(50.0) };
        Pair { with: side(with), without: side(without) }
    }

    #[test]
    fn the_share_is_the_median_of_the_pairs() {
        let rows = summarise(&[pair(9.9, 10.0), pair(4.0, 4.0), pair(7.0, 10.0)], true);
        assert!((rows[0].compared().unwrap() - 0.99).abs() < 1e-9);
        assert_eq!(rows[0].verdict(), Verdict::Met);
        assert_eq!(rows[1].compared(), Some(0.0));
    }

    #[test]
    fn without_iperf3_the_row_says_so_and_pings_remain() {
        let side = Side { gigabits: None, round_trip: Some(50.0) };
        let rows = summarise(&[Pair { with: side, without: side }], false);
        assert_eq!(rows[0].problem.as_deref(), Some("iperf3 is not installed (Debian: iperf3)"));
        assert_eq!(rows[1].verdict(), Verdict::NoTarget);
        assert!(rows[1].longhaul.is_some());
    }
}
