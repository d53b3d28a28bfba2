//! QEdgeProxy (paper 004): keeps a pool of the instances that are likely to answer in time, sends most requests to those that
//! surely do and a decaying part to the others, and lets an instance rest that fails too often.
//!
//! - `pool`: from estimates to shares (algorithm 1, lines 20 to 24).
//! - `record`: what is remembered of an instance (algorithm 2, lines 5 to 8; sections 4.4 and 4.5 of the algorithms).
//! - `balancer`: when what happens (algorithms 1 to 4).
//!
//! The paper as it can be read has neither the formulas nor the numbers. What was put in their place is a parameter each.

mod balancer;
mod pool;
mod record;

use crate::parameters::{Definition, Kind, Parameters, Value};
use crate::units::Span;

use super::{Policy, Qos};

use balancer::QEdge;

const INTERVAL: Definition = Definition {
    name: "interval",
    what: "how often pools and weights are computed (H)",
    kind: Kind::Time(Span::from_millis(1), Span::from_secs(3600)),
    default: Value::Time(Span::from_secs(5)),
};

const EPSILON: Definition = Definition {
    name: "epsilon",
    what: "the explored share at first and after every window below the target (ε₀)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.3),
};

const DECAY: Definition = Definition {
    name: "gamma",
    what: "what is left of the explored share after an interval that met the target (γ)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.9),
};

const LEAST: Definition = Definition {
    name: "epsilon-least",
    what: "below which the explored share does not decay",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.005),
};

const SMOOTHING: Definition = Definition {
    name: "eta",
    what: "what is added to every score, so that none is 0 (η)",
    kind: Kind::Number(0.0, 10.0),
    default: Value::Number(0.01),
};

const EXCEEDING: Definition = Definition {
    name: "exceeding",
    what: "whether an estimate must reach the target to be exploited, or lie above it",
    kind: Kind::Choice(&["reached", "above"]),
    default: Value::Choice("reached"),
};

const BANDWIDTH: Definition = Definition {
    name: "bandwidth-least",
    what: "the least bandwidth of the kernel density (h_min)",
    kind: Kind::Time(Span::ZERO, Span::from_secs(60)),
    default: Value::Time(Span::from_millis(1)),
};

const SAMPLE_CAP: Definition = Definition {
    name: "sample-cap",
    what: "how many of the newest latencies of an instance are kept",
    kind: Kind::Count(1, 1_000_000),
    default: Value::Count(512),
};

const ERROR_COUNT: Definition = Definition {
    name: "error-count",
    what: "more violations than this let an instance rest (E)",
    kind: Kind::Count(0, 1_000_000),
    default: Value::Count(5),
};

const ERRORS: Definition = Definition {
    name: "errors",
    what: "which violations count: those in a row, or all of the window",
    kind: Kind::Choice(&["consecutive", "window"]),
    default: Value::Choice("consecutive"),
};

const COOLDOWN: Definition = Definition {
    name: "cooldown",
    what: "how long an instance rests (D)",
    kind: Kind::Time(Span::ZERO, Span::from_secs(3600)),
    default: Value::Time(Span::from_secs(5)),
};

const FAILURE: Definition = Definition {
    name: "failure-latency",
    what: "the latency that a request without an answer counts as, at least",
    kind: Kind::Time(Span::ZERO, Span::from_secs(3600)),
    default: Value::Time(Span::from_secs(1)),
};

const PERCENTILE: Definition = Definition {
    name: "percentile",
    what: "the part of an instance's processing times that a newcomer is expected to stay below (p); 0: as the target ρ",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.0),
};

const NEWCOMER: Definition = Definition {
    name: "newcomer",
    what: "a newcomer's weight until the next maintenance (w₀); 0: the explored share by the number explored, itself counted",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.0),
};

const NEWCOMER_LEAST: Definition = Definition {
    name: "newcomer-least",
    what: "the least weight of a newcomer",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.01),
};

/// QEdgeProxy.
pub(super) const POLICY: Policy = Policy {
    name: "qedgeproxy",
    what: "a pool of instances likely to answer in time, weighted by that likelihood, with decaying exploration and rest",
    parameters: &[
        INTERVAL,
        EPSILON,
        DECAY,
        LEAST,
        SMOOTHING,
        EXCEEDING,
        BANDWIDTH,
        SAMPLE_CAP,
        ERROR_COUNT,
        ERRORS,
        COOLDOWN,
        FAILURE,
        PERCENTILE,
        NEWCOMER,
        NEWCOMER_LEAST,
    ],
    build: |setting| Box::new(QEdge::new(Rule::new(&setting.qos, &setting.parameters))),
};

/// What the service is to keep, and the parameters.
#[derive(Debug, Clone, Copy)]
struct Rule {
    within: Span,
    target: f64,
    window: Span,
    interval: Span,
    epsilon: f64,
    decay: f64,
    epsilon_least: f64,
    smoothing: f64,
    /// Whether reaching the target is enough.
    inclusive: bool,
    bandwidth: Span,
    sample_cap: usize,
    error_count: usize,
    consecutive: bool,
    cooldown: Span,
    failure: Span,
    percentile: f64,
    newcomer: f64,
    newcomer_least: f64,
}

impl Rule {
    #[allow(clippy::cast_possible_truncation)]
    fn new(qos: &Qos, parameters: &Parameters) -> Self {
        let number = |definition: &Definition| parameters.number(definition.name);
        let time = |definition: &Definition| parameters.time(definition.name);
        let count = |definition: &Definition| parameters.count(definition.name) as usize;
        let percentile = number(&PERCENTILE);
        Self {
            within: qos.within,
            target: qos.at_least,
            window: qos.window,
            interval: time(&INTERVAL),
            epsilon: number(&EPSILON),
            decay: number(&DECAY),
            epsilon_least: number(&LEAST),
            smoothing: number(&SMOOTHING),
            inclusive: parameters.choice(EXCEEDING.name) == "reached",
            bandwidth: time(&BANDWIDTH),
            sample_cap: count(&SAMPLE_CAP),
            error_count: count(&ERROR_COUNT),
            consecutive: parameters.choice(ERRORS.name) == "consecutive",
            cooldown: time(&COOLDOWN),
            failure: time(&FAILURE),
            percentile: if percentile > 0.0 { percentile } else { qos.at_least },
            newcomer: number(&NEWCOMER),
            newcomer_least: number(&NEWCOMER_LEAST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::contract::QOS;

    /// The rule of the paper's evaluation with what is given.
    pub(super) fn rule(given: &[(&str, &str)]) -> Rule {
        let given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Rule::new(&QOS, &Parameters::new(POLICY.name, POLICY.parameters, &given).expect("allowed"))
    }
}
