//! [`Assignment`]: the program whose delays are to those in place already, so that its objective is linear.

use good_lp::{Constraint, Expression, ProblemVariables, Variable, variable};

use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::Cluster;
use crate::topology::NodeIndex;

use super::super::objectives::{Objectives, highest};
use super::solver::Engine;

/// Which services may go to which nodes, and what each choice is worth.
#[derive(Debug)]
pub(super) struct Assignment {
    objectives: Objectives,
    pods: Vec<ServiceIndex>,
    /// By service, the nodes that have room for it alone.
    pub(super) nodes: Vec<Vec<NodeIndex>>,
    /// The same with S of each, from 0 to 1.
    pub(super) values: Vec<Vec<f64>>,
    /// The same with the mean delay in milliseconds.
    delays: Vec<Vec<f64>>,
    longest_ms: f64,
    /// Constraints that can bind: for each node and resource, services with their share of what is left.
    rooms: Vec<Vec<(usize, usize, f64)>>,
}

impl Assignment {
    /// For services of one group that have no node yet.
    pub(super) fn new(objectives: &Objectives, cluster: &Cluster<'_>, pods: &[ServiceIndex]) -> Self {
        let nodes: Vec<Vec<NodeIndex>> = pods.iter().map(|pod| cluster.candidates(*pod)).collect();
        let rooms = rooms(cluster, pods, &nodes);
        Self::build(objectives, cluster, pods, nodes, rooms)
    }

    /// For one service and nodes that have room for it: capacities cannot bind.
    pub(super) fn among(
        objectives: &Objectives,
        cluster: &Cluster<'_>,
        pod: ServiceIndex,
        nodes: &[NodeIndex],
    ) -> Self {
        Self::build(objectives, cluster, &[pod], vec![nodes.to_vec()], Vec::new())
    }

    fn build(
        objectives: &Objectives,
        cluster: &Cluster<'_>,
        pods: &[ServiceIndex],
        nodes: Vec<Vec<NodeIndex>>,
        rooms: Vec<Vec<(usize, usize, f64)>>,
    ) -> Self {
        let each = || pods.iter().zip(&nodes);
        let values = each().map(|(pod, nodes)| objectives.scoring(cluster, *pod).values(nodes)).collect();
        let delay = |pod: &ServiceIndex, node: &NodeIndex| cluster.mean_delay_ms(*pod, *node);
        let delays = each().map(|(pod, nodes)| nodes.iter().map(|node| delay(pod, node)).collect()).collect();
        let longest_ms = cluster.problem().longest_delay_ms();
        Self { objectives: *objectives, pods: pods.to_vec(), nodes, values, delays, longest_ms, rooms }
    }

    /// How many variables its program has.
    pub(super) fn variables(&self) -> usize {
        self.nodes.iter().map(Vec::len).sum()
    }

    /// What each node of a service is worth.
    pub(super) fn coefficients(&self, place: usize) -> &[f64] {
        &self.values[place]
    }

    /// How much of each service goes to each of its nodes. Tried in turn: everybody placed and within the bound of delay,
    /// everybody placed, as many as can be. `None` when the solver gives up.
    pub(super) fn solve(&self, engine: Engine, whole: bool, bound_ms: Option<f64>) -> Option<Vec<Vec<f64>>> {
        let bounded = bound_ms.and_then(|bound| self.solved(engine, whole, true, Some(bound)));
        bounded.or_else(|| self.solved(engine, whole, true, None)).or_else(|| self.solved(engine, whole, false, None))
    }

