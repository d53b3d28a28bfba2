//! Cycles on tables, which improve a placement: what is together is merged, and all is annealed anew, from temperatures by lot.

use std::collections::HashMap;

use super::graph::Graph;
use super::levels::{Level, Levels};
use super::parts::recombine;
use super::sites::Sites;
use super::tableau::Tableau;
use crate::placement::search::anneal::Course;
use crate::placement::search::ground::Lots;
use crate::placement::search::scales::Spent;

/// How many trials a cycle has for each service and node; after so many cycles, one more.
const CYCLE: u64 = 2;
const LONGER: u64 = 12;

/// What part of a node merged services may fill in a cycle, in percent.
const PARTS: [f64; 3] = [20.0, 50.0, 100.0];

/// Between which temperatures cycles begin, as shares of what taking a service to any node costs, and which part of it
/// they end at.
const COOLEST: f64 = 1e-5;
const COOLEST_OF_REGIONS: f64 = 1e-4;
const HOTTEST: f64 = 3e-2;
const SPAN: f64 = 0.01;

/// Which part of the cycles on regions begins with heaps that change places; how many trials that has for each heap and node, from
/// which share of what taking a heap to any node costs at most, and to which part of that.
const REHOUSED: f64 = 0.3;
const REHOUSING: u64 = 30;
const REHOUSING_HEAT: f64 = 1.0;
const REHOUSING_SPAN: f64 = 0.01;

/// Cycles until there were `end` trials: of what each comes to, the parts that are better are taken. Where nodes are regions, few that
/// hold much, all of what is in one is moved at once now and then.
pub(super) fn cycles(best: &mut Tableau<'_>, (end, on_regions): (u64, bool), spent: &mut Spent<'_>, lots: &mut Lots) {
    let (graph, sites) = (best.graph, best.sites);
    let size = (graph.services * sites.count) as u64;
    let typical = best.typical(lots);
    let coolest = if on_regions { COOLEST_OF_REGIONS } else { COOLEST };
    let mut done = 0;
    while spent.trials < end && typical > 0.0 && !(spent.time_up)() {
        let before = spent.trials;
        let until = before.saturating_add((CYCLE + done / LONGER).saturating_mul(size)).min(end);
        let from = typical * coolest * libm::pow(HOTTEST / coolest, lots.unit());
        let base = best.at.clone();
        let begun = if on_regions && lots.unit() < REHOUSED {
            rehoused(graph, sites, base.clone(), spent, lots)
        } else {
            base.clone()
        };
        let tableau = cycle((graph, sites), begun, (from, until), spent, lots);
        recombine(best, &base, tableau);
        // One at least: where nothing is tried this has to end too.
        spent.trials = spent.trials.max(before + 1);
        done += 1;
    }
}

/// Where a cycle from a placement and that temperature on comes to when there were `until` trials, about.
fn cycle<'a>(
    (graph, sites): (&'a Graph, &'a Sites),
    begun: Vec<u32>,
    (from, until): (f64, u64),
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Tableau<'a> {
    let part = PARTS[lots.below(PARTS.len())];
    let (levels, merged) = Levels::together(graph, sites, (part, begun), lots);
    let left = until.saturating_sub(spent.trials);
    levels.anneal(merged, Course { trials: left, from, to: from * SPAN }, spent, lots)
}

/// Everything on a node as one heap, and heaps annealed until each is where it had better be: where they lie is beyond what single
/// services, or those that talk, can mend. Every other time it goes on from where the heaps came to last, and not from their best.
pub(super) fn rehoused(
    graph: &Graph,
    sites: &Sites,
    base: Vec<u32>,
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Vec<u32> {
    let heaps = heaped(graph, base.iter().map(|node| (*node, 0)));
    let mut tableau = Tableau::new(&heaps.graph, sites, heaps.up(&base));
    let from = tableau.typical(lots) * REHOUSING_HEAT * lots.unit();
    if from <= 0.0 {
        return base;
    }
    let trials = REHOUSING.saturating_mul((heaps.graph.services * sites.count) as u64);
    let (tried, best) = tableau.anneal(Course { trials, from, to: from * REHOUSING_SPAN }, lots, spent.time_up);
    spent.trials += tried;
    heaps.down(if lots.below(2) == 0 { &tableau.at } else { &best })
}

/// Everything with the same key becomes one, but for what may not go to the same nodes.
pub(super) fn heaped(graph: &Graph, keys: impl Iterator<Item = (u32, u32)>) -> Level {
    let mut heaps: HashMap<((u32, u32), u32), u32> = HashMap::new();
    let mut part_of = Vec::with_capacity(graph.services);
    for (service, key) in (0u32..).zip(keys) {
        let next = u32::try_from(heaps.len()).unwrap_or(u32::MAX);
        part_of.push(*heaps.entry((key, graph.class(service))).or_insert(next));
    }
    Level::new(graph, part_of, heaps.len())
}
