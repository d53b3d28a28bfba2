//! The balancer of a node: takes the requests of its clients, asks a policy of [`crate::balance`] which instance is to have
//! each, passes it on and tells the policy what became of it.
//!
//! `config`, `instances`, `protocol` and `headers` are pure; the rest is the shell: one thread, hyper on both sides, a watched file of
//! instances, probes to peers over UDP, metrics on a socket that only this machine reaches.

mod access_log;
mod admin;
mod alone;
mod answer;
mod asked;
mod begun;
mod config;
mod flight;
mod forward;
mod headers;
mod instances;
mod lane;
mod metrics;
mod plain;
mod probes;
mod protocol;
mod run;
mod sender;
mod service;
mod settings;
mod shared;
mod upstream;
mod watch;

pub use config::{Admin, Config, ConfigError, Limits, ProbeSettings, ServiceConfig, Timeouts, parse};
pub use instances::{Instance, parse_instances};
pub use protocol::Protocol;
pub use run::{Addresses, ProxyError, check, run};
