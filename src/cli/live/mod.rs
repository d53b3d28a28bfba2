//! `longhaul run` with `testbed: lab`: the executor of trials with real processes in network namespaces. What is to be started
//! and done is decided in [`crate::experiment::balancing::live`]; here it is.

mod crew;
mod performance;
mod stage;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use self::performance::{Interrupted, Performance, Seen};
use self::stage::Stage;
use super::host::NoiseMeter;
use super::progress::Progress;
use crate::experiment::balancing::Balancing;
use crate::experiment::balancing::live::{Conduct, Script, Situation, outcome};
use crate::experiment::outcome::Outcome;
use crate::experiment::plan::Trial;
use crate::experiment::run::{ExecuteError, Executor, RunDirectory};
use crate::experiment::time_scale::TimeScale;
use crate::report::HostNoise;

/// The folder of the run directory for files of programs that run.
const WORK: &str = "work";

/// Runs trials in labs, one at a time; trials of one topology share a lab. To be used from one thread: programs die with it.
pub(super) struct LabExecutor {
    scale: TimeScale,
    directory: RunDirectory,
    stop: Arc<AtomicBool>,
    stage: Mutex<Option<Stage>>,
}

impl LabExecutor {
    /// Nothing is brought up yet.
    pub(super) fn new(scale: TimeScale, directory: &RunDirectory, stop: &Arc<AtomicBool>) -> Self {
        Self { scale, directory: directory.clone(), stop: Arc::clone(stop), stage: Mutex::new(None) }
    }

    fn trial(&self, trial: &Trial) -> anyhow::Result<Outcome> {
        let Some((plan, _)) = trial.balancing() else {
            anyhow::bail!("nothing of this kind is played in a lab");
        };
        let script = Script::new(plan, trial, self.scale)?;
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let (noise, seen) = {
            let stage = self.set(&mut stage, trial)?;
            let noise = NoiseMeter::start();
            let seen = self.play(plan, trial, &script, stage)?;
            (noise.stop(), seen)
        };
        let doubt = stage.as_ref().and_then(|stage| stage.doubt.clone());
        let mut outcome = outcome(plan, trial, &script, &seen.requests);
        let conduct = conduct(&seen, noise, doubt);
        conduct.note(&mut outcome, &seen.requests, &plan.qos, self.scale);
        Ok(outcome)
    }

    /// The lab of the trial's topology, with its delays.
    fn set<'a>(&self, stage: &'a mut Option<Stage>, trial: &Trial) -> anyhow::Result<&'a mut Stage> {
        let which = (trial.id.point, trial.id.topology);
        let situation = Situation::of(trial.topology, self.scale)?;
        // The lab of another topology ends here.
        let built = if let Some(mut kept) = stage.take().filter(|stage| stage.which == which) {
            kept.restore(&situation)?;
            kept
        } else {
            let progress = Progress::new();
            Stage::build(which, &situation, self.scale, &self.directory, &|step| progress.say(step))?
        };
        Ok(stage.insert(built))
    }

    fn play(&self, plan: &Balancing, trial: &Trial, script: &Script, stage: &mut Stage) -> anyhow::Result<Seen> {
        let work = self.directory.path().join(WORK);
        empty(&work)?;
        // Programs are started from other folders too.
        let folder = fs::canonicalize(&work).with_context(|| format!("find {}", work.display()))?;
        let performance = Performance { plan, trial, script, scale: self.scale, stage, folder, stop: &self.stop };
        let seen = performance.play()?;
        // What a failed trial left is worth a look.
        let _ = fs::remove_dir_all(&work);
        Ok(seen)
    }
}

impl Executor for LabExecutor {
    fn execute(&self, trial: &Trial) -> Result<Outcome, ExecuteError> {
        self.trial(trial).map_err(|error| match error.downcast_ref::<Interrupted>() {
            Some(_) => {
                let _ = fs::remove_dir_all(self.directory.path().join(WORK));
                ExecuteError::Interrupted
            }
            None => ExecuteError::Failed(format!("{error:#}")),
        })
    }
}

fn conduct(seen: &Seen, noise: Option<HostNoise>, delays: Option<String>) -> Conduct {
    Conduct {
        steal: noise.map(|noise| noise.steal),
        load1: noise.map(|noise| noise.load1),
        happened: seen.happened.clone(),
        delays,
    }
}

/// Makes a folder that has nothing in it.
fn empty(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("empty {}", folder.display()));
        }
        _ => {}
    }
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))
}
