//! Experiments: plans, trials, run directories, and what each kind of experiment does.
//!
//! - [`plan`]: pure; YAML to a [`plan::Plan`] whose every part is checked, and from there to trials.
//! - [`balancing`]: request balancing, in virtual time (pure) and in the lab.
//! - [`outcome`]: pure; what a trial gives: metrics and tables.
//! - [`run`]: the runner and the run directory.

pub mod balancing;
pub mod outcome;
pub mod plan;
pub mod run;
