//! What the plug-ins of paper 003 call good: used resources, equations (1) and (2), and nearness to the group, equation (3).

use crate::parameters::Parameters;
use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::Cluster;
use crate::placement::{Loads, Problem};
use crate::topology::NodeIndex;

use super::parameters::{BENEFIT, LAMBDA, RESOURCE_MODE, ROUND, WEIGHT_CPU, WEIGHT_LATENCY, WEIGHT_MEMORY};

/// What counts, and how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objectives {
    /// Whether used nodes are better (the paper) or empty ones.
    pub packing: bool,
    /// Milliseconds after which the benefit has fallen to 1/e; `None` for the linear benefit.
    pub lambda_ms: Option<f64>,
    /// Weights of cpu, memory and latency, of any sum.
    pub weights: [f64; 3],
    /// Whether scores are whole numbers.
    pub rounded: bool,
}

/// What speaks for a node, each from 0 to 1, higher is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parts {
    /// `f_cpu`, or what it leaves.
    pub cpu: f64,
    /// `f_mem`, or what it leaves.
    pub memory: f64,
    /// `g_lat`.
    pub latency: f64,
}

/// The weights of a problem's resources and of latency; their sum is 1, or all are 0. A resource that the problem does not have
/// does not count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighing {
    cpu: (Option<usize>, f64),
    memory: (Option<usize>, f64),
    pub(super) latency: f64,
}

impl Objectives {
    /// As the parameters say.
    pub fn new(parameters: &Parameters) -> Self {
        let exponential = parameters.choice(BENEFIT.name) == "exp";
        Self {
            packing: parameters.choice(RESOURCE_MODE.name) != "least",
            lambda_ms: exponential.then(|| parameters.time(LAMBDA.name).as_millis_f64()),
            weights: [WEIGHT_CPU, WEIGHT_MEMORY, WEIGHT_LATENCY].map(|weight| parameters.number(weight.name)),
            rounded: parameters.flag(ROUND.name),
        }
    }

    /// How good a delay is (`g_lat`), from 0 to 1, where `longest_ms` is the longest of all delays.
    pub fn benefit(&self, delay_ms: f64, longest_ms: f64) -> f64 {
        match self.lambda_ms {
            Some(lambda) => libm::exp(-delay_ms / lambda),
            None if longest_ms > 0.0 => (1.0 - delay_ms / longest_ms).clamp(0.0, 1.0),
            None => 1.0,
        }
    }

    /// The arithmetic mean of the parts, by weight, from 0 to 1.
    pub fn value(&self, problem: &Problem, parts: &Parts) -> f64 {
        self.weighing(problem).mean(parts)
    }

    /// What speaks for a node as the next one of a service.
    pub fn parts(&self, cluster: &Cluster<'_>, service: ServiceIndex, node: NodeIndex) -> Parts {
        self.scoring(cluster, service).parts(node)
    }

    /// The same for many nodes.
    pub(super) fn scoring<'a>(&self, cluster: &'a Cluster<'a>, service: ServiceIndex) -> Scoring<'a> {
        Scoring { objectives: *self, weighing: self.weighing(cluster.problem()), cluster, service }
    }

    pub(super) fn weighing(&self, problem: &Problem) -> Weighing {
        let place = |name: &str| problem.resources().iter().position(|resource| resource.name == name);
        let (cpu, memory) = (place("cpu"), place("memory"));
        let [cpu_weight, memory_weight, latency] = self.weights;
        let (cpu_weight, memory_weight) = (cpu.map_or(0.0, |_| cpu_weight), memory.map_or(0.0, |_| memory_weight));
        let sum = cpu_weight + memory_weight + latency;
        let share = |weight: f64| if sum > 0.0 { weight / sum } else { 0.0 };
        Weighing { cpu: (cpu, share(cpu_weight)), memory: (memory, share(memory_weight)), latency: share(latency) }
    }

    /// How good a node's usage is, cpu and memory, with that asked for by services in all; 0 of what the problem does not have.
    pub(super) fn usages_of(
        &self,
        weighing: &Weighing,
        problem: &Problem,
        node: NodeIndex,
        asked: impl Iterator<Item = u64>,
    ) -> [f64; 2] {
        let host = &problem.hosts()[node];
        let (mut cpu, mut memory) = (0.0, 0.0);
        for (place, asked) in asked.enumerate() {
            let (capacity, asked) = (host.capacity[place], host.used[place].saturating_add(asked));
            let used = if capacity == 0 { 1.0 } else { (asked as f64 / capacity as f64).min(1.0) };
            let good = if self.packing { used } else { 1.0 - used };
            if weighing.cpu.0 == Some(place) {
                cpu = good;
            } else if weighing.memory.0 == Some(place) {
                memory = good;
            }
        }
        [cpu, memory]
    }

    /// The same with `more` asked for than is now.
    pub(super) fn usages(
        &self,
        weighing: &Weighing,
        loads: &Loads<'_>,
        problem: &Problem,
        node: NodeIndex,
        more: &[u64],
    ) -> [f64; 2] {
        let asked = loads.asked(node).iter().zip(more).map(|(asked, more)| asked.saturating_add(*more));
        self.usages_of(weighing, problem, node, asked)
    }
}

impl Weighing {
    /// The weighted sum of what is good about usage.
    pub(super) fn resources(&self, [cpu, memory]: [f64; 2]) -> f64 {
        self.cpu.1 * cpu + self.memory.1 * memory
    }

    /// Cpu and memory out of a list by resource; 0 of what the problem does not have.
    pub(super) fn places(&self, values: &[f64]) -> [f64; 2] {
        [self.cpu.0, self.memory.0].map(|place| place.map_or(0.0, |place| values[place]))
    }

    /// The weighted mean.
    pub(super) fn mean(&self, parts: &Parts) -> f64 {
        self.resources([parts.cpu, parts.memory]) + self.latency * parts.latency
    }
}

/// Scores nodes for a service, each in O(1).
#[derive(Debug)]
pub(super) struct Scoring<'a> {
    objectives: Objectives,
    weighing: Weighing,
    cluster: &'a Cluster<'a>,
    service: ServiceIndex,
}

impl Scoring<'_> {
    /// What speaks for a node.
    pub(super) fn parts(&self, node: NodeIndex) -> Parts {
        let (problem, demand) = (self.cluster.problem(), self.cluster.problem().demand(self.service));
        let usages = self.objectives.usages(&self.weighing, self.cluster.loads(), problem, node, demand);
        let delay = self.cluster.mean_delay_ms(self.service, node);
        let latency = self.objectives.benefit(delay, problem.longest_delay_ms());
        Parts { cpu: usages[0], memory: usages[1], latency }
    }

    /// S(p, n), from 0 to 1.
    pub(super) fn value(&self, node: NodeIndex) -> f64 {
        self.weighing.mean(&self.parts(node))
    }

    /// S(p, n) of many nodes.
    pub(super) fn values(&self, nodes: &[NodeIndex]) -> Vec<f64> {
        nodes.iter().map(|node| self.value(*node)).collect()
    }
}

/// The highest value's place, the lowest of equals; `None` of none.
pub(super) fn highest(values: &[f64]) -> Option<usize> {
    let better = |best: Option<usize>, place: usize| match best {
        Some(best) if values[place] <= values[best] => Some(best),
        _ => Some(place),
    };
    (0..values.len()).fold(None, better)
}
