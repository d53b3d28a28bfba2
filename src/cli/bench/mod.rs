//! `longhaul bench`: what longhaul costs and reaches on this machine, beside the plain kernel path of the same run.

mod conduct;
mod figures;
mod ground;
mod inject;
mod lab;
mod place;
mod print;
mod proxy;
mod sim;
mod stopwatch;
mod traffic;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Measure what longhaul reaches on this machine, beside the plain kernel path.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  longhaul bench lab --quick\n  longhaul bench inject --quick\n  longhaul bench sim --quick\n  longhaul bench place --quick"
)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    Lab(lab::LabBenchArgs),
    Inject(inject::InjectBenchArgs),
    Proxy(proxy::ProxyBenchArgs),
    Sim(sim::SimBenchArgs),
    Place(place::PlaceBenchArgs),
    /// One end of a stream of small packets, for inside nodes.
    #[command(hide = true)]
    Traffic(traffic::TrafficArgs),
    /// How long other programs take, for inside nodes.
    #[command(hide = true)]
    Stopwatch(stopwatch::StopwatchArgs),
}

/// Runs `longhaul bench …`.
pub(super) fn run(args: &BenchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        BenchCommand::Lab(args) => lab::run(args, out),
        BenchCommand::Inject(args) => inject::run(args, out),
        BenchCommand::Proxy(args) => proxy::run(args, out),
        BenchCommand::Sim(args) => sim::run(args, out),
        BenchCommand::Place(args) => place::run(args, out),
        BenchCommand::Stopwatch(args) => stopwatch::run(args, out).map(|()| ExitCode::SUCCESS),
        BenchCommand::Traffic(args) => traffic::run(args, out).map(|()| ExitCode::SUCCESS),
    }
}
