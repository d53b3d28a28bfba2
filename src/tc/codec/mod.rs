//! Bytes ↔ traffic-control objects: what goes into and comes out of the kernel's `TCA_OPTIONS`.
//!
//! netlink-packet-route knows neither HTB nor netem nor clsact, and a dumped object of a kind that it does not know cannot be
//! sent back. So all options are encoded here, one file per kind, and the messages carry them as plain bytes.

mod attributes;
pub(super) mod htb;
pub(super) mod netem;
mod object;
pub(super) mod u32;

pub(super) use object::{Handle, Object};

#[cfg(test)]
mod golden;

/// Nanoseconds in a tick of the kernel's packet scheduler.
const TICK_NS: u64 = 64;

/// An error in what the kernel sent: which structure, and how long it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{structure} has {length} bytes, too few")]
pub(super) struct Truncated {
    /// What was being read.
    pub(super) structure: &'static str,
    /// The bytes that there were.
    pub(super) length: usize,
}
