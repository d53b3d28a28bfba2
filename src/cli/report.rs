//! `longhaul report`: the report of a run, made again from its directory.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::experiment::report;
use crate::experiment::run::RunDirectory;

/// Make the report of a run from its directory alone: verdicts on claims, tables, figures, one HTML page.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul report runs/mine                       writes runs/mine/report.html
  longhaul report runs/mine --output paper/runs   leaves the run as it is

It needs no network and gives the same bytes each time. A run that is not finished is reported as far as it has come.
Written are report.html, metrics.csv and every figure as SVG and PNG in figures/.
Exit code: 0 the report is there, whatever it says of the claims; 2 the directory is no run, or cannot be written.")]
pub(super) struct ReportArgs {
    /// Directory of the run
    run: PathBuf,
    /// Where to write the report [default: the run's directory]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Runs `longhaul report`.
pub(super) fn run(args: &ReportArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (directory, description) = RunDirectory::existing(&args.run)?;
    let output = args.output.as_ref().unwrap_or(&args.run);
    let written = report::write(&directory, &description, output)?;
    out.write_all(written.summary.as_bytes())?;
    writeln!(out, "\n{}: {} figures beside it in figures/", output.join("report.html").display(), written.figures)?;
    Ok(ExitCode::SUCCESS)
}
