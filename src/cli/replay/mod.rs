//! `longhaul replay`: a timeline carried out by the agents of a testbed, by their own clocks from a common start.

mod follow;
mod load;
mod measure;
mod signals;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;

use self::follow::{Ending, Follow};
use self::load::TimelineArgs;
use self::measure::{Beside, Evidence, MeasureArgs};
use self::signals::Signals;
use super::agent_session::lab_environment;
use super::caveats::Faults;
use super::input::NodeBackendArgs;
use super::operate::applied_matrix;
use super::target::TargetArgs;
use super::verify::claim_folder;
use crate::measure::Verdict;
use crate::report::replay::{plan_line, plan_table, replay_lines};
use crate::shaping::BackendChoice;
use crate::testbed::lab::Lab;
use crate::testbed::{self, Rehearsed, Testbed};
use crate::timeline::Timeline;
use crate::topology::NodeName;

/// Replay a timeline on a testbed: matrix after matrix, or a trace of single paths.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul replay --every 10m light.csv heavy.csv
  longhaul replay --every 10m --repeat forever light.csv mid.csv heavy.csv
  longhaul replay day.yaml --dry-run
  longhaul replay --lab --measure --out trace trace.csv

Every node checks the whole timeline before the first switch, and then switches by its own clock.
Each switch is printed when all nodes have made it. Ctrl-C ends the replay; what was switched to last stays
until `longhaul apply` or `longhaul clear`. With --lab it goes with its lab. With --measure every node is cleared,
and the files are written of what was measured until then.

Exit code: 0 every switch was made, and with --measure within tolerance; 1 some were not, or an agent was lost
and its node without delays until another took the replay up; 130 Ctrl-C; 2 the input or the system is wrong.")]
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
    #[command(flatten)]
    measure: MeasureArgs,
    /// Write the steps, the switches and the stamps of every node as JSON; --measure has them in its folder
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "detach", "measure"])]
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
        let name = format!("replay-{}-{}", args.timeline.stem(), std::process::id());
        let mut lab = Lab::start(&name, &names, &args.timeline.place(), lab_environment())?;
        let again = || -> anyhow::Result<Box<dyn Testbed>> { Ok(Box::new(Lab::connect(&name)?)) };
        let run = Run { args, timeline: &timeline, whose: format!("lab `{name}`"), again: &again };
        let code = run.go(&mut lab, out)?;
        lab.stop()?;
        return Ok(code);
    }
    let mut target = args.target.connect()?;
    let names: Vec<NodeName> = target.nodes().iter().map(|node| node.name.clone()).collect();
    let whose = target.to_string();
    let timeline = loaded.timeline(&names, &whose)?;
    let again = || Ok(args.target.connect()?.into_testbed());
    Run { args, timeline: &timeline, whose, again: &again }.go(target.testbed(), out)
}

/// A timeline on a testbed.
struct Run<'a> {
    args: &'a ReplayArgs,
    timeline: &'a Timeline,
    /// The testbed in words.
    whose: String,
    /// Another connection to it.
    again: &'a dyn Fn() -> anyhow::Result<Box<dyn Testbed>>,
}

impl Run<'_> {
    fn go(&self, testbed: &mut dyn Testbed, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let (args, timeline, started) = (self.args, self.timeline, SystemTime::now());
        let choices = args.backend.choices(testbed.nodes())?;
        let folder = self.folder(started)?;
        let statuses = if args.measure.measure { testbed::status(testbed)? } else { vec![] };
        // From here on a signal ends the replay, not this program.
        let signals = Signals::take()?;
        testbed.reserve()?;
        let begun = self.begin(testbed, &choices, folder.is_some());
        testbed.release();
        let (backends, beside, start_ns) = begun?;
        writeln!(out, "replay on {}: {}, back-end {backends}", self.whose, plan_line(timeline))?;
        out.flush()?;
        if args.detach {
            return Ok(ExitCode::SUCCESS);
        }
        let mut follow = Follow::new(timeline, start_ns);
        let ending = follow.run(testbed, &signals, args.lab || beside.is_some(), out)?;
        for line in replay_lines(timeline.names(), follow.summaries(), follow.gaps()) {
            writeln!(out, "{line}")?;
        }
        let mut fine = !follow.failed();
        if let (Some(beside), Some(folder)) = (beside, &folder) {
            let (options, measured) = match ending {
                Ending::Over => beside.finish()?,
                Ending::Signal(_) => beside.cut_short(testbed)?,
                Ending::Stopped => return self.end(&ending, fine, out),
            };
            let faults =
                |statuses: &[crate::agent::protocol::NodeStatus]| statuses.iter().map(Faults::of).sum::<Faults>();
            let faults = faults(&testbed::status(testbed)?).since(faults(&statuses));
            let before = applied_matrix(testbed.nodes(), &statuses)?;
            let evidence = Evidence {
                args: &args.measure,
                timeline,
                follow: &follow,
                options,
                measured: &measured,
                before: before.delays(),
                faults,
                started,
                source: args.timeline.place(),
                backends,
            };
            fine &= evidence.conclude(folder, out)? == Verdict::Pass;
            if matches!(ending, Ending::Signal(_)) {
                testbed::clear(testbed)?;
            }
        } else if let Some(file) = &args.json {
            std::fs::write(file, follow.json(None)).with_context(|| format!("write {}", file.display()))?;
        }
        self.end(&ending, fine, out)
    }

    /// Has every node check the timeline, and begins; with a measurement that begins a little before. The back-ends in
    /// words, the measurement, and when the replay starts.
    fn begin(
        &self,
        testbed: &mut dyn Testbed,
        choices: &[BackendChoice],
        measured: bool,
    ) -> anyhow::Result<(String, Option<Beside>, u64)> {
        let backends = backends(&testbed::order_replay(testbed, &self.args.timeline.place(), self.timeline, choices)?);
        if !measured {
            return Ok((backends, None, testbed::begin_replay(testbed)?));
        }
        let beside = self.args.measure.begin(self.timeline, testbed, (self.again)()?)?;
        let start_ns = testbed::begin_replay_at(testbed, beside.replay_start_ns)?;
        Ok((backends, Some(beside), start_ns))
    }

    /// Where the evidence goes; `None` without a measurement.
    fn folder(&self, started: SystemTime) -> anyhow::Result<Option<PathBuf>> {
        match (&self.args.measure.out, self.args.measure.measure) {
            (_, false) => Ok(None),
            (Some(folder), true) => Ok(Some(folder.clone())),
            (None, true) => Ok(Some(claim_folder(&self.args.timeline.stem(), started)?)),
        }
    }

    fn end(&self, ending: &Ending, fine: bool, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        match ending {
            Ending::Signal(number) => {
                let what = match (self.args.lab, self.args.measure.measure) {
                    (true, _) => "the lab goes",
                    (false, true) => "every node is cleared",
                    (false, false) => "what was switched to last stays until `longhaul apply` or `clear`",
                };
                writeln!(out, "stopped; {what}")?;
                Ok(ExitCode::from(128u8.wrapping_add(*number)))
            }
            Ending::Stopped => {
                anyhow::bail!("somebody else has ended the replay, by another replay, `apply` or `clear`")
            }
            Ending::Over => Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(1) }),
        }
    }
}

/// "netem", or all of them when the nodes differ.
fn backends(rehearsed: &[Rehearsed]) -> String {
    let names: BTreeSet<String> = rehearsed.iter().map(|node| node.backend.to_string()).collect();
    names.into_iter().collect::<Vec<_>>().join("+")
}
