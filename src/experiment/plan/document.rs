//! The plan as it is written: its fields, each with its place, before anything is looked up.

use std::path::PathBuf;

use serde::Deserialize;

use crate::experiment::balancing::BalancingDocument;
use crate::experiment::placement::PlacementDocument;
use crate::shaping::Distribution;
use crate::units::{Delay, Probability, Rtt, Span};
use crate::yaml::{At, Ordered, Text};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) api_version: At<String>,
    /// What the run directory and the report are called.
    pub(super) name: At<String>,
    /// What the experiment is to find out.
    pub(super) question: String,
    pub(super) testbed: At<String>,
    #[serde(default)]
    pub(super) seed: Option<At<u64>>,
    pub(super) repetitions: Option<At<u32>>,
    /// How many seconds of the plan pass in one second of a testbed that has a clock of its own.
    pub(super) time_scale: Option<At<f64>>,
    pub(super) topologies: At<Vec<TopologyDocument>>,
    pub(super) strategies: At<Vec<StrategyDocument>>,
    /// What is done on the topology: request balancing,
    pub(super) balancing: Option<At<BalancingDocument>>,
    /// or placement.
    pub(super) placement: Option<At<PlacementDocument>>,
    #[serde(default)]
    pub(super) timeline: Vec<At<EntryDocument>>,
    #[serde(default)]
    pub(super) sweep: Vec<AxisDocument>,
    /// How far metrics of the lab may be from those of a simulation of its trials.
    pub(super) cross_check: Option<At<Ordered<At<String>>>>,
    /// What was said before, to be judged by this run.
    #[serde(default)]
    pub(super) claims: Vec<ClaimDocument>,
}

/// A topology: one source, and what is done to its delays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TopologyDocument {
    pub(super) name: Option<At<String>>,
    /// A delay matrix, relative to the plan.
    pub(super) matrix: Option<At<PathBuf>>,
    /// A list of cities, relative to the plan.
    pub(super) cities: Option<At<PathBuf>>,
    pub(super) random: Option<At<RandomDocument>>,
    pub(super) regions: Option<At<RegionsDocument>>,
    /// An impairment file, relative to the plan.
    pub(super) impairments: Option<At<PathBuf>>,
    /// Standard deviation of the noise on the round trips between cities.
    pub(super) noise: Option<At<Text<Rtt>>>,
    pub(super) seed: Option<At<u64>>,
    /// What every delay is multiplied by.
    pub(super) scale: Option<At<f64>>,
    /// What is then added to every delay.
    pub(super) add: Option<At<Text<Delay>>>,
    /// How far packets stray on every path.
    pub(super) jitter: Option<At<Text<Span>>>,
    pub(super) distribution: Option<At<Text<Distribution>>>,
    pub(super) jitter_correlation: Option<At<Text<Probability>>>,
    /// How many are lost on every path.
    pub(super) loss: Option<At<Text<Probability>>>,
    pub(super) loss_correlation: Option<At<Text<Probability>>>,
}

/// The random generator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomDocument {
    pub(super) nodes: usize,
    pub(super) base: Text<Delay>,
    pub(super) addition: Text<Delay>,
}

/// The generator of regions on a line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegionsDocument {
    pub(super) regions: usize,
    pub(super) nodes: usize,
}

/// A strategy: a policy with its parameters, under a name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StrategyDocument {
    pub(super) name: Option<At<String>>,
    pub(super) policy: At<String>,
    #[serde(default)]
    pub(super) parameters: Ordered<At<String>>,
}

/// Something that happens at an instant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryDocument {
    pub(super) at: Text<Span>,
    #[serde(rename = "do")]
    pub(super) event: At<EventDocument>,
}

/// What happens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) enum EventDocument {
    /// Clients join on randomly chosen nodes, or on those named.
    Join(CrowdDocument),
    /// Clients leave likewise, the last that joined first.
    Leave(CrowdDocument),
    /// An instance appears on a node.
    Add(String),
    /// An instance is removed: what it has it finishes, and balancers are told.
    Remove(String),
    /// An instance fails: what it has is lost, and balancers are told.
    Fail(String),
    /// A node is cut off from all others; nobody is told.
    Cut(String),
    /// A node that was cut off is back.
    Rejoin(String),
    /// Other delays: a matrix of the same nodes.
    Matrix(PathBuf),
}

/// Clients that come or go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CrowdDocument {
    /// On that many nodes, drawn by the seed.
    pub(crate) nodes: Option<usize>,
    /// On these.
    #[serde(default)]
    pub(crate) on: Vec<String>,
    /// So many on each.
    pub(crate) each: u32,
}

/// A parameter of the plan that is varied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AxisDocument {
    /// Where it stands: names of fields and numbers of list entries, with points between.
    pub(super) vary: At<String>,
    pub(super) over: At<Vec<serde_json::Value>>,
    pub(super) label: Option<String>,
}

/// A claim: its words, and what is to be seen if it holds. One of `between`, `above` and `notTestable`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClaimDocument {
    pub(super) says: String,
    pub(super) metric: Option<At<String>>,
    /// The strategy that it is about.
    pub(super) of: Option<At<String>>,
    /// The mean lies between these, which are included.
    pub(super) between: Option<At<(f64, f64)>>,
    /// The mean is greater than that of this strategy.
    pub(super) above: Option<At<String>>,
    /// Only on this topology.
    pub(super) topology: Option<At<String>>,
    /// What lies between is how many times the mean on this other topology the mean is.
    pub(super) relative_to: Option<At<String>>,
    /// Why it cannot be tested here.
    pub(super) not_testable: Option<String>,
}
