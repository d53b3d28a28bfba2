//! Traffic control: the port [`TrafficControl`], its adapters, and [`apply`], which brings a node to a wanted state or leaves it as it was.

pub mod abilities;
mod apply;
mod bpf;
mod codec;
mod error;
mod fake;
mod kernel;
pub mod line;
#[doc(hidden)]
pub mod outside;

pub use apply::{Applied, ApplyError, Prepared, TrafficControl, apply, clear, impair, lay_ground, prepare};
pub use bpf::BpfError;
pub use error::TcError;
pub use fake::FakeTc;
pub use kernel::{KernelTc, LinePaths, Removal, StartLine, Traffic, beside_others, examine, remove_all, sweep};

#[cfg(test)]
mod contract;
#[cfg(test)]
mod oracle;
