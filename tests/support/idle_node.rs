//! A node that does nothing and an output that remembers, for sessions of agents under test.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use longhaul::agent::protocol::{
    Applied, Compared, NodeStatus, Place, ReplayOrder, ReplayPhase, ReplayState, Response, TakeUp,
};
use longhaul::agent::session::NodeControl;
use longhaul::shaping::{Abilities, BackendChoice, Row};

/// A node that can only be cleared, which takes 7 operations.
#[derive(Default)]
pub(crate) struct IdleNode {
    /// Whether it was.
    pub(crate) cleared: bool,
}

fn not_here<T>() -> Result<T, String> {
    Err("not here".to_owned())
}

impl NodeControl for IdleNode {
    fn abilities(&mut self) -> Abilities {
        Abilities::all()
    }
    fn place(&mut self) -> Result<Place, String> {
        Err("nowhere".to_owned())
    }
    fn apply(&mut self, _: &Row, _: BackendChoice) -> Result<Applied, String> {
        not_here()
    }
    fn clear(&mut self) -> Result<usize, String> {
        self.cleared = true;
        Ok(7)
    }
    fn status(&mut self) -> Result<NodeStatus, String> {
        not_here()
    }
    fn compare(&mut self, _: &Row, _: BackendChoice) -> Result<Compared, String> {
        not_here()
    }
    fn replay(&mut self, _: ReplayOrder) -> Result<Response, String> {
        not_here()
    }
    fn begin_replay(&mut self, _: u64) -> Result<(), String> {
        not_here()
    }
    fn switches(&mut self, _: u64) -> ReplayState {
        ReplayState { phase: ReplayPhase::None, stamps: Vec::new(), gaps: Vec::new() }
    }
    fn stop_replay(&mut self) {}
    fn take_up(&mut self, _: TakeUp) -> Result<ReplayState, String> {
        not_here()
    }
}

/// What a session has written so far, also from its own threads.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// All of it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
