//! Subjects: what an experiment is about. A new one is a room beside [`balancing`](super::balancing) and a line in each of the
//! lists here; plans, runs and reports ask these.

use serde::{Deserialize, Serialize};

use super::balancing::{self, Balancing, BalancingFacts};
use super::outcome::Metric;
use super::placement::{self as placing, PlacementFacts, Placing};
use super::report::Given;
use super::run::TrialRecord;
use crate::parameters::Definition;
use crate::report::page::Block;
use crate::{balance, placement};

/// The kinds of experiments: which policies a strategy may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Requests are balanced among instances of a service.
    Balancing,
    /// Services are given nodes.
    Placement,
}

/// What is done on a topology.
#[derive(Debug, Clone)]
pub enum Subject {
    /// Requests are balanced among instances of a service.
    Balancing(Balancing),
    /// Services are given nodes.
    Placement(Placing),
}

/// A policy of the subject's own room.
#[derive(Debug, Clone, Copy)]
pub enum Policy {
    /// One that chooses an instance for each request.
    Balancing(&'static balance::Policy),
    /// One that gives services nodes.
    Placement(&'static placement::Policy),
}

/// What is done, in the numbers that a report needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Facts {
    /// Requests are balanced.
    Balancing(BalancingFacts),
    /// Services are given nodes.
    Placement(PlacementFacts),
}

impl Kind {
    /// The policy of that name.
    pub fn find(self, name: &str) -> Option<Policy> {
        match self {
            Self::Balancing => balance::find(name).map(Policy::Balancing),
            Self::Placement => placement::find(name).map(Policy::Placement),
        }
    }

    /// The names of all policies.
    pub fn known(self) -> Vec<&'static str> {
        match self {
            Self::Balancing => balance::POLICIES.iter().map(|policy| policy.name).collect(),
            Self::Placement => placement::POLICIES.iter().map(|policy| policy.name).collect(),
        }
    }
}

impl Subject {
    /// What trials are judged by.
    pub fn metrics(&self) -> &'static [Metric] {
        match self {
            Self::Balancing(_) => &balancing::METRICS,
            Self::Placement(placing) if placing.is_alike() => &placing::ALIKE_METRICS,
            Self::Placement(_) => &placing::METRICS,
        }
    }

    /// What is done, as names and values for reading.
    pub fn words(&self) -> Vec<(String, String)> {
        match self {
            Self::Balancing(balancing) => balancing.words(),
            Self::Placement(placing) => placing.words(),
        }
    }

    /// What is done, in the numbers that a report needs.
    pub fn facts(&self) -> Facts {
        match self {
            Self::Balancing(balancing) => Facts::Balancing(BalancingFacts::new(balancing)),
            Self::Placement(placing) => Facts::Placement(PlacementFacts::new(placing)),
        }
    }
}

impl Policy {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Balancing(policy) => policy.name,
            Self::Placement(policy) => policy.name,
        }
    }

    /// What can be set.
    pub fn parameters(self) -> &'static [Definition] {
        match self {
            Self::Balancing(policy) => policy.parameters,
            Self::Placement(policy) => policy.parameters,
        }
    }
}

impl Facts {
    /// Metrics that have a picture of their own and are looked at over the sweep.
    pub fn headlines(&self) -> &'static [&'static str] {
        match self {
            Self::Balancing(_) => &balancing::figures::HEADLINES,
            Self::Placement(facts) if facts.alike => &placing::figures::ALIKE_HEADLINES,
            Self::Placement(_) => &placing::figures::HEADLINES,
        }
    }

    /// The pictures of this kind of experiment, of the plan as written.
    pub fn figures(&self, given: &Given) -> Vec<Block> {
        match self {
            Self::Balancing(facts) => balancing::figures::figures(facts, given),
            Self::Placement(facts) => placing::figures::figures(facts, given),
        }
    }

    /// What strategies of one topology and repetition have in common.
    pub fn shared(&self) -> &'static str {
        match self {
            Self::Balancing(_) => "meet the same requests",
            Self::Placement(_) => "solve the same problem",
        }
    }

    /// What a reader has to know of a simulation of this kind, where that is not what holds for requests.
    pub fn caveat(&self) -> Option<&'static str> {
        match self {
            Self::Balancing(_) => None,
            Self::Placement(_) => Some(placing::CAVEAT),
        }
    }

    /// Adds the metrics that only all trials together tell.
    pub fn compare(&self, records: &mut [TrialRecord]) {
        match self {
            Self::Balancing(_) => {}
            Self::Placement(_) => placing::compare(records),
        }
    }
}
