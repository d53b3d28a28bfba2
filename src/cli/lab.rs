//! `longhaul lab`: bring nodes up on this machine, run programs in them, list them, take them down.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};

use super::agent_session::lab_environment;
use super::input::{MatrixInput, NodeBackendArgs};
use crate::testbed::Testbed;
use crate::testbed::lab::{self, Lab};

/// Bring nodes up on this machine, run programs in them, list them, take them down.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul lab up matrices/trade.csv --detach
  longhaul lab exec n1 -- ping -c 3 n2
  longhaul lab list
  longhaul lab down

While a lab is up, `longhaul apply`, `measure`, `status` and `clear` work on it.")]
pub(super) struct LabArgs {
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Bring up one node per row of a matrix and apply its delays
    #[command(after_help = "\
Examples:
  longhaul lab up matrices/trade.csv            until Ctrl-C
  longhaul lab up matrices/trade.csv --detach   until `longhaul lab down`
  longhaul lab up net.csv --name a --backend userspace

Everything in the lab ends with its holder process, however that ends.
Nothing outside the lab changes.")]
    Up(UpArgs),
    /// Run a program in a node
    #[command(after_help = "\
Examples:
  longhaul lab exec n1 -- ping -c 3 n2
  longhaul lab exec n2 -- iperf3 -s -D
  longhaul lab exec --name trade n1 -- sh

Inside, the nodes know each other by name: n1, n2 and so on, or the matrix's own names.
The exit code is the program's; 127 when there is no such program.")]
    Exec(ExecArgs),
    /// List the labs that are running
    #[command(after_help = "Example:\n  longhaul lab list")]
    List,
    /// End a lab and everything in it
    #[command(after_help = "Examples:\n  longhaul lab down\n  longhaul lab down trade\n  longhaul lab down --all")]
    Down(DownArgs),
}

#[derive(Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    matrix: MatrixInput,
    /// Name of the lab [default: the matrix file's name]
    #[arg(long)]
    name: Option<String>,
    /// Leave the lab running in the background
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    backend: NodeBackendArgs,
}

#[derive(Debug, Args)]
struct ExecArgs {
    /// Name of the lab [default: the only one running]
    #[arg(long)]
    name: Option<String>,
    /// Node to run it in: its name, or n1, n2 and so on
    node: String,
    /// Program and its arguments, after `--`
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
struct DownArgs {
    /// Name of the lab [default: the only one running]
    name: Option<String>,
    /// End every lab of this user
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

/// Runs `longhaul lab …`.
pub(super) fn run(args: LabArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match args.command {
        LabCommand::Up(args) => up(&args, out),
        LabCommand::Exec(args) => exec(args),
        LabCommand::List => list(out),
        LabCommand::Down(args) => down(args, out),
    }
}

fn up(args: &UpArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let intended = args.matrix.intended()?;
    let matrix = intended.matrix();
    let name = args.name.clone().unwrap_or_else(|| args.matrix.stem());
    let mut lab = Lab::start(&name, matrix.names(), &args.matrix.place(), lab_environment())?;
    let choices = args.backend.choices(lab.nodes())?;
    let outcome = super::operate::apply(&mut lab, &intended, &choices)?;
    // First, so that a reader who has gone, as in `… | head -1`, does not take the lab with it.
    let (lab, detached) = if args.detach { (None, Some(lab.detach()?)) } else { (Some(lab), None) };
    writeln!(out, "lab `{name}` is up: {} nodes, {outcome}", matrix.len())?;
    if let Some(beyond) = intended.beyond_delay() {
        writeln!(out, "beyond delay: {beyond}")?;
    }
    // Host names, which `lab exec` knows too: a name such as `New York` would have to be quoted.
    let (first, second) = (matrix.names()[0].as_host_name(), matrix.names()[1].as_host_name());
    writeln!(out, "try: longhaul lab exec --name {name} {first} -- ping -c 3 {second}")?;
    if let Some(info) = detached {
        writeln!(out, "end it with: longhaul lab down {name} (holder process {})", info.holder)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "Ctrl-C ends it")?;
    out.flush()?;
    if let Some(mut lab) = lab {
        lab.wait_for_end();
    }
    anyhow::bail!("lab `{name}` has ended: its holder process is gone, or `longhaul lab down` was called")
}

fn exec(args: ExecArgs) -> anyhow::Result<ExitCode> {
    let mut lab = lab::find_running(args.name.as_deref())?;
    let node = lab.find_node(&args.node)?;
    let namespaces = lab.namespaces(node)?;
    drop(lab);
    let mut words = args.command.into_iter();
    let program = words.next().context("a program to run is missing after `--`")?;
    lab::enter(&namespaces)?;
    drop(namespaces);
    let mut command = Command::new(&program);
    command.args(words);
    // The program decides what Ctrl-C means; this process only waits for it.
    ignore_terminal_signals()?;
    prepare(&mut command);
    let status = match command.status() {
        Ok(status) => status,
        Err(error) => {
            writeln!(std::io::stderr(), "error: run `{}` in node {}: {error}", program.display(), args.node)?;
            // As shells and ssh have it: not found, or found and not runnable.
            return Ok(ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }));
        }
    };
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(2);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(2)))
}

#[allow(unsafe_code)] // `signal` is unsafe to call because a handler may be; these set none.
fn ignore_terminal_signals() -> anyhow::Result<()> {
    for terminal in [Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { signal(terminal, SigHandler::SigIgn) }.context("ignore Ctrl-C")?;
    }
    Ok(())
}

/// The program gets Ctrl-C as usual, and is asked to end when this process is killed: nobody could reach it any more.
#[allow(unsafe_code)] // `pre_exec` runs between fork and exec.
fn prepare(command: &mut Command) {
    // SAFETY: only `prctl` and `signal` are called, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            prctl::set_pdeathsig(Signal::SIGTERM)?;
            for terminal in [Signal::SIGINT, Signal::SIGQUIT] {
                signal(terminal, SigHandler::SigDfl)?;
            }
            Ok(())
        });
    }
}

fn list(out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let labs: Vec<Lab> = lab::living().iter().filter_map(|name| Lab::connect(name).ok()).collect();
    if labs.is_empty() {
        writeln!(out, "no lab is running")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["NAME", "NODES", "SINCE", "HOLDER", "MATRIX"]);
    for lab in &labs {
        let info = lab.info();
        table.add_row([
            info.name.clone(),
            info.nodes.len().to_string(),
            info.since.clone(),
            info.holder.to_string(),
            info.source.clone(),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(ExitCode::SUCCESS)
}

fn down(args: DownArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let names = match (args.all, args.name) {
        (true, _) => lab::living(),
        (false, Some(name)) => vec![name],
        (false, None) => vec![lab::find_running(None)?.info().name.clone()],
    };
    for name in names {
        Lab::connect(&name)?.stop()?;
        writeln!(out, "lab `{name}` is down")?;
    }
    Ok(ExitCode::SUCCESS)
}
