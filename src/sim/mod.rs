//! Virtual time. Pure: a world is what it is made from and its seed; run twice, it does the same to the nanosecond.
//!
//! - [`Queue`]: events in the order of their moments; those of one moment in the order in which they were planned.
//! - [`Streams`]: an own stream of random numbers for every component, so that one more draw here changes nothing there.
//! - [`Fifo`], [`Sharing`]: servers.
//! - [`Network`]: what a matrix makes of a packet, with [`Disturbances`] of jitter and loss.

mod disturbance;
mod fifo;
mod network;
mod queue;
mod sharing;
mod streams;

pub use disturbance::Disturbances;
pub use fifo::Fifo;
pub use network::{Network, Passage};
pub use queue::Queue;
pub use sharing::Sharing;
pub use streams::{Streams, unit_interval};
