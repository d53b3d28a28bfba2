//! The command line: one file per subcommand; the only room that builds adapters.

mod agent_host;
mod agent_session;
mod bench;
mod caveats;
mod compare;
mod doctor;
mod expectation;
mod hold;
mod host;
mod input;
mod kernel_node;
mod known;
mod lab;
mod live;
mod load;
mod manual;
pub mod matrix;
mod operate;
mod panic;
mod place;
mod plan;
mod policies;
mod progress;
mod proxy;
mod replay;
mod report;
mod run;
mod service;
mod signals;
mod status;
mod target;
mod terminal;
mod verify;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::agent::process::keep_freed_memory;
use crate::testbed::lab::{AGENT_COMMAND, HOLDER_COMMAND, holder_main};

pub use agent_session::command as agent_command;

/// The command line of `longhaul-service`.
pub fn service_command() -> ExitCode {
    service::command()
}

/// The command line of `longhaul-proxy`.
pub fn proxy_command() -> ExitCode {
    proxy::command()
}

/// Puts nodes as far apart as a delay matrix says, and proves by measurement that they are.
#[derive(Debug, Parser)]
#[command(name = "longhaul", version = env!("LONGHAUL_VERSION"), max_term_width = 100, after_help = "\
Examples:
  longhaul verify matrices/trade.csv            lab, delays, proof, plots
  longhaul lab up matrices/trade.csv --detach   nodes to work with
  longhaul lab exec n1 -- ping -c 3 n2          a program in one of them
  longhaul doctor                               what works on this machine

`longhaul help COMMAND` has examples for each command.")]
pub struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    Verify(verify::VerifyArgs),
    Lab(lab::LabArgs),
    Apply(operate::ApplyArgs),
    Replay(replay::ReplayArgs),
    Measure(operate::MeasureArgs),
    Status(status::StatusArgs),
    Watch(watch::WatchArgs),
    Clear(operate::ClearArgs),
    Panic(panic::PanicEverywhereArgs),
    Run(run::RunArgs),
    Report(report::ReportArgs),
    Plan(plan::PlanArgs),
    Place(Box<place::PlaceArgs>),
    Policies(policies::PoliciesArgs),
    Bench(bench::BenchArgs),
    Matrix(matrix::MatrixArgs),
    Load(load::LoadArgs),
    Doctor(doctor::DoctorArgs),
    /// As `longhaul-proxy`, so that one binary is enough in a lab.
    #[command(hide = true)]
    Proxy(proxy::ProxyArgs),
    /// As `longhaul-service`, so that one binary is enough in a lab.
    #[command(hide = true)]
    Service(service::ServiceArgs),
    Completions(manual::CompletionArgs),
    Man(manual::ManArgs),
}

/// Runs the command line and returns the exit code: 0 fine, 1 the answer is no, 2 the input or the system is wrong.
pub fn main() -> ExitCode {
    expect_children();
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let command = arguments.get(1).and_then(|argument| argument.to_str());
    // Servers give back what a burst of connections took.
    if !matches!(command, Some("proxy" | "service")) {
        keep_freed_memory();
    }
    // The program starts itself as these; they are no part of the command line that users see.
    match command {
        Some(HOLDER_COMMAND) => return exit_code(holder_main(&agent_session::rescue)),
        Some(AGENT_COMMAND) => return agent_session::main(),
        // One binary is enough for a host: under the agent's name it is the agent.
        _ if is_agent(arguments.first()) => return agent_session::command(),
        _ => {}
    }
    finish(|out| dispatch(Cli::parse().command, out))
}

/// Runs a command with standard output and gives its exit code, or says why it failed.
fn finish(command: impl FnOnce(&mut dyn Write) -> anyhow::Result<ExitCode>) -> ExitCode {
    let mut out = io::stdout().lock();
    let outcome = command(&mut out).and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    outcome.unwrap_or_else(|error| report(&error))
}

/// Whether the program was started by the agent's name, which may be followed by a version.
fn is_agent(program: Option<&std::ffi::OsString>) -> bool {
    let name = program.and_then(|program| std::path::Path::new(program).file_name()).and_then(std::ffi::OsStr::to_str);
    name.is_some_and(|name| name.starts_with("longhaul-agent"))
}

/// A parent that ignores `SIGCHLD` (many servers do) passes that on, and then no child of ours could be waited for.
#[allow(unsafe_code)] // `signal` is unsafe to call because a handler may be; this sets none.
fn expect_children() {
    // SAFETY: the default action installs no handler.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
}

fn dispatch(command: CliCommand, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match command {
        CliCommand::Verify(args) => verify::run(&args, out),
        CliCommand::Lab(args) => lab::run(args, out),
        CliCommand::Apply(args) => operate::run_apply(&args, out),
        CliCommand::Replay(args) => replay::run(&args, out),
        CliCommand::Measure(args) => operate::run_measure(&args, out),
        CliCommand::Status(args) => status::run(&args, out),
        CliCommand::Watch(args) => watch::run(&args, out),
        CliCommand::Clear(args) => operate::run_clear(&args, out),
        CliCommand::Panic(args) => panic::run_everywhere(&args, out),
        CliCommand::Run(args) => run::run(&args, out),
        CliCommand::Report(args) => report::run(&args, out),
        CliCommand::Plan(args) => plan::run(&args, out),
        CliCommand::Place(args) => place::run(&args, out),
        CliCommand::Policies(args) => policies::run(&args, out),
        CliCommand::Bench(args) => bench::run(&args, out),
        CliCommand::Matrix(args) => matrix::run(args, out),
        CliCommand::Load(args) => load::run(&args, out),
        CliCommand::Doctor(args) => doctor::run(&args, out),
        CliCommand::Proxy(args) => proxy::run(&args, out),
        CliCommand::Service(args) => service::run(args, out),
        CliCommand::Completions(args) => manual::run_completions(&args, out),
        CliCommand::Man(args) => manual::run_man(&args, out),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    // Whoever reads us has gone, as in `longhaul … | head`: not our failure.
    let broken_pipe = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    if broken_pipe.into_iter().any(|cause| cause.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "error: {error:#}");
    ExitCode::from(2)
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(2))
}
