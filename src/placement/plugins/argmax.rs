//! The exact best node for a service: S is a sum of terms of one node each, so a look at every node finds it, in O(nodes). The
//! oracle that the searches are measured by; what they can gain is only in placing a group at once.

use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::{Cluster, Scorer};
use crate::placement::{Policy, Setting, TimeUp};
use crate::topology::NodeIndex;

use super::adaptor::marks;
use super::joint::greedy;
use super::objectives::Objectives;
use super::parameters::{BENEFIT, LAMBDA, MODE, RESOURCE_MODE, ROUND, WEIGHT_CPU, WEIGHT_LATENCY, WEIGHT_MEMORY};
use super::placer::placer;
use super::{ANEW, GroupPlan, GroupScheduler, Plugin, TIES};

/// The exact best node.
pub(in crate::placement) const PLUGIN: Plugin = Plugin {
    policy: Policy {
        name: "argmax",
        what: "the node that the mean of cpu use, memory use and nearness to the group is highest on, exactly",
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
        ],
        build: |setting| placer(&PLUGIN, setting),
    },
    scorer: |setting| Box::new(Argmax::new(&setting)),
    group: |setting| Box::new(Argmax::new(&setting)),
};

/// S of every node.
#[derive(Debug)]
struct Argmax(Objectives);

impl Argmax {
    fn new(setting: &Setting) -> Self {
        Self(Objectives::new(&setting.parameters))
    }
}

impl Scorer for Argmax {
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        marks(&self.0.scoring(cluster, service).values(nodes), self.0.rounded)
    }
}

impl GroupScheduler for Argmax {
    fn plan(&mut self, cluster: &Cluster<'_>, pods: &[ServiceIndex], _: TimeUp<'_>) -> GroupPlan {
        GroupPlan { nodes: greedy(&self.0, cluster, pods), proven: false, tried: pods.len() as u64, makeshift: 0 }
    }
}
