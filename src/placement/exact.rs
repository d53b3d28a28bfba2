//! The best placement there is, proved: branch and bound. For small problems, and to know how good the others are.
//!
//! Services are placed one after the other, each next one the one with the most traffic to those placed. What a partial
//! placement costs at least: its own traffic, and for every other service its traffic with those placed on its best node.

use crate::parameters::{Definition, Kind, Value};
use crate::topology::NodeIndex;

use super::evaluator::is_moved;
use super::problem::ServiceIndex;
use super::search::Search;
use super::{
    Cost, Evaluator, Loads, Overload, Placed, Placement, Placer, Policy, Problem, Rank, TimeUp, Told, UNHEARD,
    Valuation,
};

/// When to give up.
const STEPS: Definition = Definition {
    name: "steps",
    what: "how many partial placements are looked at before it gives up and returns the best so far, unproven",
    kind: Kind::Count(1, 1_000_000_000_000),
    default: Value::Count(20_000_000),
};

/// Up to how many services it is tried: it goes as deep as there are services.
const MOST: usize = 500;

/// Branch and bound.
pub(super) const POLICY: Policy = Policy {
    name: "exact",
    what: "branch and bound: the best placement there is, with proof, where the problem is small enough",
    parameters: &[STEPS],
    build: |setting| {
        Box::new(Exact {
            steps: setting.parameters.count(STEPS.name),
            search: Search { effort: 50, kicks: 500, stream: setting.stream },
        })
    },
};

/// Branch and bound, from what a search finds.
#[derive(Debug)]
struct Exact {
    steps: u64,
    search: Search,
}

impl Placer for Exact {
    fn place(&mut self, problem: &Problem, time_up: TimeUp<'_>) -> Placed {
        self.place_telling(problem, time_up, UNHEARD)
    }

    fn place_telling(&mut self, problem: &Problem, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        let found = self.search.place_telling(problem, time_up, told);
        if found.proven { found } else { prove(problem, found.placement, self.steps, time_up) }
    }
}

/// Looks for anything better than a placement; proves that there is nothing where it gets to the end.
pub(super) fn prove(problem: &Problem, placement: Placement, steps: u64, time_up: TimeUp<'_>) -> Placed {
    if placement.len() > MOST {
        return Placed { placement, proven: false, tried: 0, makeshift: 0 };
    }
    let best_rank = Evaluator::new(problem, placement.clone()).rank();
    let mut tree = Tree {
        problem,
        order: order(problem),
        nodes: placement.nodes().to_vec(),
        rows: vec![vec![0.0; problem.hosts().len()]; problem.services().len()],
        loads: Loads::new(problem),
        best_rank,
        best: placement,
        needs_room: best_rank.is_allowed() && problem.objective().overload == Overload::Forbidden,
        left: steps,
        time_up,
    };
    let proven = tree.descend(0, 0.0, 0);
    Placed { placement: tree.best, proven, tried: steps - tree.left, makeshift: 0 }
}

/// Those with the most traffic to the ones before first; where there is none, those with the most traffic.
fn order(problem: &Problem) -> Vec<ServiceIndex> {
    let services = problem.services().len();
    let weight = |service: ServiceIndex| problem.links(service).iter().map(|link| link.there + link.back).sum::<f64>();
    let total: Vec<f64> = (0..services).map(weight).collect();
    let mut pull = vec![0.0; services];
    let mut left: Vec<ServiceIndex> = (0..services).collect();
    let mut order = Vec::with_capacity(services);
    while let Some(place) = (0..left.len()).max_by(|one, other| {
        let (one, other) = (left[*one], left[*other]);
        f64::total_cmp(&pull[one], &pull[other]).then(f64::total_cmp(&total[one], &total[other]))
    }) {
        let service = left.swap_remove(place);
        problem.links(service).iter().for_each(|link| pull[link.peer] += link.there + link.back);
        order.push(service);
    }
    order
}

/// A search in depth.
struct Tree<'a> {
    problem: &'a Problem,
    order: Vec<ServiceIndex>,
    /// Of those placed; of the others, whatever.
    nodes: Vec<NodeIndex>,
    /// Of those not placed: their traffic with those placed, by node.
    rows: Vec<Vec<f64>>,
    loads: Loads<'a>,
    best: Placement,
    best_rank: Rank,
    needs_room: bool,
    left: u64,
    time_up: TimeUp<'a>,
}

impl Tree<'_> {
    /// Looks at all that can follow; whether it has.
    fn descend(&mut self, depth: usize, traffic: f64, moves: usize) -> bool {
        let Some(service) = self.order.get(depth).copied() else {
            let rank = self.rank(traffic, moves);
            if rank.beats(self.best_rank) {
                (self.best_rank, self.best) = (rank, Placement::new(self.nodes.clone()));
            }
            return true;
        };
        let rest: f64 = self.order[depth + 1..].iter().map(|other| self.least(*other)).sum();
        let mut branches: Vec<(f64, NodeIndex)> =
            self.problem.allowed_nodes(service).map(|node| (self.rows[service][node], node)).collect();
        branches.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (added, node) in branches {
            let demand = self.problem.demand(service);
            self.loads.add(node, demand);
            let moves = moves + usize::from(is_moved(self.problem, service, node));
            let mut complete = true;
            if self.rank(traffic + added + rest, moves).beats(self.best_rank) {
                complete = self.step();
                if complete {
                    self.nodes[service] = node;
                    self.spread(service, node, 1.0);
                    complete = self.descend(depth + 1, traffic + added, moves);
                    self.spread(service, node, -1.0);
                }
            }
            self.loads.remove(node, demand);
            if !complete {
                return false;
            }
        }
        true
    }

    fn step(&mut self) -> bool {
        let last = self.left == 0 || (self.left.is_multiple_of(64) && (self.time_up)());
        self.left = self.left.saturating_sub(1);
        !last
    }

    fn rank(&self, traffic: f64, moves: usize) -> Rank {
        let valuation = Valuation { traffic: Cost::from_kb_ms(traffic), excess: self.loads.excess(), moves };
        self.problem.objective().rank(&valuation)
    }

    /// What one of the others costs at least. Where an allowed placement is known, it needs a node with room, and nodes only
    /// get fuller.
    fn least(&self, service: ServiceIndex) -> f64 {
        let open = |node: &NodeIndex| {
            self.problem.allows(service, *node)
                && (!self.needs_room || self.loads.has_room(*node, self.problem.demand(service)))
        };
        let row = &self.rows[service];
        (0..row.len()).filter(open).map(|node| row[node]).fold(f64::INFINITY, f64::min)
    }

    /// Adds to (or takes from) the rows of its peers what a service on a node means to them.
    fn spread(&mut self, service: ServiceIndex, node: NodeIndex, sign: f64) {
        let (to, from) = (self.problem.delays_to(node), self.problem.delays_from(node));
        for link in self.problem.links(service) {
            // Seen from the peer, what goes to the service is what comes back.
            let (there, back) = (sign * link.back, sign * link.there);
            for (cost, (to, from)) in self.rows[link.peer].iter_mut().zip(to.iter().zip(from)) {
                *cost += there * to + back * from;
            }
        }
    }
}
