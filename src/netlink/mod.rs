//! The kernel configuration protocol: sockets, batches whose every refusal is named, links, addresses and neighbours.
//!
//! Synchronous on purpose: every caller waits for the kernel's answer anyway, and a set-up thread may not move between
//! network namespaces the way an async task may move between threads. A [`Connection`] belongs to the network namespace of
//! the thread that opened it, for as long as it lives.

mod connection;
mod error;
pub mod link;
pub mod monitor;
#[doc(hidden)]
pub mod outside;
pub mod route;

pub use connection::{Connection, Request};
pub use error::{BatchError, NetlinkError, Refusal};
