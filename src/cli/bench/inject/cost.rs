//! What a packet pays for standing in a row of 1,000 destinations instead of alone, and what it pays in tc's root layout.

use std::time::Duration;

use super::batch::{self, Leaves};
use super::rows::{self, Destination, SHORTEST, Shape, destinations};
use super::slices::{self, Slice};
use super::tc;
use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::iperf::{self, gigabits, raise_buffers, transfer};
use crate::cli::bench::ground::{BenchLab, Ground, asking_for, uniform};
use crate::measure::percentile;
use crate::units::{Delay, Rtt, Span};

const NAME: &str = "cost";

const FEW: Shape = Shape { destinations: 1, delays: 1 };
/// All with one delay: then the path to the real destination is the same as alone, but for the search in the list.
const MANY: Shape = Shape { destinations: 1_000, delays: 1 };
/// The window grows for so long before the count begins.
const SETTLE: Duration = Duration::from_secs(1);
/// Pairs of one destination and 1,000 in each repetition: from six on a median has an interval.
const PAIRS: u32 = 8;
/// Between two probes.
const INTERVAL: Span = Span::from_millis(5);

/// What sets the delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Ours(Shape),
    Root(Shape),
}

const LAYOUTS: [Layout; 4] = [Layout::Ours(FEW), Layout::Ours(MANY), Layout::Root(FEW), Layout::Root(MANY)];

/// What was seen with a layout.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    added: Option<f64>,
    gigabits: Option<f64>,
}

/// What can be measured here.
#[derive(Debug, Clone, Copy)]
struct Means {
    tc: bool,
    tcp: bool,
    leaves: Leaves,
}

/// Measures all layouts, next to each other in time, in turning order.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let leaves = if ground.has_netem() { Leaves::Netem } else { Leaves::None };
    let means = Means { tc: tc::available(), tcp: iperf::available(), leaves };
    let mut lab = ground.lab(NAME, uniform(2, SHORTEST)?)?;
    if means.tcp {
        raise_buffers(&lab)?;
    }
    let (mut all, mut turns) = (Vec::new(), Turns::default());
    for repetition in ground.repetitions("what destinations cost") {
        for round in 0..if ground.effort.quick { 1 } else { 2 } {
            let mut sides = [Side::default(); 4];
            let mut order = [0, 1, 2, 3];
            order.rotate_left(((repetition + round) % 4) as usize);
            for at in order {
                sides[at] = side(ground, &mut lab, LAYOUTS[at], means)?;
            }
            all.push(sides);
        }
        turns.take(ground, &mut lab, means.tcp)?;
    }
    lab.stop()?;
    Ok(summarise(&all, &turns, means))
}

/// One destination and 1,000 in turn, more often and for a shorter time than beside tc: pairs that differ by the row alone.
#[derive(Debug, Default)]
struct Turns {
    added: Vec<[f64; 2]>,
    slices: Vec<[Slice; 2]>,
}

impl Turns {
    fn take(&mut self, ground: &Ground<'_>, lab: &mut BenchLab, tcp: bool) -> anyhow::Result<()> {
        let both = [FEW, MANY].map(|shape| destinations(lab.address(1), shape, Span::ZERO));
        for pair in 0..PAIRS {
            let mut added = [None; 2];
            for at in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
                lab.apply_row(0, rows::row(&both[at]), asking_for(ground.chosen()))?;
                added[at] = look(ground, lab, SHORTEST, false)?.added;
            }
            self.added.extend(added[0].zip(added[1]).map(|(few, many)| [few, many]));
        }
        if tcp {
            let pairs = if ground.effort.quick { PAIRS } else { 2 * PAIRS };
            self.slices.extend(slices::take(ground, lab, [&both[0], &both[1]], pairs)?);
        }
        lab.clear()
    }

    /// 1,000 beside one.
    fn row(&self, what: &str, unit: Unit, pick: impl Fn(&Slice) -> Option<f64>) -> Row {
        let pairs: Vec<[f64; 2]> =
            self.slices.iter().filter_map(|[few, many]| Some([pick(few)?, pick(many)?])).collect();
        beside_one(what, unit, Relation::Ratio, &pairs)
    }
}

/// The second of each pair, with the first beside it.
fn beside_one(what: &str, unit: Unit, relation: Relation, pairs: &[[f64; 2]]) -> Row {
    let series = |at: usize| Series::new(unit, pairs.iter().map(|pair| pair[at]));
    Row::new(NAME, what, series(1)).beside(relation, series(0))
}

fn side(ground: &Ground<'_>, lab: &mut BenchLab, layout: Layout, means: Means) -> anyhow::Result<Side> {
    let row = |lab: &BenchLab, shape| destinations(lab.address(1), shape, Span::ZERO);
    match layout {
        Layout::Ours(shape) => {
            let row: Vec<Destination> = row(lab, shape);
            lab.apply_row(0, rows::row(&row), asking_for(ground.chosen()))?;
            let side = look(ground, lab, SHORTEST, means.tcp)?;
            lab.clear()?;
            Ok(side)
        }
        Layout::Root(_) if !means.tc => Ok(Side::default()),
        Layout::Root(shape) => {
            tc::batch(lab, batch::root(&row(lab, shape), means.leaves))?;
            let delay = if means.leaves == Leaves::Netem { SHORTEST } else { Delay::ZERO };
            let side = look(ground, lab, delay, means.tcp)?;
            tc::remove_root(lab)?;
            Ok(side)
        }
    }
}

