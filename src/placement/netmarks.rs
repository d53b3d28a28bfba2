//! `NetMARKS`: a service goes to the node whose services it exchanges the most with.
//!
//! Two versions: as its authors describe it, for every service and both directions; and as paper 001 compares with, which moves
//! one service and sees only what that one calls. The second is a weak baseline.

use crate::parameters::{Definition, Kind, Value};
use crate::topology::NodeIndex;

use super::kubernetes::Kubernetes;
use super::problem::{Edge, ServiceIndex};
use super::scheduling::{Cluster, Scorer, Ties, schedule};
use super::{Evaluator, Placed, Placement, Placer, Policy, Problem, TimeUp, start};

/// How often all services are looked at.
const ROUNDS: Definition = Definition {
    name: "rounds",
    what: "how often every service that runs already is looked at; 0 leaves them where they are",
    kind: Kind::Count(0, 100),
    default: Value::Count(1),
};

/// As its authors describe it.
pub(super) const POLICY: Policy = Policy {
    name: "netmarks",
    what: "NetMARKS: each service to the node with which it exchanges the most bytes; no look at delays",
    parameters: &[ROUNDS],
    build: |setting| Box::new(NetMarks { rounds: setting.parameters.count(ROUNDS.name) }),
};

/// As paper 001 compares with.
pub(super) const ONE_SERVICE: Policy = Policy {
    name: "netmarks-one",
    what: "NetMARKS as TraDE compares with: only the service that calls the most moves, towards what it calls",
    parameters: &[],
    build: |_| Box::new(OneService),
};

/// Scores nodes by the bytes that a service exchanges with those on them; Kubernetes' default decides among equals.
#[derive(Debug)]
struct Exchanged;

impl Scorer for Exchanged {
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        let mut bytes = vec![0.0; cluster.problem().hosts().len()];
        for edge in cluster.problem().edges() {
            let peer = match edge {
                Edge { from, to, .. } if *from == service => *to,
                Edge { from, to, .. } if *to == service => *from,
                _ => continue,
            };
            if let Some(node) = cluster.node(peer) {
                bytes[node] += edge.request as f64 + edge.response as f64;
            }
        }
        let most = nodes.iter().map(|node| bytes[*node]).fold(0.0, f64::max);
        let spread = Kubernetes.scores(cluster, service, nodes);
        let scaled = |bytes: f64| if most > 0.0 { bytes / most * 100.0 } else { 0.0 };
        // Whole bytes differ by more than this, up to a tenth of a gigabyte.
        nodes.iter().zip(spread).map(|(node, spread)| scaled(bytes[*node]) + spread * 1e-9).collect()
    }
}

/// All services, one after the other.
#[derive(Debug)]
struct NetMarks {
    rounds: u64,
}

impl Placer for NetMarks {
    fn place(&mut self, problem: &Problem, time_up: TimeUp<'_>) -> Placed {
        let mut cluster = Cluster::running(problem);
        let services = problem.services().len();
        let (old, new): (Vec<usize>, Vec<usize>) = (0..services).partition(|service| cluster.node(*service).is_some());
        for service in new {
            schedule(&mut cluster, service, &mut Exchanged, &mut Ties::Lowest);
        }
        for _ in 0..self.rounds {
            for service in old.iter().filter(|_| !time_up()) {
                reschedule(&mut cluster, *service);
            }
        }
        let nodes = (0..services).map(|service| cluster.node(service).unwrap_or(0)).collect();
        Placed { placement: Placement::new(nodes), proven: false, tried: self.rounds, makeshift: 0 }
    }
}

/// Moves a service where more is exchanged, within the limit of moves; it stays among equals.
fn reschedule(cluster: &mut Cluster<'_>, service: ServiceIndex) {
    let Some(home) = cluster.node(service) else { return };
    let problem = cluster.problem();
    let away = |(service, node)| super::evaluator::is_moved(problem, service, node);
    let others = cluster.placed().filter(|(placed, _)| *placed != service);
    let moved = others.filter(|place| away(*place)).count();
    if problem.objective().max_moves.is_some_and(|most| moved >= most) {
        return;
    }
    cluster.take(service);
    let nodes = cluster.candidates(service);
    let scores = Exchanged.scores(cluster, service, &nodes);
    let at_home = nodes.iter().position(|node| *node == home).map(|place| scores[place]);
    cluster.put(service, home);
    let best = scores.iter().copied().fold(0.0, f64::max);
    // Kubernetes' share of the score moves nothing by itself.
    if at_home.is_none_or(|here| best > here + 1e-6) && best >= 1.0 {
        schedule(cluster, service, &mut Exchanged, &mut Ties::Lowest);
    }
}

/// The one that calls the most.
#[derive(Debug)]
struct OneService;

impl Placer for OneService {
    fn place(&mut self, problem: &Problem, _: TimeUp<'_>) -> Placed {
        let start = start(problem);
        let mut called = vec![0.0; problem.services().len()];
        for edge in problem.edges() {
            called[edge.from] += edge.request as f64 + edge.response as f64;
        }
        let target =
            (0..called.len()).max_by(|one, other| called[*one].total_cmp(&called[*other]).then(other.cmp(one)));
        let placement = target.map_or_else(|| start.clone(), |target| towards_callees(problem, &start, target));
        Placed { placement, proven: false, tried: 1, makeshift: 0 }
    }
}

/// The placement with a service on the node whose services it calls the most, if one with room has any.
fn towards_callees(problem: &Problem, start: &Placement, target: ServiceIndex) -> Placement {
    let evaluator = Evaluator::new(problem, start.clone());
    let mut bytes = vec![0.0; problem.hosts().len()];
    for edge in problem.edges().iter().filter(|edge| edge.from == target) {
        bytes[start.node(edge.to)] += edge.request as f64 + edge.response as f64;
    }
    let fits = |node: &NodeIndex| problem.allows(target, *node) && evaluator.fits(target, *node);
    let best = (0..bytes.len()).filter(|node| bytes[*node] > 0.0).filter(fits);
    let best = best.max_by(|one, other| bytes[*one].total_cmp(&bytes[*other]).then(other.cmp(one)));
    let mut placement = start.clone();
    if let Some(node) = best.filter(|_| problem.objective().max_moves != Some(0)) {
        placement.set(target, node);
    }
    placement
}

#[cfg(test)]
mod tests {
    use crate::placement::contract::placed;
    use crate::placement::golden::{SERVICES, social};
    use crate::placement::{Evaluator, Objective};

    #[test]
    fn the_weak_one_moves_one_service_and_the_faithful_one_many() {
        let problem = social(false, 1000, Objective::default());
        let value = |name| Evaluator::new(&problem, placed(name, &[], &problem).placement).valuation();
        let (one, all, none) = (value("netmarks-one"), value("netmarks"), value("stay"));
        assert_eq!((none.moves, one.moves), (0, 1));
        assert!(all.moves > 5 && all.traffic < one.traffic && one.traffic < none.traffic, "{all:?} {one:?} {none:?}");
        // compose-post calls text (2007 KB, on node 15 mod 9) the most.
        let placement = placed("netmarks-one", &[], &problem).placement;
        assert_eq!((SERVICES[0], placement.node(0)), ("compose-post-service", 6));
    }
}
