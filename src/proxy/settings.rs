//! The two files as they are written: every field with its place, nothing checked yet but its type.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::yaml::At;

/// A text with its place.
pub(super) type Text = At<String>;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) api_version: Text,
    pub(super) listen: Text,
    pub(super) admin: Option<Text>,
    pub(super) instances: Text,
    pub(super) service_header: Option<Text>,
    pub(super) seed: Option<u64>,
    pub(super) access_log: Option<Text>,
    pub(super) probes: Option<ProbeFields>,
    #[serde(default)]
    pub(super) limits: LimitFields,
    #[serde(default)]
    pub(super) timeouts: TimeoutFields,
    pub(super) services: At<Vec<ServiceFields>>,
}

/// Probes to peers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeFields {
    pub(super) listen: Text,
    pub(super) interval: Option<Text>,
}

/// What is taken at a time.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct LimitFields {
    pub(super) connections: Option<At<u64>>,
    pub(super) in_flight: Option<At<u64>>,
    pub(super) head_bytes: Option<At<u64>>,
}

/// How long things may take.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TimeoutFields {
    pub(super) connect: Option<Text>,
    pub(super) request: Option<Text>,
    pub(super) head: Option<Text>,
    pub(super) body: Option<Text>,
    pub(super) idle: Option<Text>,
    pub(super) drain: Option<Text>,
}

/// One service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceFields {
    pub(super) name: Text,
    pub(super) policy: Text,
    pub(super) protocol: Option<Text>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Text>,
    #[serde(default)]
    pub(super) qos: QosFields,
    pub(super) phase: Option<Text>,
}

/// What a service is to keep.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct QosFields {
    pub(super) within: Option<Text>,
    pub(super) at_least: Option<At<f64>>,
    pub(super) window: Option<Text>,
}

/// The file of instances.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct InstancesDocument {
    pub(super) api_version: Text,
    pub(super) instances: Vec<InstanceFields>,
}

/// One instance.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstanceFields {
    pub(super) name: Text,
    pub(super) service: Text,
    pub(super) address: Text,
    pub(super) probe: Option<Text>,
}
