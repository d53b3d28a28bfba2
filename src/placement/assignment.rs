//! [`Placement`]: a node for each service.

use serde::Serialize;

use crate::topology::NodeIndex;

use super::problem::ServiceIndex;

/// A node for each service, by the service's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Placement(Vec<NodeIndex>);

impl Placement {
    /// From the nodes of all services, in order.
    pub fn new(nodes: Vec<NodeIndex>) -> Self {
        Self(nodes)
    }

    /// How many services it places.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to place.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a service is. Panics when there is no such service.
    pub fn node(&self, service: ServiceIndex) -> NodeIndex {
        self.0[service]
    }

    /// Puts a service on a node. Panics when there is no such service.
    pub fn set(&mut self, service: ServiceIndex, node: NodeIndex) {
        self.0[service] = node;
    }

    /// The nodes, in the order of services.
    pub fn nodes(&self) -> &[NodeIndex] {
        &self.0
    }

    /// Services with their nodes.
    pub fn iter(&self) -> impl Iterator<Item = (ServiceIndex, NodeIndex)> + '_ {
        self.0.iter().copied().enumerate()
    }
}
