//! Subjects: what an experiment is about. A new one is a room beside [`balancing`](super::balancing) and a line in each of the
//! lists here; plans, runs and reports ask these.

use serde::{Deserialize, Serialize};

use super::balancing::{self, Balancing, BalancingFacts};
use super::outcome::Metric;
use super::report::Given;
use crate::balance;
use crate::parameters::Definition;
use crate::report::page::Block;

/// The kinds of experiments: which policies a strategy may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Requests are balanced among instances of a service.
    Balancing,
}

/// What is done on a topology.
#[derive(Debug, Clone)]
pub enum Subject {
    /// Requests are balanced among instances of a service.
    Balancing(Balancing),
}

/// A policy of the subject's own room.
#[derive(Debug, Clone, Copy)]
pub enum Policy {
    /// One that chooses an instance for each request.
    Balancing(&'static balance::Policy),
}

/// What is done, in the numbers that a report needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Facts {
    /// Requests are balanced.
    Balancing(BalancingFacts),
}

impl Kind {
    /// The policy of that name.
    pub fn find(self, name: &str) -> Option<Policy> {
        match self {
            Self::Balancing => balance::find(name).map(Policy::Balancing),
        }
    }

    /// The names of all policies.
    pub fn known(self) -> Vec<&'static str> {
        match self {
            Self::Balancing => balance::POLICIES.iter().map(|policy| policy.name).collect(),
        }
    }
}

impl Subject {
    /// What trials are judged by.
    pub fn metrics(&self) -> &'static [Metric] {
        match self {
            Self::Balancing(_) => &balancing::METRICS,
        }
    }

    /// What is done, as names and values for reading.
    pub fn words(&self) -> Vec<(String, String)> {
        match self {
            Self::Balancing(balancing) => balancing.words(),
        }
    }

    /// What is done, in the numbers that a report needs.
    pub fn facts(&self) -> Facts {
        match self {
            Self::Balancing(balancing) => Facts::Balancing(BalancingFacts::new(balancing)),
        }
    }
}

impl Policy {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Balancing(policy) => policy.name,
        }
    }

    /// What can be set.
    pub fn parameters(self) -> &'static [Definition] {
        match self {
            Self::Balancing(policy) => policy.parameters,
        }
    }
}

impl Facts {
    /// Metrics that have a picture of their own and are looked at over the sweep.
    pub fn headlines(&self) -> &'static [&'static str] {
        match self {
            Self::Balancing(_) => &balancing::figures::HEADLINES,
        }
    }

    /// The pictures of this kind of experiment, of the plan as written.
    pub fn figures(&self, given: &Given) -> Vec<Block> {
        match self {
            Self::Balancing(facts) => balancing::figures::figures(facts, given),
        }
    }

    /// What strategies of one topology and repetition have in common.
    pub fn shared(&self) -> &'static str {
        match self {
            Self::Balancing(_) => "meet the same requests",
        }
    }
}
