//! `longhaul replay`: a timeline carried out by the agents of a testbed, by their own clocks from a common start.

mod follow;
mod load;
mod measure;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use clap::Args;

use self::follow::{Ending, Follow};
use self::load::TimelineArgs;
use self::measure::{Beside, Evidence, MeasureArgs};
use super::agent_session::lab_environment;
use super::hold;
use super::input::NodeBackendArgs;
use super::known::Known;
use super::operate::applied_matrix;
use super::signals::Signals;
use super::target::{Kind, Target, TargetArgs};
use super::verify::claim_folder;
use crate::measure::Verdict;
use crate::report::replay::{plan_line, plan_table};
use crate::shaping::BackendChoice;
use crate::testbed::lab::Lab;
use crate::testbed::{self, Begun, Rehearsed, Testbed};
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
  longhaul replay --hosts edge.yaml day.yaml                      until Ctrl-C
  longhaul replay --hosts edge.yaml day.yaml --detach --for 26h

Every node checks the whole timeline before the first switch, and then switches by its own clock.
Each switch is printed when all nodes have made it. Ctrl-C ends the replay; in a lab what was switched to last
stays until `longhaul apply` or `longhaul clear` (with --lab it goes with its lab), hosts are cleared. With
--measure every node is cleared, and the files are written of what was measured until then.
On hosts the last step stays until Ctrl-C; with --measure hosts are cleared after it.

Exit code: 0 every switch was made, and with --measure within tolerance; 1 some were not, a host was lost, or
an agent was, and its node without delays until another took the replay up; 130 Ctrl-C before the last switch;
2 the input or the system is wrong.")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    timeline: TimelineArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// Bring up a lab for it, and take it down afterwards
    #[arg(long, conflicts_with_all = ["dry_run", "hosts"])]
    lab: bool,
    /// Only print what each step would change
    #[arg(long)]
    dry_run: bool,
    /// Return at once; the replay goes on in the agents until it is over, or until `longhaul apply` or `clear`; on hosts
    /// with what it switched to last until the time of --for is over
    #[arg(long, conflicts_with_all = ["lab", "dry_run"])]
    detach: bool,
    /// How long a replay that is left on hosts stays, counted from now: 30s, 10m, 2h
    #[arg(id = "stay", long = "for", value_name = "DURATION", requires_all = ["hosts", "detach"], value_parser = hold::parse_stay)]
    stay: Option<Duration>,
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
    ensure!(
        !(args.detach && args.target.names_hosts() && args.stay.is_none()),
        "--detach leaves nothing on hosts for ever: say how long the replay stays, such as --for 2h"
    );
    let loaded = args.timeline.load()?;
    if args.dry_run {
        let names = loaded.names();
        let timeline = loaded.timeline(&names, "the first matrix")?;
        write!(out, "{}", plan_table(&timeline))?;
        writeln!(out, "{}", plan_line(&timeline))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut target = if args.lab { args.own_lab(&loaded.names())? } else { args.target.connect()? };
    let names: Vec<NodeName> = target.nodes().iter().map(|node| node.name.clone()).collect();
    let timeline = loaded.timeline(&names, &target.to_string())?;
    let code = Run { args, timeline: &timeline }.go(&mut target, out)?;
    if args.lab {
        target.end()?;
    }
    Ok(code)
}

impl ReplayArgs {
    fn own_lab(&self, names: &[NodeName]) -> anyhow::Result<Target> {
        let name = format!("replay-{}-{}", self.timeline.stem(), std::process::id());
        Ok(Target::of_lab(Lab::start(&name, names, &self.timeline.place(), lab_environment())?))
    }
}

/// A timeline on a testbed.
struct Run<'a> {
    args: &'a ReplayArgs,
    timeline: &'a Timeline,
}

