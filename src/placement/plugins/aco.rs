//! Ant colony optimisation: ants choose nodes by pheromone and heuristic, the best of each iteration leaves pheromone, which
//! stays with the group.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};
use crate::placement::dice::unit_interval;
use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::{Cluster, Scorer};
use crate::placement::{Policy, Setting, TimeUp};
use crate::topology::NodeIndex;

use super::adaptor::{favoured, marks};
use super::joint::{Joint, greedy, settled};
use super::objectives::{Objectives, highest};
use super::parameters::{BENEFIT, LAMBDA, MODE, RESOURCE_MODE, ROUND, WEIGHT_CPU, WEIGHT_LATENCY, WEIGHT_MEMORY};
use super::placer::placer;
use super::{ANEW, GroupPlan, GroupScheduler, Plugin, TIES};

const ALPHA: Definition = Definition {
    name: "alpha",
    what: "exponent of the pheromone (α)",
    kind: Kind::Number(0.0, 10.0),
    default: Value::Number(1.0),
};

const BETA: Definition = Definition {
    name: "beta",
    what: "exponent of the heuristic, which is S of the node (β)",
    kind: Kind::Number(0.0, 20.0),
    default: Value::Number(3.0),
};

const EXPLOIT: Definition = Definition {
    name: "q0",
    what: "how often an ant takes the best node instead of one by lot",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.5),
};

const EVAPORATION: Definition = Definition {
    name: "rho",
    what: "the share of pheromone that goes in each iteration, and of the best value that comes (ρ)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.1),
};

const ANTS: Definition = Definition {
    name: "ants",
    what: "ants of each iteration (the paper does not say)",
    kind: Kind::Count(1, 10_000),
    default: Value::Count(10),
};

const ITERATIONS: Definition = Definition {
    name: "iterations",
    what: "iterations for each service, or for each group (the paper does not say)",
    kind: Kind::Count(1, 100_000),
    default: Value::Count(20),
};

const ANSWER: Definition = Definition {
    name: "answer",
    what: "pheromone: nodes score by pheromone and heuristic; ant: the best node that an ant chose wins; for a group it is always \
           the best ant",
    kind: Kind::Choice(&["pheromone", "ant"]),
    default: Value::Choice("pheromone"),
};

/// Ants.
pub(in crate::placement) const PLUGIN: Plugin = Plugin {
    policy: Policy {
        name: "aco",
        what: "ant colony optimisation of the mean of cpu use, memory use and nearness to the group",
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
            ALPHA,
            BETA,
            EXPLOIT,
            EVAPORATION,
            ANTS,
            ITERATIONS,
            ANSWER,
        ],
        build: |setting| placer(&PLUGIN, setting),
    },
    scorer: |setting| Box::new(Colony::new(setting)),
    group: |setting| Box::new(Colony::new(setting)),
};

/// The pheromone of a node that nobody chose yet, and the bounds of all.
const FIRST: f64 = 1.0;
const BOUNDS: (f64, f64) = (0.01, 10.0);

/// The heuristic of a node that nothing speaks for.
const LEAST: f64 = 1e-6;

#[derive(Debug)]
struct Colony {
    objectives: Objectives,
    alpha: f64,
    beta: f64,
    exploit: f64,
    evaporation: f64,
    ants: u64,
    iterations: u64,
    answers_ant: bool,
    stream: ChaCha8Rng,
    /// By group and node.
    trails: BTreeMap<u32, Vec<f64>>,
}

/// How nodes attract ants: the best of them, and sums for the lot.
#[derive(Debug)]
struct Wheel {
    best: usize,
    sums: Vec<f64>,
}

impl Wheel {
    /// Of one attraction at least.
    fn new(attractions: &[f64]) -> Self {
        let sum = |sum: &mut f64, attraction: &f64| {
            *sum += attraction;
            Some(*sum)
        };
        Self { best: highest(attractions).unwrap_or(0), sums: attractions.iter().scan(0.0, sum).collect() }
    }

    /// The best with the probability `exploit`, otherwise one by lot, as likely as it attracts.
    fn choose(&self, exploit: f64, stream: &mut ChaCha8Rng) -> usize {
        if unit_interval(stream) < exploit {
            return self.best;
        }
        let all = self.sums.last().copied().unwrap_or(0.0);
        let drawn = unit_interval(stream) * all;
        self.sums.partition_point(|sum| *sum <= drawn).min(self.sums.len() - 1)
    }
}

