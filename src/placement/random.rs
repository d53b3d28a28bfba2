//! By lot: for each service a node that has room.

use super::Policy;
use super::kubernetes::ANEW;
use super::problem::ServiceIndex;
use super::scheduling::{Cluster, OneByOne, Scorer, Ties};
use crate::topology::NodeIndex;

/// A node by lot.
pub(super) const POLICY: Policy = Policy {
    name: "random",
    what: "for each service a node by lot, among those with room",
    parameters: &[ANEW],
    build: |setting| {
        Box::new(OneByOne {
            scorer: Equal,
            anew: setting.parameters.flag(ANEW.name),
            ties: Ties::Random(Box::new(setting.stream)),
        })
    },
};

/// All nodes are as good.
#[derive(Debug)]
struct Equal;

impl Scorer for Equal {
    fn scores(&mut self, _: &Cluster<'_>, _: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        vec![0.0; nodes.len()]
    }
}
