//! `longhaul-service`, also `longhaul service`: the synthetic service.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};
use hyper::header::HeaderValue;

use crate::serving::Bounds;
use crate::workload::ServiceTime;
use crate::workload::service::{self, ServiceOptions, Work};

/// Answers requests after a service time that is known.
#[derive(Debug, Parser)]
#[command(name = "longhaul-service", version = env!("LONGHAUL_VERSION"), max_term_width = 100)]
struct ServiceCli {
    #[command(flatten)]
    args: ServiceArgs,
}

/// Answer requests after a service time that is known, one after the other on each core
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul-service --time 5ms
  longhaul-service --time lognormal:5.5ms:0.35 --name i1 --seed 7
  longhaul-service --time 2ms --work cpu --cores 2

Prints one line of JSON with its address once it listens, and ends at SIGTERM when the requests under
way are done. `/metrics` tells how it does. An answer says how long the service had the request
(X-Longhaul-Processing, queue included) and who answered (X-Longhaul-Instance).")]
pub(super) struct ServiceArgs {
    /// Where to listen; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What a request takes of a core: a time, lognormal:MEAN:CV or exponential:MEAN
    #[arg(long, value_name = "TIME", default_value = "lognormal:5.5ms:0.35")]
    time: ServiceTime,
    /// Let a request that has X-Longhaul-Work say what it takes, such as 5.5ms
    #[arg(long)]
    asked_work: bool,
    /// How that time passes
    #[arg(long, value_enum, default_value_t = WorkName::Virtual)]
    work: WorkName,
    /// Cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    cores: u16,
    /// Requests that may wait for a core; further ones are refused with 503
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    queue: usize,
    /// What the instance is called
    #[arg(long, value_name = "NAME", default_value = "service")]
    name: HeaderValue,
    /// Bytes of an answer
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(..=1 << 24))]
    body: u32,
    /// Where the dice start
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// How requests spend their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WorkName {
    /// On cores that are only thought of, by the clock
    Virtual,
    /// Computing, by processor time
    Cpu,
}

/// The command line of `longhaul-service`.
pub(super) fn command() -> ExitCode {
    let args = ServiceCli::parse().args;
    super::finish(|out| run(args, out))
}

/// Runs the service.
pub(super) fn run(args: ServiceArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let work = match args.work {
        WorkName::Virtual => Work::Virtual,
        WorkName::Cpu => Work::Cpu,
    };
    let options = ServiceOptions {
        listen: args.listen,
        name: args.name,
        time: args.time,
        asked_work: args.asked_work,
        work,
        cores: usize::from(args.cores),
        queue: args.queue,
        body: args.body as usize,
        seed: args.seed,
        bounds: Bounds::default(),
    };
    service::serve(&options, &mut |address| {
        writeln!(out, "{}", serde_json::json!({ "listening": address }))?;
        out.flush()
    })?;
    Ok(ExitCode::SUCCESS)
}
