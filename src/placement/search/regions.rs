//! Regions: nodes that lie close together become one, so that it is decided first what goes to which region.

use super::terrain::is_small;
use crate::placement::problem::{Draft, Host, ServiceIndex};
use crate::placement::scheduling::Cluster;
use crate::placement::{Placement, Problem};
use crate::topology::NodeIndex;
use crate::units::Delay;

/// From how many nodes on there are regions.
const FEWEST: usize = 6;

/// By what factor distances within regions have to fall with one region more for this to be their number.
const STEEP: f64 = 2.0;

/// Which part of a region's room there is for services, as a node is never filled to the last bit by what cannot be divided: in small
/// problems so many percent, in large ones all but that share of what a service asks for in the mean, in each node.
const SMALL_PERCENT: u64 = 97;
const GRAIN: f64 = 0.3;

/// A problem whose nodes are regions, and which region each node is in.
#[derive(Debug)]
pub(super) struct Regions {
    pub(super) problem: Problem,
    of: Vec<usize>,
    /// Whether they lie apart: where distances fall nowhere, some nodes are nearer than others, and that is all.
    pub(super) lie_apart: bool,
}

impl Regions {
    /// As many regions as there seem to be. `None` where there are few nodes. Services that are bound to some nodes are
    /// bound to the regions of these.
    pub(super) fn new(problem: &Problem) -> Option<Self> {
        let nodes = problem.hosts().len();
        if nodes < FEWEST {
            return None;
        }
        let (centres, lie_apart) = centres(problem);
        let of = nearest(problem, &centres);
        let problem = Problem::new(merged(problem, &of)).ok()?;
        Some(Self { problem, of, lie_apart })
    }

    /// The nodes of each region.
    pub(super) fn groups(&self) -> Vec<Vec<NodeIndex>> {
        let mut groups = vec![Vec::new(); self.problem.hosts().len()];
        self.of.iter().enumerate().for_each(|(node, region)| groups[*region].push(node));
        groups
    }

    /// The region of every service's node.
    pub(super) fn up(&self, placement: &Placement) -> Placement {
        Placement::new(placement.nodes().iter().map(|node| self.of[*node]).collect())
    }

    /// A placement within the regions that `chosen` gives services: who is in its region in `base` stays on its node; of the others
    /// those that talk the most to what is placed come next, and go to the nearest node with room, in their region as long as there
    /// is any.
    pub(super) fn grow(&self, problem: &Problem, chosen: &Placement, base: Option<&Placement>) -> Placement {
        let mut cluster = Cluster::empty(problem);
        for (service, node) in base.into_iter().flat_map(Placement::iter) {
            if self.of[node] == chosen.node(service) {
                cluster.put(service, node);
            }
        }
        let new: Vec<ServiceIndex> =
            by_pull(problem).into_iter().filter(|service| cluster.node(*service).is_none()).collect();
        for service in new {
            let row = row(&cluster, service);
            let candidates = cluster.candidates(service);
            let load = |node: NodeIndex| cluster.loads().asked(node).first().copied().unwrap_or(0);
            let key =
                |node: &NodeIndex| (self.of[*node] != chosen.node(service), row[*node], std::cmp::Reverse(load(*node)));
            let best = candidates.into_iter().min_by(|one, other| {
                let (one, other) = (key(one), key(other));
                one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2))
            });
            let node = best.unwrap_or_else(|| cluster.least_bad(service));
            cluster.put(service, node);
        }
        cluster.complete().unwrap_or_else(|| crate::placement::start(problem))
    }
}

/// The traffic of a service with those that are placed, by node.
fn row(cluster: &Cluster<'_>, service: ServiceIndex) -> Vec<f64> {
    let problem = cluster.problem();
    let mut row = vec![0.0; problem.hosts().len()];
    for link in problem.links(service) {
        if let Some(node) = cluster.node(link.peer) {
            let delays = problem.delays_to(node).iter().zip(problem.delays_from(node));
            row.iter_mut().zip(delays).for_each(|(cost, (to, from))| *cost += link.there * to + link.back * from);
        }
    }
    row
}

