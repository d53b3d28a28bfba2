//! `longhaul apply`, `measure`, `status` and `clear` on a running lab.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::caveats::caveats;
use super::input::{LabName, MatrixInput, NodeBackendArgs, ProbeArgs, ToleranceText};
use super::progress::Progress;
use crate::agent::protocol::{Applied, NodeStatus};
use crate::matrix::DelayMatrix;
use crate::matrix::csv::{CsvOptions, to_csv};
use crate::measure::{Verdict, compare};
use crate::report::files::{measured_matrix, result_json};
use crate::report::table;
use crate::shaping::{BackendChoice, Row};
use crate::testbed::lab::{Lab, find_running};
use crate::testbed::{self, Testbed};
use crate::topology::{Node, NodeName};

/// How many of the worst paths `measure` prints of a large lab.
const WORST_PATHS: usize = 72;

/// Apply a delay matrix to a running lab.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul apply matrices/trade-heavy.csv
  longhaul apply --name trade matrices/trade-light.csv --backend userspace

Delays are changed in place: packets under way keep theirs, none is lost.
What is there already is not written again.")]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    matrix: MatrixInput,
    #[command(flatten)]
    lab: LabName,
    #[command(flatten)]
    backend: NodeBackendArgs,
}

/// Measure every path of a running lab, beside what is applied.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul measure
  longhaul measure --probes 50 --interval 5ms --csv measured.csv
  longhaul measure --ipv6 --json measured.json

