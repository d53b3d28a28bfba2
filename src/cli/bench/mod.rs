//! `longhaul bench`: what longhaul costs and reaches on this machine, beside the plain kernel path of the same run.

mod figures;
mod lab;
mod print;
mod traffic;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Measure what longhaul reaches on this machine, beside the plain kernel path.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longhaul bench lab --quick")]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    Lab(lab::LabBenchArgs),
    /// One end of a stream of small packets; `bench lab` runs it inside nodes.
    #[command(hide = true)]
    Traffic(traffic::TrafficArgs),
}

/// Runs `longhaul bench …`.
pub(super) fn run(args: &BenchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        BenchCommand::Lab(args) => lab::run(args, out),
        BenchCommand::Traffic(args) => traffic::run(args, out).map(|()| ExitCode::SUCCESS),
    }
}
