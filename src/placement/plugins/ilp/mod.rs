//! Integer program: who goes where as variables of 0 or 1, capacities as constraints, the mean of usage and nearness as objective;
//! by Simplex on relaxed variables as in paper 003, or with whole ones.

mod assignment;
mod pairs;
mod solver;

use crate::parameters::{Definition, Kind, Value};
use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::{Cluster, Scorer};
use crate::placement::{Policy, Setting, TimeUp};
use crate::topology::NodeIndex;
use crate::units::Span;

use self::assignment::Assignment;
use self::pairs::Pairs;
use self::solver::Engine;
use super::adaptor::marks;
use super::joint::greedy;
use super::objectives::{Objectives, highest};
use super::parameters::{BENEFIT_EXP, LAMBDA, MODE, RESOURCE_MODE, ROUND, WEIGHT_CPU, WEIGHT_LATENCY, WEIGHT_MEMORY};
use super::placer::placer;
use super::{ANEW, GroupPlan, GroupScheduler, Plugin, TIES};

const METHOD: Definition = Definition {
    name: "method",
    what: "simplex: fractions, rounded where they are none of 0 and 1; integer: whole; both see only those in place already; pairs: \
           whole, with the delays within the group, for small groups",
    kind: Kind::Choice(&["simplex", "integer", "pairs"]),
    default: Value::Choice("simplex"),
};

const BOUND: Definition = Definition {
    name: "latency_bound",
    what: "the benefit of each service's delay is that of this delay at least, where that can be done; 0s for no bound",
    kind: Kind::Time(Span::ZERO, Span::from_secs(60)),
    default: Value::Time(Span::ZERO),
};

const LARGEST: Definition = Definition {
    name: "max_variables",
    what: "programs with more variables are not tried: pairs become integer, and others one after the other, which is said",
    kind: Kind::Count(1, 10_000_000),
    default: Value::Count(20_000),
};

const MOST_PAIRS: Definition = Definition {
    name: "max_pairs",
    what: "with more variables for pairs of services, pairs become integer",
    kind: Kind::Count(1, 10_000_000),
    default: Value::Count(400),
};

const ANSWER: Definition = Definition {
    name: "answer",
    what: "solution: a node scores by the solution, so all but the chosen one get 0; coefficients: by its term in the objective",
    kind: Kind::Choice(&["solution", "coefficients"]),
    default: Value::Choice("solution"),
};

const SOLVER: Definition = Definition {
    name: "solver",
    what: "who solves programs; highs only where it is built in",
    kind: Kind::Choice(Engine::NAMES),
    default: Value::Choice("microlp"),
};

/// The program.
pub(in crate::placement) const PLUGIN: Plugin = Plugin {
    policy: Policy {
        name: "ilp",
        what: "an integer program for the mean of cpu use, memory use and nearness to the group, by Simplex or exactly",
        parameters: &[
            MODE,
            ANEW,
            TIES,
            RESOURCE_MODE,
            BENEFIT_EXP,
            LAMBDA,
            WEIGHT_CPU,
            WEIGHT_MEMORY,
            WEIGHT_LATENCY,
            ROUND,
            METHOD,
            BOUND,
            LARGEST,
            MOST_PAIRS,
            ANSWER,
            SOLVER,
        ],
        build: |setting| placer(&PLUGIN, setting),
    },
    scorer: |setting| Box::new(Program::new(&setting)),
    group: |setting| Box::new(Program::new(&setting)),
};

#[derive(Debug)]
struct Program {
    objectives: Objectives,
    method: &'static str,
    /// The longest mean delay of a service, in milliseconds.
    bound_ms: Option<f64>,
    largest: usize,
    most_pairs: usize,
    answers_coefficients: bool,
    engine: Engine,
}

impl Program {
    fn new(setting: &Setting) -> Self {
        let parameters = &setting.parameters;
        let count = |definition: Definition| usize::try_from(parameters.count(definition.name)).unwrap_or(usize::MAX);
        let bound = parameters.time(BOUND.name);
        Self {
            objectives: Objectives::new(parameters),
            method: parameters.choice(METHOD.name),
            bound_ms: (bound > Span::ZERO).then(|| bound.as_millis_f64()),
            largest: count(LARGEST),
            most_pairs: count(MOST_PAIRS),
            answers_coefficients: parameters.choice(ANSWER.name) == "coefficients",
            engine: Engine::named(parameters.choice(SOLVER.name)),
        }
    }

    /// The nodes of the program that sees only who is in place already.
    fn assigned(&self, cluster: &Cluster<'_>, pods: &[ServiceIndex]) -> Option<Vec<Option<NodeIndex>>> {
        let assignment = Assignment::new(&self.objectives, cluster, pods);
        if assignment.variables() > self.largest {
            return None;
        }
        let shares = assignment.solve(self.engine, self.method != "simplex", self.bound_ms)?;
        Some(assignment.rounded(cluster, &shares))
    }
}

impl Scorer for Program {
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        let assignment = Assignment::among(&self.objectives, cluster, service, nodes);
        let values = assignment.coefficients(0);
        let Some(best) = highest(values) else { return Vec::new() };
        let most = values[best].max(f64::MIN_POSITIVE);
        let shares: Vec<f64> = values.iter().map(|value| value / most).collect();
        if self.answers_coefficients || nodes.len() > self.largest {
            return marks(&shares, self.objectives.rounded);
        }
        let Some(solution) = assignment.solve(self.engine, self.method != "simplex", self.bound_ms) else {
            return marks(&shares, self.objectives.rounded);
        };
        let products: Vec<f64> = shares.iter().zip(&solution[0]).map(|(share, solution)| share * solution).collect();
        marks(&products, self.objectives.rounded)
    }
}

impl GroupScheduler for Program {
    /// A solver cannot be interrupted; when the time is up before it begins, services go one after the other.
    fn plan(&mut self, cluster: &Cluster<'_>, pods: &[ServiceIndex], time_up: TimeUp<'_>) -> GroupPlan {
        let makeshift = || GroupPlan {
            nodes: greedy(&self.objectives, cluster, pods),
            proven: false,
            tried: 0,
            makeshift: pods.len(),
        };
        if time_up() {
            return makeshift();
        }
        if self.method == "pairs" {
            let pairs = Pairs::new(&self.objectives, cluster, pods);
            let small = pairs.variables() <= self.most_pairs.min(self.largest);
            if let Some(nodes) = Some(pairs).filter(|_| small).and_then(|pairs| pairs.solve(self.engine)) {
                return GroupPlan {
                    nodes: nodes.into_iter().map(Some).collect(),
                    proven: true,
                    tried: 1,
                    makeshift: 0,
                };
            }
        }
        match self.assigned(cluster, pods) {
            Some(nodes) => GroupPlan { nodes, proven: false, tried: 1, makeshift: 0 },
            None => makeshift(),
        }
    }
}

#[cfg(test)]
mod tests;
