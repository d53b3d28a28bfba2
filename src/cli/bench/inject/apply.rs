//! How long it takes until delays to many destinations are there, beside tc and tcconfig making the same ones.

use std::time::{Duration, Instant};

use super::batch::{self, Detour, Leaves};
use super::rows::{self, Destination, Shape, destinations};
use super::tc;
use super::tcconfig::{self, Doing, Reckoned, Tcset};
use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::{BenchLab, Ground, asking_for, uniform};
use crate::shaping::Backend;
use crate::units::{Delay, Span};

const NAME: &str = "apply";

/// The rows, the last of which the targets are about.
const SHAPES: [Shape; 5] = [
    Shape { destinations: 10, delays: 10 },
    Shape { destinations: 100, delays: 50 },
    Shape { destinations: 100, delays: 100 },
    Shape { destinations: LARGE, delays: 50 },
    Shape { destinations: LARGE, delays: LARGE },
];
/// The row that the targets are about.
const LARGE: usize = 1_000;
/// No call of tcset for one row begins later.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is known of one row.
struct Figures {
    shape: Shape,
    /// Of longhaul: all new, and all there already with the writes that it took.
    fresh: Vec<Duration>,
    again: Vec<(Duration, usize)>,
    /// Of tc: the same objects, and the layout on the root.
    same: Vec<Duration>,
    root: Vec<Duration>,
    tcconfig: Option<Result<Reckoned, String>>,
}

/// What can be measured beside longhaul here, and why not the rest.
struct Peers<'a> {
    tc: bool,
    netem: bool,
    tcset: Option<&'a Tcset>,
}

/// Applies every row, by every tool.
pub(super) fn take(ground: &Ground<'_>, tcset: Option<&Tcset>) -> anyhow::Result<Vec<Row>> {
    let peers = Peers { tc: tc::available(), netem: ground.has_netem(), tcset };
    let mut lab = ground.lab(NAME, uniform(2, Delay::ZERO)?)?;
    let all =
        SHAPES.into_iter().filter(|shape| !ground.effort.quick || shape.destinations != 100 || shape.delays == 100);
    let mut figures: Vec<Figures> = all.map(Figures::new).collect();
    warm_up(ground, &mut lab)?;
    for _ in ground.repetitions("apply rows") {
        for one in &mut figures {
            one.measure(ground, &peers, &mut lab)?;
        }
    }
    for one in &mut figures {
        // Delays that are alike are nothing to tcconfig.
        let worthwhile = one.shape.delays == one.shape.destinations;
        if let Some(tcset) = peers.tcset.filter(|_| peers.tc && worthwhile) {
            ground.say(&format!("apply {} rows with tcconfig, up to three minutes", one.shape.destinations));
            one.tcconfig = Some(beside_tcconfig(ground, tcset, &lab, one.shape).map_err(|error| format!("{error:#}")));
        }
    }
    lab.stop()?;
    Ok(figures.iter().flat_map(|one| one.rows(ground.chosen(), &peers)).collect())
}

/// The agent opens its sockets, and every program is read from the disk.
fn warm_up(ground: &Ground<'_>, lab: &mut BenchLab) -> anyhow::Result<()> {
    let few = destinations(lab.address(1), SHAPES[0], Span::ZERO);
    lab.apply_row(0, rows::row(&few), asking_for(ground.chosen()))?;
    lab.clear()?;
    if tc::available() {
        tc::batch(lab, batch::root(&few, Leaves::None))?;
        tc::remove_root(lab)?;
    }
    Ok(())
}

impl Figures {
    fn new(shape: Shape) -> Self {
        Self { shape, fresh: vec![], again: vec![], same: vec![], root: vec![], tcconfig: None }
    }

    fn measure(&mut self, ground: &Ground<'_>, peers: &Peers<'_>, lab: &mut BenchLab) -> anyhow::Result<()> {
        let all = destinations(lab.address(1), self.shape, Span::ZERO);
        let backend = ground.chosen();
        let mut apply = |row| {
            let clock = Instant::now();
            let writes = lab.apply_row(0, row, asking_for(backend))?;
            anyhow::Ok((clock.elapsed(), writes))
        };
        self.fresh.push(apply(rows::row(&all))?.0);
        self.again.push(apply(rows::row(&all))?);
        lab.clear()?;
        if peers.tc {
            tc::make_device(lab, backend)?;
            self.same.push(tc::batch(lab, batch::detour(&all, detour(ground)))?);
            tc::remove_detour(lab)?;
        }
        if peers.tc && peers.netem {
            self.root.push(tc::batch(lab, batch::root(&all, Leaves::Netem))?);
            tc::expect_netems(lab, all.len())?;
            tc::remove_root(lab)?;
        }
        Ok(())
    }