/// Services so that each has as much traffic as can be with those before.
fn by_pull(problem: &Problem) -> Vec<ServiceIndex> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates, and is only an order.
    let whole = |kilobytes: f64| (kilobytes * 1000.0) as u64;
    let services = problem.services().len();
    let mut pull = vec![0u64; services];
    let total = |service| problem.links(service).iter().map(|link| whole(link.there + link.back)).sum::<u64>();
    let mut heap: std::collections::BinaryHeap<(u64, u64, std::cmp::Reverse<ServiceIndex>)> =
        (0..services).map(|service| (0, total(service), std::cmp::Reverse(service))).collect();
    let (mut order, mut had) = (Vec::with_capacity(services), vec![false; services]);
    while let Some((_, _, std::cmp::Reverse(service))) = heap.pop() {
        if std::mem::replace(&mut had[service], true) {
            continue;
        }
        order.push(service);
        for link in problem.links(service).iter().filter(|link| !had[link.peer]) {
            pull[link.peer] = pull[link.peer].saturating_add(whole(link.there + link.back));
            heap.push((pull[link.peer], 0, std::cmp::Reverse(link.peer)));
        }
    }
    order
}

fn distance(problem: &Problem, one: NodeIndex, other: NodeIndex) -> f64 {
    problem.delay_ms(one, other) + problem.delay_ms(other, one)
}

/// Nodes each of which is as far as can be from those before: about as many as each has nodes around it, more or fewer where that
/// is where distances fall the most, as with regions that lie apart; and whether they do.
fn centres(problem: &Problem) -> (Vec<NodeIndex>, bool) {
    let usual = problem.hosts().len().isqrt();
    let (fewest, most) = ((usual / 2).max(2), (3 * usual).min(problem.hosts().len() / 2));
    let mut centres = vec![0];
    let mut nearest: Vec<f64> = (0..problem.hosts().len()).map(|node| distance(problem, node, 0)).collect();
    let (mut chosen, mut steepest, mut before) = (usual, STEEP, f64::INFINITY);
    let mut lie_apart = false;
    while centres.len() <= most {
        let Some(next) = (0..nearest.len()).max_by(|one, other| nearest[*one].total_cmp(&nearest[*other])) else {
            break;
        };
        // With this many centres, so far is the farthest node from the nearest of them.
        let radius = nearest[next];
        if centres.len() >= fewest && before > radius * steepest {
            (chosen, steepest) = (centres.len(), if radius > 0.0 { before / radius } else { f64::INFINITY });
            lie_apart = true;
        }
        before = radius;
        centres.push(next);
        for (node, nearest) in nearest.iter_mut().enumerate() {
            *nearest = nearest.min(distance(problem, node, next));
        }
    }
    centres.truncate(chosen);
    (centres, lie_apart)
}

fn nearest(problem: &Problem, centres: &[NodeIndex]) -> Vec<usize> {
    let closest = |node: NodeIndex| {
        let by = |one: &usize, other: &usize| {
            distance(problem, node, centres[*one]).total_cmp(&distance(problem, node, centres[*other]))
        };
        (0..centres.len()).min_by(by).unwrap_or(0)
    };
    (0..problem.hosts().len()).map(closest).collect()
}

