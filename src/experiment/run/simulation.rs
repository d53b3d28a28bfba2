//! The testbed that is none: requests in virtual time, and placements, which are computed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

use super::runner::{ExecuteError, Executor};
use crate::experiment::balancing::simulate;
use crate::experiment::outcome::Outcome;
use crate::experiment::placement::{Reading, solve};
use crate::experiment::plan::Trial;
use crate::units::Span;

/// Runs trials of every kind in virtual time, and counts their events.
#[derive(Debug, Default)]
pub struct Simulation {
    events: AtomicU64,
    /// Held by the trial that is timed: two at once would take each other's processors.
    timed: Mutex<()>,
}

impl Simulation {
    /// How many events all trials took.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

impl Executor for Simulation {
    fn execute(&self, trial: &Trial) -> Result<Outcome, ExecuteError> {
        if let Some((placing, policy)) = trial.placing() {
            let _turn = self.timed.lock();
            let begun = Instant::now();
            let clock = || reading(begun);
            return solve(placing, policy, trial, &clock).map_err(|error| ExecuteError::Failed(error.to_string()));
        }
        let Some((balancing, policy)) = trial.balancing() else {
            return Err(ExecuteError::Failed("the strategy's policy is of another kind than the plan".to_owned()));
        };
        let simulated = simulate(balancing, policy, trial);
        self.events.fetch_add(simulated.events, Ordering::Relaxed);
        Ok(simulated.outcome)
    }
}

fn reading(begun: Instant) -> Reading {
    let processor = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(0, |time| time.num_nanoseconds());
    Reading {
        elapsed: Span::from_nanos(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)),
        processor: Span::from_nanos(u64::try_from(processor).unwrap_or(0)),
    }
}
