//! Runs: trials one after another or side by side, and the directory that keeps what they give.

mod description;
mod directory;
mod runner;
mod simulation;

pub use description::{Description, MetricDescription, PointDescription, StrategyDescription, TopologyDescription};
pub(in crate::experiment) use directory::write_whole;
pub use directory::{DirectoryError, RunDirectory, TrialRecord};
pub use runner::{Ended, ExecuteError, Executor, RunError, run};
pub use simulation::Simulation;

#[cfg(test)]
mod tests;
