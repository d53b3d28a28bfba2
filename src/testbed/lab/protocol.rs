//! What the command line and a lab's holder say to each other: one JSON object a line, over a Unix socket of the user's own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::topology::{Node, NodeIndex};

/// A request to the holder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClientLine {
    /// Chosen by the client; the answer carries it.
    pub id: u64,
    /// What is wanted.
    pub ask: Ask,
}

/// What a client may ask of a holder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ask {
    /// What this lab is.
    Info,
    /// Hand `request` to the agent of `node`, and its answer back.
    Relay {
        /// Which node.
        node: NodeIndex,
        /// A request of the session protocol.
        request: Value,
    },
    /// The namespaces of `node`, as open files beside the answer.
    Enter {
        /// Which node.
        node: NodeIndex,
    },
    /// Let nobody else change the lab until [`Ask::Release`], this client's end, or a long silence. The answer comes when it
    /// is this client's turn.
    Reserve,
    /// Others may change the lab again.
    Release,
    /// Outlive the client that started the lab.
    Detach,
    /// End the lab.
    Stop,
}

/// The holder's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HolderLine {
    /// The request's.
    pub id: u64,
    /// What came of it.
    pub tell: Tell,
}

/// What a holder answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tell {
    /// What this lab is.
    Info(LabInfo),
    /// An agent's answer.
    Relayed {
        /// A response of the session protocol.
        response: Value,
    },
    /// The namespaces came beside this line.
    Namespaces,
    /// Done, nothing to report.
    Done,
    /// It could not be done, and why.
    Failed {
        /// In words.
        message: String,
    },
}

/// What a lab is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabInfo {
    /// Its name.
    pub name: String,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Where its matrix came from.
    pub source: String,
    /// The process that holds it, as the host counts.
    pub holder: i32,
    /// When it came up, RFC 3339.
    pub since: String,
}

/// The first line of a holder: whether the lab is up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Birth {
    /// It is.
    Ready(LabInfo),
    /// It is not, and why.
    Failed {
        /// In words.
        message: String,
    },
}

/// What a holder is told at birth, as one line on its standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The lab's name.
    pub name: String,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Where its matrix came from.
    pub source: String,
    /// When, RFC 3339.
    pub since: String,
    /// Variables that agents find in their environment: what need not be found out by each of them.
    pub environment: Vec<(String, String)>,
    /// How long an agent, or a client whose turn it is, may be silent, in milliseconds.
    pub lease_ms: u64,
}