Exit code: 0 every path is within tolerance of what is applied, 1 some are not.")]
pub(super) struct MeasureArgs {
    #[command(flatten)]
    lab: LabName,
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

/// Show what every node of a running lab does, and whether that is what it should do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul status
  longhaul status --name trade --json

Exit code: 0 every node is as it should be, 1 some are not.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    lab: LabName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Remove all delays from a running lab; its nodes stay.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  longhaul clear\n  longhaul clear --name trade")]
pub(super) struct ClearArgs {
    #[command(flatten)]
    lab: LabName,
}

/// Runs `longhaul apply`.
pub(super) fn run_apply(args: &ApplyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let matrix = args.matrix.load()?;
    let mut lab = args.lab.find()?;
    check_names(&lab, &matrix)?;
    let choices = args.backend.choices(lab.nodes())?;
    let applied = testbed::apply(&mut lab, &matrix, &choices)?;
    let operations: usize = applied.iter().map(|applied| applied.operations).sum();
    writeln!(out, "applied to lab `{}`: {operations} writes, {}", lab.info().name, backends_in_words(&applied))?;
    Ok(ExitCode::SUCCESS)
}

/// A matrix with names must be for these nodes; one without is for any of the right number.
fn check_names(lab: &Lab, matrix: &DelayMatrix) -> anyhow::Result<()> {
    let numbered = matrix.names().iter().enumerate().all(|(index, name)| *name == NodeName::numbered(index + 1));
    let mut pairs = matrix.names().iter().zip(lab.nodes());
    match pairs.find(|(name, node)| **name != node.name) {
        Some((name, node)) if !numbered && matrix.len() == lab.nodes().len() => anyhow::bail!(
            "the matrix is for other nodes: it has `{name}` where lab `{}` has `{}`",
            lab.info().name,
            node.name
        ),
        _ => Ok(()),
    }
}

/// Runs `longhaul measure`.
pub(super) fn run_measure(args: &MeasureArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut lab = args.lab.find()?;
    let statuses = testbed::status(&mut lab)?;
    let applied = applied_matrix(lab.nodes(), &statuses)?;
    let progress = Progress::new();
    let started = |duration| progress.run("measure", duration);
    let measured = testbed::measure(&mut lab, args.probes.options(&applied), &started)?;
    progress.finish();
    let dropped = dropped(&testbed::status(&mut lab)?).saturating_sub(dropped(&statuses));
    let comparison = compare(&applied, &measured.collected.samples, args.tolerance.0);
    let columns = super::terminal::columns(io::stdout()).unwrap_or(usize::MAX);
    write!(out, "{}", table::path_table(applied.names(), &comparison, WORST_PATHS, columns))?;
    if let Some(file) = &args.csv {
        let matrix = measured_matrix(applied.names(), &comparison)?;
        std::fs::write(file, to_csv(&matrix, CsvOptions::default()))
            .with_context(|| format!("write {}", file.display()))?;
    }
    if let Some(file) = &args.json {
        let text = result_json(&backend_names(&statuses), applied.names(), &comparison);
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    writeln!(out, "{}", table::summary_line(&comparison))?;
    for caveat in caveats(&measured, dropped) {
        writeln!(out, "{caveat}")?;
    }
    Ok(match comparison.verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
    })
}

/// Packets that the delay elements have dropped so far.
pub(super) fn dropped(statuses: &[NodeStatus]) -> u64 {
    statuses.iter().filter_map(|status| status.traffic).map(|traffic| traffic.dropped).sum()
}

/// The matrix that the nodes say they are applying.
pub(super) fn applied_matrix(nodes: &[Node], statuses: &[NodeStatus]) -> anyhow::Result<DelayMatrix> {
    let rows: Vec<Row> = statuses.iter().map(|status| status.row.clone()).collect();
    Row::to_matrix(nodes, &rows).context("put the nodes' rows together")
}

fn backend_names(statuses: &[NodeStatus]) -> String {
    let mut names: Vec<String> =
        statuses.iter().filter_map(|status| status.backend).map(|backend| backend.to_string()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "none".to_owned() } else { names.join("+") }
}

/// Runs `longhaul status`.
pub(super) fn run_status(args: &StatusArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut lab = args.lab.find()?;
    let statuses = testbed::status(&mut lab)?;
    let dropped = dropped(&statuses);
    let wrong = statuses.iter().filter(|status| !status.differences.is_empty()).count();
    if args.json {
        let nodes: serde_json::Map<String, serde_json::Value> = lab
            .nodes()
            .iter()
            .zip(&statuses)
            .map(|(node, status)| Ok((node.name.to_string(), serde_json::to_value(status)?)))
            .collect::<anyhow::Result<_>>()?;
        writeln!(
            out,
            "{}",
            serde_json::to_string_pretty(&serde_json::json!({ "lab": lab.info().name, "nodes": nodes }))?
        )?;
    } else {
        writeln!(out, "{}", status_table(lab.nodes(), &statuses))?;
        writeln!(
            out,
            "{wrong} of {} nodes differ from what they should be; {dropped} packets dropped by the delay elements",
            statuses.len()
        )?;
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn status_table(nodes: &[Node], statuses: &[NodeStatus]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["NODE", "ADDRESS", "BACK-END", "PATHS", "DELAYS", "PACKETS", "DROPPED", "DIFFERENCE"]);
    for (node, status) in nodes.iter().zip(statuses) {
        let delays = status.row.paths.iter().map(|path| path.impairment.delay);
        let range = match (delays.clone().min(), delays.max()) {
            (Some(least), Some(most)) if least == most => least.to_string(),
            (Some(least), Some(most)) => format!("{least}–{most}"),
            _ => "-".to_owned(),
        };
        let traffic = status.traffic.unwrap_or_default();
        table.add_row([
            node.name.to_string(),
            node.ipv4.to_string(),
            status.backend.map_or_else(|| "-".to_owned(), |backend| backend.to_string()),
            status.row.paths.len().to_string(),
            range,
            traffic.packets.to_string(),
            traffic.dropped.to_string(),
            if status.differences.is_empty() { "none".to_owned() } else { status.differences.join("; ") },
        ]);
    }
    table.trim_fmt()
}

/// Runs `longhaul clear`.
pub(super) fn run_clear(args: &ClearArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut lab = args.lab.find()?;
    let operations = testbed::clear(&mut lab)?;
    writeln!(out, "cleared lab `{}`: {operations} writes", lab.info().name)?;
    Ok(ExitCode::SUCCESS)
}

impl LabName {
    /// Connects to it.
    pub(super) fn find(&self) -> anyhow::Result<Lab> {
        Ok(find_running(self.name.as_deref())?)
    }
}

/// Applies a matrix and says in words which back-ends are at work and why.
pub(super) fn apply(
    testbed: &mut dyn Testbed,
    matrix: &DelayMatrix,
    backends: &[BackendChoice],
) -> anyhow::Result<String> {
    Ok(backends_in_words(&testbed::apply(testbed, matrix, backends)?))
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
