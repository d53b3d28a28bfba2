//! NSGA-II: a population of choices, kept apart along the front of those that nothing beats in cpu, memory and delay at once.

mod operators;
mod population;
mod sort;

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};
use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::{Cluster, Scorer};
use crate::placement::{NO_HURRY, Policy, Setting, TimeUp};
use crate::topology::NodeIndex;

use self::population::{Breeding, Genome, Individual};
use self::sort::Fitness;
use super::adaptor::favoured;
use super::joint::{Joint, greedy};
use super::objectives::{Objectives, highest};
use super::parameters::{BENEFIT, LAMBDA, MODE, RESOURCE_MODE, ROUND, WEIGHT_CPU, WEIGHT_LATENCY, WEIGHT_MEMORY};
use super::placer::placer;
use super::{ANEW, GroupPlan, GroupScheduler, Plugin, TIES};

const POPULATION: Definition = Definition {
    name: "population",
    what: "individuals of a generation",
    kind: Kind::Count(2, 10_000),
    default: Value::Count(50),
};

const GENERATIONS: Definition = Definition {
    name: "generations",
    what: "generations after the first",
    kind: Kind::Count(0, 100_000),
    default: Value::Count(50),
};

const CROSSOVER: Definition = Definition {
    name: "crossover_rate",
    what: "how often two parents are crossed (simulated binary crossover)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.9),
};

const CROSSOVER_ETA: Definition = Definition {
    name: "crossover_eta",
    what: "how close children of a crossing are to their parents",
    kind: Kind::Number(0.0, 1000.0),
    default: Value::Number(20.0),
};

const MUTATION: Definition = Definition {
    name: "mutation_rate",
    what: "how often a gene changes (polynomial mutation)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.1),
};

const MUTATION_ETA: Definition = Definition {
    name: "mutation_eta",
    what: "how little a gene changes",
    kind: Kind::Number(0.0, 1000.0),
    default: Value::Number(20.0),
};

const TOURNAMENT: Definition = Definition {
    name: "tournament",
    what: "how many a parent is the best of",
    kind: Kind::Count(1, 1000),
    default: Value::Count(2),
};

const OBJECTIVES: Definition = Definition {
    name: "objectives",
    what: "three: cpu, memory and delay; two: the mean of cpu and memory, and delay",
    kind: Kind::Choice(&["three", "two"]),
    default: Value::Choice("three"),
};

const ANSWER: Definition = Definition {
    name: "answer",
    what: "which of the front is taken: crowding, the loneliest (the paper), which is at an end of it; weighted, the highest S; \
           knee, the nearest to the best of everything",
    kind: Kind::Choice(&["crowding", "weighted", "knee"]),
    default: Value::Choice("crowding"),
};

/// The genetic algorithm.
pub(in crate::placement) const PLUGIN: Plugin = Plugin {
    policy: Policy {
        name: "nsga2",
        what: "NSGA-II: a genetic search for the front of cpu use, memory use and nearness to the group",
        parameters: &[
            MODE,
            ANEW,
            TIES,
            RESOURCE_MODE,
            BENEFIT,
            LAMBDA,
            WEIGHT_CPU,
            WEIGHT_MEMORY,
            WEIGHT_LATENCY,
            ROUND,
            POPULATION,
            GENERATIONS,
            CROSSOVER,
            CROSSOVER_ETA,
            MUTATION,
            MUTATION_ETA,
            TOURNAMENT,
            OBJECTIVES,
            ANSWER,
        ],
        build: |setting| placer(&PLUGIN, setting),
    },
    scorer: |setting| Box::new(Genetic::new(setting)),
    group: |setting| Box::new(Genetic::new(setting)),
};

#[derive(Debug)]
struct Genetic {
    objectives: Objectives,
    breeding: Breeding,
    two: bool,
    answer: &'static str,
    stream: ChaCha8Rng,
}

impl Genetic {
    fn new(setting: Setting) -> Self {
        let parameters = &setting.parameters;
        let count = |definition: Definition| usize::try_from(parameters.count(definition.name)).unwrap_or(usize::MAX);
        let breeding = Breeding {
            population: count(POPULATION),
            generations: parameters.count(GENERATIONS.name),
            crossover: parameters.number(CROSSOVER.name),
            crossover_eta: parameters.number(CROSSOVER_ETA.name),
            mutation: parameters.number(MUTATION.name),
            mutation_eta: parameters.number(MUTATION_ETA.name),
            tournament: count(TOURNAMENT),
        };
        Self {
            objectives: Objectives::new(parameters),
            breeding,
            two: parameters.choice(OBJECTIVES.name) == "two",
            answer: parameters.choice(ANSWER.name),
            stream: setting.stream,
        }
    }

    /// What is minimised, of what speaks for a choice.
    fn minimised(&self, [cpu, memory, latency]: [f64; 3]) -> [f64; 3] {
        if self.two {
            [1.0 - f64::midpoint(cpu, memory), 1.0 - latency, 0.0]
        } else {
            [1.0 - cpu, 1.0 - memory, 1.0 - latency]
        }
    }

