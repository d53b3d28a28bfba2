//! The lab: nodes as network namespaces of this machine, on a bridge in a namespace of its own. No root, no set-up.
//!
//! ```text
//! longhaul ──socket──► holder (keeps the lock, removes the entry) ──► init of a process namespace
//!                                                              ├─ the bridge's namespace
//!                                                              └─ agent n1 … agent nN, one in each node's namespace
//! ```
//!
//! Nothing has a name outside: no `ip netns` entry, no link, no mount. When the holder dies, however it dies, the kernel
//! ends its process namespace and with it every agent, every program run by `lab exec`, and all namespaces.

pub mod addressing;
mod client;
mod holder;
mod namespaces;
mod network;
#[doc(hidden)]
pub mod outside;
mod protocol;
mod registry;
mod relay;
mod turns;

use std::io;
use std::path::PathBuf;

use crate::netlink::NetlinkError;

pub use client::{Lab, find_running};
pub use holder::{AGENT_COMMAND, HOLDER_COMMAND, main as holder_main, own_program};
pub use namespaces::{NodeNamespaces, enter, fork_child, place_in};
pub use network::NODE_INTERFACE;
pub use protocol::{LabInfo, Order};
pub use registry::{check_name, living};

/// Why a lab cannot be made, found or used.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The name cannot be a lab's.
    #[error(
        "`{name}` cannot name a lab: use up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
    )]
    BadName {
        /// As given.
        name: String,
    },
    /// Another lab has the name.
    #[error(
        "a lab named `{name}` is running already; choose another --name, or end it with `longhaul lab down {name}`"
    )]
    NameInUse {
        /// The name.
        name: String,
    },
    /// No lab has the name.
    #[error("no lab named `{name}` is running; {running}")]
    NotRunning {
        /// The name.
        name: String,
        /// Which ones are, in words.
        running: String,
    },
    /// The name was not given, and there is no lab.
    #[error("{running}")]
    NoneRunning {
        /// That none is, and what to do, in words.
        running: String,
    },
    /// The name was not given and cannot be guessed.
    #[error("which lab? {running}; say it with --name")]
    Ambiguous {
        /// Which ones are running, in words.
        running: String,
    },
    /// The lab has no such node.
    #[error("lab `{lab}` has no node `{node}`; it has {nodes}")]
    NoSuchNode {
        /// The lab.
        lab: String,
        /// As given.
        node: String,
        /// Which ones it has, in words.
        nodes: String,
    },
    /// More nodes than a bridge has ports.
    #[error("a lab has at most {} nodes, this matrix has {count}; take a part of it", addressing::MAX_LAB_NODES)]
    TooManyNodes {
        /// How many.
        count: usize,
    },
    /// The folder of labs cannot be used.
    #[error("the lab's folder {}: {source}", path.display())]
    Registry {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder's path does not fit into a socket's address.
    #[error(
        "{} is too long for a socket's path, which has at most 107 bytes; set LONGHAUL_RUNTIME_DIR to a shorter folder",
        path.display()
    )]
    LongPath {
        /// The socket's path.
        path: PathBuf,
    },
    /// Nothing came from the holder in time.
    #[error("the lab's holder does not answer")]
    TimedOut,
    /// Namespaces are refused.
    #[error("this system refuses namespaces to this user ({}): {hint}", source.desc())]
    NoNamespaces {
        /// The kernel's answer.
        source: nix::Error,
        /// What to change.
        hint: String,
    },
    /// A system call failed.
    #[error("{operation}: {source}")]
    System {
        /// What was tried.
        operation: String,
        /// Why.
        source: io::Error,
    },
    /// The network could not be built.
    #[error("build the lab's network: {0}")]
    Network(#[from] NetlinkError),
    /// The holder ended or speaks another language.
    #[error("the lab's holder {what}")]
    Holder {
        /// What it did.
        what: String,
    },
    /// The holder could not do what it was asked.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
    },
}
