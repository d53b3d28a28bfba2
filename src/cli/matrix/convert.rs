//! `longhaul matrix convert`: the same matrix in another format, unit or layout.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::SplitRtt;
use super::files::{Target, read};
use super::foreign::{self, ForeignFormat};
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
  longhaul matrix convert matrices/trade.csv --to tcconfig --node n1 > n1.json
  longhaul matrix convert --from tcconfig a=a.json b=b.json --addresses ip.csv
  longhaul matrix convert --from table --split-rtt halves azure.csv -o net.csv
  longhaul matrix convert --from ping --split-rtt halves a=a.log b=b.log
  curl -s https://example.org/net.json | longhaul matrix convert - > delays.csv

Delays are whole nanoseconds and survive every conversion unchanged. Metadata lines are kept.")]
pub(super) struct ConvertArgs {
    /// Delay matrix: a CSV, JSON, GML or GraphML file, or - for standard input; with --from several files, as it says
    #[arg(value_name = "MATRIX", required = true)]
    matrices: Vec<String>,
    /// Format of the input, where its content does not tell
    #[arg(long, value_name = "FORMAT")]
    from: Option<ForeignFormat>,
    #[command(flatten)]
    split: SplitRtt,
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
        ..args.split.options()
    };
    let matrix = match (args.from, &args.matrices[..]) {
        (Some(format), inputs) => foreign::read(format, inputs, args.target.addresses.as_deref(), options)?,
        (None, [file]) => read(Path::new(file), options)?,
        (None, files) => {
            anyhow::bail!("{} files and no --from; give one file, or say with --from what they are", files.len())
        }
    };
    args.target.write(&matrix, out)?;
    Ok(ExitCode::SUCCESS)
}
