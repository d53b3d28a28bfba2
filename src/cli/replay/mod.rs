//! `longhaul replay`: a timeline carried out by the agents of a testbed, by their own clocks from a common start.

mod follow;
mod load;
mod signals;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use self::follow::{Ending, Follow};
use self::load::TimelineArgs;
use self::signals::Signals;
use super::agent_session::lab_environment;
use super::input::NodeBackendArgs;
use super::target::TargetArgs;
use crate::report::replay::{plan_line, plan_table, replay_json, replay_lines};
use crate::testbed::lab::Lab;
use crate::testbed::{self, Testbed};
use crate::timeline::Timeline;
use crate::topology::NodeName;

/// Replay a timeline on a testbed: matrix after matrix, or a trace of single paths.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul replay --every 10m light.csv heavy.csv
  longhaul replay --every 10m --repeat forever light.csv mid.csv heavy.csv
  longhaul replay day.yaml --dry-run
  longhaul replay --lab trace.csv

Every node checks the whole timeline before the first switch, and then switches by its own clock.
Each switch is printed when all nodes have made it. Ctrl-C ends the replay; what was switched to last stays
until `longhaul apply` or `longhaul clear`. With --lab it goes with its lab.

Exit code: 0 every switch was made, 1 some failed on some nodes, 2 the input or the system is wrong.")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    timeline: TimelineArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// Bring up a lab for it, and take it down afterwards
    #[arg(long, conflicts_with = "dry_run")]
    lab: bool,
    /// Only print what each step would change
    #[arg(long)]
    dry_run: bool,
    /// Return at once; the replay goes on in the agents until it is over, or until `longhaul apply` or `clear`
    #[arg(long, conflicts_with_all = ["lab", "dry_run"])]
    detach: bool,
    /// Write the steps, the switches and the stamps of every node as JSON
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "detach"])]
    json: Option<PathBuf>,
    #[command(flatten)]
    backend: NodeBackendArgs,
}

/// Runs `longhaul replay`.
pub(super) fn run(args: &ReplayArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let loaded = args.timeline.load()?;
    if args.dry_run {
        let names = loaded.names();
        let timeline = loaded.timeline(&names, "the first matrix")?;
        write!(out, "{}", plan_table(&timeline))?;
        writeln!(out, "{}", plan_line(&timeline))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.lab {
        let names = loaded.names();
        let timeline = loaded.timeline(&names, "the first matrix")?;
        let name = format!("replay-{}", args.timeline.stem());
        let mut lab = Lab::start(&name, &names, &args.timeline.place(), lab_environment())?;
        let code = replay(args, &timeline, &format!("lab `{name}`"), &mut lab, out)?;
        lab.stop()?;
        return Ok(code);
    }
    let mut target = args.target.connect()?;
    let names: Vec<NodeName> = target.nodes().iter().map(|node| node.name.clone()).collect();
    let whose = target.to_string();
    let timeline = loaded.timeline(&names, &whose)?;
    replay(args, &timeline, &whose, target.testbed(), out)
}

fn replay(
    args: &ReplayArgs,
    timeline: &Timeline,
    whose: &str,
    testbed: &mut dyn Testbed,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let choices = args.backend.choices(testbed.nodes())?;
    // From here on a signal ends the replay, not this program.
    let signals = Signals::take()?;
    let rehearsed = testbed::order_replay(testbed, timeline, &choices)?;
    let backends: std::collections::BTreeSet<String> = rehearsed.iter().map(|node| node.backend.to_string()).collect();
    let start_ns = testbed::begin_replay(testbed, Duration::ZERO)?;
    let backends: Vec<String> = backends.into_iter().collect();
    writeln!(out, "replay on {whose}: {}, back-end {}", plan_line(timeline), backends.join("+"))?;
    out.flush()?;
    if args.detach {
        return Ok(ExitCode::SUCCESS);
    }
    let mut follow = Follow::new(timeline, start_ns);
    let ending = follow.run(testbed, &signals, args.lab, out)?;
    for line in replay_lines(timeline.names(), follow.summaries()) {
        writeln!(out, "{line}")?;
    }
    if let Some(file) = &args.json {
        let text = replay_json(timeline, start_ns, follow.summaries(), follow.stamps());
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    match ending {
        Ending::Signal(number) => {
            let then = if args.lab {
                "the lab goes"
            } else {
                "what was switched to last stays until `longhaul apply` or `clear`"
            };
            writeln!(out, "stopped; {then}")?;
            Ok(ExitCode::from(128u8.wrapping_add(number)))
        }
        Ending::Stopped => anyhow::bail!("somebody else has ended the replay, by another replay, `apply` or `clear`"),
        Ending::Over if follow.failed() => Ok(ExitCode::from(1)),
        Ending::Over => Ok(ExitCode::SUCCESS),
    }
}
