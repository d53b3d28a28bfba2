//! `longhaul plan check`: whether a plan can be run, and what it would do.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::experiment::plan::{Plan, Trial};
use crate::intended::Intended;
use crate::matrix;

/// Check plans.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  longhaul plan check experiments/qos-load-balancing/plan.yaml")]
pub(super) struct PlanArgs {
    #[command(subcommand)]
    command: PlanCommand,
}

#[derive(Debug, Subcommand)]
enum PlanCommand {
    Check(CheckArgs),
}

/// Say what is wrong with a plan, or what it would do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul plan check experiments/qos-load-balancing/plan.yaml
  longhaul plan check experiments/*/plan.yaml

Exit code: 0 all can be run, 2 one is wrong.")]
struct CheckArgs {
    /// Plans, YAML files
    #[arg(required = true)]
    plans: Vec<PathBuf>,
}

/// Runs `longhaul plan`.
pub(super) fn run(args: &PlanArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let PlanCommand::Check(args) = &args.command;
    for path in &args.plans {
        let plan = load(path)?;
        let trials: Vec<Trial> = plan.trials().collect();
        out.write_all(overview(&plan, &trials).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A plan that can be run: what `check` passes is what `run` takes.
pub(super) fn load(path: &Path) -> anyhow::Result<Plan> {
    Ok(Plan::load(path, matrix::read_bytes)?)
}

/// What a plan would do.
pub(super) fn overview(plan: &Plan, trials: &[Trial]) -> String {
    let mut text = format!("{}: {}\n\n", plan.name, plan.question);
    let Some(point) = plan.points.first() else { return text };
    let mut line = |name: &str, value: &str| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  {name:<28}{value}");
    };
    let topologies: Vec<String> = point
        .topologies
        .iter()
        .map(|topology| format!("{} ({} nodes)", topology.name, topology.matrix.len()))
        .collect();
    line("topologies", &topologies.join(", "));
    for topology in &point.topologies {
        if let Some(words) = topology.impaired.as_ref().and_then(Intended::beyond_delay) {
            line(&format!("paths of {}", topology.name), &words);
        }
    }
    for strategy in &point.strategies {
        let parameters: Vec<String> =
            strategy.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        line(
            &format!("strategy {}", strategy.name),
            &[&[strategy.policy.name().to_owned()], &parameters[..]].concat().join(", "),
        );
    }
    for (name, value) in point.subject.words() {
        line(&name, &value);
    }
    for varied in plan.points.iter().skip(1) {
        let values: Vec<String> = varied.varied.iter().map(|(name, value)| format!("{name} {value}")).collect();
        line("also with", &values.join(", "));
    }
    for claim in &plan.claims {
        line("claim", &claim.says);
    }
    let _ = writeln!(text, "\n  {} trials: {} repetitions, seed {}", trials.len(), plan.repetitions, plan.seed);
    text
}
