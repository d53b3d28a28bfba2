//! What is known of a testbed some of whose nodes cannot say what they do.

use std::collections::BTreeMap;

use super::caveats::Faults;
use crate::agent::protocol::NodeStatus;
use crate::measure::Missing;
use crate::testbed::{self, Measured, NodeFailure, OperationError, Testbed};
use crate::topology::NodeIndex;

/// The states of all nodes, as far as they say.
pub(super) struct Known {
    /// In node order; of a node that does not say, that it does nothing.
    pub(super) statuses: Vec<NodeStatus>,
    /// The nodes that do not say, and why.
    pub(super) silent: BTreeMap<NodeIndex, String>,
}

impl Known {
    /// Asks all nodes; an error when none answers.
    pub(super) fn of(testbed: &mut dyn Testbed) -> Result<Self, OperationError> {
        let (mut statuses, mut silent) = (Vec::new(), BTreeMap::new());
        for (node, status) in testbed::statuses(testbed)?.into_iter().enumerate() {
            statuses.push(status.unwrap_or_else(|why| {
                silent.insert(node, why);
                NodeStatus::default()
            }));
        }
        if silent.len() < statuses.len() || statuses.is_empty() {
            return Ok(Self { statuses, silent });
        }
        let name = |node: NodeIndex| testbed.nodes()[node].name.clone();
        let failures = silent.into_iter().map(|(node, message)| NodeFailure { node: name(node), message });
        Err(OperationError::Nodes(failures.collect()))
    }

    /// What the delay elements did wrong since `before`, on the nodes that said so both times.
    pub(super) fn faults_since(&self, before: &Self) -> Faults {
        let pairs = self.statuses.iter().zip(&before.statuses).enumerate();
        let known = pairs.filter(|(node, _)| !self.silent.contains_key(node) && !before.silent.contains_key(node));
        known.map(|(_, (after, before))| Faults::of(after).since(Faults::of(before))).sum()
    }

    /// Who is missing from a measurement of what these nodes do.
    pub(super) fn missing(&self, measured: &Measured) -> Missing {
        Missing::of(measured.missing.clone()).and_unknown(self.silent.clone())
    }
}
