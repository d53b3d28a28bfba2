//! Scheduling one service after the other, as kube-scheduler does: nodes without room are left out, the others get a score,
//! the highest wins. A [`Scorer`] gives the scores; [`OneByOne`] makes a [`Placer`] of it.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use crate::topology::NodeIndex;

use super::dice::below;
use super::problem::ServiceIndex;
use super::{Loads, Placed, Placement, Placer, Problem, TimeUp};

/// A cluster in which not every service has its node yet.
#[derive(Debug, Clone)]
pub struct Cluster<'a> {
    problem: &'a Problem,
    nodes: Vec<Option<NodeIndex>>,
    loads: Loads<'a>,
    /// By group, where those are that have a node.
    reach: BTreeMap<u32, Reach>,
}

/// How far a group's services are from each node, kept up to date: placing costs O(nodes), the mean delay of a node O(1).
#[derive(Debug, Clone, Default)]
struct Reach {
    members: usize,
    /// By node, the delays in milliseconds from it to all of them, added up.
    sums: Vec<f64>,
}

impl<'a> Cluster<'a> {
    /// One where nothing runs yet.
    pub fn empty(problem: &'a Problem) -> Self {
        Self {
            problem,
            nodes: vec![None; problem.services().len()],
            loads: Loads::new(problem),
            reach: BTreeMap::new(),
        }
    }

    /// One where services run where they run now, except on nodes where they may not be.
    pub fn running(problem: &'a Problem) -> Self {
        let mut cluster = Self::empty(problem);
        for (service, known) in problem.services().iter().enumerate() {
            if let Some(node) = known.current.filter(|node| problem.allows(service, *node)) {
                cluster.put(service, node);
            }
        }
        cluster
    }

    /// The problem.
    pub fn problem(&self) -> &'a Problem {
        self.problem
    }

    /// Where a service is, if it has a node.
    pub fn node(&self, service: ServiceIndex) -> Option<NodeIndex> {
        self.nodes[service]
    }

    /// What nodes are asked for.
    pub fn loads(&self) -> &Loads<'a> {
        &self.loads
    }

    /// Services that have a node, with it.
    pub fn placed(&self) -> impl Iterator<Item = (ServiceIndex, NodeIndex)> + '_ {
        self.nodes.iter().enumerate().filter_map(|(service, node)| node.map(|node| (service, node)))
    }

    /// The nodes that a service may run on and that have room for it.
    pub fn candidates(&self, service: ServiceIndex) -> Vec<NodeIndex> {
        let has_room = |node: &NodeIndex| self.loads.has_room(*node, self.problem.demand(service));
        self.problem.allowed_nodes(service).filter(has_room).collect()
    }

    /// How many others of a service's group have a node.
    pub fn peers(&self, service: ServiceIndex) -> usize {
        let members = self.reach.get(&self.problem.services()[service].group).map_or(0, |reach| reach.members);
        members - usize::from(self.nodes[service].is_some())
    }

    /// The mean delay in milliseconds from a node to those of a service's group that have one, the service aside: `f_lat` of
    /// paper 003, 0 where there are none.
    pub fn mean_delay_ms(&self, service: ServiceIndex, node: NodeIndex) -> f64 {
        let (peers, group) = (self.peers(service), self.problem.services()[service].group);
        match self.reach.get(&group) {
            Some(reach) if peers > 0 => {
                let own = self.nodes[service].map_or(0.0, |own| self.problem.delay_ms(node, own));
                ((reach.sums[node] - own) / peers as f64).max(0.0)
            }
            _ => 0.0,
        }
    }

    /// Puts a service on a node; it leaves the one that it was on.
    pub fn put(&mut self, service: ServiceIndex, node: NodeIndex) {
        self.take(service);
        self.loads.add(node, self.problem.demand(service));
        self.nodes[service] = Some(node);
        let reach = self.reach.entry(self.problem.services()[service].group).or_default();
        reach.members += 1;
        reach.sums.resize(self.problem.hosts().len(), 0.0);
        reach.sums.iter_mut().zip(self.problem.delays_to(node)).for_each(|(sum, delay)| *sum += delay);
    }

    /// Takes a service from its node.
    pub fn take(&mut self, service: ServiceIndex) {
        let Some(node) = self.nodes[service].take() else { return };
        self.loads.remove(node, self.problem.demand(service));
        let Some(reach) = self.reach.get_mut(&self.problem.services()[service].group) else { return };
        reach.members -= 1;
        if reach.members == 0 {
            reach.sums.fill(0.0);
        }
        let delays = self.problem.delays_to(node).iter().filter(|_| reach.members > 0);
        reach.sums.iter_mut().zip(delays).for_each(|(sum, delay)| *sum -= delay);
    }

    /// The allowed node where a service makes the least overload: for services that no node has room for.
    pub fn least_bad(&self, service: ServiceIndex) -> NodeIndex {
        let demand = self.problem.demand(service);
        let nodes = self.problem.allowed_nodes(service).map(|node| (self.loads.excess_added(node, demand), node));
        // Every service has an allowed node.
        nodes.min_by(|one, other| one.0.total_cmp(&other.0)).map_or(0, |(_, node)| node)
    }

    /// The placement, once every service has a node.
    pub fn complete(&self) -> Option<Placement> {
        self.nodes.iter().copied().collect::<Option<Vec<_>>>().map(Placement::new)
    }
}

