//! [`Joint`]: two services that talk to each other, moved at once: every pair of nodes in a few additions.

use crate::topology::NodeIndex;

use super::evaluator::is_moved;
use super::problem::{Problem, ServiceIndex};
use super::{Cost, Evaluator, Rank, Valuation};

/// What a placement is worth wherever two of its services are, the others staying where they are.
#[derive(Debug)]
pub(super) struct Joint<'a> {
    problem: &'a Problem,
    one: Side,
    other: Side,
    /// Weighted kilobytes from the one to the other, and back.
    traffic: (f64, f64),
    /// By node, what both on it would ask for beyond its capacity, in units.
    excess: Vec<f64>,
    /// What the placement is worth without the two.
    rest: Valuation,
    /// The least traffic cost of the other, wherever it is.
    least: f64,
}

/// What one of the two adds, by node.
#[derive(Debug)]
struct Side {
    service: ServiceIndex,
    traffic: Vec<f64>,
    excess: Vec<f64>,
}

impl Side {
    fn new(evaluator: &Evaluator<'_>, service: ServiceIndex, except: ServiceIndex) -> Self {
        let mut traffic = Vec::new();
        evaluator.traffic_row(service, Some(except), &mut traffic);
        Self { service, traffic, excess: Vec::new() }
    }

    fn moves(&self, problem: &Problem, node: NodeIndex) -> usize {
        usize::from(is_moved(problem, self.service, node))
    }
}

impl<'a> Joint<'a> {
    /// Of two different services.
    pub(super) fn new(evaluator: &Evaluator<'a>, one: ServiceIndex, other: ServiceIndex) -> Self {
        let problem = evaluator.problem();
        let link = problem.links(one).iter().find(|link| link.peer == other);
        let traffic = link.map_or((0.0, 0.0), |link| (link.there, link.back));
        let (mut left, mut right) = (Side::new(evaluator, one, other), Side::new(evaluator, other, one));
        let mut loads = evaluator.loads().clone();
        let (here, there) = (evaluator.node(one), evaluator.node(other));
        let (first, second) = (problem.demand(one), problem.demand(other));
        loads.remove(here, first);
        loads.remove(there, second);
        let both: Vec<u64> = first.iter().zip(second).map(|(first, second)| first.saturating_add(*second)).collect();
        let nodes = problem.hosts().len();
        let added = |demand: &[u64]| (0..nodes).map(|node| loads.excess_added(node, demand)).collect::<Vec<f64>>();
        (left.excess, right.excess) = (added(first), added(second));
        let now = evaluator.valuation();
        let rest = Valuation {
            traffic: Cost::ZERO,
            excess: loads.excess(),
            moves: now.moves - left.moves(problem, here) - right.moves(problem, there),
        };
        let least = right.traffic.iter().copied().fold(f64::INFINITY, f64::min);
        let mut joint = Self { problem, one: left, other: right, traffic, excess: added(&both), rest, least };
        joint.rest.traffic = now.traffic - Cost::from_kb_ms(joint.traffic_at(here, there));
        joint
    }

    fn traffic_at(&self, one: NodeIndex, other: NodeIndex) -> f64 {
        let (there, back) = (self.problem.delay_ms(one, other), self.problem.delay_ms(other, one));
        self.one.traffic[one] + self.other.traffic[other] + self.traffic.0 * there + self.traffic.1 * back
    }

    /// Where the placement stands with the two on these nodes.
    pub(super) fn rank(&self, one: NodeIndex, other: NodeIndex) -> Rank {
        let added = if one == other { self.excess[one] } else { self.one.excess[one] + self.other.excess[other] };
        self.problem.objective().rank(&Valuation {
            traffic: self.rest.traffic + Cost::from_kb_ms(self.traffic_at(one, other)),
            excess: self.rest.excess + added,
            moves: self.rest.moves + self.one.moves(self.problem, one) + self.other.moves(self.problem, other),
        })
    }

    /// Whether no node of the other can make it better than `now` while the one is there. Not always seen.
    pub(super) fn is_hopeless(&self, one: NodeIndex, now: Rank) -> bool {
        let bound = Valuation {
            traffic: self.rest.traffic + Cost::from_kb_ms(self.one.traffic[one] + self.least),
            excess: self.rest.excess,
            moves: self.rest.moves + self.one.moves(self.problem, one),
        };
        !self.problem.allows(self.one.service, one) || !self.problem.objective().rank(&bound).beats(now)
    }

    /// Whether the other may be on a node, room aside.
    pub(super) fn allows_other(&self, node: NodeIndex) -> bool {
        self.problem.allows(self.other.service, node)
    }
}
