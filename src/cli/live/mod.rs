//! `longhaul run` with `testbed: lab`: the executor of trials with real processes in network namespaces. What is to be started
//! and done is decided in [`crate::experiment::balancing::live`]; here it is.

mod crew;
mod estimate;
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
use super::progress::Trials;
use crate::experiment::balancing::live::{Conduct, Script, Situation, outcome};
use crate::experiment::balancing::{Balancing, simulate};
use crate::experiment::outcome::Outcome;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::run::{ExecuteError, Executor, RunDirectory};
use crate::experiment::time_scale::TimeScale;
use crate::report::HostNoise;

pub(super) use estimate::{about, estimate};

/// The folder of the run directory for files of programs that run.
const WORK: &str = "work";

/// Runs trials in labs, one at a time; trials of one topology share a lab. To be used from one thread: programs die with it.
pub(super) struct LabExecutor {
    scale: TimeScale,
    /// Whether trials are simulated too.
    simulates: bool,
    directory: RunDirectory,
    stop: Arc<AtomicBool>,
    progress: Arc<Trials>,
    stage: Mutex<Option<Stage>>,
}

impl LabExecutor {
    /// Nothing is brought up yet.
    pub(super) fn new(plan: &Plan, directory: &RunDirectory, stop: &Arc<AtomicBool>, progress: &Arc<Trials>) -> Self {
        Self {
            scale: plan.time_scale,
            simulates: !plan.cross_check.is_empty(),
            directory: directory.clone(),
            stop: Arc::clone(stop),
            progress: Arc::clone(progress),
            stage: Mutex::new(None),
        }
    }

    fn trial(&self, trial: &Trial) -> anyhow::Result<Outcome> {
        let Some((plan, policy)) = trial.balancing() else {
            anyhow::bail!("nothing of this kind is played in a lab");
        };
        let script = Script::new(plan, trial, self.scale)?;
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let (noise, seen) = {
            let stage = self.set(&mut stage, trial)?;
            self.progress.step(&format!("{} on {}", trial.strategy.name, trial.topology.name));
            let noise = NoiseMeter::start();
            let seen = self.play(plan, trial, &script, stage)?;
            (noise.stop(), seen)
        };
        let doubt = stage.as_ref().and_then(|stage| stage.doubt.clone());
        let mut outcome = outcome(plan, trial, &script, &seen.requests);
        let conduct = conduct(&seen, noise, doubt);
        conduct.note(&mut outcome, &seen.requests, &plan.qos, self.scale);
        if self.simulates {
            outcome.simulated = Some(Box::new(simulate(plan, policy, trial).outcome));
        }
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
            Stage::build(which, &situation, self.scale, &self.directory, &|step| self.progress.step(step))?
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
        emulation: Some(seen.emulation),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::balancing::live::{Place, instances_file, proxy_config};
    use crate::topology::{Node, NodeName};

    /// What is written for proxies is what proxies read.
    #[test]
    fn the_files_of_a_trial_are_ones_that_proxies_take() {
        let text = "apiVersion: longhaul/v1\nname: it\nquestion: what\ntestbed: lab\ntimeScale: 0.25\n\
                    topologies: [{random: {nodes: 4, base: 5ms, addition: 20ms}, seed: 1}]\n\
                    strategies: [{policy: round-robin}, {policy: least-outstanding}, {policy: p2c-ewma}, {policy: proximity},\
                    \x20 {policy: dec-sarsa}, {policy: qedgeproxy}]\nbalancing:\n  duration: 20s\n\
                    \x20 service: {time: {fixed: 5ms}}\n  instances: {on: [n1, n2]}\n\
                    \x20 clients: {each: 2, rate: 10/s, arrivals: fixed}\n\
                    \x20 qos: {within: 80ms, atLeast: 90%, window: 10s}\n";
        let plan = Plan::load(Path::new("plan.yaml"), |_| Ok(text.as_bytes().to_vec())).expect("a plan");
        let node = |number: u8| Node {
            name: NodeName::numbered(usize::from(number)),
            ipv4: Some([10, 77, 0, number].into()),
            ipv6: None,
            networks: Vec::new(),
        };
        let nodes: Vec<Node> = (1..=4).map(node).collect();
        for trial in plan.trials() {
            let (balancing, policy) = trial.balancing().expect("requests are balanced");
            let config = proxy_config((balancing, &trial), plan.time_scale, 1, Path::new("/tmp/i.yaml"));
            let config = crate::proxy::parse("p", &config.expect("within bounds")).expect("a configuration");
            let service = &config.services["service"];
            assert_eq!(service.policy.name, policy.name);
            assert_eq!(service.qos, plan.time_scale.qos_on_testbed(balancing.qos));
            let slowed = plan.time_scale.parameters_on_testbed(trial.strategy.policy, &trial.strategy.parameters);
            assert_eq!(service.parameters, slowed.expect("within bounds"));
            let script = Script::new(balancing, &trial, plan.time_scale).expect("a script");
            let instances = instances_file(&script, &[0, 1], Place { nodes: &nodes }, true);
            let instances = crate::proxy::parse_instances("i", &instances).expect("instances");
            assert_eq!(instances.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["i1", "i2"]);
            assert!(instances.iter().all(|one| one.service == service.name && one.probe.is_some()));
        }
    }
}