impl Run<'_> {
    fn go(&self, target: &mut Target, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let (args, timeline, started) = (self.args, self.timeline, SystemTime::now());
        let choices = args.backend.choices(target.nodes())?;
        let folder = self.folder(started)?;
        let before = if args.measure.measure { Some(Known::of(target.testbed())?) } else { None };
        // From here on a signal ends the replay, not this program.
        let signals = Signals::take()?;
        target.testbed().reserve()?;
        let begun = self.begin(target, &choices);
        target.testbed().release();
        let (backends, beside, begun) = begun?;
        writeln!(out, "replay on {target}: {}, back-end {backends}", plan_line(timeline))?;
        out.flush()?;
        if args.detach {
            return self.leave(target, out);
        }
        let mut follow = Follow::new(timeline, begun);
        let ending = follow.run(target.testbed(), &signals, args.lab || beside.is_some(), out)?;
        for line in follow.lines() {
            writeln!(out, "{line}")?;
        }
        let mut fine = !follow.failed();
        if let (Some(beside), Some(folder), Some(before)) = (beside, &folder, before) {
            let (options, measured) = match ending {
                Ending::Over => beside.finish()?,
                Ending::Signal(_) => beside.cut_short(target.testbed())?,
                Ending::Stopped => return ended_by_others(),
            };
            let applied_before = applied_matrix(target.nodes(), &before.statuses)?;
            let evidence = Evidence {
                args: &args.measure,
                timeline,
                follow: &follow,
                options,
                measured: &measured,
                before: applied_before.delays(),
                faults: Known::of(target.testbed())?.faults_since(&before),
                started,
                source: args.timeline.place(),
                backends,
            };
            fine &= evidence.conclude(folder, out)? == Verdict::Pass;
        } else if let Some(file) = &args.json {
            std::fs::write(file, follow.json(None)).with_context(|| format!("write {}", file.display()))?;
        }
        self.end(target, &ending, fine, &signals, out)
    }

    /// Has every node check the timeline, and begins; with a measurement that begins a little before. The back-ends in
    /// words, the measurement, and when the replay starts.
    fn begin(&self, target: &mut Target, choices: &[BackendChoice]) -> anyhow::Result<(String, Option<Beside>, Begun)> {
        let place = self.args.timeline.place();
        let backends = backends(&testbed::order_replay(target.testbed(), &place, self.timeline, choices)?);
        if !self.args.measure.measure {
            return Ok((backends, None, testbed::begin_replay(target.testbed())?));
        }
        let again = self.again(target)?;
        // Before the measurement: a node that measures answers no questions about its clock.
        let clocks = target.testbed().clocks()?;
        let beside = self.args.measure.begin(self.timeline, target.testbed(), again)?;
        let begun = testbed::begin_replay_at(target.testbed(), &clocks, beside.replay_start_ns)?;
        Ok((backends, Some(beside), begun))
    }

    /// Another connection to the testbed.
    fn again(&self, target: &Target) -> anyhow::Result<Box<dyn Testbed>> {
        Ok(match target.kind() {
            Kind::Lab => Box::new(Lab::connect(&target.name)?),
            Kind::Hosts => self.args.target.connect()?.into_testbed(),
        })
    }

    /// The replay goes on without this program.
    fn leave(&self, target: &mut Target, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let Some(stay) = self.args.stay else { return Ok(ExitCode::SUCCESS) };
        let code = hold::detach(target, stay, out)?;
        if self.timeline.end().is_none_or(|end| end.as_duration() > stay) {
            let stay = humantime::format_duration(stay);
            writeln!(out, "note: the timeline lasts longer than {stay} and is cut off then")?;
        }
        Ok(code)
    }

    /// Where the evidence goes; `None` without a measurement.
    fn folder(&self, started: SystemTime) -> anyhow::Result<Option<PathBuf>> {
        match (&self.args.measure.out, self.args.measure.measure) {
            (_, false) => Ok(None),
            (Some(folder), true) => Ok(Some(folder.clone())),
            (None, true) => Ok(Some(claim_folder(&self.args.timeline.stem(), started)?)),
        }
    }

    /// Leaves of the replay what is to stay. What was measured is over; on hosts nothing stays without somebody.
    fn end(
        &self,
        target: &mut Target,
        ending: &Ending,
        fine: bool,
        signals: &Signals,
        out: &mut dyn Write,
    ) -> anyhow::Result<ExitCode> {
        let (kind, measured) = (target.kind(), self.args.measure.measure);
        let mut fine = fine;
        match ending {
            Ending::Stopped => return ended_by_others(),
            Ending::Signal(_) if self.args.lab => writeln!(out, "stopped; the lab goes")?,
            Ending::Signal(_) if kind == Kind::Lab && !measured => {
                writeln!(out, "stopped; what was switched to last stays until `longhaul apply` or `clear`")?;
            }
            Ending::Signal(_) => {
                let which = if hold::clear(target, out)? { "" } else { " that could be reached" };
                writeln!(out, "stopped; every node{which} is cleared")?;
            }
            Ending::Over if kind == Kind::Lab => {}
            Ending::Over if measured => fine &= hold::clear(target, out)?,
            Ending::Over => fine &= hold::hold(target, signals, out)?,
        }
        Ok(match ending {
            Ending::Signal(number) => ExitCode::from(128u8.wrapping_add(*number)),
            _ if fine => ExitCode::SUCCESS,
            _ => ExitCode::from(1),
        })
    }
}

fn ended_by_others() -> anyhow::Result<ExitCode> {
    anyhow::bail!("somebody else has ended the replay, by another replay, `apply` or `clear`")
}

/// "netem", or all of them when the nodes differ.
fn backends(rehearsed: &[Rehearsed]) -> String {
    let names: BTreeSet<String> = rehearsed.iter().map(|node| node.backend.to_string()).collect();
    names.into_iter().collect::<Vec<_>>().join("+")
}
