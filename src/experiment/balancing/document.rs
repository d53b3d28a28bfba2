//! What a plan says under `balancing:`, as it is written.

use serde::Deserialize;

use crate::units::{Probability, Rtt, Span};
use crate::workload::Pace;
use crate::yaml::{At, Text};

/// Requests of clients to a service with several instances.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BalancingDocument {
    pub(super) duration: At<Text<Span>>,
    /// What is left out of the figures at the start.
    pub(super) warm_up: Option<At<Text<Span>>>,
    pub(super) service: ServiceDocument,
    pub(super) instances: At<InstancesDocument>,
    pub(super) clients: ClientsDocument,
    pub(super) qos: QosDocument,
    pub(super) timeout: Option<Text<Span>>,
    /// The round trip between a balancer and an instance of the same node.
    pub(super) local_rtt: Option<Text<Rtt>>,
    /// Whether connections to instances are there, or are opened as they are needed.
    pub(super) connections: Option<At<String>>,
    /// How often balancers measure how far instances are.
    pub(super) probe_every: Option<Text<Span>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ServiceDocument {
    pub(super) time: At<TimeDocument>,
    pub(super) cores: Option<At<u32>>,
    pub(super) discipline: Option<At<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum TimeDocument {
    Fixed(Text<Span>),
    LogNormal(LogNormalDocument),
    Exponential(Text<Span>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogNormalDocument {
    pub(super) mean: Text<Span>,
    pub(super) cv: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum InstancesDocument {
    KCenter(KCenterDocument),
    On(Vec<At<String>>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KCenterDocument {
    pub(super) count: usize,
    /// A node, or `random` by the topology's seed.
    pub(super) first: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientsDocument {
    /// On each node.
    pub(super) each: At<u32>,
    pub(super) rate: Text<Pace>,
    pub(super) arrivals: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct QosDocument {
    pub(super) within: Text<Span>,
    pub(super) at_least: Text<Probability>,
    pub(super) window: At<Text<Span>>,
}
