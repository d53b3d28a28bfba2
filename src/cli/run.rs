//! `longhaul run`: a plan's trials, kept in a directory as they end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use clap::Args;
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;

use super::host;
use super::live::{self, LabExecutor};
use super::progress::Trials;
use super::verify::claim_folder;
use crate::experiment::plan::{Plan, Testbed, Trial};
use crate::experiment::report;
use crate::experiment::run::{self, Description, Ended, Executor, RunDirectory, Simulation};

/// Run the trials of a plan and write their report.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul run experiments/qos-load-balancing/plan.yaml
  longhaul run plan.yaml --dry-run
  longhaul run plan.yaml --only QEdgeProxy --output runs/mine
  longhaul run plan.yaml --output runs/mine --resume

A plan says where it runs: in simulation (virtual time; the same files each time), or in the lab (services, proxies
and clients as processes in network namespaces of this machine, in real time, no root needed).
Ctrl-C ends the run: simulations under way finish, a trial in the lab is left; --resume goes on with it.
However a run ends, nothing of a lab is left.
Exit code: 0 every trial was run, 1 some are left, 2 the plan or the system is wrong.")]
pub(super) struct RunArgs {
    /// Plan, a YAML file
    plan: PathBuf,
    /// Only this strategy, by its name in the plan; may be given several times
    #[arg(long, value_name = "STRATEGY")]
    only: Vec<String>,
    /// Where to keep the run [default: runs/NAME-TIME]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Go on with the run in --output: trials that are there are not run again
    #[arg(long, requires = "output")]
    resume: bool,
    /// Say what would be run, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Trials at the same time, in simulation [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
}

/// Runs `longhaul run`.
pub(super) fn run(args: &RunArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let plan = super::plan::load(&args.plan)?;
    check_names(&plan, &args.only)?;
    if plan.testbed == Testbed::Lab && args.workers.is_some() {
        anyhow::bail!(
            "--workers is for simulation: trials in a lab run one at a time, or they would disturb each other"
        );
    }
    let wanted = |trial: &Trial| args.only.is_empty() || args.only.contains(&trial.strategy.name);
    let trials: Vec<Trial> = plan.trials().filter(wanted).collect();
    if args.dry_run {
        out.write_all(super::plan::overview(&plan, &trials).as_bytes())?;
        if plan.testbed == Testbed::Lab {
            writeln!(out, "  In the lab they take {}", live::about(live::estimate(&plan, &trials)))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let started = SystemTime::now();
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None => claim_folder(&plan.name, started)?,
    };
    let description = Description::new(&plan, env!("LONGHAUL_VERSION"));
    let directory = RunDirectory::open(&folder, &plan, &description, args.resume)?;
    let left: Vec<Trial> = trials.iter().filter(|trial| !directory.has(trial.id)).copied().collect();
    let ended = run_all(args, &plan, &directory, &left, started)?;
    let written = report::write(&directory, &description, &folder)?;
    out.write_all(written.summary.as_bytes())?;
    writeln!(out, "\n{}: {} figures beside it in figures/", folder.join("report.html").display(), written.figures)?;
    finish(&ended, &folder, &args.plan, out)
}

fn run_all(
    args: &RunArgs,
    plan: &Plan,
    directory: &RunDirectory,
    trials: &[Trial],
    started: SystemTime,
) -> anyhow::Result<Ended> {
    // First of all: the threads of what follows must not take the signals.
    let stop = stop_on_signal()?;
    let (noise, begun) = (host::NoiseMeter::start(), Instant::now());
    let simulation = Simulation::default();
    let progress = Arc::new(match plan.testbed {
        Testbed::Simulation => Trials::new(trials.len()),
        Testbed::Lab => Trials::timed(trials.len(), live::estimate(plan, trials)),
    });
    let told = |trial: &Trial, _: &_| progress.ended(&trial.strategy.name);
    let lab = LabExecutor::new(plan, directory, &stop, &progress);
    let (executor, workers): (&dyn Executor, usize) = match plan.testbed {
        // Placements are timed: what another worker wrote meanwhile would count.
        Testbed::Simulation if trials.iter().any(|trial| trial.placing().is_some()) => (&simulation, 1),
        Testbed::Simulation => (&simulation, workers(args)),
        Testbed::Lab => (&lab, 1),
    };
    let ended = run::run(trials, directory, executor, workers, &stop, &told)?;
    progress.finish();
    drop(lab);
    let seconds = begun.elapsed().as_secs_f64();
    let record = json!({
        "version": env!("LONGHAUL_VERSION"),
        "revision": option_env!("LONGHAUL_REVISION"),
        "command": std::env::args().collect::<Vec<_>>(),
        "started": humantime::format_rfc3339_seconds(started).to_string(),
        "seconds": seconds,
        "trials": ended.run,
        "left": ended.left,
        "workers": workers,
        "events": simulation.events(),
        "eventsPerSecond": simulation.events() as f64 / seconds,
        "kernel": host::kernel(),
        "machine": host::machine(),
        "hostNoise": noise.stop(),
    });
    directory.write("run.json", &format!("{record:#}\n"))?;
    Ok(ended)
}

fn workers(args: &RunArgs) -> usize {
    args.workers.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

fn finish(ended: &Ended, folder: &Path, plan: &Path, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    writeln!(out, "{} trials run, in {}", ended.run, folder.display())?;
    if ended.left == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let (plan, folder) = (plan.display(), folder.display());
    writeln!(out, "{} trials left; go on with longhaul run {plan} --output {folder} --resume", ended.left)?;
    Ok(ExitCode::from(1))
}

fn check_names(plan: &Plan, only: &[String]) -> anyhow::Result<()> {
    let names: Vec<&str> =
        plan.points.iter().flat_map(|point| &point.strategies).map(|one| one.name.as_str()).collect();
    match only.iter().find(|name| !names.contains(&name.as_str())) {
        Some(name) => {
            let mut known = names;
            known.dedup();
            anyhow::bail!("the plan has no strategy `{name}`; it has {}", known.join(", "))
        }
        None => Ok(()),
    }
}

/// Set by the first Ctrl-C or SIGTERM; the second ends the program at once.
fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let mut signals = SigSet::empty();
    signals.extend([Signal::SIGINT, Signal::SIGTERM]);
    // Threads that are made from here on have them blocked, so that only the one below hears of them.
    signals.thread_block().context("block SIGINT and SIGTERM")?;
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            set.store(true, Ordering::Relaxed);
        }
        if let Ok(signal) = signals.wait() {
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(stop)
}
