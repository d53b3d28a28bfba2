//! A timeline replayed by all nodes of a testbed at once, each by its own clock.

use std::time::Duration;

use super::operations::{ask, ask_all, lead};
use super::{OperationError, Testbed};
use crate::agent::protocol::{ReplayOrder, ReplayState, ReplayStep, Request, Response};
use crate::shaping::{Backend, BackendChoice};
use crate::timeline::{Timeline, TimelineStep};

/// How often a replay is begun whose start some nodes miss.
const ATTEMPTS: u32 = 3;

/// Added to a start that cannot be put off.
const SPARE: Duration = Duration::from_millis(500);

/// What a node says of a timeline before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// The delay element that it will use.
    pub backend: Backend,
    /// Why this one.
    pub reason: String,
    /// How many writes each step of the first pass takes.
    pub operations: Vec<usize>,
}

/// Has every node check the whole timeline and keep it; when one refuses, none begins. The nodes of the timeline must be
/// those of the testbed, in their order. `name` is what users call it.
pub fn order_replay(
    testbed: &mut dyn Testbed,
    name: &str,
    timeline: &Timeline,
    backends: &[BackendChoice],
) -> Result<Vec<Rehearsed>, OperationError> {
    let nodes = testbed.nodes();
    if nodes.len() != timeline.names().len() {
        return Err(OperationError::OtherSize { matrix: timeline.names().len(), testbed: nodes.len() });
    }
    let order = |from: usize| {
        let changes = timeline.rows_of(nodes, from).into_iter();
        let step = |(step, change): (&TimelineStep, _)| ReplayStep { at: step.at, name: step.name.clone(), change };
        let steps = timeline.steps().iter().zip(changes).map(step);
        ReplayOrder {
            name: name.to_owned(),
            steps: steps.collect(),
            pace: timeline.pace(),
            backend: backends.get(from).copied().unwrap_or_default(),
        }
    };
    let requests = (0..nodes.len()).map(|from| (from, Request::Replay(order(from)))).collect();
    let accepted = ask(testbed, requests, |response| match response {
        Response::Replaying { backend, reason, operations } => Ok(Rehearsed { backend, reason, operations }),
        other => Err(other),
    });
    if matches!(accepted, Err(OperationError::Nodes(_))) {
        // Those that did accept must not keep it for somebody else's start.
        let _ = stop_replay(testbed);
    }
    accepted
}

/// Has every node begin what it keeps at one instant, the first at which all can; returns it, nanoseconds since 1970.
pub fn begin_replay(testbed: &mut dyn Testbed) -> Result<u64, OperationError> {
    let mut lead = lead(testbed)?;
    for _ in 1..ATTEMPTS {
        let start = from_now(testbed, lead);
        match begin_replay_at(testbed, start) {
            Err(error) if error.missed_start() => lead *= 4,
            outcome => return outcome,
        }
    }
    let start = from_now(testbed, lead);
    begin_replay_at(testbed, start)
}

/// The first instant, nanoseconds since 1970, by which all nodes will have heard of a start, with much to spare: for a start
/// that several things must meet, so that it cannot be put off.
pub fn common_start(testbed: &mut dyn Testbed) -> Result<u64, OperationError> {
    let ahead = SPARE + 4 * lead(testbed)?;
    Ok(from_now(testbed, ahead))
}

fn from_now(testbed: &dyn Testbed, ahead: Duration) -> u64 {
    testbed.now_ns().saturating_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX))
}

/// As [`begin_replay`], at an instant of the asker's clock that is known. Every node is told it by its own clock.
pub fn begin_replay_at(testbed: &mut dyn Testbed, start_realtime_ns: u64) -> Result<u64, OperationError> {
    let clocks = testbed.clocks()?;
    let begin = |node| Request::BeginReplay { start_realtime_ns: clocks.theirs(node, start_realtime_ns) };
    let requests = (0..testbed.nodes().len()).map(|node| (node, begin(node))).collect();
    ask(testbed, requests, |response| match response {
        Response::ReplayBegun => Ok(()),
        other => Err(other),
    })?;
    Ok(start_realtime_ns)
}

/// How far every node is, with the stamps from this number on.
pub fn switches(testbed: &mut dyn Testbed, from: u64) -> Result<Vec<ReplayState>, OperationError> {
    ask_all(testbed, &Request::Switches { from }, state)
}

/// Ends the replay of every node; what was switched last stays. How far each was.
pub fn stop_replay(testbed: &mut dyn Testbed) -> Result<Vec<ReplayState>, OperationError> {
    ask_all(testbed, &Request::StopReplay, state)
}

fn state(response: Response) -> Result<ReplayState, Response> {
    match response {
        Response::Switched(state) => Ok(state),
        other => Err(other),
    }
}
