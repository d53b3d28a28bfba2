//! Experiments: plans, trials, run directories, and what each kind of experiment does.
//!
//! - [`plan`]: pure; YAML to a [`plan::Plan`] whose every part is checked, and from there to trials.
//! - [`balancing`]: request balancing, in virtual time (pure) and in the lab.
//! - [`placement`]: services are given nodes; pure, with the clock as an argument.
//! - [`subject`]: the kinds of experiments, and what each brings to plans, runs and reports.
//! - [`outcome`]: pure; what a trial gives: metrics and tables.
//! - [`time_scale`]: pure; plans that a testbed plays slowly.
//! - [`run`]: the runner and the run directory.
//! - [`report`]: what a run directory says: verdicts, tables, figures, one page.

pub mod balancing;
pub mod outcome;
pub mod placement;
pub mod plan;
pub mod report;
pub mod run;
pub mod subject;
pub mod time_scale;
