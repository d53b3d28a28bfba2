//! Plans: an experiment as YAML, checked as a whole before anything is run. Pure; files are read by who calls.
//!
//! ```text
//! text ─document─► fields with places ─build─► Plan: points (one per value of the sweep), each with topologies,
//!                                               strategies, events and what is done ─trials─► Trial, Trial, …
//! ```

mod build;
mod claim;
mod cross_check;
mod document;
mod error;
mod lab;
mod sweep;
mod topology;
mod trials;

pub use claim::{Claim, Expectation};
pub use cross_check::Bound;
pub(crate) use document::{CrowdDocument, EventDocument};
pub(crate) use error::Wrong;
pub use error::{PlanError, PlanProblem};
pub use topology::Topology;
pub use trials::{Trial, TrialId};

use std::path::{Path, PathBuf};

use crate::experiment::subject::{Policy, Subject};
use crate::experiment::time_scale::TimeScale;
use crate::matrix::ReadError;
use crate::parameters::Parameters;

/// The most trials of a plan.
pub const MAX_TRIALS: u64 = 100_000;

/// The most points of a sweep: each is kept as a plan of its own.
pub const MAX_POINTS: u64 = 10_000;

/// Where a plan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Testbed {
    /// In virtual time.
    Simulation,
    /// In network namespaces of this machine, in real time.
    Lab,
}

/// An experiment.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What its run directory and report are called.
    pub name: String,
    /// What it is to find out.
    pub question: String,
    /// Where it runs.
    pub testbed: Testbed,
    /// Where all randomness comes from.
    pub seed: u64,
    /// How often each strategy is tried on each topology, each time with other random numbers.
    pub repetitions: u32,
    /// How many seconds of the plan pass in a second of a testbed with a clock of its own.
    pub time_scale: TimeScale,
    /// What is varied; the first point is the plan as written.
    pub points: Vec<Point>,
    /// What was said before.
    pub claims: Vec<Claim>,
    /// How far the lab may be from simulation; where there is a bound, its trials are simulated too.
    pub cross_check: Vec<Bound>,
    /// The text, for the run directory.
    pub text: String,
}

/// The plan with one set of values of what is varied.
#[derive(Debug, Clone)]
pub struct Point {
    /// What is varied and to what; empty for the plan as written.
    pub varied: Vec<(String, String)>,
    /// Where it is tried.
    pub topologies: Vec<Topology>,
    /// What is tried.
    pub strategies: Vec<Strategy>,
    /// What is done there.
    pub subject: Subject,
}

/// A policy with its parameters, under the name that figures have.
#[derive(Debug, Clone)]
pub struct Strategy {
    /// The name.
    pub name: String,
    /// The policy; of the room that the plan is about.
    pub policy: Policy,
    /// All of its parameters.
    pub parameters: Parameters,
}

impl Plan {
    /// Reads and checks a plan; `read` gives the bytes of a file. What it names lies beside it.
    pub fn load(path: &Path, read: impl Fn(&Path) -> Result<Vec<u8>, ReadError>) -> Result<Self, PlanError> {
        let bytes = read(path)?;
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        build::plan(&path.display().to_string(), &bytes, &|file: &Path| read(&folder.join(file)))
    }
}
