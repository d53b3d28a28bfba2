//! `longhaul bench proxy`: what a request costs on its way through the proxy, beside nginx and HAProxy in the same run.

mod course;
mod decisions;
mod footprint;
mod peers;
mod processes;
mod turns;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::conduct::{Begun, Wish};
use super::figures::{Relation, Row, Series, Target, Unit};
use super::ground::Effort;
use crate::balance::{POLICIES, Policy, find};
use crate::cli::progress::Progress;
use crate::shaping::BackendChoice;
use crate::units::Span;
use crate::wording::excerpt;
use course::{Course, Setting, Slice, Slices};
use peers::Peer;

/// Measure the proxy beside nginx and HAProxy and beside its targets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul bench proxy            about ten minutes
  longhaul bench proxy --quick    once and shorter
  longhaul bench proxy --repeat 9 --json proxy.json
  longhaul bench proxy --only footprint --out footprint --seconds 60 --repeat 3

Two synthetic services without a service time stand behind all of them; nginx has least_conn with
kept connections, HAProxy leastconn with http-reuse always, each one thread or worker, without logs.
Everyone has the same open-loop load, in turns of a tenth of a second in an order that turns too, so
that what else the machine does meets all alike; added latencies are over those of the services
alone in the same repetition. The footprint, of slices of some seconds one after the other, is at
40 requests/s of four clients with ten services; a choice of an instance is that of the policy
alone. Every request has to be answered once, by the services' own count.
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
    /// Only these measurements
    #[arg(long, value_name = "NAME", value_enum, num_args = 1..)]
    only: Vec<Part>,
    /// Seconds of load for each in a repetition [default: 6; with --quick 1, of the footprint 2]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: Option<u32>,
    /// Also write the footprint over time as CSV and as pictures to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write everything as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What the policy needs to choose, among 10 and 1,000 instances
    Decisions,
    /// Memory and processor at 40 requests/s
    Footprint,
    /// Processor and added latency at 1,000 and 5,000 requests/s
    Costs,
}

/// The rates at which costs are measured, requests per second.
const RATES: [u32; 2] = [1_000, 5_000];

/// What stands behind the proxies, and who asks, when costs are measured.
const SERVICES: usize = 2;
const CLIENTS: u32 = 16;

/// Runs `longhaul bench proxy`.
pub(super) fn run(args: &ProxyBenchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let policy = policy(args)?;
    let begun = Begun::now(args.json.as_deref())?;
    let progress = Progress::new();
    let effort = Effort::new(args.quick, args.repeat.or((!args.quick).then_some(7)));
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let (mut rows, mut failed) = (Vec::new(), false);
    // What cannot be measured at one rate says nothing of the others.
    let mut take = |name, taken: anyhow::Result<Vec<Row>>| match taken {
        Ok(taken) => rows.extend(taken),
        Err(error) => {
            failed = true;
            rows.push(Row::not_measured(name, "-", format!("{error:#}")));
        }
    };
    if wanted(Part::Decisions) {
        take(decisions::NAME, decisions::rows(policy, effort.repeat));
    }
    if wanted(Part::Footprint) {
        take(footprint::NAME, measure_footprint(args, policy, effort, &progress));
    }
    if wanted(Part::Costs) {
        let setting = Setting { services: SERVICES, clients: CLIENTS, length: length(args, 1) };
        let course = Course::start(policy.name, setting)?;
        for rate in RATES {
            take(name(rate), costs(&course, effort, rate, &progress));
        }
    }
    for peer in Peer::ALL.into_iter().filter(|peer| !peer.is_there()) {
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
    begun.conclude(
        wish,
        effort,
        format!("none; policy {}; the proxy is {}", policy.name, proxy_name()),
        &rows,
        failed,
        out,
    )
}

fn policy(args: &ProxyBenchArgs) -> anyhow::Result<&'static Policy> {
    let first = || POLICIES.iter().copied().find(|policy| policy.name.starts_with("qedge"));
    match &args.policy {
        Some(name) => find(name),
        None => first().or_else(|| find("round-robin")),
    }
    .ok_or_else(|| anyhow::anyhow!("there is no policy `{}`", excerpt(args.policy.as_deref().unwrap_or_default())))
}

/// Of the load for each in a repetition; `quick` seconds where it is to be short.
fn length(args: &ProxyBenchArgs, quick: u32) -> Span {
    let usual = if args.quick { quick } else { 6 };
    Span::from_secs(u64::from(args.seconds.unwrap_or(usual)))
}

fn proxy_name() -> &'static str {
    if peers::own_program().is_some() { "longhaul-proxy, beside this program" } else { "a command of this program" }
}

/// Memory and processor at the rate of the paper's experiment.
fn measure_footprint(
    args: &ProxyBenchArgs,
    policy: &Policy,
    effort: Effort,
    progress: &Progress,
) -> anyhow::Result<Vec<Row>> {
    let setting = Setting { services: footprint::INSTANCES, clients: footprint::CLIENTS, length: length(args, 2) };
    let course = Course::start(policy.name, setting)?;
    let slices = course.slices(effort.repeat, footprint::RATE, |what| progress.say(what))?;
    if let Some(folder) = &args.out {
        footprint::write(folder, &slices, policy.name)?;
    }
    Ok(footprint::rows(&slices))
}

/// What the figures of a rate are called.
fn name(rate: u32) -> &'static str {
    if rate == RATES[0] { "at 1,000/s" } else { "at 5,000/s" }
}

/// Processor time and added latency at a rate.
fn costs(course: &Course, effort: Effort, rate: u32, progress: &Progress) -> anyhow::Result<Vec<Row>> {
    Ok(cost_rows(rate, &course.turns(effort.repeat, rate, |what| progress.say(what))?))
}

fn cost_rows(rate: u32, slices: &Slices) -> Vec<Row> {
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
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_latency_is_over_that_of_the_same_repetition() {
        let mut slices = Slices::default();
        for (peer, p50_us) in [
            (Peer::Direct, 100.0),
            (Peer::Direct, 300.0),
            (Peer::Longhaul, 180.0),
            (Peer::Longhaul, 400.0),
            (Peer::Nginx, 150.0),
            (Peer::Nginx, 420.0),
        ] {
            slices.push(peer, Slice { p50_us, per_core: 20_000.0, ..Slice::default() });
        }
        let rows = cost_rows(1_000, &slices);
        let compared = |what: &str| rows.iter().find(|row| row.what == what).and_then(Row::compared);
        // 80 and 100 beside 50 and 120: 30 more and 20 less.
        assert!(compared("added p50, beside nginx").is_some_and(|more| (more - 5.0).abs() < 1e-9), "{rows:?}");
        assert_eq!(compared("requests/s per core, beside nginx"), Some(1.0));
        assert!(rows.iter().all(|row| !row.what.contains("HAProxy")), "it was not there");
    }
}
