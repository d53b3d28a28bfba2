//! The agent of a node: builds its adapters and serves the session on standard input and output.

use std::io::{self, BufReader};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use crate::agent::protocol::{Applied, NodeStatus};
use crate::agent::session::{NodeControl, serve};
use crate::measure::{ProbeOrder, ProbeReport};
use crate::shaping::{Abilities, BackendChoice, Row};

/// Serves one session.
pub fn main() -> ExitCode {
    let input = BufReader::new(io::stdin());
    let mut node = KernelNode;
    match serve(input, &mut io::stdout().lock(), &mut node) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

/// Removes the delays of the node whose network namespace the calling thread is in.
pub(super) fn rescue() {}

struct KernelNode;

impl NodeControl for KernelNode {
    fn abilities(&mut self) -> Abilities {
        Abilities::none("not probed", "")
    }
    fn apply(&mut self, _row: &Row, _backend: BackendChoice) -> Result<Applied, String> {
        Ok(Applied { backend: crate::shaping::Backend::Userspace, reason: "stub".to_owned(), operations: 0 })
    }
    fn clear(&mut self) -> Result<usize, String> {
        Ok(0)
    }
    fn status(&mut self) -> Result<NodeStatus, String> {
        Err("no".to_owned())
    }
    fn probe(&mut self, _order: &ProbeOrder, _stop: &AtomicBool) -> Result<ProbeReport, String> {
        Err("no".to_owned())
    }
}
