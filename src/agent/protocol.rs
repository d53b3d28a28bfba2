//! The session protocol: what the command line asks of a node's agent, one JSON object a line over its standard input and output.
//!
//! There is no listening port: the session is spawned by whoever asks, and its end clears the node.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::measure::{ProbeOrder, ProbeReport};
use crate::shaping::{Abilities, Backend, BackendChoice, Row, RowChange};
use crate::timeline::{Pace, ReplayGap, SwitchStamp};
use crate::units::Span;

/// A request with its number.
#[derive(Debug, Serialize, Deserialize)]
pub struct RequestLine<T> {
    /// Chosen by the asker; the answer carries it.
    pub id: u64,
    /// What is asked.
    pub request: T,
}

/// An answer with the number of its request.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResponseLine<T> {
    /// The request's.
    pub id: u64,
    /// The answer.
    pub response: T,
}

/// Instead of a request: nobody waits any more for the answer to an earlier one. It has no answer itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct CancelLine {
    /// The number of the request.
    pub cancel: u64,
}

impl CancelLine {
    /// Reads a line; `None` when it is a request.
    pub fn read(line: &str) -> Option<Self> {
        // Requests may be long; they are told apart without reading them.
        if line.starts_with(r#"{"cancel":"#) { serde_json::from_str(line).ok() } else { None }
    }
}

/// Instead of a request: the asker is still there. It has no answer, and renews the session's lease as any line does.
pub const ALIVE: &str = r#"{"alive":true}"#;

/// Whether a line only says that the asker is still there.
pub fn is_alive(line: &str) -> bool {
    line.starts_with(r#"{"alive":"#)
}

/// Instead of a request, from whoever watches over the agent: is it alive? The same line is the answer, at once, whatever is
/// under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatLine {
    /// Chosen by the watcher.
    pub beat: u64,
}

impl BeatLine {
    /// Reads a line; `None` when it is a request or an answer.
    pub fn read(line: &str) -> Option<Self> {
        // Requests may be long; they are told apart without reading them.
        if line.starts_with(r#"{"beat":"#) { serde_json::from_str(line).ok() } else { None }
    }
}

/// What may be asked of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Who are you, and what can your kernel do?
    Hello,
    /// Are you there? Tells the asker how long the way to the agents takes.
    Ready,
    /// Make the node do this row, and nothing else.
    Apply {
        /// All impaired paths from the node.
        row: Row,
        /// Which delay element.
        backend: BackendChoice,
    },
    /// Remove everything that longhaul did to the node.
    Clear,
    /// What is the node doing?
    Status,
    /// Probe the other nodes by this plan. Other requests are answered meanwhile.
    Probe(ProbeOrder),
    /// End the measurement of this name now: its answer has what was sent and seen so far.
    FinishProbe {
        /// The measurement's [`ProbeOrder::run`].
        run: u64,
    },
    /// What would change if this row were applied? Nothing does.
    Compare {
        /// All impaired paths from the node.
        row: Row,
        /// Which delay element.
        backend: BackendChoice,
    },
    /// Check this timeline as a whole and keep it for [`Request::BeginReplay`]. A replay before it ends.
    Replay(ReplayOrder),
    /// Start the replay that was ordered last.
    BeginReplay {
        /// When, nanoseconds since 1970 by the real-time clock; must lie ahead.
        start_realtime_ns: u64,
    },
    /// How far is the replay?
    Switches {
        /// The number of the first stamp that is wanted.
        from: u64,
    },
    /// End the replay; what was switched last stays.
    StopReplay,
    /// Go on with a replay that another agent of this node began and did not end. A keeper's to ask.
    TakeUp(Box<TakeUp>),
    /// Keep what is applied for so long after the session's end; [`Request::Clear`] ends that. A keeper's to answer.
    Detach {
        /// Seconds.
        seconds: u64,
    },
    /// From now on let nobody else change the node, until [`Request::Release`] or the session's end. A keeper's to answer, at
    /// once: [`Response::Taken`] while it is another session's turn.
    Reserve {
        /// Who asks, for those who then have to wait.
        by: String,
    },
    /// Others may change the node again. A keeper's to answer.
    Release,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Hello`].
    Hello {
        /// The agent's version.
        version: String,
        /// What its kernel and its user can do.
        abilities: Box<Abilities>,
        /// Names the boot of its kernel: agents with the same one share a clock.
        boot: String,
        /// What its real-time clock says, nanoseconds since 1970.
        now_realtime_ns: u64,
        /// The interface that it impairs, and the addresses that others reach it by.
        place: Place,
    },
    /// To [`Request::Ready`].
    Ready {
        /// What its real-time clock says, nanoseconds since 1970.
        now_realtime_ns: u64,
    },
    /// To [`Request::Apply`].
    Applied(Applied),
    /// To [`Request::Clear`]: how many operations it took.
    Cleared {
        /// 0 when there was nothing to clear.
        operations: usize,
    },
    /// To [`Request::Status`].
    Status(Box<NodeStatus>),
    /// To [`Request::Probe`].
    Probed(ProbeReport),
    /// To [`Request::FinishProbe`], also when there is no such measurement.
    ProbeFinishes,
    /// To [`Request::Compare`].
    Compared(Box<Compared>),
    /// To [`Request::Replay`]: every step can be done.
    Replaying {
        /// The delay element to be used.
        backend: Backend,
        /// Why this one.
        reason: String,
        /// How many writes each step of the first pass takes.
        operations: Vec<usize>,
    },
    /// To [`Request::BeginReplay`].
    ReplayBegun,
    /// To [`Request::Switches`], [`Request::StopReplay`] and [`Request::TakeUp`].
    Switched(ReplayState),
    /// To [`Request::Detach`].
    Detached {
        /// Seconds after the session's end.
        seconds: u64,
    },
    /// To [`Request::Reserve`].
    Reserved,
    /// To [`Request::Reserve`]: it is another session's turn.
    Taken {
        /// Who that session says that it is.
        by: String,
        /// Since when, RFC 3339 by the host's clock.
        since: String,
    },
    /// To [`Request::Release`].
    Released,
    /// To any: it could not be done, and why.
    Failed {
        /// In words.
        message: String,
    },
}

/// Where an agent is at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The interface that faces the other nodes.
    pub interface: String,
    /// Its addresses, without link-local and temporary ones.
    pub addresses: Vec<IpAddr>,
}

/// What applying a row came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The delay element in use.
    pub backend: Backend,
    /// Why this one.
    pub reason: String,
    /// How many writes to the kernel or the line it took; 0 when all was there already.
    pub operations: usize,
}

/// What a node is doing, desired against actual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The delay element in use; `None` when nothing is applied.
    pub backend: Option<Backend>,
    /// What it is to do.
    pub row: Row,
    /// What the kernel lacks or has too much of, in words; empty when it is as it should be.
    pub differences: Vec<String>,
    /// Packets that passed the delay element, and what became of them; `None` when nothing is applied.
    pub traffic: Option<Traffic>,
    /// What made the agent begin anew, in words, the latest last; the row was put in place again each time unless it says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<String>,
    /// The replay that was begun last, as long as nothing else was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayProgress>,
}

/// Counters of a delay element since it was set up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets delayed.
    pub packets: u64,
    /// Packets that the delay element had to drop: an error of the emulation, not of the network.
    pub dropped: u64,
    /// Whether nobody can tell: netem counts these and the losses that were asked for as one, and `dropped` is 0 then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drops_unknown: bool,
    /// Packets that left the user-space line more than a millisecond after their time: the machine was too busy. netem does
    /// not say.
    #[serde(default)]
    pub late: u64,
}

/// What applying a row would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The delay element that would be used.
    pub backend: Backend,
    /// Why this one.
    pub reason: String,
    /// The operations that lead from what is there to the row, in words, in order.
    pub operations: Vec<String>,
    /// Of those, the ones that are about a destination: which rules and line paths are added, changed and deleted.
    pub destinations: Destinations,
    /// What the node was asked to do last; `None` when nothing is applied.
    pub applied: Option<Row>,
    /// What the kernel lacks or has too much of for that, in words; empty when it is as it should be.
    pub differences: Vec<String>,
}

/// A timeline for one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayOrder {
    /// What users call the timeline.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The steps of a pass, in the order of their instants.
    pub steps: Vec<ReplayStep>,
    /// How passes follow each other.
    pub pace: Pace,
    /// Which delay element.
    pub backend: BackendChoice,
}

/// A step of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayStep {
    /// From the start of the pass.
    pub at: Span,
    /// What users call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What becomes of the row; the first step's is the whole row.
    pub change: RowChange,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPhase {
    /// There has been none.
    #[default]
    None,
    /// Checked; waits for its start.
    Armed,
    /// Goes on.
    Running,
    /// All switches are done.
    Finished,
    /// Ended before its time.
    Stopped,
}

/// How far a replay is, and what it has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayState {
    /// How far.
    pub phase: ReplayPhase,
    /// The switches so far, as far as they were asked for.
    pub stamps: Vec<SwitchStamp>,
    /// When nothing of it was done, because an agent was lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<ReplayGap>,
}

/// A replay under way, for an agent that knows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeUp {
    /// As it was ordered.
    pub order: ReplayOrder,
    /// When it began, nanoseconds since 1970 by the node's real-time clock; it may lie ahead.
    pub start_realtime_ns: u64,
    /// The request by which the row was put in place that was there before; `None` when nothing was.
    #[serde(default)]
    pub before: Option<Request>,
    /// What was left out so far; the last one ends with this request.
    pub gaps: Vec<ReplayGap>,
}

/// How far a replay is, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayProgress {
    /// What the timeline is called.
    pub name: String,
    /// How far.
    pub phase: ReplayPhase,
    /// How many steps a pass has.
    pub steps: usize,
    /// The last switch that took effect; `None` before the first.
    pub last: Option<SwitchStamp>,
    /// What its step is called.
    pub step: String,
    /// When the next switch is due, nanoseconds since 1970 by the node's real-time clock; `None` after the last.
    pub next_ns: Option<u64>,
    /// How many switches failed.
    pub failed: usize,
    /// When nothing of it was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<ReplayGap>,
}

/// How many destinations change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destinations {
    /// They were left alone, and will be impaired.
    pub added: usize,
    /// They will be impaired in another way.
    pub changed: usize,
    /// They will be left alone.
    pub removed: usize,
}
