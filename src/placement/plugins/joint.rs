//! [`Joint`]: a whole group's nodes with their worth, kept up to date: a trial costs O(1), a move O(nodes).

use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::Cluster;
use crate::placement::{Loads, Problem};
use crate::topology::NodeIndex;

use super::objectives::{Objectives, Weighing, highest};

/// Where the services of a group would run, all others staying where they are.
///
/// Its worth is the mean, over the services that are being placed, of the weighted usage of their node (by all that is on it in
/// the end) and of the mean benefit of the delays to all others of the group. With the linear benefit this is the mean of S when
/// everybody is in place; with the exponential one it is the mean of benefits, not the benefit of the mean.
#[derive(Debug, Clone)]
pub(super) struct Joint<'a> {
    objectives: Objectives,
    weighing: Weighing,
    problem: &'a Problem,
    pods: Vec<ServiceIndex>,
    nodes: Vec<NodeIndex>,
    loads: Loads<'a>,
    /// How many of the pods each node has.
    counts: Vec<usize>,
    /// How many others each pod has in its group.
    others: usize,
    /// By node, the benefits of the delays from it to all of the group.
    out: Vec<f64>,
    /// By node, the benefits of the delays to it from the pods.
    into: Vec<f64>,
}

impl<'a> Joint<'a> {
    /// With each pod on a node. All are of one group, none has a node in the cluster.
    pub(super) fn new(
        objectives: &Objectives,
        cluster: &Cluster<'a>,
        placed: impl Iterator<Item = (ServiceIndex, NodeIndex)>,
    ) -> Self {
        let problem = cluster.problem();
        let (pods, nodes): (Vec<ServiceIndex>, Vec<NodeIndex>) = placed.unzip();
        let zeros = vec![0.0; problem.hosts().len()];
        let peers = pods.first().map_or(0, |pod| cluster.peers(*pod));
        let mut joint = Self {
            objectives: *objectives,
            weighing: objectives.weighing(problem),
            problem,
            loads: cluster.loads().clone(),
            counts: vec![0; zeros.len()],
            others: (pods.len() + peers).saturating_sub(1),
            out: zeros.clone(),
            into: zeros,
            pods,
            nodes,
        };
        if let Some(group) = joint.pods.first().map(|pod| problem.services()[*pod].group) {
            let members = cluster.placed().filter(|(service, _)| problem.services()[*service].group == group);
            members.for_each(|(_, node)| joint.reach(node, 1.0));
        }
        for place in 0..joint.pods.len() {
            let node = joint.nodes[place];
            joint.loads.add(node, problem.demand(joint.pods[place]));
            joint.counts[node] += 1;
            joint.reach(node, 1.0);
            joint.heard(node, 1.0);
        }
        joint
    }

    /// Where the pods are, in their order.
    pub(super) fn nodes(&self) -> &[NodeIndex] {
        &self.nodes
    }

    /// By how much capacities are exceeded, in units.
    pub(super) fn excess(&self) -> f64 {
        self.loads.excess()
    }

    /// Whether a pod may go to a node, and has room there; the one where it is does not count.
    pub(super) fn fits(&self, place: usize, to: NodeIndex) -> bool {
        let pod = self.pods[place];
        self.nodes[place] != to && self.problem.allows(pod, to) && self.loads.has_room(to, self.problem.demand(pod))
    }

    /// What it is worth, from 0 to 1, added up anew.
    pub(super) fn worth(&self) -> f64 {
        let [cpu, memory, latency] = self.parts();
        self.weighing.resources([cpu, memory]) + self.weighing.latency * latency
    }

    /// The means of what speaks for it: cpu, memory and latency, each from 0 to 1.
    pub(super) fn parts(&self) -> [f64; 3] {
        if self.pods.is_empty() {
            return [0.0, 0.0, 1.0];
        }
        let count = self.pods.len() as f64;
        let none = vec![0; self.problem.resources().len()];
        let mut sums = [0.0; 2];
        for (node, here) in self.counts.iter().enumerate().filter(|(_, here)| **here > 0) {
            let usages = self.objectives.usages(&self.weighing, &self.loads, self.problem, node, &none);
            sums.iter_mut().zip(usages).for_each(|(sum, usage)| *sum += *here as f64 * usage);
        }
        let near: f64 = self.nodes.iter().map(|node| self.out[*node] - self.benefit(*node, *node)).sum();
        let latency = if self.others == 0 { 1.0 } else { near / count / self.others as f64 };
        [sums[0] / count, sums[1] / count, latency]
    }

