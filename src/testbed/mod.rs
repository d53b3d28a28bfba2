//! Where nodes live. The port [`Testbed`]: nodes that answer requests of the session protocol. Its adapter so far: the [`lab`].

pub mod lab;
mod operations;
mod putback;
mod replay;

pub use operations::{
    MeasureOptions, Measured, NodeFailure, OperationError, abilities, apply, apply_paths, apply_rows, clear,
    compare_rows, measure, measure_from, status, statuses,
};

pub use replay::{Rehearsed, begin_replay, begin_replay_at, common_start, order_replay, stop_replay, switches};

use crate::agent::protocol::{Request, Response};
use crate::topology::{Node, NodeIndex};

/// A set of nodes with a session to each.
pub trait Testbed: Send {
    /// The nodes, in the order of their indices.
    fn nodes(&self) -> &[Node];

    /// Asks several nodes at once and waits for every answer; the answers come in the order of the requests.
    fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError>;

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
}
