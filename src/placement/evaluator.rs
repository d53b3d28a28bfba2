//! [`Evaluator`]: a placement with its value, kept up to date: a move costs the service's links, not all services.

use crate::topology::NodeIndex;

use super::problem::{Link, Problem, ServiceIndex};
use super::{Cost, Loads, Placement, Rank, Valuation};

/// A placement that is being changed, and what it is worth.
#[derive(Debug, Clone)]
pub struct Evaluator<'a> {
    problem: &'a Problem,
    placement: Placement,
    loads: Loads<'a>,
    /// Kilobytes times milliseconds.
    traffic: f64,
    moves: usize,
}

impl<'a> Evaluator<'a> {
    /// Starts from a placement.
    ///
    /// # Panics
    /// If it has not one node for each service.
    pub fn new(problem: &'a Problem, placement: Placement) -> Self {
        assert_eq!(placement.len(), problem.services().len(), "a placement has a node for each service");
        let loads = Loads::of(problem, &placement);
        let moves =
            (0..placement.len()).filter(|service| is_moved(problem, *service, placement.node(*service))).count();
        let mut evaluator = Self { problem, placement, loads, traffic: 0.0, moves };
        evaluator.refresh();
        evaluator
    }

    /// The problem.
    pub fn problem(&self) -> &'a Problem {
        self.problem
    }

    /// The placement as it is.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The placement as it is, for keeps.
    pub fn into_placement(self) -> Placement {
        self.placement
    }

    /// What nodes are asked for.
    pub fn loads(&self) -> &Loads<'a> {
        &self.loads
    }

    /// Where a service is.
    pub fn node(&self, service: ServiceIndex) -> NodeIndex {
        self.placement.node(service)
    }

    /// What the placement is worth.
    pub fn valuation(&self) -> Valuation {
        Valuation { traffic: Cost::from_kb_ms(self.traffic), excess: self.loads.excess(), moves: self.moves }
    }

    /// Where the placement stands among others.
    pub fn rank(&self) -> Rank {
        self.problem.objective().rank(&self.valuation())
    }

    /// Adds up the traffic anew, in O(links): after very many moves the rounding errors of their differences show.
    pub fn refresh(&mut self) {
        let each = |service| self.problem.links(service).iter().filter(move |link| link.peer > service);
        let cost = |service, link: &Link| self.problem.link_cost(link, self.node(service), self.node(link.peer));
        self.traffic = (0..self.placement.len()).map(|u| each(u).map(|link| cost(u, link)).sum::<f64>()).sum();
        self.traffic += self.placement.iter().map(|(service, node)| self.pull(service, node)).sum::<f64>();
    }

    /// Whether a node has room for a service; where the service is, whether the node is within its capacity.
    pub fn fits(&self, service: ServiceIndex, node: NodeIndex) -> bool {
        let here = self.node(service) == node;
        if here { self.loads.is_within(node) } else { self.loads.has_room(node, self.problem.demand(service)) }
    }

    /// The traffic cost of a service if it were on `node` and all others where they are: its own links alone.
    pub fn traffic_at(&self, service: ServiceIndex, node: NodeIndex) -> Cost {
        let links = self.problem.links(service).iter();
        let cost: f64 = links.map(|link| self.problem.link_cost(link, node, self.node(link.peer))).sum();
        Cost::from_kb_ms(cost + self.pull(service, node))
    }

    /// What a service's traffic with those that are not in the problem costs.
    fn pull(&self, service: ServiceIndex, node: NodeIndex) -> f64 {
        self.problem.pulls(service).map_or(0.0, |pulls| pulls[node])
    }

    /// [`traffic_at`](Self::traffic_at) every node at once, in kilobytes times milliseconds, without the link to `except`: in
    /// O(links · nodes), along memory.
    pub fn traffic_row(&self, service: ServiceIndex, except: Option<ServiceIndex>, row: &mut Vec<f64>) {
        row.clear();
        match self.problem.pulls(service) {
            Some(pulls) => row.extend(pulls),
            None => row.resize(self.problem.hosts().len(), 0.0),
        }
        for link in self.problem.links(service).iter().filter(|link| Some(link.peer) != except) {
            let other = self.node(link.peer);
            let (to, from) = (self.problem.delays_to(other), self.problem.delays_from(other));
            for (cost, (there, back)) in row.iter_mut().zip(to.iter().zip(from)) {
                *cost += link.there * there + link.back * back;
            }
        }
    }

    /// What the placement would be worth with one service elsewhere.
    pub fn valuation_after(&self, service: ServiceIndex, to: NodeIndex) -> Valuation {
        let from = self.node(service);
        if from == to {
            return self.valuation();
        }
        let gained = self.traffic_at(service, to).as_kb_ms() - self.traffic_at(service, from).as_kb_ms();
        let demand = self.problem.demand(service);
        Valuation {
            traffic: Cost::from_kb_ms(self.traffic + gained),
            excess: self.loads.excess_after(from, to, demand),
            moves: self.moves_after(service, to),
        }
    }

    /// The same where both traffic costs of the service are known already, as from a row.
    pub(super) fn rank_with(&self, service: ServiceIndex, to: NodeIndex, gained: f64) -> Rank {
        self.problem.objective().rank(&Valuation {
            traffic: Cost::from_kb_ms(self.traffic + gained),
            excess: self.loads.excess_after(self.node(service), to, self.problem.demand(service)),
            moves: self.moves_after(service, to),
        })
    }

    /// Where the placement would stand with one service elsewhere.
    pub fn rank_after(&self, service: ServiceIndex, to: NodeIndex) -> Rank {
        self.problem.objective().rank(&self.valuation_after(service, to))
    }

    /// Where the placement would stand with two services elsewhere; it is as before when this returns.
    pub fn rank_after_both(&mut self, one: (ServiceIndex, NodeIndex), other: (ServiceIndex, NodeIndex)) -> Rank {
        let (home, traffic) = (self.node(one.0), self.traffic);
        self.apply(one.0, one.1);
        let rank = self.rank_after(other.0, other.1);
        self.apply(one.0, home);
        self.traffic = traffic;
        rank
    }

    /// Moves a service.
    pub fn apply(&mut self, service: ServiceIndex, to: NodeIndex) {
        let from = self.node(service);
        if from == to {
            return;
        }
        let gained = self.traffic_at(service, to).as_kb_ms() - self.traffic_at(service, from).as_kb_ms();
        self.apply_with(service, to, gained);
    }

    /// The same where it is known by how much the traffic then costs more.
    pub(super) fn apply_with(&mut self, service: ServiceIndex, to: NodeIndex, gained: f64) {
        let from = self.node(service);
        self.traffic += gained;
        self.moves = self.moves_after(service, to);
        let demand = self.problem.demand(service);
        self.loads.remove(from, demand);
        self.loads.add(to, demand);
        self.placement.set(service, to);
    }

    fn moves_after(&self, service: ServiceIndex, to: NodeIndex) -> usize {
        let (was, is) = (is_moved(self.problem, service, self.node(service)), is_moved(self.problem, service, to));
        self.moves + usize::from(is) - usize::from(was)
    }
}

/// Whether a service that runs already would run elsewhere on that node.
pub(super) fn is_moved(problem: &Problem, service: ServiceIndex, node: NodeIndex) -> bool {
    problem.is_moved(service, node)
}
