//! Simulated annealing: a random step, taken where it is better or by a chance that falls with the temperature.

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Parameters, Value};
use crate::placement::dice::{below, unit_interval};
use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::{Cluster, Scorer};
use crate::placement::{Policy, Setting, TimeUp};
use crate::topology::NodeIndex;

use super::adaptor::favoured;
use super::joint::{Joint, greedy, settled};
use super::objectives::Objectives;
use super::parameters::{BENEFIT, LAMBDA, MODE, RESOURCE_MODE, ROUND, WEIGHT_CPU, WEIGHT_LATENCY, WEIGHT_MEMORY};
use super::placer::placer;
use super::{ANEW, GroupPlan, GroupScheduler, Plugin, TIES};

const START: Definition = Definition {
    name: "start_temperature",
    what: "the temperature at the beginning (T0)",
    kind: Kind::Number(0.001, 1e6),
    default: Value::Number(100.0),
};

const COOLING: Definition = Definition {
    name: "cooling",
    what: "what the temperature is multiplied with after each step",
    kind: Kind::Number(0.01, 0.999),
    default: Value::Number(0.95),
};

const STOP: Definition = Definition {
    name: "stop_temperature",
    what: "it ends when the temperature is below that",
    kind: Kind::Number(1e-6, 1e6),
    default: Value::Number(0.1),
};

const SCALE: Definition = Definition {
    name: "energy_scale",
    what: "the energy of the worst choice; with 1 the temperatures of the paper make it a random walk",
    kind: Kind::Number(0.001, 1e6),
    default: Value::Number(100.0),
};

const MOVES: Definition = Definition {
    name: "moves_per_temperature",
    what: "steps at each temperature; 0 for one of a single service, an eighth of services times nodes of a group",
    kind: Kind::Count(0, 10_000_000),
    default: Value::Count(0),
};

const ANSWER: Definition = Definition {
    name: "answer",
    what: "best: the best that the walk saw; last: where it ended",
    kind: Kind::Choice(&["best", "last"]),
    default: Value::Choice("best"),
};

/// Annealing.
pub(in crate::placement) const PLUGIN: Plugin = Plugin {
    policy: Policy {
        name: "annealing",
        what: "simulated annealing of the mean of cpu use, memory use and nearness to the group",
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
            START,
            COOLING,
            STOP,
            SCALE,
            MOVES,
            ANSWER,
        ],
        build: |setting| placer(&PLUGIN, setting),
    },
    scorer: |setting| Box::new(Annealing::new(setting)),
    group: |setting| Box::new(Annealing::new(setting)),
};

/// From the first to the last temperature.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: f64,
    cooling: f64,
    stop: f64,
}

impl Schedule {
    fn new(parameters: &Parameters) -> Self {
        let [start, cooling, stop] = [START, COOLING, STOP].map(|one| parameters.number(one.name));
        Self { start, cooling, stop }
    }

    fn temperatures(self) -> impl Iterator<Item = f64> {
        let lower = move |hot: &f64| Some(hot * self.cooling);
        std::iter::successors(Some(self.start), lower).take_while(move |hot| *hot >= self.stop)
    }
}

#[derive(Debug)]
struct Annealing {
    objectives: Objectives,
    schedule: Schedule,
    scale: f64,
    /// Steps at each temperature, if told.
    moves: Option<usize>,
    answers_last: bool,
    stream: ChaCha8Rng,
}

impl Annealing {
    fn new(setting: Setting) -> Self {
        let parameters = &setting.parameters;
        Self {
            objectives: Objectives::new(parameters),
            schedule: Schedule::new(parameters),
            scale: parameters.number(SCALE.name),
            moves: usize::try_from(parameters.count(MOVES.name)).ok().filter(|moves| *moves > 0),
            answers_last: parameters.choice(ANSWER.name) == "last",
            stream: setting.stream,
        }
    }

    /// Metropolis: whether a step is taken by which the worth grows by that much.
    fn accepts(&mut self, gain: f64, temperature: f64) -> bool {
        let worse = -gain * self.scale;
        worse <= 0.0 || unit_interval(&mut self.stream) < libm::exp(-worse / temperature)
    }

    /// A walk over the nodes of one service; the place of the node that it found.
    fn walk(&mut self, values: &[f64]) -> usize {
        let mut here = below(&mut self.stream, values.len());
        let mut best = here;
        for temperature in self.schedule.temperatures() {
            for _ in 0..self.moves.unwrap_or(1) {
                let to = below(&mut self.stream, values.len());
                if self.accepts(values[to] - values[here], temperature) {
                    here = to;
                    best = if values[here] > values[best] { here } else { best };
                }
            }
        }
        if self.answers_last { here } else { best }
    }

    /// A walk over the placements of a group. Returns the nodes that it found, and how many steps it took.
    fn walk_group(&mut self, joint: &mut Joint<'_>, nodes: usize, time_up: TimeUp<'_>) -> (Vec<NodeIndex>, u64) {
        let pods = joint.nodes().len();
        let moves = self.moves.unwrap_or((pods * nodes).div_ceil(8));
        let (mut best, mut above, mut worth, mut tried) = (joint.nodes().to_vec(), 0.0, 0.0, 0);
        for temperature in self.schedule.temperatures() {
            for _ in 0..moves {
                if tried % 256 == 0 && time_up() {
                    return (best, tried);
                }
                tried += 1;
                let (pod, to) = (below(&mut self.stream, pods), below(&mut self.stream, nodes));
                if !joint.fits(pod, to) {
                    continue;
                }
                let gain = joint.gain(pod, to);
                if self.accepts(gain, temperature) {
                    joint.apply(pod, to);
                    worth += gain;
                    if worth > above + 1e-9 {
                        above = worth;
                        best.copy_from_slice(joint.nodes());
                    }
                }
            }
        }
        if self.answers_last { (joint.nodes().to_vec(), tried) } else { (best, tried) }
    }
}

impl Scorer for Annealing {
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        let values = self.objectives.scoring(cluster, service).values(nodes);
        if values.is_empty() {
            return values;
        }
        let found = self.walk(&values);
        favoured(found, &values, self.objectives.rounded)
    }
}

impl GroupScheduler for Annealing {
    /// Begins where [`greedy`] ends; services that no node had room for stay without one.
    fn plan(&mut self, cluster: &Cluster<'_>, pods: &[ServiceIndex], time_up: TimeUp<'_>) -> GroupPlan {
        let mut nodes = greedy(&self.objectives, cluster, pods);
        let mut joint = Joint::new(&self.objectives, cluster, settled(pods, &nodes));
        let (found, tried) = if joint.nodes().is_empty() {
            (Vec::new(), 0)
        } else {
            self.walk_group(&mut joint, cluster.problem().hosts().len(), time_up)
        };
        nodes.iter_mut().filter(|node| node.is_some()).zip(found).for_each(|(node, found)| *node = Some(found));
        GroupPlan { nodes, proven: false, tried, makeshift: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GOLDEN: k = 135 is the first with 100 · 0.95^k < 0.1.
    #[test]
    fn the_papers_schedule_has_135_steps() {
        let schedule = Schedule { start: 100.0, cooling: 0.95, stop: 0.1 };
        assert_eq!(schedule.temperatures().count(), 135);
    }
}
