//! The testbed that is none: virtual time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::runner::{ExecuteError, Executor};
use crate::experiment::balancing::simulate;
use crate::experiment::outcome::Outcome;
use crate::experiment::plan::Trial;

/// Runs trials of every kind in virtual time, and counts their events.
#[derive(Debug, Default)]
pub struct Simulation {
    events: AtomicU64,
}

impl Simulation {
    /// How many events all trials took.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

impl Executor for Simulation {
    fn execute(&self, trial: &Trial) -> Result<Outcome, ExecuteError> {
        let Some((balancing, policy)) = trial.balancing() else {
            return Err(ExecuteError::Failed("nothing of this kind is simulated".to_owned()));
        };
        let simulated = simulate(balancing, policy, trial);
        self.events.fetch_add(simulated.events, Ordering::Relaxed);
        Ok(simulated.outcome)
    }
}