impl Colony {
    fn new(setting: Setting) -> Self {
        let parameters = &setting.parameters;
        Self {
            objectives: Objectives::new(parameters),
            alpha: parameters.number(ALPHA.name),
            beta: parameters.number(BETA.name),
            exploit: parameters.number(EXPLOIT.name),
            evaporation: parameters.number(EVAPORATION.name),
            ants: parameters.count(ANTS.name),
            iterations: parameters.count(ITERATIONS.name),
            answers_ant: parameters.choice(ANSWER.name) == "ant",
            stream: setting.stream,
            trails: BTreeMap::new(),
        }
    }

    /// The pheromone of a group; anew where the nodes are not those of before.
    fn trail(&mut self, group: u32, nodes: usize) -> Vec<f64> {
        let known = self.trails.remove(&group).filter(|trail| trail.len() == nodes);
        known.unwrap_or_else(|| vec![FIRST; nodes])
    }

    fn attraction(&self, pheromone: f64, heuristic: f64) -> f64 {
        power(pheromone, self.alpha) * power(heuristic, self.beta)
    }

    fn attractions(&self, trail: &[f64], nodes: &[NodeIndex], heuristics: &[f64]) -> Vec<f64> {
        nodes.iter().zip(heuristics).map(|(node, heuristic)| self.attraction(trail[*node], *heuristic)).collect()
    }

    /// Some pheromone goes everywhere; what `left` says is added.
    fn update(&self, trail: &mut [f64], left: impl Iterator<Item = (NodeIndex, f64)>) {
        for pheromone in trail.iter_mut() {
            *pheromone *= 1.0 - self.evaporation;
        }
        for (node, amount) in left {
            trail[node] += self.evaporation * amount;
        }
        for pheromone in trail.iter_mut() {
            *pheromone = pheromone.clamp(BOUNDS.0, BOUNDS.1);
        }
    }

    /// All iterations for one service. Returns the best place that an ant chose.
    fn search(&mut self, trail: &mut [f64], nodes: &[NodeIndex], heuristics: &[f64]) -> usize {
        let mut found: Option<usize> = None;
        for _ in 0..self.iterations {
            let wheel = Wheel::new(&self.attractions(trail, nodes, heuristics));
            let mut best = wheel.choose(self.exploit, &mut self.stream);
            for _ in 1..self.ants {
                let chosen = wheel.choose(self.exploit, &mut self.stream);
                best = if heuristics[chosen] > heuristics[best] { chosen } else { best };
            }
            self.update(trail, std::iter::once((nodes[best], heuristics[best])));
            found = found.filter(|found| heuristics[*found] >= heuristics[best]).or(Some(best));
        }
        found.unwrap_or(0)
    }

    /// One ant takes the services of a group one after the other, each where it is drawn to with the others in place. `None` when
    /// the time was up before it was through.
    fn walk(
        &mut self,
        cluster: &Cluster<'_>,
        trail: &[f64],
        pods: &[ServiceIndex],
        time_up: TimeUp<'_>,
    ) -> Option<Vec<Option<NodeIndex>>> {
        let mut cluster = cluster.clone();
        let mut chosen = Vec::with_capacity(pods.len());
        for pod in pods {
            if time_up() {
                return None;
            }
            let nodes = cluster.candidates(*pod);
            let values = self.objectives.scoring(&cluster, *pod).values(&nodes);
            let heuristics: Vec<f64> = values.into_iter().map(|value| value.max(LEAST)).collect();
            let node = (!nodes.is_empty()).then(|| {
                let wheel = Wheel::new(&self.attractions(trail, &nodes, &heuristics));
                nodes[wheel.choose(self.exploit, &mut self.stream)]
            });
            if let Some(node) = node {
                cluster.put(*pod, node);
            }
            chosen.push(node);
        }
        Some(chosen)
    }
}

/// x to the power of p; the paper's exponents without a call.
fn power(x: f64, p: f64) -> f64 {
    match p {
        1.0 => x,
        3.0 => x * x * x,
        p => libm::pow(x, p),
    }
}

impl Scorer for Colony {
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        let values = self.objectives.scoring(cluster, service).values(nodes);
        if values.is_empty() {
            return values;
        }
        let heuristics: Vec<f64> = values.iter().map(|value| value.max(LEAST)).collect();
        let group = cluster.problem().services()[service].group;
        let mut trail = self.trail(group, cluster.problem().hosts().len());
        let found = self.search(&mut trail, nodes, &heuristics);
        let scores = if self.answers_ant {
            favoured(found, &values, self.objectives.rounded)
        } else {
            let attractions: Vec<f64> = nodes
                .iter()
                .zip(&heuristics)
                .map(|(node, heuristic)| trail[*node] * power(*heuristic, self.beta))
                .collect();
            let most = attractions.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
            let shares: Vec<f64> = attractions.iter().map(|attraction| attraction / most).collect();
            marks(&shares, self.objectives.rounded)
        };
        self.trails.insert(group, trail);
        scores
    }
}

