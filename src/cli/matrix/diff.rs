//! `longhaul matrix diff`: two matrices of the same nodes, path by path.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{SplitRtt, write_json};
use crate::matrix::DelayMatrix;
use crate::matrix::compare::{Difference, PathDifference};
use crate::units::{Deviation, Span};

/// How many paths are listed unless all are asked for.
const LISTED: usize = 10;

/// Compare two matrices path by path
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix diff matrices/trade.csv runs/last/measured.csv --tolerance 1ms
  longhaul matrix diff before.csv after.csv --all
  longhaul matrix diff before.csv after.csv --json

Nodes are matched by name, whatever their order; a matrix without names is matched by place.
Exit code: 0 when no path differs by more than the tolerance, 1 when one does, 2 for bad input.")]
pub(super) struct DiffArgs {
    /// First matrix, or - for standard input
    #[arg(value_name = "FIRST")]
    first: PathBuf,
    /// Second matrix, or - for standard input
    #[arg(value_name = "SECOND")]
    second: PathBuf,
    #[command(flatten)]
    split: SplitRtt,
    /// How much a path may differ
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    tolerance: Span,
    /// List all paths beyond the tolerance, not only the first ten
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DiffArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    if args.first == args.second && args.first.as_os_str() == "-" {
        anyhow::bail!("only one of the two matrices can come from standard input");
    }
    let (first, second) = (args.split.load(&args.first)?, args.split.load(&args.second)?);
    let difference = Difference::between(&first, &second)?;
    let beyond = difference.beyond(args.tolerance);
    if args.json {
        write_json(out, &document(&first, &difference, args.tolerance, beyond.len()))?;
    } else {
        let listed = if args.all { beyond.len() } else { LISTED };
        out.write_all(text(&first, &difference, args.tolerance, &beyond, listed).as_bytes())?;
    }
    Ok(if beyond.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn text(matrix: &DelayMatrix, d: &Difference, tolerance: Span, beyond: &[PathDifference], listed: usize) -> String {
    let mut lines = vec![format!(
        "{} paths: difference max {}, mean {}, rmse {}",
        d.paths.len(),
        d.max,
        rounded(d.mean_absolute),
        rounded(d.root_mean_square)
    )];
    if beyond.is_empty() {
        lines.push(format!("no path differs by more than {tolerance}"));
    } else {
        lines.push(format!("{} of them differ by more than {tolerance}:", beyond.len()));
    }
    lines.extend(beyond.iter().take(listed).map(|path| {
        let (from, to) = (&matrix.names()[path.from], &matrix.names()[path.to]);
        format!("  {from} → {to}: {} and {}, {}", path.left, path.right, signed(path.difference()))
    }));
    if beyond.len() > listed {
        lines.push(format!("  … and {} more (--all lists them)", beyond.len() - listed));
    }
    lines.join("\n") + "\n"
}

/// To whole microseconds: a mean has no meaning beyond.
fn rounded(span: Span) -> Span {
    Span::from_micros((span.as_nanos() + 500) / 1_000)
}

fn signed(deviation: Deviation) -> String {
    format!("{}{}", if deviation.as_nanos() < 0 { "−" } else { "+" }, deviation.magnitude())
}

fn document(matrix: &DelayMatrix, d: &Difference, tolerance: Span, beyond: usize) -> serde_json::Value {
    let path = |path: &PathDifference| {
        json!({
            "from": matrix.names()[path.from].as_str(),
            "to": matrix.names()[path.to].as_str(),
            "first_ms": path.left.as_millis_f64(),
            "second_ms": path.right.as_millis_f64(),
            "difference_ms": path.difference().as_millis_f64(),
        })
    };
    json!({
        "paths": d.paths.iter().map(path).collect::<Vec<_>>(),
        "summary": {
            "max_ms": d.max.as_millis_f64(),
            "mean_ms": d.mean_absolute.as_millis_f64(),
            "rmse_ms": d.root_mean_square.as_millis_f64(),
            "tolerance_ms": tolerance.as_millis_f64(),
            "beyond": beyond,
        },
    })
}
