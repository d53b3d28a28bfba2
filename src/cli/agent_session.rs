//! The agent of a node: builds its adapters and serves the session on standard input and output.

use std::io::{self, BufReader, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use super::kernel_node::KernelNode;
use crate::agent::session::{Measuring, serve};
use crate::measure::{IcmpProber, ProbeOrder, ProbeReport, Prober, StopSignal};
use crate::netlink::Connection;
use crate::netlink::route::{self, TowardError};
use crate::shaping::Abilities;
use crate::tc;
use crate::testbed::lab::NODE_INTERFACE;

/// Delays and measures what a node sends, as it is told on standard input.
#[derive(Debug, Parser)]
#[command(name = "longhaul-agent", version = env!("LONGHAUL_VERSION"))]
struct AgentCli {
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// Serve one session on standard input and output: requests and answers, one JSON object a line
    #[command(after_help = "\
Example:
  echo '{\"id\":1,\"request\":\"hello\"}' | longhaul-agent session --interface eth0

The end of the input clears the node.")]
    Session(SessionArgs),
}

/// Stands for the interface that the routes say.
const AUTO: &str = "auto";

#[derive(Debug, Args)]
struct SessionArgs {
    /// Interface that faces the other nodes; `auto` is the one that the routes to them leave by
    #[arg(long, value_name = "NAME|auto")]
    interface: String,
    /// Address of another node, for `--interface auto`; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    toward: Vec<IpAddr>,
}

/// The command line of `longhaul-agent`.
pub fn command() -> ExitCode {
    let AgentCommand::Session(args) = AgentCli::parse().command;
    let interface = match args.interface.as_str() {
        AUTO => interface_toward(&args.toward),
        named => Ok(named.to_owned()),
    };
    outcome(interface.and_then(|interface| run(interface, None)))
}

/// The one interface that the other nodes are reached by.
fn interface_toward(addresses: &[IpAddr]) -> io::Result<String> {
    let found = Connection::open()
        .map_err(TowardError::from)
        .and_then(|mut kernel| route::interface_toward(&mut kernel, addresses));
    found.map(|link| link.name).map_err(io::Error::other)
}

/// Serves one session of a lab, as its holder starts it (`--interface eth0`).
pub(super) fn main() -> ExitCode {
    let interface = std::env::args().skip_while(|word| word != "--interface").nth(1);
    outcome(run(interface.unwrap_or_else(|| NODE_INTERFACE.to_owned()), told_abilities()))
}

fn outcome(served: io::Result<()>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(interface: String, abilities: Option<Abilities>) -> io::Result<()> {
    let stop = StopSignal::new()?;
    let prober = NodeProber { stop: stop.clone() };
    let mut node = KernelNode::new(interface, abilities);
    serve(BufReader::new(io::stdin()), io::stdout(), &mut node, prober, move || stop.stop())
}

/// Removes the delays of the lab node whose network namespace the calling thread is in.
pub(super) fn rescue() {
    // Nobody is left who could be told; a lab that is taken down and up again has none of it.
    let _ = tc::sweep(NODE_INTERFACE);
}

/// The variable by which a lab's agents are told what their kernel can do: it is the same for all of them, and finding out
/// takes each one longer than everything else of its start.
const ABILITIES: &str = "LONGHAUL_ABILITIES";

/// Finds out what this kernel can do, to be told to the agents of a lab.
pub(super) fn lab_environment() -> Vec<(String, String)> {
    let told = serde_json::to_string(&tc::abilities::probe()).ok();
    told.map(|text| (ABILITIES.to_owned(), text)).into_iter().collect()
}

/// Read by the agents of a lab only, whose holder has set it; elsewhere a variable of that name is anybody's.
fn told_abilities() -> Option<Abilities> {
    serde_json::from_str(&std::env::var(ABILITIES).ok()?).ok()
}

/// Measures from this node.
struct NodeProber {
    stop: StopSignal,
}

impl Measuring for NodeProber {
    fn probe(&mut self, order: &ProbeOrder) -> Result<ProbeReport, String> {
        IcmpProber::new(self.stop.clone()).run(order).map_err(|error| error.to_string())
    }

    fn resume(&mut self) {
        self.stop.take_back();
    }
}