    fn rows(&self, backend: Backend, peers: &Peers<'_>) -> Vec<Row> {
        let Shape { destinations, delays } = self.shape;
        let what = format!("{destinations} destinations, {delays} delays");
        let fresh = || millis(self.fresh.iter().copied());
        let large = destinations == LARGE;
        let target = |row: Row, target: Target| if large { row.reaching(target) } else { row };
        let beside = |peer: &str, series: Option<Series>, why_not: &str| {
            let what = format!("  beside {peer}");
            match series {
                Some(series) => target(
                    Row::new(NAME, what, fresh()).beside(Relation::Speedup, Some(series)),
                    Target::ratio_at_least(1.0),
                ),
                None => Row::not_measured(NAME, what, why_not),
            }
        };
        let no_tc = if peers.tc { super::NO_NETEM } else { tc::MISSING };
        let same = match backend {
            Backend::Netem => "tc -batch of the same objects",
            Backend::Userspace => "tc -batch of the same addresses' rules, no delays",
        };
        let again = millis(self.again.iter().map(|one| one.0));
        let writes = Series::new(Unit::Writes, self.again.iter().map(|one| one.1 as f64));
        let mut rows = vec![
            target(Row::new(NAME, what, fresh()), Target::at_most(100.0)),
            beside(same, millis(self.same.iter().copied()), tc::MISSING),
            beside("tc -batch of HTB, netem, u32 on the root", millis(self.root.iter().copied()), no_tc),
        ];
        if delays == destinations {
            rows.push(self.beside_tcconfig(fresh(), peers));
        }
        rows.push(Row::new(NAME, "  applied again unchanged", again));
        rows.push(Row::new(NAME, "  writes of that", writes).reaching(Target::at_most(0.0)));
        rows
    }

    fn beside_tcconfig(&self, fresh: Option<Series>, peers: &Peers<'_>) -> Row {
        let why_not = match (&self.tcconfig, peers) {
            (Some(Ok(found)), _) => {
                let row = Row::new(NAME, format!("  beside {}", found.how), fresh)
                    .beside(Relation::Speedup, millis([found.whole]));
                let large = self.shape.destinations == LARGE;
                return if large { row.reaching(Target::ratio_at_least(50.0)) } else { row };
            }
            (Some(Err(problem)), _) => problem,
            (None, Peers { tc: false, .. }) => tc::MISSING,
            (None, _) => tcconfig::MISSING,
        };
        Row::not_measured(NAME, "  beside tcconfig", why_not)
    }
}

/// What tc is to make when it makes the same objects as longhaul.
fn detour(ground: &Ground<'_>) -> Detour {
    match ground.chosen() {
        Backend::Netem => Detour::Netem { named_at_capture: ground.abilities.skbedit.is_present() },
        Backend::Userspace => Detour::Program,
    }
}

/// The faster one of the ways in which tcconfig can be told a row.
fn beside_tcconfig(ground: &Ground<'_>, tcset: &Tcset, lab: &BenchLab, shape: Shape) -> anyhow::Result<Reckoned> {
    let all: Vec<Destination> = destinations(lab.address(1), shape, Span::ZERO);
    tcset.warm_up(lab)?;
    let patience = if ground.effort.quick { PATIENCE / 6 } else { PATIENCE };
    let doing = if ground.has_netem() { Doing::Set } else { Doing::Print };
    let each = tcset.each(lab, &all, doing, patience)?;
    if doing == Doing::Print || each.whole > patience {
        return Ok(each);
    }
    // A file cannot be stopped halfway and calls the same program for every line, so that it is tried only where calls took
    // little enough. What cannot be imported is set by calls.
    let import = tcset.import(lab, &all, 2 * PATIENCE);
    Ok(import.ok().filter(|import| import.whole < each.whole).unwrap_or(each))
}

fn millis(times: impl IntoIterator<Item = Duration>) -> Option<Series> {
    Series::new(Unit::Millis, times.into_iter().map(|time| time.as_secs_f64() * 1e3))
}
