//! The agent on a host that others use too: leases, crashes, hangs, interfaces that come and go, and the way out. It acts by
//! the session protocol and by signals; the tests look by `tc`, `ip`, `ping` and the kernel's list of processes.
//!
//! Every host here is a network namespace of the test's own.
#![allow(clippy::unwrap_used)]

mod crash;
mod hang;
mod interface;
mod lease;
mod node;
mod panic;
mod refusal;
mod replay;
mod session;
mod turn;
