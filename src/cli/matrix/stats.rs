//! `longhaul matrix stats`: what a matrix looks like in a few numbers.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{MatrixSource, write_json};
use crate::matrix::DelayMatrix;
use crate::matrix::statistics::{Asymmetry, Detour, Statistics};
use crate::units::Delay;

/// Describe a matrix: percentiles, asymmetry, triangle-inequality violations
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix stats matrices/trade.csv
  longhaul matrix stats matrices/europe-30.csv --json

Percentiles are nearest ranks over all paths: the smallest delay that at least p %
of the paths do not exceed.
A path violates the triangle inequality when some way over a third node is shorter.")]
pub(super) struct StatsArgs {
    #[command(flatten)]
    source: MatrixSource,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatsArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let matrix = args.source.load()?;
    let statistics = Statistics::of(&matrix);
    if args.json {
        write_json(out, &document(&matrix, &statistics))?;
    } else {
        out.write_all(text(&matrix, &statistics).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(matrix: &DelayMatrix, s: &Statistics) -> String {
    let name = |node: usize| matrix.names()[node].as_str();
    let asymmetry = match s.asymmetry {
        None => "none, every path is as long as its way back".to_owned(),
        Some(Asymmetry { difference, pair: (from, to) }) => {
            format!("up to {difference}, between {} and {}", name(from), name(to))
        }
    };
    let triangle = match s.triangle.worst {
        None => "no path is longer than a way over a third node".to_owned(),
        Some(Detour { from, via, to, gain }) => format!(
            "{} paths ({:.1} %) are longer than a way over a third node, at most by {gain}: {} → {} over {}",
            s.triangle.paths,
            s.triangle.share * 100.0,
            name(from),
            name(to),
            name(via),
        ),
    };
    format!(
        "nodes      {}\npaths      {} ({} without delay)\none-way    min {}  p50 {}  mean {}  p90 {}  p99 {}  max {}\n\
         asymmetry  {asymmetry}\ntriangles  {triangle}\n",
        s.nodes,
        s.paths,
        s.zero_paths,
        s.min,
        s.p50,
        rounded(s.mean),
        s.p90,
        s.p99,
        s.max,
    )
}

/// To whole microseconds: a mean has no meaning beyond.
fn rounded(delay: Delay) -> Delay {
    Delay::from_micros((delay.as_nanos() + 500) / 1_000)
}

fn document(matrix: &DelayMatrix, s: &Statistics) -> serde_json::Value {
    let name = |node: usize| matrix.names()[node].as_str();
    json!({
        "nodes": s.nodes,
        "paths": s.paths,
        "zero_paths": s.zero_paths,
        "one_way_ms": {
            "min": s.min.as_millis_f64(),
            "p50": s.p50.as_millis_f64(),
            "mean": s.mean.as_millis_f64(),
            "p90": s.p90.as_millis_f64(),
            "p99": s.p99.as_millis_f64(),
            "max": s.max.as_millis_f64(),
        },
        "symmetric": s.asymmetry.is_none(),
        "asymmetry": s.asymmetry.map(|Asymmetry { difference, pair: (from, to) }| json!({
            "difference_ms": difference.as_millis_f64(), "from": name(from), "to": name(to),
        })),
        "triangle_violations": {
            "paths": s.triangle.paths,
            "share": s.triangle.share,
            "worst": s.triangle.worst.map(|Detour { from, via, to, gain }| json!({
                "from": name(from), "via": name(via), "to": name(to), "gain_ms": gain.as_millis_f64(),
            })),
        },
    })
}
