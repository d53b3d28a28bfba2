//! Why a placement is as it is: what each move gains, why a service stays, and what is missing where it does not fit.

use crate::topology::NodeIndex;

use super::problem::{Problem, ServiceIndex};
use super::{Cost, Evaluator, Loads, Overload, Placement};

/// A move, in an order in which each next one gains the most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    /// Who.
    pub service: ServiceIndex,
    /// From where.
    pub from: NodeIndex,
    /// To where.
    pub to: NodeIndex,
    /// By how much the traffic costs less once those before and this one are done; negative for one that makes room.
    pub gain: Cost,
    /// What the traffic costs then.
    pub after: Cost,
}

/// The moves from where services run now to a placement. Empty where some are new: then there is no cost to begin with.
pub fn moves(problem: &Problem, placement: &Placement) -> Vec<Move> {
    let Some(current) = problem.current() else { return Vec::new() };
    let mut evaluator = Evaluator::new(problem, current.clone());
    let mut left: Vec<ServiceIndex> =
        (0..current.len()).filter(|service| current.node(*service) != placement.node(*service)).collect();
    let mut moves = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let after = |service: ServiceIndex| evaluator.rank_after(service, placement.node(service)).cost;
        let costs: Vec<f64> = left.iter().map(|service| after(*service).as_kb_ms()).collect();
        let Some(place) = (0..left.len()).min_by(|one, other| costs[*one].total_cmp(&costs[*other])) else { break };
        let service = left.remove(place);
        let before = evaluator.valuation().traffic;
        evaluator.apply(service, placement.node(service));
        let after = evaluator.valuation().traffic;
        let (from, to) = (current.node(service), placement.node(service));
        moves.push(Move { service, from, to, gain: before - after, after });
    }
    moves
}

/// Why a service is where a placement has it, and not elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// It may be nowhere else.
    Pinned,
    /// It talks to nobody, so no node is better.
    Silent,
    /// It costs more everywhere else: the next best node, and by how much.
    Best(NodeIndex, Cost),
    /// It would cost less there, by so much, but there is no room: of which resource, and how much is missing.
    NoRoom(NodeIndex, Cost, usize, u64),
    /// It would cost less there, by so much, but that would be one move too many, or not worth its price.
    NotWorth(NodeIndex, Cost),
    /// It would cost less there, by so much: the policy did not see it, or does not look at it.
    Unseen(NodeIndex, Cost),
}

/// Why a service is where a placement has it.
pub fn reason(evaluator: &Evaluator<'_>, service: ServiceIndex) -> Reason {
    let problem = evaluator.problem();
    let home = evaluator.node(service);
    if problem.links(service).is_empty() {
        return if problem.pinned(service).is_some() { Reason::Pinned } else { Reason::Silent };
    }
    let mut row = Vec::new();
    evaluator.traffic_row(service, None, &mut row);
    let others = problem.allowed_nodes(service).filter(|node| *node != home);
    let mut others: Vec<NodeIndex> = others.collect();
    others.sort_by(|one, other| row[*one].total_cmp(&row[*other]));
    let Some(nearest) = others.first().copied() else { return Reason::Pinned };
    let lost = |node: NodeIndex| Cost::from_kb_ms(row[node] - row[home]);
    if row[nearest] >= row[home] - 1e-9 {
        return Reason::Best(nearest, lost(nearest));
    }
    let gain = |node: NodeIndex| Cost::from_kb_ms(row[home] - row[node]);
    // A nearer node with room, if there is one, says more than a full one.
    let open = others.iter().copied().find(|node| row[*node] < row[home] - 1e-9 && evaluator.fits(service, *node));
    match (open, missing(evaluator.loads(), problem, service, nearest)) {
        (Some(node), _) if evaluator.rank_after(service, node).beats(evaluator.rank()) => {
            Reason::Unseen(node, gain(node))
        }
        (None, Some((resource, amount))) => Reason::NoRoom(nearest, gain(nearest), resource, amount),
        (node, _) => Reason::NotWorth(node.unwrap_or(nearest), gain(node.unwrap_or(nearest))),
    }
}

/// The resource that a node lacks the most of for one more service, in units, and how much.
fn missing(loads: &Loads<'_>, problem: &Problem, service: ServiceIndex, node: NodeIndex) -> Option<(usize, u64)> {
    let lack = |place: usize| {
        let asked = loads.asked(node)[place].saturating_add(problem.demand(service)[place]);
        (place, asked.saturating_sub(problem.free(node)[place]))
    };
    let in_units = |(place, amount): &(usize, u64)| *amount as f64 / problem.resources()[*place].unit as f64;
    let lacks = (0..problem.resources().len()).map(lack).filter(|(_, amount)| *amount > 0);
    lacks.max_by(|one, other| in_units(one).total_cmp(&in_units(other)))
}

/// What there is too little of, whatever the placement, or in the one that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// All services together ask for more of a resource than all nodes have: how much is missing.
    Total(usize, u64),
    /// A service fits on no node that it is allowed on, even alone: of which resource the least is missing, and how much.
    Service(ServiceIndex, usize, u64),
    /// A node is asked for more than it has: of which resource how much is missing.
    Node(NodeIndex, usize, u64),
}

