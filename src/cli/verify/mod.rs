//! `longhaul verify`: bring up a lab or call hosts, apply a matrix, measure every path, compare, and leave evidence.

mod evidence;
mod trial;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;
use nix::unistd::{AccessFlags, access};

use super::input::{MatrixInput, NodeBackendArgs, ProbeArgs, ToleranceText};
use super::operate::{backends_in_words, in_order_of};
use super::progress::Progress;
use super::target::HostsArgs;
use super::terminal;
use crate::matrix::DelayMatrix;
use crate::measure::Verdict;
use crate::report::{beyond, table};
use evidence::Evidence;
use trial::Trial;

/// The folder of all runs.
const RUNS: &str = "runs";

/// Stands for standard output where a file is expected.
const STDOUT: &str = "-";

/// The most nodes whose every path is printed; larger labs print the worst paths.
const PRINT_ALL_NODES: usize = 12;

/// How many of the worst paths a larger lab prints.
const WORST_PATHS: usize = 20;

/// Put a delay matrix on this machine or on hosts, measure every path, and say whether it holds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul verify matrices/trade.csv
  longhaul verify matrices/europe-30.csv --probes 20 --tolerance 2%,500us
  longhaul verify net.csv --backend userspace --ipv6 --out /tmp/net
  longhaul verify rtts.csv --split-rtt halves
  longhaul verify net.yaml --probes 2000 --interval 2ms
  longhaul verify delay.csv --loss loss.csv --rate rate.csv
  longhaul verify net.csv --json - | jq .summary
  longhaul verify --hosts edge.yaml net.csv

Exit code: 0 every path is within tolerance, 1 some are not, or a host is missing and with it
its paths; 2 the input or the system is wrong.
Nodes are network namespaces of this machine, or hosts reached by ssh; nothing of it
is left afterwards, however this ends.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) matrix: MatrixInput,
    #[command(flatten)]
    pub(super) backend: NodeBackendArgs,
    #[command(flatten)]
    pub(super) probes: ProbeArgs,
    /// How far a path's median may be off: the larger of a share and a duration
    #[arg(long, value_name = "SHARE,DURATION", default_value = "5%,1ms")]
    pub(super) tolerance: ToleranceText,
    /// Subtract what each path takes without delays, which is measured first, from every sample
    #[arg(long)]
    pub(super) subtract_base: bool,
    /// Folder for matrix, samples, plots and run.json [default: runs/<name>-<time>]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Also write the result as JSON to this file; - is standard output, and the text then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    #[command(flatten)]
    pub(super) hosts: HostsArgs,
    /// Name of the lab while it runs [default: one that nobody has]
    #[arg(long, value_name = "NAME", conflicts_with = "hosts")]
    pub(super) name: Option<String>,
}

/// Runs `longhaul verify`.
pub(super) fn run(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut intended = args.matrix.intended()?;
    let started = SystemTime::now();
    let json = args.json.as_deref().filter(|file| *file != Path::new(STDOUT));
    check_places(args.out.as_deref().unwrap_or(Path::new(RUNS)), json)?;
    let hosts = args.hosts.connect()?;
    if let Some(hosts) = &hosts {
        intended = in_order_of(hosts, intended, &args.matrix.place())?;
    }
    let matrix = intended.matrix();
    let trial = trial::run(args, &intended, hosts)?;
    let evidence = Evidence { args, matrix, trial: &trial, started };
    let progress = Progress::new();
    progress.say("write the files");
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => claim_folder(&args.matrix.stem(), started)?,
    };
    evidence.write(&folder)?;
    if let Some(file) = json {
        std::fs::write(file, evidence.result_json()).with_context(|| format!("write {}", file.display()))?;
    }
    progress.finish();
    // After the files: a reader who has gone, as in `… | head`, must not cost the evidence.
    if args.json.is_some() && json.is_none() {
        // Of two things on standard output a program could read neither.
        out.write_all(evidence.result_json().as_bytes())?;
        print_all(&mut io::stderr(), matrix, &trial, &folder)?;
    } else {
        print_all(out, matrix, &trial, &folder)?;
    }
    Ok(match trial.comparison.verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
    })
}

