//! `longhaul matrix`: check, describe, convert, make and compare delay matrices.

mod check;
mod convert;
mod diff;
mod files;
mod foreign;
mod generate;
mod plot;
mod resolved;
mod show;
mod stats;

pub use files::{MatrixSource, SplitRtt};
pub(crate) use show::terminal_colour;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Check, describe, convert, make, compare and draw delay matrices.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix check matrices/trade.csv
  longhaul matrix generate random --nodes 9 --seed 7 --output mine.csv
  longhaul matrix convert measured.csv --to json | jq .delays_ns
  longhaul matrix diff net.csv measured.csv --tolerance 1ms")]
pub struct MatrixArgs {
    #[command(subcommand)]
    command: MatrixCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum MatrixCommand {
    Check(check::CheckArgs),
    Stats(stats::StatsArgs),
    Convert(convert::ConvertArgs),
    Generate(generate::GenerateArgs),
    Diff(diff::DiffArgs),
    Show(show::ShowArgs),
    Plot(plot::PlotArgs),
}

/// Runs the subcommand and writes its result to `out`. Exit code 0 when all is well and 1 when the answer is no; bad
/// input is an error.
pub fn run(args: MatrixArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match args.command {
        MatrixCommand::Check(args) => check::run(&args, out),
        MatrixCommand::Stats(args) => stats::run(&args, out),
        MatrixCommand::Convert(args) => convert::run(&args, out),
        MatrixCommand::Generate(args) => generate::run(args, out),
        MatrixCommand::Diff(args) => diff::run(&args, out),
        MatrixCommand::Show(args) => show::run(&args, out),
        MatrixCommand::Plot(args) => plot::run(&args, out),
    }
}

/// Writes a JSON document and a line end.
fn write_json(out: &mut dyn Write, document: &serde_json::Value) -> anyhow::Result<()> {
    writeln!(out, "{document:#}")?;
    Ok(())
}