    fn solved(&self, engine: Engine, whole: bool, all: bool, bound_ms: Option<f64>) -> Option<Vec<Vec<f64>>> {
        if self.nodes.iter().any(Vec::is_empty) && all {
            return None;
        }
        let mut variables = ProblemVariables::new();
        // That shares are 1 at most follows from their sum; said for each, Simplex would go from bound to bound.
        let one = || if whole { variable().binary() } else { variable().min(0.0) };
        let shares: Vec<Vec<Variable>> =
            self.nodes.iter().map(|nodes| nodes.iter().map(|_| variables.add(one())).collect()).collect();
        // Placing one more is worth more than all values together where not everybody has a place.
        let bonus = if all { 0.0 } else { self.pods.len() as f64 + 1.0 };
        let (mut objective, mut constraints) = (Expression::default(), Vec::new());
        for (shares, values) in shares.iter().zip(&self.values) {
            for (share, value) in shares.iter().zip(values) {
                objective.add_mul(value + bonus, *share);
            }
            let sum: Expression = shares.iter().copied().sum();
            constraints.push(if all { sum.eq(1.0) } else { sum.leq(1.0) });
        }
        constraints.extend(self.rooms.iter().map(|room| {
            let used = room.iter().map(|(pod, node, share)| *share * shares[*pod][*node]);
            used.sum::<Expression>().leq(1.0)
        }));
        if let Some(bound) = bound_ms {
            constraints.extend(self.bounded(&shares, bound));
        }
        let wanted: Vec<Variable> = shares.iter().flatten().copied().collect();
        let mut values = engine.maximise(variables, objective, constraints, &wanted)?.into_iter();
        Some(self.nodes.iter().map(|nodes| values.by_ref().take(nodes.len()).collect()).collect())
    }

    /// The benefit of each service's delay is at least that of the bound.
    fn bounded<'s>(&'s self, shares: &'s [Vec<Variable>], bound: f64) -> impl Iterator<Item = Constraint> + 's {
        let benefit = |delay: f64| self.objectives.benefit(delay, self.longest_ms);
        shares.iter().zip(&self.delays).map(move |(shares, delays)| {
            let terms = shares.iter().zip(delays).map(|(share, delay)| benefit(*delay) * *share);
            // A little less, so that a delay of the bound itself is within.
            terms.sum::<Expression>().geq(benefit(bound) - 1e-9)
        })
    }

    /// Whole nodes: each service goes where most of it goes, those that are least divided first; where that node is full by then,
    /// to its best one with room.
    pub(super) fn rounded(&self, cluster: &Cluster<'_>, shares: &[Vec<f64>]) -> Vec<Option<NodeIndex>> {
        let mut cluster = cluster.clone();
        let mut chosen = vec![None; self.pods.len()];
        let most = |place: usize| highest(&shares[place]).map_or(0.0, |best| shares[place][best]);
        let mut order: Vec<usize> = (0..self.pods.len()).collect();
        order.sort_by(|one, other| most(*other).total_cmp(&most(*one)));
        for place in order {
            let pod = self.pods[place];
            let first = highest(&shares[place]).filter(|best| shares[place][*best] > 1e-6);
            let candidates = cluster.candidates(pod);
            let wanted = first.map(|best| self.nodes[place][best]).filter(|node| candidates.contains(node));
            let node = wanted.or_else(|| {
                let values = self.objectives.scoring(&cluster, pod).values(&candidates);
                highest(&values).map(|best| candidates[best])
            });
            if let Some(node) = node {
                cluster.put(pod, node);
            }
            chosen[place] = node;
        }
        chosen
    }
}

/// For each node and resource that all services together could exceed: service, place of the node in its list, share.
fn rooms(cluster: &Cluster<'_>, pods: &[ServiceIndex], nodes: &[Vec<NodeIndex>]) -> Vec<Vec<(usize, usize, f64)>> {
    let problem = cluster.problem();
    let resources = problem.resources().len();
    let mut rooms: Vec<Vec<(usize, usize, f64)>> = vec![Vec::new(); problem.hosts().len() * resources];
    for (place, (pod, nodes)) in pods.iter().zip(nodes).enumerate() {
        for (option, node) in nodes.iter().enumerate() {
            for (resource, demand) in problem.demand(*pod).iter().enumerate().filter(|(_, demand)| **demand > 0) {
                let left = problem.free(*node)[resource].saturating_sub(cluster.loads().asked(*node)[resource]);
                rooms[node * resources + resource].push((place, option, *demand as f64 / left as f64));
            }
        }
    }
    rooms.retain(|room| room.iter().map(|(_, _, share)| share).sum::<f64>() > 1.0);
    rooms
}
