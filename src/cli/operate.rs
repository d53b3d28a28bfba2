//! `longhaul apply`, `measure` and `clear` on a running lab or on hosts.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;

use super::caveats::{caveats, drops_note};
use super::expectation::{Expectation, Probes};
use super::hold::StayArgs;
use super::input::{MatrixInput, NodeBackendArgs, ProbeArgs, ToleranceText};
use super::known::Known;
use super::progress::Progress;
use super::target::{Kind, Target, TargetArgs};
use crate::agent::protocol::{Applied, NodeStatus};
use crate::intended::Intended;
use crate::matrix::DelayMatrix;
use crate::matrix::csv::{CsvOptions, to_csv};
use crate::measure::Verdict;
use crate::report::beyond::{beyond_lines, beyond_table};
use crate::report::files::{measured_matrix, missing_words, result_json};
use crate::report::table;
use crate::shaping::{BackendChoice, Impairment, Row};
use crate::testbed::{self, Testbed};
use crate::topology::{Node, NodeName};

/// How many of the worst paths `measure` prints of a large lab.
const WORST_PATHS: usize = 72;

/// Apply a delay matrix to a running lab or to hosts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul apply matrices/trade-heavy.csv
  longhaul apply --name trade matrices/trade-light.csv --backend userspace
  longhaul apply --hosts edge.yaml net.csv                        until Ctrl-C
  longhaul apply --hosts edge.yaml net.csv --detach --for 2h

  longhaul apply matrices/trade-heavy.csv --dry-run

Delays are changed in place: packets under way keep theirs, none is lost.
What is there already is not written again. When a node refuses, all keep what they had.")]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    matrix: MatrixInput,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    backend: NodeBackendArgs,
    #[command(flatten)]
    stay: StayArgs,
    /// Write nothing: show what is there, what is wanted, and what would change
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: print everything as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
}

/// Measure every path of a running lab or of hosts, beside what is applied.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul measure
  longhaul measure --probes 50 --interval 5ms --csv measured.csv
  longhaul measure --ipv6 --json measured.json
  longhaul measure --hosts edge.yaml

Exit code: 0 every path is within tolerance of what is applied, 1 some are not, or a node is missing:
then the paths of the others are measured and written, and what is missing is said.")]
pub(super) struct MeasureArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    probes: ProbeArgs,
    /// How far a path's median may be off: the larger of a share and a duration
    #[arg(long, value_name = "SHARE,DURATION", default_value = "5%,1ms")]
    tolerance: ToleranceText,
    /// Write the medians as a matrix that longhaul reads again
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Remove all delays from a running lab or from hosts; its nodes stay.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  longhaul clear\n  longhaul clear --name trade\n  longhaul clear --hosts edge.yaml"
)]
pub(super) struct ClearArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Runs `longhaul apply`.
pub(super) fn run_apply(args: &ApplyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let intended = args.matrix.intended()?;
    let mut target = args.target.connect()?;
    let intended = in_order_of(&target, intended, &args.matrix.place())?;
    let choices = args.backend.choices(target.nodes())?;
    if args.dry_run {
        return super::compare::run(&mut target, &intended, &choices, args.json, out);
    }
    let applied = apply_intended(target.testbed(), &intended, &choices)?;
    let operations: usize = applied.iter().map(|applied| applied.operations).sum();
    writeln!(out, "applied to {target}: {operations} writes, {}", backends_in_words(&applied))?;
    if let Some(beyond) = intended.beyond_delay() {
        writeln!(out, "beyond delay: {beyond}")?;
    }
    match target.kind() {
        Kind::Lab => Ok(ExitCode::SUCCESS),
        Kind::Hosts => args.stay.keep(&mut target, out),
    }
}

/// The matrix in the order of the testbed's nodes. One with names must have those; one with only n1…nN is taken as it stands.
pub(super) fn in_order_of(target: &Target, intended: Intended, place: &str) -> anyhow::Result<Intended> {
    let names: Vec<NodeName> = target.nodes().iter().map(|node| node.name.clone()).collect();
    in_order(&names, &target.to_string(), intended, place)
}

/// As [`in_order_of`], for the nodes `names` of `whose`.
pub(super) fn in_order(names: &[NodeName], whose: &str, intended: Intended, place: &str) -> anyhow::Result<Intended> {
    let matrix = intended.matrix();
    anyhow::ensure!(matrix.len() == names.len(), "{place} has {} nodes, but {whose} has {}", matrix.len(), names.len());
    if matrix.names().iter().enumerate().all(|(index, name)| *name == NodeName::numbered(index + 1)) {
        return Ok(intended);
    }
    let place_of = |name: &NodeName| matrix.names().iter().position(|other| other == name);
    let order: Option<Vec<usize>> = names.iter().map(place_of).collect();
    let Some(order) = order else {
        let stranger = names.iter().find(|name| place_of(name).is_none()).map_or("", NodeName::as_str);
        anyhow::bail!("{place} is for other nodes: {whose} has `{stranger}`, which it has not");
    };
    Ok(intended.in_order(&order)?)
}

