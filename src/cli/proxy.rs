//! `longhaul-proxy`, also `longhaul proxy`: the balancer of a node.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser};

use crate::proxy;

/// Balances the requests of one node.
#[derive(Debug, Parser)]
#[command(name = "longhaul-proxy", version = env!("LONGHAUL_VERSION"), max_term_width = 100)]
struct ProxyCli {
    #[command(flatten)]
    args: ProxyArgs,
}

/// Pass requests on to the instance that a policy chooses
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul-proxy --config proxy.yaml --check
  longhaul-proxy --config proxy.yaml

Prints one line of JSON with its addresses once it listens. The file of instances is watched; SIGHUP
reads the configuration again; SIGTERM lets the requests under way finish.

Exit code: 0 it ran, or the files are right; 2 a file or the system is wrong.")]
pub(super) struct ProxyArgs {
    /// Configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only say whether the configuration and the file of instances are right
    #[arg(long)]
    check: bool,
}

/// The command line of `longhaul-proxy`.
pub(super) fn command() -> ExitCode {
    let args = ProxyCli::parse().args;
    super::finish(|out| run(&args, out))
}

/// Runs the proxy.
pub(super) fn run(args: &ProxyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    if args.check {
        let (services, instances) = proxy::check(&args.config)?;
        writeln!(out, "{} is right: services {services}, instances {instances}", args.config.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let complain = |what: &str| {
        let _ = writeln!(std::io::stderr(), "longhaul-proxy: {what}");
    };
    proxy::run(
        &args.config,
        &mut |addresses| {
            writeln!(out, "{}", serde_json::to_string(addresses)?)?;
            out.flush()
        },
        complain,
    )?;
    Ok(ExitCode::SUCCESS)
}
