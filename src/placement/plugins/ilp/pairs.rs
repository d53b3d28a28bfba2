//! [`Pairs`]: the program that sees delays and shared nodes within the group as well: a variable for each pair of services on
//! each pair of nodes makes it linear. Exact, for small groups.

use good_lp::{Expression, ProblemVariables, Variable, variable};

use crate::placement::Problem;
use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::Cluster;
use crate::topology::NodeIndex;

use super::super::objectives::{Objectives, Weighing};
use super::solver::Engine;

/// The worth of a group's nodes, in terms of one service and of two.
#[derive(Debug)]
pub(super) struct Pairs<'a> {
    objectives: Objectives,
    weighing: Weighing,
    cluster: &'a Cluster<'a>,
    problem: &'a Problem,
    pods: &'a [ServiceIndex],
    /// By service, the nodes that have room for it alone.
    nodes: Vec<Vec<NodeIndex>>,
    /// How many others each service has in its group.
    others: usize,
}

/// A variable for each node of each service.
type Shares = Vec<Vec<Variable>>;

impl<'a> Pairs<'a> {
    /// For services of one group that have no node yet.
    pub(super) fn new(objectives: &Objectives, cluster: &'a Cluster<'a>, pods: &'a [ServiceIndex]) -> Self {
        let peers = pods.first().map_or(0, |pod| cluster.peers(*pod));
        Self {
            objectives: *objectives,
            weighing: objectives.weighing(cluster.problem()),
            cluster,
            problem: cluster.problem(),
            pods,
            nodes: pods.iter().map(|pod| cluster.candidates(*pod)).collect(),
            others: (pods.len() + peers).saturating_sub(1),
        }
    }

    /// How many variables there are for pairs.
    pub(super) fn variables(&self) -> usize {
        let counts: Vec<usize> = self.nodes.iter().map(Vec::len).collect();
        let all: usize = counts.iter().sum();
        let same: usize = counts.iter().map(|count| count * count).sum();
        (all * all - same) / 2
    }

    /// The best nodes of all; `None` where not everybody has a place.
    pub(super) fn solve(&self, engine: Engine) -> Option<Vec<NodeIndex>> {
        if self.nodes.iter().any(Vec::is_empty) {
            return None;
        }
        let mut variables = ProblemVariables::new();
        let shares: Shares =
            self.nodes.iter().map(|nodes| nodes.iter().map(|_| variables.add(variable().binary())).collect()).collect();
        let (mut objective, mut constraints) = (Expression::default(), Vec::new());
        for (place, shares) in shares.iter().enumerate() {
            let sum: Expression = shares.iter().copied().sum();
            constraints.push(sum.eq(1.0));
            for (share, node) in shares.iter().zip(&self.nodes[place]) {
                objective.add_mul(self.alone(place, *node), *share);
            }
        }
        self.capacities(&shares, &mut constraints);
        for one in 0..self.pods.len() {
            for other in one + 1..self.pods.len() {
                self.pair((one, other), &shares, &mut variables, &mut objective, &mut constraints);
            }
        }
        let wanted: Vec<Variable> = shares.iter().flatten().copied().collect();
        let mut values = engine.maximise(variables, objective, constraints, &wanted)?.into_iter();
        let chosen = self.nodes.iter().map(|nodes| {
            let values: Vec<f64> = values.by_ref().take(nodes.len()).collect();
            nodes.iter().zip(values).find(|(_, value)| *value > 0.5).map(|(node, _)| *node)
        });
        chosen.collect()
    }

    /// Adams and Johnson: the variables of a pair add up to those of its services, on either side. With whole shares each is the
    /// product of two.
    fn pair(
        &self,
        (one, other): (usize, usize),
        shares: &Shares,
        variables: &mut ProblemVariables,
        objective: &mut Expression,
        constraints: &mut Vec<good_lp::Constraint>,
    ) {
        let (left, right) = (&self.nodes[one], &self.nodes[other]);
        let mut rows = vec![Expression::default(); left.len()];
        let mut columns = vec![Expression::default(); right.len()];
        for (row, node) in left.iter().enumerate() {
            for (column, beside) in right.iter().enumerate() {
                let both = variables.add(variable().min(0.0));
                objective.add_mul(self.together((one, *node), (other, *beside)), both);
                rows[row].add_mul(1.0, both);
                columns[column].add_mul(1.0, both);
            }
        }
        constraints.extend(rows.into_iter().zip(&shares[one]).map(|(row, share)| (row - *share).eq(0.0)));
        constraints.extend(columns.into_iter().zip(&shares[other]).map(|(column, share)| (column - *share).eq(0.0)));
    }

    fn capacities(&self, shares: &Shares, constraints: &mut Vec<good_lp::Constraint>) {
        for node in 0..self.problem.hosts().len() {
            for resource in 0..self.problem.resources().len() {
                let mut asked = Expression::default();
                for (place, pod) in self.pods.iter().enumerate() {
                    if let Some(option) = self.nodes[place].iter().position(|option| *option == node) {
                        asked.add_mul(self.problem.demand(*pod)[resource] as f64, shares[place][option]);
                    }
                }
                let (free, used) = (self.problem.free(node)[resource], self.cluster.loads().asked(node)[resource]);
                constraints.push(asked.leq(free.saturating_sub(used) as f64));
            }
        }
    }

    /// What a service on a node is worth without the others that are to be placed.
    fn alone(&self, place: usize, node: NodeIndex) -> f64 {
        let pod = self.pods[place];
        let (loads, demand) = (self.cluster.loads(), self.problem.demand(pod));
        let usages = self.objectives.usages(&self.weighing, loads, self.problem, node, demand);
        let services = self.problem.services();
        let peers = self.cluster.placed().filter(|(other, _)| services[*other].group == services[pod].group);
        let near: f64 = peers.map(|(_, at)| self.benefit(node, at)).sum();
        let near = if self.others == 0 { 1.0 } else { near / self.others as f64 };
        self.weighing.resources(usages) + self.weighing.latency * near
    }

    /// What two services add to each other.
    fn together(&self, (one, node): (usize, NodeIndex), (other, beside): (usize, NodeIndex)) -> f64 {
        let near = (self.benefit(node, beside) + self.benefit(beside, node)) / self.others as f64;
        let shared = if node == beside { self.shared(one, other, node) } else { 0.0 };
        self.weighing.latency * near + shared
    }

    /// What the demands of two services on one node add to the usage of each other's.
    fn shared(&self, one: usize, other: usize, node: NodeIndex) -> f64 {
        let capacity = &self.problem.hosts()[node].capacity;
        let demands = self.problem.demand(self.pods[one]).iter().zip(self.problem.demand(self.pods[other]));
        let shares: Vec<f64> = demands
            .zip(capacity)
            .map(|((one, other), capacity)| if *capacity == 0 { 0.0 } else { (one + other) as f64 / *capacity as f64 })
            .collect();
        let sign = if self.objectives.packing { 1.0 } else { -1.0 };
        sign * self.weighing.resources(self.weighing.places(&shares))
    }

    fn benefit(&self, from: NodeIndex, to: NodeIndex) -> f64 {
        self.objectives.benefit(self.problem.delay_ms(from, to), self.problem.longest_delay_ms())
    }
}