/// Runs `longhaul measure`.
pub(super) fn run_measure(args: &MeasureArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut target = args.target.connect()?;
    let known = Known::of(target.testbed())?;
    let statuses = &known.statuses;
    let applied = applied_matrix(target.nodes(), statuses)?;
    let progress = Progress::new();
    let started = |duration| progress.run("measure", duration);
    let options = args.probes.options(&applied);
    let measured = testbed::measure(target.testbed(), options, &started)?;
    progress.finish();
    let after = Known::of(target.testbed())?;
    let faults = after.faults_since(&known);
    let expectation = expectation(&applied, target.nodes(), statuses, options);
    let samples = &measured.collected.samples;
    let (comparison, beyond) = expectation.judge(&applied, samples, &measured, args.tolerance.0);
    let comparison = comparison.without(known.missing(&measured));
    let columns = super::terminal::columns(io::stdout()).unwrap_or(usize::MAX);
    write!(out, "{}", table::path_table(applied.names(), &comparison, WORST_PATHS, columns))?;
    if let Some(table) = beyond_table(applied.names(), &beyond, WORST_PATHS, columns) {
        write!(out, "\n{table}")?;
    }
    if let Some(file) = &args.csv {
        let mut matrix = measured_matrix(applied.names(), &comparison)?;
        let without = in_words(&missing_words(applied.names(), &comparison.missing));
        let source = format!("longhaul measure of {} {}, medians{without}", target.kind().word(), target.name);
        matrix.metadata.source = Some(source);
        matrix.metadata.date = Some(humantime::format_rfc3339_seconds(SystemTime::now()).to_string());
        std::fs::write(file, to_csv(&matrix, CsvOptions::default()))
            .with_context(|| format!("write {}", file.display()))?;
    }
    if let Some(file) = &args.json {
        let text = result_json(&backend_names(statuses), applied.names(), &comparison, &beyond);
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    writeln!(out, "{}", table::summary_line(&comparison))?;
    let notes =
        caveats(&measured, faults).into_iter().chain(drops_note(&after.statuses)).chain(expectation.notes(&comparison));
    let missing = table::missing_lines(applied.names(), &comparison.missing);
    for line in missing.into_iter().chain(beyond_lines(&beyond)).chain(notes) {
        writeln!(out, "{line}")?;
    }
    Ok(match comparison.verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
    })
}

/// `; without n2 (…)`, or nothing when nobody is missing.
pub(super) fn in_words(missing: &BTreeMap<String, String>) -> String {
    let all: Vec<String> = missing.iter().map(|(name, why)| format!("{name} ({why})")).collect();
    if all.is_empty() { String::new() } else { format!("; without {}", all.join(", ")) }
}

/// The matrix that the nodes say they are applying.
pub(super) fn applied_matrix(nodes: &[Node], statuses: &[NodeStatus]) -> anyhow::Result<DelayMatrix> {
    let rows: Vec<Row> = statuses.iter().map(|status| status.row.clone()).collect();
    Row::to_matrix(nodes, &rows).context("put the nodes' rows together")
}

/// What a measurement should show of what the nodes say they are applying.
pub(super) fn expectation(
    applied: &DelayMatrix,
    nodes: &[Node],
    statuses: &[NodeStatus],
    options: testbed::MeasureOptions,
) -> Expectation {
    let probes = Probes { count: options.probes, interval: options.interval, ipv6: options.ipv6 };
    let pings = |from: usize, to: usize| {
        let address = nodes.get(to).and_then(|node| node.address(options.ipv6));
        let row = statuses.get(from).map(|status| &status.row);
        address
            .zip(row)
            .map_or_else(|| Impairment::delay(applied.delay(from, to)), |(address, row)| row.pings_to(address))
    };
    Expectation::of(applied, pings, probes)
}

fn backend_names(statuses: &[NodeStatus]) -> String {
    let mut names: Vec<String> =
        statuses.iter().filter_map(|status| status.backend).map(|backend| backend.to_string()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "none".to_owned() } else { names.join("+") }
}

/// Runs `longhaul clear`.
pub(super) fn run_clear(args: &ClearArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut target = args.target.connect()?;
    let operations = testbed::clear(target.testbed())?;
    writeln!(out, "cleared {target}: {operations} writes")?;
    Ok(ExitCode::SUCCESS)
}

/// Applies a matrix and says in words which back-ends are at work and why.
pub(super) fn apply(
    testbed: &mut dyn Testbed,
    intended: &Intended,
    backends: &[BackendChoice],
) -> anyhow::Result<String> {
    Ok(backends_in_words(&apply_intended(testbed, intended, backends)?))
}

/// Applies a matrix with what its paths do beyond delay.
pub(super) fn apply_intended(
    testbed: &mut dyn Testbed,
    intended: &Intended,
    backends: &[BackendChoice],
) -> anyhow::Result<Vec<Applied>> {
    // Other nodes than the matrix's are refused before a row is made for them.
    let rows = if testbed.nodes().len() == intended.matrix().len() {
        intended.rows(testbed.nodes())
    } else {
        vec![Row::default(); intended.matrix().len()]
    };
    Ok(testbed::apply_rows(testbed, rows, backends)?)
}

/// "back-end userspace (this kernel or user has no netem; …)", or all of them when the nodes differ.
pub(super) fn backends_in_words(applied: &[Applied]) -> String {
    let mut seen: Vec<(String, usize)> = Vec::new();
    for one in applied {
        let text = format!("{} ({})", one.backend, one.reason);
        match seen.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => seen.push((text, 1)),
        }
    }
    match seen.as_slice() {
        [] => "nothing applied".to_owned(),
        [(only, _)] => format!("back-end {only}"),
        several => {
            let parts: Vec<String> = several.iter().map(|(text, count)| format!("{text} on {count} nodes")).collect();
            format!("back-ends {}", parts.join("; "))
        }
    }
}
