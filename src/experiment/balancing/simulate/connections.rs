//! [`Opened`]: the connections that balancers have opened and kept, each for one request at a time.

use std::collections::HashMap;

use crate::topology::NodeIndex;

/// How many are free, by the balancer's node and the instance.
#[derive(Debug, Default)]
pub(super) struct Opened(HashMap<(NodeIndex, usize), u32>);

impl Opened {
    /// Takes a free one, if there is one.
    pub(super) fn take(&mut self, node: NodeIndex, instance: usize) -> bool {
        let free = self.0.entry((node, instance)).or_default();
        let is_free = *free > 0;
        *free = free.saturating_sub(1);
        is_free
    }

    /// One has had its answer.
    pub(super) fn leave(&mut self, node: NodeIndex, instance: usize) {
        *self.0.entry((node, instance)).or_default() += 1;
    }
}
