//! `longhaul matrix convert`: the same matrix in another format, unit or layout.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::MatrixSource;
use super::files::Target;

/// Write a matrix in another format, unit or layout
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix convert matrices/trade.csv --to json
  longhaul matrix convert net.csv --unit us --no-names --delimiter tab
  longhaul matrix convert cloud-rtt.csv --split-rtt halves --output cloud.csv
  curl -s https://example.org/net.json | longhaul matrix convert - > delays.csv

Delays are whole nanoseconds and survive every conversion unchanged. Metadata lines are kept.")]
pub(super) struct ConvertArgs {
    #[command(flatten)]
    source: MatrixSource,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &ConvertArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    args.target.write(&args.source.load()?, out)?;
    Ok(ExitCode::SUCCESS)
}
