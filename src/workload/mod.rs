//! Work for services: when requests come ([`Arrivals`]) and how long each keeps a core busy ([`ServiceTime`]).

mod arrivals;
mod service_time;

pub use arrivals::{Arrivals, Pace, PaceError};
pub use service_time::ServiceTime;
