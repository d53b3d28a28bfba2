//! The synthetic service, the load and the proxy as programs, over loopback.

#![allow(clippy::unwrap_used)]

mod bench;
mod frames;
mod ground;
mod h2c;
mod hostile;
mod hostile_frames;
mod lane;
mod load;
#[path = "../support/programs.rs"]
mod programs;
mod proxy;
mod service;
