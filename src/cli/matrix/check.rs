//! `longhaul matrix check`: one line that says what is in a file, or what is wrong with it.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{MatrixSource, write_json};
use crate::intended::SideFiles;
use crate::matrix::statistics::asymmetry;
use crate::matrix::{DelayMatrix, DelayUnit};
use crate::units::Delay;

/// Check a file: say in one line what it holds, or where and why it is wrong
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix check matrices/trade.csv
  longhaul matrix check cloud-rtt.csv --split-rtt halves
  longhaul matrix check net.yaml --show
  cat table.csv | longhaul matrix check - --json

Exit code: 0 when the file holds a delay matrix or impairments, 2 when not.")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    source: MatrixSource,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also print what every path does
    #[arg(long)]
    show: bool,
}

pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let intended = args.source.intended(&SideFiles::default())?;
    let matrix = intended.matrix();
    let (min, max) = range(matrix);
    let symmetric = asymmetry(matrix).is_none();
    let (nodes, paths) = (matrix.len(), matrix.len() * (matrix.len() - 1));
    if args.json {
        let (min_ms, max_ms) = (min.as_millis_f64(), max.as_millis_f64());
        let mut document = json!({
            "nodes": nodes, "paths": paths, "min_ms": min_ms, "max_ms": max_ms, "symmetric": symmetric,
        });
        if let Some(beyond) = intended.beyond_delay() {
            document["beyond_delay"] = json!(beyond);
        }
        write_json(out, &document)?;
    } else {
        let ms = |delay: Delay| DelayUnit::Ms.format(delay.as_nanos());
        let shape = if symmetric { "symmetric" } else { "asymmetric" };
        let range = if min == max { ms(min) } else { format!("{}–{}", ms(min), ms(max)) };
        writeln!(out, "ok: {nodes} nodes, {paths} paths, {range} ms one-way, {shape}")?;
        if let Some(beyond) = intended.beyond_delay() {
            writeln!(out, "beyond delay: {beyond}")?;
        }
    }
    if args.show && !args.json {
        write!(out, "{}", super::resolved::paths(&intended))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn range(matrix: &DelayMatrix) -> (Delay, Delay) {
    let delays = || matrix.paths().map(|(from, to)| matrix.delay(from, to));
    (delays().min().unwrap_or_default(), delays().max().unwrap_or_default())
}
