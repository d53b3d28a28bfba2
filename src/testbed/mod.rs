//! Where nodes live. The port [`Testbed`]: nodes that answer requests of the session protocol. Its adapters: the [`lab`], and
//! [`hosts`] reached by ssh.

mod apply;
pub mod hosts;
pub mod lab;
mod measuring;
mod operations;
mod patience;
mod present;
mod replay;

pub use apply::{apply, apply_paths, apply_rows};
pub use measuring::{MeasureOptions, Measured, finish_measuring, measure, measure_from};
pub use operations::{NodeFailure, OperationError, abilities, clear, compare_rows, status, statuses};
pub use present::Present;
pub use replay::{Begun, Rehearsed, begin_replay, begin_replay_at, common_start, order_replay, stop_replay, switches};

use std::time::SystemTime;

use crate::agent::protocol::{Request, Response};
use crate::measure::Clocks;
use crate::topology::{Node, NodeIndex};

/// A set of nodes with a session to each.
pub trait Testbed: Send {
    /// The nodes, in the order of their indices.
    fn nodes(&self) -> &[Node];

    /// How far apart the nodes' clocks are; reads them, where they may differ.
    fn clocks(&mut self) -> Result<Clocks, TestbedError> {
        Ok(Clocks::One)
    }

    /// What this side's clock says, nanoseconds since 1970: the one that [`Testbed::clocks`] compares with.
    fn now_ns(&self) -> u64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Asks several nodes at once and waits for every answer; the answers come in the order of the requests.
    fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError>;

    /// Whether a node cannot answer any more, for as long as this connection lasts.
    fn is_lost(&self, _node: NodeIndex) -> bool {
        false
    }

    /// Waits until nobody else changes the testbed, and keeps others from it until [`release`](Self::release). Where several
    /// commands cannot meet, nothing has to be done.
    fn reserve(&mut self) -> Result<(), TestbedError> {
        Ok(())
    }

    /// Others may change the testbed again.
    fn release(&mut self) {}
}

/// The testbed itself failed, not one of its nodes.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// The lab.
    #[error(transparent)]
    Lab(#[from] lab::LabError),
    /// The hosts.
    #[error(transparent)]
    Hosts(#[from] hosts::HostsError),
}
