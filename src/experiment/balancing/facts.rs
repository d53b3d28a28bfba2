//! What a report needs to know of a balancing experiment beside its words: numbers for axes, bounds and events.

use serde::{Deserialize, Serialize};

use crate::units::{Moment, Span};

use super::Balancing;

/// The numbers of a balancing experiment that figures are drawn by. Times are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BalancingFacts {
    /// For how long requests are sent.
    pub duration: Span,
    /// What is left out of the figures at the start.
    pub warm_up: Span,
    /// The longest good latency.
    pub within: Span,
    /// The least share of good requests.
    pub at_least: f64,
    /// Over how long the share is taken.
    pub window: Span,
    /// What happens when, in words.
    pub events: Vec<(Moment, String)>,
}

impl BalancingFacts {
    /// Those of `balancing`.
    pub fn new(balancing: &Balancing) -> Self {
        Self {
            duration: balancing.duration,
            warm_up: balancing.warm_up,
            within: balancing.qos.within,
            at_least: balancing.qos.at_least,
            window: balancing.qos.window,
            events: balancing.events.iter().map(|event| (event.at, event.change.words())).collect(),
        }
    }
}
