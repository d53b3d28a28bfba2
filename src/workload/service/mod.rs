//! A synthetic service: answers after a service time that is drawn from a known distribution, on cores that take requests in
//! the order of their coming. `Station` is pure; [`serve`] is the shell.

mod burner;
mod metrics;
mod server;
mod station;

pub use server::{Ready, ServiceError, ServiceOptions, Work, serve};
pub use station::{Full, Station};
