//! HTTP servers as the proxy and the synthetic service are: one thread, bounded connections, clients that are watched, and an
//! end that lets requests finish.
//!
//! [`Framing`] is pure; the rest is the shell around hyper.

mod alarms;
mod clock;
mod framing;
mod guarded;
mod listener;
mod stop;
mod taken;

pub use alarms::Alarms;
pub use clock::Clock;
pub use framing::{Framing, Refusal};
pub(crate) use framing::{Lines, content_length};
pub use listener::{Bounds, Client, Listening, bind};
pub use stop::{Stop, Stopper, signalled};

use std::io;

/// A runtime on the calling thread: a proxy or a service is to leave the other processors to those that it serves.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