    /// By how much the worth would grow with a pod elsewhere.
    pub(super) fn gain(&self, place: usize, to: NodeIndex) -> f64 {
        let from = self.nodes[place];
        if from == to {
            return 0.0;
        }
        let demand = self.problem.demand(self.pods[place]);
        let usage = self.usage_of(to, 1, u64::saturating_add, demand) - self.usage_of(to, 0, |asked, _| asked, demand)
            + self.usage_of(from, -1, u64::saturating_sub, demand)
            - self.usage_of(from, 0, |asked, _| asked, demand);
        let own = self.out[to] - self.benefit(to, from) - (self.out[from] - self.benefit(from, from));
        let heard = self.into[to] - self.benefit(from, to) - (self.into[from] - self.benefit(from, from));
        let near = if self.others == 0 { 0.0 } else { (own + heard) / self.others as f64 };
        (usage + self.weighing.latency * near) / self.pods.len() as f64
    }

    /// Moves a pod.
    pub(super) fn apply(&mut self, place: usize, to: NodeIndex) {
        let (from, demand) = (self.nodes[place], self.problem.demand(self.pods[place]));
        if from == to {
            return;
        }
        self.loads.remove(from, demand);
        self.loads.add(to, demand);
        self.counts[from] -= 1;
        self.counts[to] += 1;
        for (node, sign) in [(from, -1.0), (to, 1.0)] {
            self.reach(node, sign);
            self.heard(node, sign);
        }
        self.nodes[place] = to;
    }

    fn benefit(&self, from: NodeIndex, to: NodeIndex) -> f64 {
        self.objectives.benefit(self.problem.delay_ms(from, to), self.problem.longest_delay_ms())
    }

    /// What the usage of a node adds up to over its pods, with one more or less of that demand.
    fn usage_of(&self, node: NodeIndex, more: isize, after: impl Fn(u64, u64) -> u64, demand: &[u64]) -> f64 {
        let count = self.counts[node].saturating_add_signed(more);
        if count == 0 {
            return 0.0;
        }
        let asked = self.loads.asked(node).iter().zip(demand).map(|(asked, more)| after(*asked, *more));
        let usages = self.objectives.usages_of(&self.weighing, self.problem, node, asked);
        count as f64 * self.weighing.resources(usages)
    }

    /// Somebody of the group comes to a node, or leaves it.
    fn reach(&mut self, node: NodeIndex, sign: f64) {
        let longest = self.problem.longest_delay_ms();
        for (sum, delay) in self.out.iter_mut().zip(self.problem.delays_to(node)) {
            *sum += sign * self.objectives.benefit(*delay, longest);
        }
    }

    /// A pod comes to a node, or leaves it.
    fn heard(&mut self, node: NodeIndex, sign: f64) {
        let longest = self.problem.longest_delay_ms();
        for (sum, delay) in self.into.iter_mut().zip(self.problem.delays_from(node)) {
            *sum += sign * self.objectives.benefit(*delay, longest);
        }
    }
}

/// Each pod in turn on the node of its highest S, the others already in place: `None` where no node has room.
pub(super) fn greedy(objectives: &Objectives, cluster: &Cluster<'_>, pods: &[ServiceIndex]) -> Vec<Option<NodeIndex>> {
    let mut cluster = cluster.clone();
    let each = pods.iter().map(|pod| {
        let nodes = cluster.candidates(*pod);
        let best = highest(&objectives.scoring(&cluster, *pod).values(&nodes));
        let node = best.map(|place| nodes[place]);
        if let Some(node) = node {
            cluster.put(*pod, node);
        }
        node
    });
    each.collect()
}

/// The pods that have a node, with it.
pub(super) fn settled<'p>(
    pods: &'p [ServiceIndex],
    nodes: &'p [Option<NodeIndex>],
) -> impl Iterator<Item = (ServiceIndex, NodeIndex)> + 'p {
    pods.iter().zip(nodes).filter_map(|(pod, node)| node.map(|node| (*pod, node)))
}
