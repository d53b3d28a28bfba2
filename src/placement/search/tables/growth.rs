//! Growing on tables: one slow course of falling temperatures, on which what is together is merged anew again and again.
//!
//! A service that talks much to another cannot leave it when it is cold, and both have to be taken elsewhere as one; but what is
//! merged once and for all cannot come apart. So which parts move as one is drawn at every step of the course, as clusters are in
//! Swendsen and Wang 1987, <https://doi.org/10.1103/PhysRevLett.58.86>: by lot along the ties between services on one node, the
//! likelier the more is said there. Other than there no bond is left out when it is hot, and how large parts may get is by lot: on the
//! problems of `bench place` bonds by temperature came to more in the same time.
//!
//! Where nodes have prices until it is cold ([`gibbs`](super::gibbs)) a step takes a third of the time, and what one graph of everything
//! comes to is 2 % less; applications that have to fit into nodes that are nearly full come to more.

use super::anneal::patience;
use super::gibbs::Prices;
use super::graph::Graph;
use super::levels::Level;
use super::sites::Sites;
use super::tableau::Tableau;
use crate::placement::search::anneal::Course;
use crate::placement::search::ground::Lots;
use crate::placement::search::scales::Spent;

/// How many trials lie between two mergers, for each service; with prices, for each part. And which part of all steps at least is
/// without, in the end.
const STEP: u64 = 7;
const PRICED_STEP: u64 = 3;
const UNPRICED: u64 = 10;

/// Which part of what taking a service to any node costs temperatures begin and end at.
const HOTTEST: f64 = 0.5;
const COLDEST: f64 = 8e-3;

/// What part of a node the largest part of a step may fill at least, in percent.
const LEAST: f64 = 3.0;

/// How something is grown.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Growth {
    /// On how many trials, about.
    pub(in super::super) trials: u64,
    /// How much of a node the largest part fills at most, in percent.
    pub(in super::super) largest: f64,
    /// Whether nodes have prices, and may be overfull, until it is cold.
    pub(in super::super) priced: bool,
}

/// From which temperature to which, and what taking a service to any node costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fall {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) typical: f64,
}

impl Fall {
    /// From where anything goes anywhere to where hardly anything moves.
    pub(super) fn whole(begun: &Tableau<'_>, lots: &mut Lots) -> Self {
        let typical = begun.typical(lots);
        Self { from: typical * HOTTEST, to: typical * COLDEST, typical }
    }
}

/// A placement from nothing. `None` where nothing is found that everything fits in.
pub(in super::super) fn grown<'a>(
    (graph, sites): (&'a Graph, &'a Sites),
    growth: Growth,
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Option<Tableau<'a>> {
    let at = packed(graph, sites)?;
    let fall = Fall::whole(&Tableau::new(graph, sites, at.clone()), lots);
    Some(regrown((graph, sites), growth, (at, fall), spent, lots))
}

/// What a placement that fits comes to on one course.
pub(super) fn regrown<'a>(
    (graph, sites): (&'a Graph, &'a Sites),
    growth: Growth,
    (at, fall): (Vec<u32>, Fall),
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Tableau<'a> {
    let priced = if growth.priced { Prices::new(sites) } else { None };
    let found = priced
        .and_then(|prices| cooled((graph, sites), (growth, Some(prices)), (at.clone(), fall), spent, lots))
        .or_else(|| cooled((graph, sites), (growth, None), (at.clone(), fall), spent, lots));
    Tableau::new(graph, sites, found.unwrap_or(at))
}

