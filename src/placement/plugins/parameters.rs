//! The parameters that all plug-ins have.

use crate::parameters::{Definition, Kind, Value};
use crate::units::Span;

/// Whether services are scheduled one by one or a group at once.
pub(super) const MODE: Definition = Definition {
    name: "mode",
    what: "pods: score nodes for one service after the other, as kube-scheduler does; group: place all services of a group at once",
    kind: Kind::Choice(&["pods", "group"]),
    default: Value::Choice("pods"),
};

/// What is good about used resources.
pub(super) const RESOURCE_MODE: Definition = Definition {
    name: "resource_mode",
    what: "most: prefer nodes that are used already (packing, f_cpu and f_mem of the paper); least: empty ones",
    kind: Kind::Choice(&["most", "least"]),
    default: Value::Choice("most"),
};

/// How a delay becomes something good.
pub(super) const BENEFIT: Definition = Definition {
    name: "latency_benefit",
    what: "linear: 1 - f_lat / longest delay; exp: exp(-f_lat / lambda)",
    kind: Kind::Choice(&["linear", "exp"]),
    default: Value::Choice("linear"),
};

/// The same for the program, where the paper has the exponential.
pub(super) const BENEFIT_EXP: Definition = Definition { default: Value::Choice("exp"), ..BENEFIT };

/// The scale of the exponential.
pub(super) const LAMBDA: Definition = Definition {
    name: "lambda",
    what: "the delay at which the exponential benefit has fallen to 1/e",
    kind: Kind::Time(Span::from_nanos(1_000), Span::from_secs(60)),
    default: Value::Time(Span::from_millis(3)),
};

const fn weight(name: &'static str, what: &'static str) -> Definition {
    Definition { name, what, kind: Kind::Number(0.0, 1000.0), default: Value::Number(1.0) }
}

/// How much used processor time counts.
pub(super) const WEIGHT_CPU: Definition = weight("weight_cpu", "weight of cpu; weights are divided by their sum");
/// How much used memory counts.
pub(super) const WEIGHT_MEMORY: Definition = weight("weight_memory", "weight of memory");
/// How much delay counts.
pub(super) const WEIGHT_LATENCY: Definition = weight("weight_latency", "weight of the latency benefit");

/// Whether scores are whole numbers.
pub(super) const ROUND: Definition = Definition {
    name: "round",
    what: "whole scores, as kube-scheduler takes them; nodes that differ by less than a hundredth are then equals",
    kind: Kind::Flag,
    default: Value::Flag(true),
};
