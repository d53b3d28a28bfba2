//! `longhaul matrix convert`: the same matrix in another format, unit or layout.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::MatrixSource;
use super::files::Target;
use crate::matrix::{DelayUnit, ReadOptions};

/// Write a matrix in another format, unit or layout
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix convert matrices/trade.csv --to json
  longhaul matrix convert net.csv --unit us --no-names --delimiter tab
  longhaul matrix convert cloud-rtt.csv --split-rtt halves --output cloud.csv
  longhaul matrix convert shadow.gml --ignore-unsupported --output net.csv
  longhaul matrix convert matrices/trade.csv --to gml
  curl -s https://example.org/net.json | longhaul matrix convert - > delays.csv

Delays are whole nanoseconds and survive every conversion unchanged. Metadata lines are kept.")]
pub(super) struct ConvertArgs {
    #[command(flatten)]
    source: MatrixSource,
    /// Unit of latencies in GML and GraphML that are bare numbers: ms, us, s or ns
    #[arg(long, value_name = "UNIT")]
    latency_unit: Option<DelayUnit>,
    /// Drop what a delay matrix cannot hold, such as loss, with a comment that names it
    #[arg(long)]
    ignore_unsupported: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &ConvertArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let options = ReadOptions {
        latency_unit: args.latency_unit,
        ignore_unsupported: args.ignore_unsupported,
        ..ReadOptions::default()
    };
    args.target.write(&args.source.load_with(options)?, out)?;
    Ok(ExitCode::SUCCESS)
}
