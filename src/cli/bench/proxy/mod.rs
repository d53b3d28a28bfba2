//! `longhaul bench proxy`: what a request costs on its way through the proxy, beside nginx and HAProxy in the same run.

mod course;
mod peers;
mod processes;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::conduct::{Begun, Wish};
use super::figures::{Relation, Row, Series, Target, Unit};
use super::ground::Effort;
use crate::balance::{POLICIES, find};
use crate::cli::progress::Progress;
use crate::shaping::BackendChoice;
use crate::wording::excerpt;
use course::{Course, Slice};
use peers::Peer;

/// Measure the proxy beside nginx and HAProxy and beside its targets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul bench proxy            about three minutes
  longhaul bench proxy --quick    once and shorter
  longhaul bench proxy --repeat 9 --json proxy.json

Two synthetic services without a service time stand behind all of them; nginx has least_conn with
kept connections, HAProxy leastconn with http-reuse always, each one thread or worker, without logs.
Each repetition has a slice of the same open-loop load for everyone, one after the other, in an
order that turns; added latencies are over those of the services alone in the same repetition.
The proxy is `longhaul-proxy` where that lies beside this program, else `longhaul proxy`.
Use a release build on a machine that does nothing else.

Exit code: 0 also when a target is missed, 2 when something could not be measured.")]
pub(super) struct ProxyBenchArgs {
    /// Repetitions of each figure [default: 7, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: Option<u32>,
    /// Policy of the proxy [default: the first that measures, else round-robin]
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Shorter measurements, once
    #[arg(long)]
    quick: bool,
    /// Also write everything as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The rates at which costs are measured, requests per second.
const RATES: [u32; 2] = [1_000, 5_000];

/// The rate of paper 004's footprint.
const FOOTPRINT: u32 = 40;

/// Runs `longhaul bench proxy`.
pub(super) fn run(args: &ProxyBenchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let policy = policy(args)?;
    let begun = Begun::now(args.json.as_deref())?;
    let progress = Progress::new();
    let effort = Effort::new(args.quick, args.repeat.or((!args.quick).then_some(7)));
    let course = Course::start(policy, args.quick)?;
    let (mut rows, mut failed) = (Vec::new(), false);
    // What cannot be measured at one rate says nothing of the others.
    let mut take = |name, taken: anyhow::Result<Vec<Row>>| match taken {
        Ok(taken) => rows.extend(taken),
        Err(error) => {
            failed = true;
            rows.push(Row::not_measured(name, "-", format!("{error:#}")));
        }
    };
    take("footprint", footprint(&course, effort, &progress));
    for rate in RATES {
        take(name(rate), costs(&course, effort, rate, &progress));
    }
    for peer in course.missing() {
        rows.push(Row::not_measured(
            "beside",
            peer.name(),
            format!("{0} is not installed (Debian: {0})", peer.program()),
        ));
    }
    progress.finish();
    let wish = Wish {
        quick: args.quick,
        repeat: Some(effort.repeat),
        json: args.json.as_deref(),
        backend: BackendChoice::Auto,
        peer: "BESIDE IT",
    };
    begun.conclude(wish, effort, format!("none; policy {policy}; the proxy is {}", proxy_name()), &rows, failed, out)
}

fn policy(args: &ProxyBenchArgs) -> anyhow::Result<&'static str> {
    match &args.policy {
        Some(name) => match find(name) {
            Some(policy) => Ok(policy.name),
            None => bail!("there is no policy `{}`", excerpt(name)),
        },
        None => {
            Ok(POLICIES.iter().find(|policy| policy.name.starts_with("qedge")).map_or("round-robin", |one| one.name))
        }
    }
}

fn proxy_name() -> &'static str {
    if peers::own_program().is_some() { "longhaul-proxy, beside this program" } else { "a command of this program" }
}

/// Memory and processor at the rate of the paper's experiment.
fn footprint(course: &Course, effort: Effort, progress: &Progress) -> anyhow::Result<Vec<Row>> {
    let slices = course.slices(effort.repeat, FOOTPRINT, |what| progress.say(what))?;
    let what = |what: &str| format!("{what} at {FOOTPRINT} requests/s");
    let mut rows = Vec::new();
    let resident = |slices: &[Slice]| Series::new(Unit::Megabytes, slices.iter().map(|one| one.resident_mb));
    let share = |slices: &[Slice]| Series::new(Unit::CpuPercent, slices.iter().map(|one| one.core_share * 100.0));
    let ours = slices.of(Peer::Longhaul);
    rows.push(
        Row::new("footprint", what("resident"), resident(ours))
            .beside(Relation::Ratio, resident(slices.of(Peer::Nginx)))
            .reaching(Target::at_most(15.0)),
    );
    rows.push(
        Row::new("footprint", what("of a core"), share(ours))
            .beside(Relation::Ratio, share(slices.of(Peer::Nginx)))
            .reaching(Target::at_most(2.0)),
    );
    Ok(rows)
}

/// What the figures of a rate are called.
fn name(rate: u32) -> &'static str {
    if rate == RATES[0] { "at 1,000/s" } else { "at 5,000/s" }
}

/// Processor time and added latency at a rate.
fn costs(course: &Course, effort: Effort, rate: u32, progress: &Progress) -> anyhow::Result<Vec<Row>> {
    let slices = course.slices(effort.repeat, rate, |what| progress.say(what))?;
    let direct = slices.of(Peer::Direct);
    let (name, ours) = (name(rate), slices.of(Peer::Longhaul));
    let per_core = |slices: &[Slice]| Series::new(Unit::KiloRequests, slices.iter().map(|one| one.per_core / 1e3));
    let added = |slices: &[Slice], of: fn(&Slice) -> f64| {
        Series::new(Unit::Micros, slices.iter().zip(direct).map(|(one, direct)| of(one) - of(direct)))
    };
    let p50: fn(&Slice) -> f64 = |one| one.p50_us;
    let p99: fn(&Slice) -> f64 = |one| one.p99_us;
    let mut rows = Vec::new();
    for peer in [Peer::Nginx, Peer::Haproxy] {
        let theirs = slices.of(peer);
        if theirs.is_empty() {
            continue;
        }
        let is_judged = peer == Peer::Nginx;
        let beside = |what: &str| format!("{what}, beside {}", peer.name());
        let reaching = |row: Row, target| if is_judged { row.reaching(target) } else { row };
        let row =
            Row::new(name, beside("requests/s per core"), per_core(ours)).beside(Relation::Ratio, per_core(theirs));
        rows.push(reaching(row, Target::ratio_at_least(0.8)));
        let row =
            Row::new(name, beside("added p50"), added(ours, p50)).beside(Relation::Difference, added(theirs, p50));
        rows.push(row);
        let row =
            Row::new(name, beside("added p99"), added(ours, p99)).beside(Relation::Difference, added(theirs, p99));
        rows.push(reaching(row, Target::difference_at_most(0.0)));
    }
    let alone = |of: fn(&Slice) -> f64| Series::new(Unit::Micros, direct.iter().map(of));
    rows.push(Row::of_the_machine(name, "p50 without a proxy", alone(p50)));
    rows.push(Row::of_the_machine(name, "p99 without a proxy", alone(p99)));
    rows.push(Row::of_the_machine(name, "p99 lateness of the load", alone(|one| one.lateness_us)));
    rows.push(Row::new(name, "resident", Series::new(Unit::Megabytes, ours.iter().map(|one| one.resident_mb))));
    Ok(rows)
}
