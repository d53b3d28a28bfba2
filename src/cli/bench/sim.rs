//! `longhaul bench sim`: how many events of virtual time a core does in a second.

use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use rand::Rng;

use super::conduct::{Begun, Wish};
use super::figures::{Row, Series, Target, Unit};
use super::ground::Effort;
use crate::cli::progress::Progress;
use crate::experiment::balancing::Ready;
use crate::experiment::plan::{Plan, PlanError, Trial};
use crate::shaping::BackendChoice;
use crate::sim::{Queue, Streams};
use crate::units::{Moment, Span};

/// Measure how many events a second the simulation does on one core.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul bench sim            about a minute
  longhaul bench sim --quick    once and shorter
  longhaul bench sim --repeat 9 --json sim.json

The plans are those of experiments/qos-load-balancing, also with jitter and loss, and of
experiments/qos-thousand-proxies, each strategy on the first topology, one trial after the other on
one thread. Processor time is counted, not time, so that other programs matter less; figures and
reports are not in it. An event is a request that is sent, arrives or ends, and what a balancer
does at intervals. The queue alone has so many events waiting, each put back when it comes.
Use a release build.

Exit code: 0 also when a target is missed, 2 when something could not be measured.")]
pub(super) struct SimBenchArgs {
    /// Repetitions of each figure [default: 5, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: Option<u32>,
    /// Shorter measurements, once
    #[arg(long)]
    quick: bool,
    /// Also write everything as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a core is to do, in millions of events a second.
const TARGET: f64 = 2.0;

/// Events that wait in the queue that is measured alone.
const WAITING: [u64; 3] = [1_000, 10_000, 100_000];

const PAPER: &str = include_str!("../../../experiments/qos-load-balancing/plan.yaml");
/// What the first topology of the paper's plan ends with.
const QUIET: &str = "noise: 2ms, seed: 1}";
const THOUSAND: &str = include_str!("../../../experiments/qos-thousand-proxies/plan.yaml");
const CITIES: &str = include_str!("../../../matrices/cities/europe-30.csv");

/// Runs `longhaul bench sim`.
pub(super) fn run(args: &SimBenchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let begun = Begun::now(args.json.as_deref())?;
    let effort = Effort::new(args.quick, args.repeat.or((!args.quick).then_some(5)));
    let progress = Progress::new();
    let lengths = if args.quick { [30, 2] } else { [300, 10] };
    let disturbed = PAPER.replacen(QUIET, "noise: 2ms, seed: 1, jitter: 0.5ms, loss: 0.1%}", 1);
    let mut rows = queue(effort, &progress);
    for (name, text, seconds) in [
        ("paper 004, 30 proxies", PAPER, lengths[0]),
        ("with jitter and loss", disturbed.as_str(), lengths[0]),
        ("1,000 proxies", THOUSAND, lengths[1]),
    ] {
        rows.extend(plan(name, text, Span::from_secs(seconds), effort, &progress)?);
    }
    progress.finish();
    let wish = Wish {
        quick: args.quick,
        repeat: Some(effort.repeat),
        json: args.json.as_deref(),
        backend: BackendChoice::Auto,
        peer: "BESIDE IT",
    };
    begun.conclude(wish, effort, "none; virtual time, one thread".to_owned(), &rows, false, out)
}

/// The queue alone: as many events as ever wait, each taken and planned again.
fn queue(effort: Effort, progress: &Progress) -> Vec<Row> {
    let events = if effort.repeat == 1 { 500_000 } else { 4_000_000 };
    let row = |waiting: u64| {
        progress.say(&format!("queue of {waiting}"));
        let values = (0..effort.repeat).map(|repetition| hold(waiting, events, repetition));
        let row = Row::new("queue", format!("{waiting} waiting"), Series::new(Unit::MegaEvents, values));
        row.reaching(Target::at_least(TARGET))
    };
    WAITING.into_iter().map(row).collect()
}

/// Millions of events a second of a queue in which `waiting` of them wait.
fn hold(waiting: u64, events: u32, repetition: u32) -> f64 {
    let mut dice = Streams::new(1).stream("hold", u64::from(repetition));
    let mut queue = Queue::new();
    for event in 0..waiting {
        queue.at(Moment::from_nanos(u64::from(dice.next_u32())), event);
    }
    let spans: Vec<Span> = (0..4_096).map(|_| Span::from_nanos(u64::from(dice.next_u32()))).collect();
    let last = Moment::from_nanos(u64::MAX);
    per_second(|| {
        for place in 0..events {
            if let Some((_, event)) = queue.next_until(last) {
                queue.after(spans[place as usize % spans.len()], black_box(event));
            }
        }
        u64::from(events)
    })
}

/// A row for each strategy of a plan, on its first topology.
fn plan(
    name: &'static str,
    text: &str,
    duration: Span,
    effort: Effort,
    progress: &Progress,
) -> anyhow::Result<Vec<Row>> {
    let plan = shipped(&lasting(text, duration))?;
    let trials = plan.trials().filter(|trial| trial.id.topology == 0 && trial.id.repetition == 0);
    let rows = trials.map(|trial| {
        let strategy = &trial.strategy.name;
        let mut values = Vec::new();
        for repetition in 1..=effort.repeat {
            progress.say(&format!("{name}, {strategy}: {repetition} of {}", effort.repeat));
            values.extend(events(&trial));
        }
        let row = Row::new(name, strategy.clone(), Series::new(Unit::MegaEvents, values));
        // Round robin decides in a nanosecond: what is left is the engine.
        if trial.strategy.policy.name() == "round-robin" { row.reaching(Target::at_least(TARGET)) } else { row }
    });
    Ok(rows.collect())
}

/// The text of a plan with another duration.
fn lasting(text: &str, duration: Span) -> String {
    let lines = text.lines().map(|line| match line.split_once("duration: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}duration: {duration}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// A plan that comes with longhaul.
fn shipped(text: &str) -> Result<Plan, PlanError> {
    let plan = Path::new("plan.yaml");
    let read = |path: &Path| Ok(if path == plan { text } else { CITIES }.as_bytes().to_vec());
    Plan::load(plan, read)
}

/// Millions of events a second of one trial; `None` where it is of another kind.
fn events(trial: &Trial) -> Option<f64> {
    let (balancing, policy) = trial.balancing()?;
    let ready = Ready::new(balancing, policy, trial);
    Some(per_second(|| ready.run()))
}

/// Millions of what `work` counts in a second of this thread's processor time.
fn per_second(work: impl FnOnce() -> u64) -> f64 {
    let begun = processor_time();
    let done = work();
    done as f64 / processor_time().saturating_sub(begun).as_secs_f64().max(1e-9) / 1e6
}

/// Processor time of this thread.
fn processor_time() -> Span {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(Span::ZERO, |time| Span::from_nanos(u64::try_from(time.num_nanoseconds()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_that_come_along_have_events_to_count() {
        let second = Span::from_secs(1);
        let plan = shipped(&lasting(PAPER, second)).expect("it comes with longhaul");
        let trial = plan.trials().next().expect("one");
        assert_eq!(trial.balancing().map(|(balancing, _)| balancing.duration), Some(second));
        assert!(events(&trial).is_some_and(|rate| rate > 0.0) && hold(100, 10_000, 0) > 0.0);
        assert!(PAPER.contains(QUIET) && CITIES.contains(','));
        let thousand = shipped(&lasting(THOUSAND, Span::from_millis(10))).expect("it comes with longhaul");
        assert_eq!(thousand.points[0].topologies[0].matrix.len(), 1_000);
    }
}
