//! Work for services: when requests come ([`Arrivals`]) and how long each keeps a core busy ([`ServiceTime`]), pure and the same in
//! a simulation; and, live, synthetic services and load on them.

mod arrivals;
pub mod load;
pub mod service;
mod service_time;

pub use arrivals::{Arrivals, Pace, PaceError};
pub use service_time::{ServiceTime, ServiceTimeError};

/// The header by which a service says which of its instances answered.
pub const INSTANCE_HEADER: &str = "x-longhaul-instance";

/// The header by which a service says how long it had a request, queue included, such as `5.5ms`: what is left of a client's
/// latency is the network's.
pub const PROCESSING_HEADER: &str = "x-longhaul-processing";

/// The header by which a request says what it takes of a core, such as `5.5ms`, where a service goes by that.
pub const WORK_HEADER: &str = "x-longhaul-work";