/// What makes every placement overload some node, as far as sums can tell; empty where it may be possible.
pub fn shortages(problem: &Problem) -> Vec<Shortage> {
    let services = 0..problem.services().len();
    let mut found = Vec::new();
    for place in 0..problem.resources().len() {
        let asked: u64 = services.clone().map(|service| problem.demand(service)[place]).fold(0, u64::saturating_add);
        let free: u64 = (0..problem.hosts().len()).map(|node| problem.free(node)[place]).fold(0, u64::saturating_add);
        if asked > free {
            found.push(Shortage::Total(place, asked - free));
        }
    }
    let empty = Loads::new(problem);
    for service in services {
        let lacks = problem.allowed_nodes(service).map(|node| missing(&empty, problem, service, node));
        let least = lacks.min_by_key(|lack| lack.map_or(0, |(_, amount)| amount)).flatten();
        found.extend(least.map(|(place, amount)| Shortage::Service(service, place, amount)));
    }
    found
}

/// Where a placement asks nodes for more than they have.
pub fn overloads(problem: &Problem, placement: &Placement) -> Vec<Shortage> {
    let loads = Loads::of(problem, placement);
    let all =
        (0..problem.hosts().len()).flat_map(|node| (0..problem.resources().len()).map(move |place| (node, place)));
    let over =
        all.map(|(node, place)| (node, place, loads.asked(node)[place].saturating_sub(problem.free(node)[place])));
    over.filter(|(.., amount)| *amount > 0).map(|(node, place, amount)| Shortage::Node(node, place, amount)).collect()
}

/// Whether a placement is allowed by its problem: what a command answers yes to.
pub fn is_allowed(problem: &Problem, placement: &Placement) -> bool {
    let evaluator = Evaluator::new(problem, placement.clone());
    let forbidden = problem.objective().overload == Overload::Forbidden;
    evaluator.rank().is_allowed() && (!forbidden || overloads(problem, placement).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::contract::placed;
    use crate::placement::golden::{ONE_WAY, cpu, hosts, service, social};
    use crate::placement::problem::{Draft, Edge};
    use crate::placement::{Objective, Problem};
    use crate::units::Delay;

    #[test]
    fn gains_add_up_to_what_the_placement_gains() {
        let problem = social(false, 2000, Objective::default());
        let placement = placed("search", &[], &problem).placement;
        let moves = moves(&problem, &placement);
        let gains: f64 = moves.iter().map(|one| one.gain.as_kb_ms()).sum();
        let end = Evaluator::new(&problem, placement).valuation();
        assert_eq!(moves.len(), end.moves);
        assert!((180_585.0 - gains - end.traffic.as_kb_ms()).abs() < 1e-6, "{gains}");
        assert!((moves[moves.len() - 1].after - end.traffic).as_kb_ms().abs() < 1e-6);
    }

    fn draft() -> Draft {
        let mut services = ["a", "b", "c", "d"].map(|name| service(name, 600, Some(0))).to_vec();
        services[1].current = Some(1);
        services[3].allowed = Some(vec![0]);
        services[2].demand = vec![0];
        services[3].demand = vec![0];
        Draft {
            resources: cpu(),
            hosts: hosts(2, 1000),
            services,
            edges: vec![Edge { from: 0, to: 1, request: 1000, response: 0 }],
            delays: [0, 5, 9, 0].map(Delay::from_millis).to_vec(),
            weights: ONE_WAY,
            objective: Objective::default(),
        }
    }

    #[test]
    fn every_service_that_stays_has_its_reason() {
        let problem = Problem::new(draft()).expect("a problem");
        let evaluator = Evaluator::new(&problem, problem.current().expect("all run"));
        // 600 and 600 of 1000: 200 are missing.
        assert_eq!(reason(&evaluator, 0), Reason::NoRoom(1, Cost::from_kb_ms(5.0), 0, 200));
        assert_eq!((reason(&evaluator, 2), reason(&evaluator, 3)), (Reason::Silent, Reason::Pinned));
        let mut roomy = draft();
        roomy.hosts = hosts(2, 2000);
        let problem = Problem::new(roomy).expect("a problem");
        let evaluator = Evaluator::new(&problem, problem.current().expect("all run"));
        assert_eq!(reason(&evaluator, 0), Reason::Unseen(1, Cost::from_kb_ms(5.0)));
        let limited = problem.clone().with_objective(Objective { max_moves: Some(0), ..Objective::default() });
        let evaluator = Evaluator::new(&limited, limited.current().expect("all run"));
        assert_eq!(reason(&evaluator, 0), Reason::NotWorth(1, Cost::from_kb_ms(5.0)));
        let together = Evaluator::new(&problem, Placement::new(vec![0; 4]));
        assert_eq!(reason(&together, 0), Reason::Best(1, Cost::from_kb_ms(9.0)));
    }

    #[test]
    fn what_is_missing_is_said_by_resource_and_amount() {
        let mut tight = draft();
        tight.services[2].demand = vec![1300];
        let problem = Problem::new(tight).expect("a problem");
        assert_eq!(shortages(&problem), [Shortage::Total(0, 500), Shortage::Service(2, 0, 300)]);
        let placement = Placement::new(vec![0, 1, 1, 0]);
        assert_eq!(overloads(&problem, &placement), [Shortage::Node(1, 0, 900)]);
        assert!(!is_allowed(&problem, &placement) && shortages(&Problem::new(draft()).expect("a problem")).is_empty());
    }
}