fn merged(problem: &Problem, of: &[usize]) -> Draft {
    let count = of.iter().max().map_or(0, |most| most + 1);
    let mut hosts: Vec<Host> = Vec::new();
    for region in 0..count {
        let members = (0..of.len()).filter(|node| of[*node] == region);
        let sum = |place: usize| members.clone().map(|node| fillable(problem, node, place)).sum::<u64>();
        let capacity: Vec<u64> = (0..problem.resources().len()).map(sum).collect();
        hosts.push(Host {
            name: crate::topology::NodeName::numbered(region + 1),
            used: vec![0; capacity.len()],
            capacity,
        });
    }
    let mut delays = Vec::with_capacity(count * count);
    for (from, to) in (0..count * count).map(|place| (place / count, place % count)) {
        let mut sum = (0.0, 0.0f64);
        for one in (0..of.len()).filter(|node| of[*node] == from) {
            for other in (0..of.len()).filter(|node| of[*node] == to) {
                sum = (sum.0 + problem.delay_ms(one, other), sum.1 + 1.0);
            }
        }
        let mean = if from == to { 0.0 } else { sum.0 / sum.1.max(1.0) };
        delays.push(Delay::from_millis_f64(mean).unwrap_or(Delay::ZERO));
    }
    let mut services = problem.services().to_vec();
    for service in &mut services {
        service.current = None;
        if let Some(allowed) = &mut service.allowed {
            for node in allowed.iter_mut() {
                *node = of[*node];
            }
            allowed.sort_unstable();
            allowed.dedup();
        }
    }
    Draft {
        hosts,
        delays,
        services,
        edges: problem.edges().to_vec(),
        resources: problem.resources().to_vec(),
        weights: problem.draft().weights,
        objective: *problem.objective(),
    }
}

/// How much of a resource a node has for services that cannot be divided.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A part of a whole number.
fn fillable(problem: &Problem, node: NodeIndex, place: usize) -> u64 {
    let free = problem.free(node)[place];
    let services = problem.services().len();
    if is_small(problem) {
        return free / 100 * SMALL_PERCENT;
    }
    let asked: f64 = (0..services).map(|service| problem.demand(service)[place] as f64).sum();
    (free as f64 - GRAIN * asked / services as f64).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::dice::unit_interval;
    use crate::placement::generate::{Shape, generate};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn problem(nodes: usize, seed: u64) -> Problem {
        let shape = Shape { services: 60, nodes, application: 20, edges: 1.3, fill: 0.6 };
        Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(seed))).expect("a problem")
    }

    /// Nodes that lie in regions of eight, every eighth or so of one region: 1 to 40 ms apart, half a millisecond within.
    #[test]
    fn regions_that_lie_apart_are_found() {
        for (nodes, count) in [(40, 5), (64, 8), (100, 13)] {
            let regions = Regions::new(&problem(nodes, 1)).expect("regions");
            let same = |one: usize, other: usize| regions.of[one] == regions.of[other];
            let apart = (0..nodes).filter(|node| !same(*node, node % count)).count();
            assert!(apart == 0 && regions.problem.hosts().len() == count, "{nodes} nodes: {:?}", regions.of);
            assert!(regions.lie_apart);
        }
    }

    /// 2 to 32 ms between any two nodes, by lot: some are nearer than others, and none lie apart.
    #[test]
    fn nodes_by_lot_lie_in_no_regions() {
        let shape = Shape { services: 200, nodes: 40, application: 20, edges: 1.3, fill: 0.6 };
        for seed in 1..=5 {
            let mut stream = ChaCha8Rng::seed_from_u64(seed);
            let mut draft = generate(shape, &mut stream);
            for (place, delay) in draft.delays.iter_mut().enumerate() {
                let ms = if place / 40 == place % 40 { 0.0 } else { 2.0 + 30.0 * unit_interval(&mut stream) };
                *delay = Delay::from_millis_f64(ms).expect("a delay");
            }
            let regions = Regions::new(&Problem::new(draft).expect("a problem")).expect("some");
            assert!(!regions.lie_apart, "{:?}", regions.of);
        }
    }

    /// Who is in its region stays where it is, and who is not goes there.
    #[test]
    fn growing_moves_those_alone_that_are_in_another_region() {
        let problem = problem(40, 2);
        let regions = Regions::new(&problem).expect("regions");
        let base = Placement::new((0..60).map(|service| service % 40).collect());
        let mut chosen = regions.up(&base);
        let elsewhere = (chosen.node(7) + 1) % regions.problem.hosts().len();
        chosen.set(7, elsewhere);
        let grown = regions.grow(&problem, &chosen, Some(&base));
        let moved: Vec<ServiceIndex> = (0..60).filter(|service| grown.node(*service) != base.node(*service)).collect();
        assert_eq!(moved, [7]);
        assert_eq!(regions.up(&grown), chosen);
    }
}
