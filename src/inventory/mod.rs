//! The inventory: which hosts a testbed has, how ssh reaches them, and what they are to each other. Pure.
//!
//! ```yaml
//! apiVersion: longhaul/v1
//! testbed: edge
//! defaults: {user: root, interface: auto}
//! hosts:
//!   - {name: paris, ssh: 192.0.2.11, addresses: [10.0.0.1, "fd00::1"]}
//!   - {name: tokyo, ssh: jump-tokyo, addresses: [10.0.0.2, "fd00::2"], networks: [10.42.2.0/24]}
//! ```

mod check;
mod document;
mod ssh_target;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::topology::NodeName;
use crate::wording::OneLine;

pub use check::parse;
pub use ssh_target::SshTarget;

/// The most hosts of a testbed: each costs a process here.
pub const MAX_HOSTS: usize = 1_000;

/// Hosts that a testbed is made of, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// What the testbed is called: by this name hosts know whose the delays are.
    pub testbed: String,
    /// The program that reaches hosts, and its first arguments; `None` for the user's own `ssh`.
    pub ssh_command: Option<Vec<String>>,
    /// The hosts, in the order of their indices.
    pub hosts: Vec<Host>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What users call it.
    pub name: NodeName,
    /// How ssh reaches it.
    pub ssh: SshTarget,
    /// Options of ssh, as in its configuration: `IdentityFile=~/.ssh/edge`.
    pub ssh_options: Vec<String>,
    /// The agent's program there, by path or name; `None` where it was not said.
    pub agent: Option<String>,
    /// Whether the agent is run by `sudo -n`.
    pub sudo: bool,
    /// Which interface is impaired.
    pub interface: Interface,
    /// Its addresses; empty when they are those of the interface.
    pub addresses: Vec<IpAddr>,
    /// What else is reached through it.
    pub networks: Vec<IpNet>,
}

/// Which interface of a host faces the other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// The one of this name.
    Named(String),
    /// The one that packets to the other nodes leave by.
    Auto,
}

/// What is wrong with an inventory, where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}", OneLine(message))]
pub struct InventoryError {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// In words.
    pub message: String,
}

#[cfg(test)]
mod tests;