/// Says how good nodes are for a service.
pub trait Scorer: Send {
    /// A score for each of `nodes`, higher is better; 0 to 100 as kube-scheduler wants it. The nodes have room; the service
    /// itself has no node yet.
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64>;
}

impl<S: Scorer + ?Sized> Scorer for Box<S> {
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        (**self).scores(cluster, service, nodes)
    }
}

/// Which of several nodes with the highest score is taken.
#[derive(Debug, Clone)]
pub enum Ties {
    /// The first.
    Lowest,
    /// One by lot, as kube-scheduler does.
    Random(Box<ChaCha8Rng>),
}

/// Gives a service a node: the one of the highest score, or the least bad one where none has room.
pub fn schedule(cluster: &mut Cluster<'_>, service: ServiceIndex, scorer: &mut dyn Scorer, ties: &mut Ties) {
    cluster.take(service);
    let nodes = cluster.candidates(service);
    let given = scorer.scores(cluster, service, &nodes);
    let highest = given.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let best: Vec<NodeIndex> =
        nodes.iter().zip(&given).filter(|(_, score)| **score >= highest).map(|(node, _)| *node).collect();
    let node = match (best.as_slice(), ties) {
        ([], _) => cluster.least_bad(service),
        (best, Ties::Lowest) => best[0],
        (best, Ties::Random(stream)) => best[below(stream, best.len())],
    };
    cluster.put(service, node);
}

/// Schedules the services in their order by a scorer: new ones only, or all anew.
#[derive(Debug)]
pub struct OneByOne<S> {
    /// Gives the scores.
    pub scorer: S,
    /// Whether what runs is scheduled anew, as if the cluster were empty.
    pub anew: bool,
    /// Who wins among equals.
    pub ties: Ties,
}

impl<S: Scorer> Placer for OneByOne<S> {
    /// When the time is up, the rest go to the first node with room.
    fn place(&mut self, problem: &Problem, time_up: TimeUp<'_>) -> Placed {
        let mut cluster = if self.anew { Cluster::empty(problem) } else { Cluster::running(problem) };
        let (mut late, mut makeshift) = (false, 0);
        for service in 0..problem.services().len() {
            if cluster.node(service).is_none() {
                late = late || time_up();
                if late {
                    makeshift += 1;
                    let node = cluster.least_bad(service);
                    cluster.put(service, node);
                } else {
                    schedule(&mut cluster, service, &mut self.scorer, &mut self.ties);
                }
            }
        }
        let nodes = (0..problem.services().len()).map(|service| cluster.node(service).unwrap_or(0)).collect();
        Placed { placement: Placement::new(nodes), proven: false, tried: 0, makeshift }
    }
}
