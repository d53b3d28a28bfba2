//! `longhaul watch`: a running lab measured again and again, as a live heat map on a terminal or as lines in a pipe.

mod measuring;
mod paint;
mod screen;
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;

use self::measuring::{Event, Measuring, Pace};
use super::input::ToleranceText;
use super::target::{Kind, TargetArgs};
use crate::measure::Verdict;
use crate::report::rounds::{TestbedName, round_json, round_lines};
use crate::units::{Span, UnitError};

/// Measure a running lab again and again, and show a live heat map of measured against applied.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul watch
  longhaul watch --name trade --interval 2s --probes 5
  longhaul watch --rounds 3 | tee watch.log
  longhaul watch --hosts edge.yaml
  longhaul watch --json --rounds 100 > rounds.jsonl

Keys: e errors, d delays, arrows and PageUp/PageDown scroll, z the whole matrix, space pauses, q ends.
When standard output is no terminal, every round is a line, and every path outside the tolerance another.

Exit code: with --rounds, 0 every path of the last round is within tolerance, 1 some are not or a node is missing;
2 when the lab ends meanwhile, or no node is left.")]
pub(super) struct WatchArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// From the start of a round to the start of the next
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_interval)]
    interval: Span,
    /// Number of probes per path and round
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    probes: u32,
    /// End after this many rounds [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// How far a path's median may be off: the larger of a share and a duration
    #[arg(long, value_name = "SHARE,DURATION", default_value = "5%,1ms")]
    tolerance: ToleranceText,
    /// Probe over IPv6 instead of IPv4
    #[arg(long)]
    ipv6: bool,
    /// Print every round as one line of JSON
    #[arg(long)]
    json: bool,
}

fn parse_interval(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: UnitError| error.to_string())?;
    let allowed = Span::from_millis(100)..=Span::from_millis(86_400_000);
    if allowed.contains(&span) { Ok(span) } else { Err(format!("{span} is not between 100ms and 86400s")) }
}

/// Runs `longhaul watch`.
pub(super) fn run(args: &WatchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let target = args.target.connect()?;
    let title = format!("{} {}", target.kind().word(), target.name);
    let names: Vec<_> = target.nodes().iter().map(|node| node.name.clone()).collect();
    let pace = Pace { interval: args.interval, probes: args.probes, rounds: args.rounds, ipv6: args.ipv6 };
    let dumb = std::env::var("TERM").is_ok_and(|terminal| terminal == "dumb");
    if io::stdout().is_terminal() && !args.json && !dumb {
        // Before any thread starts, so that all of them leave the signals to the one that restores the terminal.
        let signals = terminal::block_signals()?;
        let measuring = Measuring::start(target, pace, args.tolerance.0)?;
        return terminal::run(screen::Screen::new(&title, names), &measuring, &signals);
    }
    let (kind, own_name) = (target.kind(), target.name.clone());
    let name = match kind {
        Kind::Lab => TestbedName::Lab(&own_name),
        Kind::Hosts => TestbedName::Testbed(&own_name),
    };
    let measuring = Measuring::start(target, pace, args.tolerance.0)?;
    let mut code = ExitCode::SUCCESS;
    loop {
        match measuring.next()? {
            Event::Began => {}
            Event::Finished => return Ok(code),
            Event::Round(round) => {
                let text = if args.json { round_json(name, &names, &round) } else { round_lines(&names, &round) };
                out.write_all(text.as_bytes())?;
                out.flush()?;
                code = exit_code(round.comparison.verdict);
            }
        }
    }
}

/// What the last round says.
fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
    }
}
