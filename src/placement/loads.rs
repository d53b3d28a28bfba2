//! [`Loads`]: what nodes are asked for, and by how much that is too much; in whole numbers, so that nothing drifts.

use crate::topology::NodeIndex;

use super::{Placement, Problem};

/// What the services on each node ask for together. Also for placements that are not complete yet.
#[derive(Debug, Clone)]
pub struct Loads<'a> {
    problem: &'a Problem,
    /// By node and resource.
    asked: Vec<u64>,
    /// What is missing over all nodes, by resource.
    missing: Vec<u64>,
}

impl<'a> Loads<'a> {
    /// Of empty nodes.
    pub fn new(problem: &'a Problem) -> Self {
        let resources = problem.resources().len();
        Self { problem, asked: vec![0; resources * problem.hosts().len()], missing: vec![0; resources] }
    }

    /// Of a placement.
    pub fn of(problem: &'a Problem, placement: &Placement) -> Self {
        let mut loads = Self::new(problem);
        placement.iter().for_each(|(service, node)| loads.add(node, problem.demand(service)));
        loads
    }

    /// What a node is asked for, by resource.
    pub fn asked(&self, node: NodeIndex) -> &[u64] {
        let resources = self.missing.len();
        &self.asked[node * resources..(node + 1) * resources]
    }

    /// Whether a node has all that it is asked for and `demand` besides.
    pub fn has_room(&self, node: NodeIndex, demand: &[u64]) -> bool {
        let asked = self.asked(node).iter().zip(self.problem.free(node));
        asked.zip(demand).all(|((asked, free), demand)| asked.saturating_add(*demand) <= *free)
    }

    /// Whether a node has all that it is asked for.
    pub fn is_within(&self, node: NodeIndex) -> bool {
        self.asked(node).iter().zip(self.problem.free(node)).all(|(asked, free)| asked <= free)
    }

    /// A service comes to a node.
    pub fn add(&mut self, node: NodeIndex, demand: &[u64]) {
        self.change(node, |place, asked| asked.saturating_add(demand[place]));
    }

    /// A service leaves a node that it was added to.
    pub fn remove(&mut self, node: NodeIndex, demand: &[u64]) {
        self.change(node, |place, asked| asked.saturating_sub(demand[place]));
    }

    fn change(&mut self, node: NodeIndex, after: impl Fn(usize, u64) -> u64) {
        let resources = self.missing.len();
        let free = self.problem.free(node);
        for (place, asked) in self.asked[node * resources..(node + 1) * resources].iter_mut().enumerate() {
            let new = after(place, *asked);
            let missing = self.missing[place] + new.saturating_sub(free[place]);
            self.missing[place] = missing - asked.saturating_sub(free[place]);
            *asked = new;
        }
    }

    /// What is missing over all nodes, in units of the resources: the sum in equation (2)'s penalty.
    pub fn excess(&self) -> f64 {
        self.in_units(|place| self.missing[place])
    }

    /// The same after a service went from one node to another.
    pub fn excess_after(&self, from: NodeIndex, to: NodeIndex, demand: &[u64]) -> f64 {
        let over = |node: NodeIndex, place: usize, asked: u64| asked.saturating_sub(self.problem.free(node)[place]);
        self.in_units(|place| {
            let (left, joined) = (self.asked(from)[place], self.asked(to)[place]);
            let after = over(from, place, left.saturating_sub(demand[place]))
                + over(to, place, joined.saturating_add(demand[place]));
            self.missing[place] + after - over(from, place, left) - over(to, place, joined)
        })
    }

    /// By how much the excess would grow if a node were asked for that much more, in units.
    pub(super) fn excess_added(&self, node: NodeIndex, demand: &[u64]) -> f64 {
        let (asked, free) = (self.asked(node), self.problem.free(node));
        self.in_units(|place| {
            let over = |asked: u64| asked.saturating_sub(free[place]);
            over(asked[place].saturating_add(demand[place])) - over(asked[place])
        })
    }

    fn in_units(&self, missing: impl Fn(usize) -> u64) -> f64 {
        let each = self.problem.resources().iter().enumerate();
        each.map(|(place, resource)| missing(place) as f64 / resource.unit as f64).sum()
    }
}