impl GroupScheduler for Colony {
    /// The best ant: most services placed, then worth.
    fn plan(&mut self, cluster: &Cluster<'_>, pods: &[ServiceIndex], time_up: TimeUp<'_>) -> GroupPlan {
        let Some(first) = pods.first() else {
            return GroupPlan { nodes: Vec::new(), proven: false, tried: 0, makeshift: 0 };
        };
        let group = cluster.problem().services()[*first].group;
        let mut trail = self.trail(group, cluster.problem().hosts().len());
        let (mut found, mut tried) = (None::<Ant>, 0);
        'all: for _ in 0..self.iterations {
            let mut best: Option<Ant> = None;
            for _ in 0..self.ants {
                let Some(nodes) = self.walk(cluster, &trail, pods, time_up) else { break 'all };
                tried += 1;
                let ant = Ant::new(&self.objectives, cluster, pods, nodes);
                best = best.filter(|best| !ant.beats(best)).or(Some(ant));
            }
            let Some(best) = best else { break };
            let share = best.worth / pods.len() as f64;
            self.update(&mut trail, best.nodes.iter().flatten().map(|node| (*node, share)));
            found = found.filter(|found| !best.beats(found)).or(Some(best));
        }
        self.trails.insert(group, trail);
        let makeshift = if found.is_none() { pods.len() } else { 0 };
        let nodes = found.map_or_else(|| greedy(&self.objectives, cluster, pods), |ant| ant.nodes);
        GroupPlan { nodes, proven: false, tried, makeshift }
    }
}

/// What an ant came to.
#[derive(Debug)]
struct Ant {
    nodes: Vec<Option<NodeIndex>>,
    placed: usize,
    worth: f64,
}

impl Ant {
    fn new(
        objectives: &Objectives,
        cluster: &Cluster<'_>,
        pods: &[ServiceIndex],
        nodes: Vec<Option<NodeIndex>>,
    ) -> Self {
        let worth = Joint::new(objectives, cluster, settled(pods, &nodes)).worth();
        Self { placed: nodes.iter().flatten().count(), nodes, worth }
    }

    fn beats(&self, other: &Self) -> bool {
        self.placed > other.placed || (self.placed == other.placed && self.worth > other.worth)
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::super::tests::{regions, setting};
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn ants_draw_by_attraction_and_take_the_best_as_often_as_told() {
        let wheel = Wheel::new(&[1.0, 0.0, 2.0, 1.0]);
        let mut stream = ChaCha8Rng::seed_from_u64(5);
        let mut drawn = [[0; 4]; 3];
        for (exploit, drawn) in [0.0, 0.5, 1.0].iter().zip(&mut drawn) {
            (0..8000).for_each(|_| drawn[wheel.choose(*exploit, &mut stream)] += 1);
        }
        let near =
            |counts: [i32; 4], wanted: [i32; 4]| counts.iter().zip(wanted).all(|(is, was)| (is - was).abs() < 250);
        assert!(near(drawn[0], [2000, 0, 4000, 2000]), "{drawn:?}");
        assert!(near(drawn[1], [1000, 0, 6000, 1000]), "{drawn:?}");
        assert_eq!((drawn[2], drawn[0][1]), ([0, 0, 8000, 0], 0));
    }

    #[test]
    fn pheromone_goes_everywhere_and_comes_where_the_best_was() {
        let colony = Colony::new(setting(find("aco").expect("ants"), &[], 1));
        let mut trail = vec![1.0, 1.0, 0.01];
        colony.update(&mut trail, std::iter::once((1, 0.5)));
        assert!(trail.iter().zip([0.9, 0.95, 0.01]).all(|(is, wanted)| (is - wanted).abs() < 1e-12), "{trail:?}");
    }

    #[test]
    fn pheromone_stays_with_the_group() {
        let problem = regions(3, 2, 3);
        let mut colony = Colony::new(setting(find("aco").expect("ants"), &[], 1));
        let mut cluster = Cluster::empty(&problem);
        let nodes = cluster.candidates(0);
        let scores = colony.scores(&cluster, 0, &nodes);
        let best = highest(&scores).expect("a node");
        assert!(colony.trails[&0][best] > colony.trails[&0].iter().sum::<f64>() / 6.0);
        cluster.put(0, best);
        let after = colony.scores(&cluster, 1, &nodes);
        assert_eq!(highest(&after), Some(best), "{after:?}");
    }
}