/// Probes, then a transfer.
fn look(ground: &Ground<'_>, lab: &mut BenchLab, delay: Delay, tcp: bool) -> anyhow::Result<Side> {
    let samples = lab.probe(10 * ground.effort.probes, INTERVAL)?;
    let mut trips: Vec<Rtt> = samples.iter().filter(|one| one.from == 0).filter_map(|one| one.rtt).collect();
    trips.sort_unstable();
    let configured = delay.round_trip(Delay::ZERO);
    let added = percentile(&trips, 50).map(|trip| trip.deviation(configured).as_nanos() as f64 / 1e3);
    let gigabits = if tcp { Some(gigabits(transfer(lab, 0, 1, ground.effort.tcp, SETTLE)?.rate)) } else { None };
    Ok(Side { added, gigabits })
}

fn summarise(all: &[[Side; 4]], turns: &Turns, means: Means) -> Vec<Row> {
    let root = match means.leaves {
        Leaves::Netem => "HTB, netem, u32 on the root by tc",
        Leaves::None => "HTB, u32 on the root by tc, without delay",
    };
    let series = |unit: Unit, at: usize, pick: fn(&Side) -> Option<f64>| {
        Series::new(unit, all.iter().filter_map(|sides| pick(&sides[at])))
    };
    let trip = |at| series(Unit::Micros, at, |side| side.added);
    let tcp = |at| series(Unit::Gigabits, at, |side| side.gigabits);
    let beside_root = |row: Row, relation, series: Option<Series>| match series {
        Some(series) => row.beside(relation, Some(series)),
        None => Row { what: format!("{} ({})", row.what, tc::MISSING), ..row },
    };
    let own = |at: [usize; 2], pick: fn(&Side) -> Option<f64>| {
        all.iter().filter_map(move |sides| Some((pick(&sides[at[1]])?, pick(&sides[at[0]])?)))
    };
    let roots_own = Series::new(Unit::Micros, own([2, 3], |side| side.added).map(|(many, few)| many - few));
    let mut rows = vec![
        beside_root(
            Row::new(NAME, format!("added RTT, 1 destination, beside {root}"), trip(0)),
            Relation::Difference,
            trip(2),
        ),
        beside_root(Row::new(NAME, format!("added RTT, 1,000, beside {root}"), trip(1)), Relation::Difference, trip(3)),
        beside_one("added RTT, 1,000 destinations beside 1", Unit::Micros, Relation::Difference, &turns.added)
            .reaching(Target::difference_at_most(5.0)),
        Row::of_the_machine(NAME, "  the root layout's own 1,000 less its 1", roots_own),
    ];
    if !means.tcp {
        rows.push(Row::not_measured(NAME, "TCP through 10 ms", iperf::MISSING));
        return rows;
    }
    let few = Row::new(NAME, format!("TCP through {SHORTEST}, 1 destination, beside {root}"), tcp(0));
    let many = Row::new(NAME, format!("TCP, 1,000, beside {root}"), tcp(1));
    rows.extend([
        beside_root(few, Relation::Ratio, tcp(2)),
        beside_root(many, Relation::Ratio, tcp(3)),
        turns
            .row("TCP, 1,000 destinations beside 1, slices of one stream", Unit::Gigabits, |slice| Some(slice.gigabits))
            .reaching(Target::ratio_at_least(0.98)),
        turns.row("  processor time of that", Unit::NanosPerKilobyte, |slice| slice.nanos_per_kilobyte),
    ]);
    rows
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::bench::figures::Verdict;

    fn sides(values: [(f64, f64); 4]) -> [Side; 4] {
        values.map(|(added, gigabits)| Side { added: Some(added), gigabits: Some(gigabits) })
    }

    #[test]
    fn many_destinations_stand_beside_one_pair_by_pair() {
        let one = sides([(60.0, 10.0), (63.0, 9.9), (50.0, 10.0), (90.0, 5.0)]);
        let other = sides([(160.0, 5.0), (164.0, 4.9), (150.0, 5.0), (192.0, 2.0)]);
        let means = Means { tc: true, tcp: true, leaves: Leaves::Netem };
        let slice = |gigabits, cost| Slice { gigabits, nanos_per_kilobyte: Some(cost) };
        let turns = Turns {
            added: vec![[60.0, 63.0], [160.0, 164.0]],
            slices: vec![[slice(10.0, 200.0), slice(9.9, 210.0)], [slice(5.0, 400.0), slice(4.9, 380.0)]],
        };
        let rows = summarise(&[one, other], &turns, means);
        let compared: Vec<String> =
            rows.iter().map(|row| format!("{:.3}", row.compared().unwrap_or(f64::NAN))).collect();
        assert_eq!(compared, ["10.000", "-27.500", "3.500", "NaN", "1.000", "2.215", "0.985", "1.000"]);
        assert!((rows[3].plain.as_ref().unwrap().median() - 41.0).abs() < 1e-9);
        assert_eq!([rows[2].verdict(), rows[6].verdict()], [Verdict::Met, Verdict::Met]);
    }

    #[test]
    fn what_is_not_installed_is_named() {
        let side = |added| Side { added, gigabits: None };
        let means = Means { tc: false, tcp: false, leaves: Leaves::None };
        let turns = Turns { added: vec![[60.0, 61.0]], ..Turns::default() };
        let rows = summarise(&[[side(Some(60.0)), side(Some(61.0)), side(None), side(None)]], &turns, means);
        assert!(
            rows[0].what.ends_with("by tc, without delay (tc is not installed (Debian: iproute2))"),
            "{}",
            rows[0].what
        );
        assert_eq!(rows.last().unwrap().problem.as_deref(), Some(iperf::MISSING));
        assert_eq!(rows[2].verdict(), Verdict::Met);
    }
}