fn print_all(out: &mut dyn Write, matrix: &DelayMatrix, trial: &Trial, folder: &Path) -> anyhow::Result<()> {
    print_tables(out, matrix, trial)?;
    let columns = terminal::columns(io::stdout()).unwrap_or(usize::MAX);
    let broken = |text: &str| terminal::hanging("", text, 0, columns);
    writeln!(out, "{}", broken(&table::summary_line(&trial.comparison)))?;
    let applied: Vec<_> = trial.applied.iter().map(|(_, applied)| applied.clone()).collect();
    let missing = table::missing_lines(matrix.names(), &trial.comparison.missing);
    for line in missing.into_iter().chain(beyond::beyond_lines(&trial.beyond)) {
        writeln!(out, "{}", broken(&line))?;
    }
    for caveat in trial.caveats() {
        writeln!(out, "{}", broken(&caveat))?;
    }
    writeln!(out, "{}", broken(&backends_in_words(&applied)))?;
    writeln!(out, "files: {}", folder.display())?;
    Ok(())
}

fn print_tables(out: &mut dyn Write, matrix: &DelayMatrix, trial: &Trial) -> anyhow::Result<()> {
    let (columns, comparison) = (terminal::columns(io::stdout()).unwrap_or(usize::MAX), &trial.comparison);
    let all = matrix.len() <= PRINT_ALL_NODES;
    if let Some(pairs) = all.then(|| table::matrix_table(matrix.names(), comparison, columns)).flatten() {
        writeln!(out, "{pairs}")?;
    }
    let most = if all { usize::MAX } else { WORST_PATHS };
    writeln!(out, "{}", table::path_table(matrix.names(), comparison, most, columns))?;
    if let Some(table) = beyond::beyond_table(matrix.names(), &trial.beyond, most, columns) {
        writeln!(out, "{table}")?;
    }
    Ok(())
}

/// Makes a folder that nobody has: `runs/trade-20261121-101500`, in universal time, with a number when that is taken.
pub(super) fn claim_folder(stem: &str, started: SystemTime) -> anyhow::Result<PathBuf> {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let stamp = humantime::format_rfc3339_seconds(started).to_string();
    let (date, time) = stamp.split_once('T').unwrap_or((&stamp, ""));
    let base = format!("{stem}-{}-{}", digits(date), digits(time));
    let parent = Path::new(RUNS);
    std::fs::create_dir_all(parent).with_context(|| format!("make the folder {RUNS}"))?;
    for name in std::iter::once(base.clone()).chain((2..).map(|number| format!("{base}-{number}"))) {
        let folder = parent.join(name);
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("make the folder {}", folder.display())),
        }
    }
    anyhow::bail!("every folder name after {base} is taken")
}

/// Fails before anything is brought up when the results could not be written.
fn check_places(folder: &Path, json: Option<&Path>) -> anyhow::Result<()> {
    if folder.exists() && !folder.is_dir() {
        anyhow::bail!("--out {}: it is a file, not a folder", folder.display());
    }
    let mut existing = folder;
    while !existing.exists() {
        existing = match existing.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
    }
    let writable = AccessFlags::W_OK | AccessFlags::X_OK;
    access(existing, writable)
        .with_context(|| format!("--out {}: cannot write into {}", folder.display(), existing.display()))?;
    let Some(json) = json else { return Ok(()) };
    if json.is_dir() {
        anyhow::bail!("--json {}: it is a folder; name a file", json.display());
    }
    let parent = json.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let place = if json.exists() { json } else { parent };
    let needed = if json.exists() { AccessFlags::W_OK } else { writable };
    access(place, needed).with_context(|| format!("--json {}: cannot write to {}", json.display(), place.display()))
}
