//! The runner: trials one after another or side by side, each kept as soon as it is over.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::directory::{DirectoryError, RunDirectory};
use crate::experiment::outcome::Outcome;
use crate::experiment::plan::Trial;

/// Runs one trial on a testbed.
pub trait Executor: Sync {
    /// Runs it; the error says what the testbed lacks.
    fn execute(&self, trial: &Trial) -> Result<Outcome, ExecuteError>;
}

/// A trial that was not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The testbed could not.
    #[error("{0}")]
    Failed(String),
    /// Somebody asked to stop; the trial is left for later.
    #[error("it was interrupted")]
    Interrupted,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A trial could not be run.
    #[error("trial {id} ({strategy} on {topology}): {error}")]
    Trial {
        /// Which.
        id: String,
        /// The strategy's name.
        strategy: String,
        /// The topology's name.
        topology: String,
        /// What the testbed said.
        error: ExecuteError,
    },
    /// Its results could not be kept.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Trials that were run.
    pub run: usize,
    /// Trials that are left, as somebody asked to stop.
    pub left: usize,
}

/// Runs `trials` with that many `workers`, until `stop` is set; trials under way are finished. `told` hears of each that is
/// kept.
pub fn run(
    trials: &[Trial],
    directory: &RunDirectory,
    executor: &dyn Executor,
    workers: usize,
    stop: &AtomicBool,
    told: &(dyn Fn(&Trial, &Outcome) + Sync),
) -> Result<Ended, RunError> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failure = Mutex::new(None);
    let work = || {
        while !stop.load(Ordering::Relaxed) && failure.lock().is_ok_and(|failure| failure.is_none()) {
            let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            match one(trial, directory, executor) {
                Ok(outcome) => {
                    done.fetch_add(1, Ordering::Relaxed);
                    told(trial, &outcome);
                }
                Err(RunError::Trial { error: ExecuteError::Interrupted, .. }) => break,
                Err(error) => {
                    if let Ok(mut failure) = failure.lock() {
                        failure.get_or_insert(error);
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers.clamp(1, trials.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = failure.into_inner().ok().flatten() {
        return Err(error);
    }
    let run = done.into_inner();
    Ok(Ended { run, left: trials.len() - run })
}

fn one(trial: &Trial, directory: &RunDirectory, executor: &dyn Executor) -> Result<Outcome, RunError> {
    let outcome = executor.execute(trial).map_err(|error| RunError::Trial {
        id: trial.id.to_string(),
        strategy: trial.strategy.name.clone(),
        topology: trial.topology.name.clone(),
        error,
    })?;
    directory.keep(trial, &outcome)?;
    Ok(outcome)
}
