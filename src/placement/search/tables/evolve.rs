//! Evolving: a field of placements, each of which is crossed with another, again and again, while the worst are left.
//!
//! What is together in both parents stays together and is annealed as one: what they agree on is most likely right, and what they do
//! not agree on is a problem some ten times smaller (as Sanders and Schulz 2012 combine partitions of graphs).

use super::at_once;
use super::cycles::{cycles, heaped};
use super::graph::Graph;
use super::growth::{Growth, grown};
use super::sites::Sites;
use super::tableau::Tableau;
use crate::placement::UNHEARD;
use crate::placement::search::anneal::Course;
use crate::placement::search::ground::Lots;
use crate::placement::search::scales::Spent;

/// From which share of what taking a part to any node costs parts of two parents are annealed at most, and to which part of that.
const CROSSING_HEAT: f64 = 0.5;
const CROSSING_SPAN: f64 = 0.01;

/// Placements of the same graph that have as little as this of all between their costs count as the same.
const SAME: f64 = 1e-6;

/// By how little of all the best has to get better in how many generations for the end.
const STALL: f64 = 0.002;
const STALLS: usize = 12;

/// How placements evolve. Trials are of all services and nodes together.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Evolution {
    /// How many there are at first, and after each generation has left one, at least.
    pub(in super::super) field: usize,
    pub(in super::super) fewest: usize,
    /// On how many trials each is grown, and improved at first; and each child is improved.
    pub(in super::super) grown: u64,
    pub(in super::super) improved: u64,
    /// What part of a node may move as one while they are grown, in percent.
    pub(in super::super) largest: f64,
    pub(in super::super) child: u64,
    /// On how many trials for each part and node the parts of two parents are annealed.
    pub(in super::super) crossing: u64,
    /// Whether nodes are regions.
    pub(in super::super) on_regions: bool,
}

/// The best placement that there is when there were `end` trials, or when nothing is gained any more. `None` where none is found that
/// everything fits in.
pub(in super::super) fn evolved<'a>(
    (graph, sites): (&'a Graph, &'a Sites),
    (evolution, end): (Evolution, u64),
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Option<Tableau<'a>> {
    let mut field = first((graph, sites), evolution, spent, lots);
    let mut bests = vec![least(&field)];
    while field.len() > 1 && spent.trials < end && !(spent.time_up)() {
        next(&mut field, evolution, spent, lots);
        if field.len() > evolution.fewest {
            let worse = |known: usize, one: usize| if field[one].total > field[known].total { one } else { known };
            field.remove((1..field.len()).fold(0, worse));
        }
        bests.push(least(&field));
        if bests.iter().rev().nth(STALLS).is_some_and(|before| least(&field) > before * (1.0 - STALL)) {
            break;
        }
    }
    field.into_iter().min_by(|one, other| one.total.total_cmp(&other.total))
}

/// Those that are grown, each improved.
fn first<'a>(
    (graph, sites): (&'a Graph, &'a Sites),
    evolution: Evolution,
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Vec<Tableau<'a>> {
    let time_up = spent.time_up;
    let growth = Growth { trials: evolution.grown, largest: evolution.largest, priced: false };
    let grown = at_once(evolution.field, lots, |_, lots| {
        let mut own = Spent { trials: 0, time_up, told: UNHEARD };
        let mut grown = grown((graph, sites), growth, &mut own, lots);
        if let Some(tableau) = &mut grown {
            let end = own.trials.saturating_add(evolution.improved);
            cycles(tableau, (end, evolution.on_regions), &mut own, lots);
        }
        (grown, own.trials)
    });
    spent.trials += grown.iter().map(|(_, trials)| trials).sum::<u64>();
    grown.into_iter().filter_map(|(grown, _)| grown).collect()
}

/// Each has a child with another by lot, and gives way to it if that is better and not what another is already.
fn next(field: &mut [Tableau<'_>], evolution: Evolution, spent: &mut Spent<'_>, lots: &mut Lots) {
    let time_up = spent.time_up;
    let parents = &*field;
    let children = at_once(field.len(), lots, |lane, lots| {
        let mate = (lane + 1 + lots.below(parents.len() - 1)) % parents.len();
        let mut own = Spent { trials: 0, time_up, told: UNHEARD };
        let mut child = crossed((&parents[lane], &parents[mate]), evolution.crossing, &mut own, lots);
        let end = own.trials.saturating_add(evolution.child);
        cycles(&mut child, (end, evolution.on_regions), &mut own, lots);
        (child, own.trials)
    });
    for (place, (child, tried)) in children.into_iter().enumerate() {
        // One at least: where nothing is tried this has to end too.
        spent.trials += tried.max(1);
        let is_new = field.iter().all(|other| (other.total - child.total).abs() > SAME * child.total.abs());
        if is_new && child.total < field[place].total {
            field[place] = child;
        }
    }
}

fn least(field: &[Tableau<'_>]) -> f64 {
    field.iter().map(|tableau| tableau.total).fold(f64::INFINITY, f64::min)
}

/// One parent, with all that is together in both of them annealed as one.
fn crossed<'a>(
    (one, other): (&Tableau<'a>, &Tableau<'a>),
    crossing: u64,
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Tableau<'a> {
    let (graph, sites) = (one.graph, one.sites);
    let heaps = heaped(graph, one.at.iter().copied().zip(other.at.iter().copied()));
    let mut tableau = Tableau::new(&heaps.graph, sites, heaps.up(&one.at));
    let from = tableau.typical(lots) * CROSSING_HEAT * lots.unit();
    if from <= 0.0 {
        return one.clone();
    }
    let trials = crossing.saturating_mul((heaps.graph.services * sites.count) as u64);
    let (tried, best) = tableau.anneal(Course { trials, from, to: from * CROSSING_SPAN }, lots, spent.time_up);
    spent.trials += tried;
    Tableau::new(graph, sites, heaps.down(&best))
}