/// What a placement comes to on one course. `None` where it cannot be made to fit any more after there were prices.
fn cooled(
    (graph, sites): (&Graph, &Sites),
    (growth, mut prices): (Growth, Option<Prices>),
    (mut at, fall): (Vec<u32>, Fall),
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Option<Vec<u32>> {
    let step = if prices.is_some() { PRICED_STEP } else { STEP };
    let steps = growth.trials / (step * graph.services as u64).max(1) + 1;
    let each = (growth.trials / steps).max(1);
    let mut from = fall.from;
    let factor = libm::pow(fall.to / fall.from, 1.0 / steps as f64);
    for left in (0..steps).rev() {
        if left <= steps / UNPRICED && prices.take().is_some() {
            at = relieved(graph, sites, at)?;
        }
        if from <= 0.0 || (spent.time_up)() {
            break;
        }
        let course = Course { trials: each, from, to: from * factor };
        at = if left > 0 {
            let percent = LEAST * libm::pow(growth.largest / LEAST, lots.unit());
            let level = merged(graph, &at, &sites.share(percent), lots);
            let tableau = Tableau::new(&level.graph, sites, level.up(&at));
            level.down(&stepped(tableau, course, prices.as_mut(), spent, lots).0)
        } else {
            // In the end every service is for itself.
            stepped(Tableau::new(graph, sites, at), course, prices.as_mut(), spent, lots).1
        };
        from *= factor;
    }
    if prices.is_some() {
        at = relieved(graph, sites, at)?;
    }
    Some(at)
}

/// Where a step comes to, and what was best on the way; with prices, the same.
fn stepped(
    mut tableau: Tableau<'_>,
    course: Course,
    prices: Option<&mut Prices>,
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> (Vec<u32>, Vec<u32>) {
    let Some(prices) = prices else {
        let (tried, best) = tableau.anneal(course, lots, spent.time_up);
        spent.trials += tried;
        return (tableau.at, best);
    };
    let course = Course { trials: PRICED_STEP * tableau.graph.talkers.len() as u64, ..course };
    spent.trials += tableau.sample(course, prices, lots, spent.time_up);
    (tableau.at.clone(), tableau.at)
}

/// A placement with no node overfull; `None` where none is found.
fn relieved(graph: &Graph, sites: &Sites, at: Vec<u32>) -> Option<Vec<u32>> {
    let mut tableau = Tableau::new(graph, sites, at);
    tableau.relieve().then_some(tableau.at)
}

/// The largest services first, each to the node with the most room of those that it may go to. `None` where that does not fit.
pub(super) fn packed(graph: &Graph, sites: &Sites) -> Option<Vec<u32>> {
    let Ok(count) = u32::try_from(sites.count) else { return None };
    let mut room = sites.free.clone();
    let mut order: Vec<u32> = (0..).take(graph.services).collect();
    order.sort_by_key(|service| std::cmp::Reverse(graph.demand(*service).iter().max().copied()));
    let mut at = vec![0; graph.services];
    for service in order {
        let asked = graph.demand(service);
        let left = |node: u32| &room[node as usize * sites.kinds..(node as usize + 1) * sites.kinds];
        let fits = |node: &u32| {
            graph.allows(service, *node) && asked.iter().zip(left(*node)).all(|(asked, left)| asked <= left)
        };
        let node = (0..count).filter(fits).max_by_key(|node| left(*node).first().copied())?;
        let first = node as usize * sites.kinds;
        room[first..first + sites.kinds].iter_mut().zip(asked).for_each(|(left, asked)| *left -= asked);
        at[service as usize] = node;
    }
    Some(at)
}

/// Services on one node that talk merged by lot, those with much traffic most likely first, to parts that ask for no more than `most`.
pub(super) fn merged(graph: &Graph, at: &[u32], most: &[i64], lots: &mut Lots) -> Level {
    let mut parts = Parts::new(graph);
    for (one, other) in bonds(graph, at, lots) {
        parts.join(one, other, (graph, most));
    }
    let (part_of, count) = parts.numbered();
    Level::new(graph, part_of, count)
}

/// Services that talk merged where they agree on that, to parts that ask for no more than `most`.
pub(super) fn together(graph: &Graph, agree: impl Fn(u32, u32) -> bool, most: &[i64]) -> Level {
    let mut parts = Parts::new(graph);
    for pair in graph.pairs().iter().filter(|pair| agree(pair.ends.0, pair.ends.1)) {
        parts.join(pair.ends.0, pair.ends.1, (graph, most));
    }
    let (part_of, count) = parts.numbered();
    Level::new(graph, part_of, count)
}

/// The ends of all ties between services on one node, ordered by when something comes first that comes as often as there is traffic.
fn bonds(graph: &Graph, at: &[u32], lots: &mut Lots) -> Vec<(u32, u32)> {
    let pairs = graph.pairs();
    // Numbers that are not negative are in the order of their bits; sorting numbers is several times as fast as sorting ties.
    let (mut keys, mut count) = (vec![0; pairs.len()], 0);
    for (number, pair) in (0u64..).zip(pairs) {
        // No branch, which nobody could guess: the next takes the place of one that is not together.
        let when = patience(lots.word()) * pair.per_traffic;
        keys[count] = (u64::from(when.to_bits()) << 32) | number;
        count += usize::from(at[pair.ends.0 as usize] == at[pair.ends.1 as usize]);
    }
    let keys = &mut keys[..count];
    keys.sort_unstable();
    keys.iter().map(|key| pairs[(key & 0xFFFF_FFFF) as usize].ends).collect()
}

/// Services as they are joined: of each part, one service stands for all.
struct Parts {
    /// One nearer to whoever stands for the part.
    next: Vec<u32>,
    /// What parts ask for, by who stands for them, and resource.
    asked: Vec<i64>,
    kinds: usize,
}

#[allow(clippy::cast_possible_truncation)] // There are fewer than 2^32 services.
impl Parts {
    fn new(graph: &Graph) -> Self {
        let services = 0..graph.services as u32;
        let asked: Vec<i64> = services.clone().flat_map(|service| graph.demand(service)).copied().collect();
        Self { next: services.collect(), kinds: asked.len() / graph.services.max(1), asked }
    }

    fn whole(&mut self, service: u32) -> u32 {
        let mut one = service;
        while self.next[one as usize] != one {
            self.next[one as usize] = self.next[self.next[one as usize] as usize];
            one = self.next[one as usize];
        }
        one
    }

    /// Joins the parts of two services, unless these may not go to the same nodes or are too much together.
    fn join(&mut self, one: u32, other: u32, (graph, most): (&Graph, &[i64])) {
        let (one, other) = (self.whole(one), self.whole(other));
        if one == other || graph.class(one) != graph.class(other) {
            return;
        }
        let (first, second) = (one as usize * self.kinds, other as usize * self.kinds);
        let both = |kind: usize| self.asked[first + kind].saturating_add(self.asked[second + kind]);
        if (0..self.kinds).all(|kind| both(kind) <= most[kind]) {
            for kind in 0..self.kinds {
                self.asked[first + kind] = self.asked[first + kind].saturating_add(self.asked[second + kind]);
            }
            self.next[other as usize] = one;
        }
    }

    /// The number of each service's part, and how many there are.
    fn numbered(mut self) -> (Vec<u32>, usize) {
        let mut number = vec![u32::MAX; self.next.len()];
        let (mut part_of, mut parts) = (Vec::with_capacity(number.len()), 0);
        for service in 0..number.len() as u32 {
            let whole = self.whole(service) as usize;
            if number[whole] == u32::MAX {
                number[whole] = parts;
                parts += 1;
            }
            part_of.push(number[whole]);
        }
        (part_of, parts as usize)
    }
}