    /// The one of the front that is taken; the first of equals.
    fn chosen<'i>(&self, last: &'i [Individual], worth: &dyn Fn(&Genome) -> f64) -> Option<&'i Genome> {
        let front: Vec<&Individual> = last.iter().filter(|one| one.rank == 0).collect();
        let merits: Vec<f64> = match self.answer {
            "weighted" => front.iter().map(|one| worth(&one.genome)).collect(),
            "knee" => knee(&front),
            _ => front.iter().map(|one| one.crowding).collect(),
        };
        highest(&merits).map(|place| &front[place].genome)
    }
}

/// How near each is to the best of every objective, each by its range.
fn knee(front: &[&Individual]) -> Vec<f64> {
    let range = |objective: usize| {
        let values = front.iter().map(|one| one.fitness.objectives[objective]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ranges = [0, 1, 2].map(range);
    let far = |one: &&Individual| {
        let each = one.fitness.objectives.iter().zip(ranges);
        each.map(|(value, (low, high))| if high > low { ((value - low) / (high - low)).powi(2) } else { 0.0 })
            .sum::<f64>()
    };
    front.iter().map(|one| -far(one)).collect()
}

impl Scorer for Genetic {
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        if nodes.is_empty() {
            return Vec::new();
        }
        let scoring = self.objectives.scoring(cluster, service);
        let judge = |genome: &Genome| {
            let parts = scoring.parts(nodes[genome[0]]);
            Fitness { objectives: self.minimised([parts.cpu, parts.memory, parts.latency]), violation: 0.0 }
        };
        let mut stream = self.stream.clone();
        let (last, _) = self.breeding.run(&[nodes.len()], &mut stream, NO_HURRY, &judge);
        let values = scoring.values(nodes);
        let chosen = self.chosen(&last, &|genome| values[genome[0]]).map_or(0, |genome| genome[0]);
        self.stream = stream;
        favoured(chosen, &values, self.objectives.rounded)
    }
}

impl GroupScheduler for Genetic {
    /// Services that no node has room for after [`greedy`] are left out; what the chosen one has too much of goes to the best nodes
    /// with room.
    fn plan(&mut self, cluster: &Cluster<'_>, pods: &[ServiceIndex], time_up: TimeUp<'_>) -> GroupPlan {
        let greedy = greedy(&self.objectives, cluster, pods);
        let settled: Vec<ServiceIndex> =
            pods.iter().zip(&greedy).filter(|(_, node)| node.is_some()).map(|(pod, _)| *pod).collect();
        let options: Vec<Vec<NodeIndex>> = settled.iter().map(|pod| cluster.candidates(*pod)).collect();
        let counts: Vec<usize> = options.iter().map(Vec::len).collect();
        let nodes = |genome: &Genome| genome.iter().zip(&options).map(|(gene, nodes)| nodes[*gene]).collect::<Vec<_>>();
        let joint = |genome: &Genome| Joint::new(&self.objectives, cluster, settled.iter().copied().zip(nodes(genome)));
        let before = cluster.loads().excess();
        let judge = |genome: &Genome| {
            let joint = joint(genome);
            let violation = (joint.excess() - before).max(0.0);
            Fitness { objectives: self.minimised(joint.parts()), violation }
        };
        if settled.is_empty() || time_up() {
            return GroupPlan { nodes: greedy, proven: false, tried: 0, makeshift: settled.len() };
        }
        let mut stream = self.stream.clone();
        let (last, tried) = self.breeding.run(&counts, &mut stream, time_up, &judge);
        let chosen = self.chosen(&last, &|genome| joint(genome).worth()).map_or_else(Vec::new, nodes);
        self.stream = stream;
        let repaired = repaired(&self.objectives, cluster, &settled, &chosen);
        let mut repaired = repaired.into_iter();
        // Where repairing found no place for somebody, one after the other did.
        let all = repaired.len() == settled.len();
        let nodes = greedy.iter().map(|node| if all { node.and_then(|_| repaired.next()) } else { *node });
        let makeshift = if all { 0 } else { settled.len() };
        GroupPlan { nodes: nodes.collect(), proven: false, tried, makeshift }
    }
}

/// The chosen nodes, where they have room; then the best ones that have. Empty if somebody found none.
fn repaired(
    objectives: &Objectives,
    cluster: &Cluster<'_>,
    pods: &[ServiceIndex],
    chosen: &[NodeIndex],
) -> Vec<NodeIndex> {
    let mut cluster = cluster.clone();
    for (pod, node) in pods.iter().zip(chosen) {
        if cluster.loads().has_room(*node, cluster.problem().demand(*pod)) {
            cluster.put(*pod, *node);
        }
    }
    for pod in pods {
        if cluster.node(*pod).is_none() {
            let nodes = cluster.candidates(*pod);
            let best = highest(&objectives.scoring(&cluster, *pod).values(&nodes));
            let Some(best) = best else { return Vec::new() };
            cluster.put(*pod, nodes[best]);
        }
    }
    pods.iter().filter_map(|pod| cluster.node(*pod)).collect()
}

#[cfg(test)]
mod tests;
