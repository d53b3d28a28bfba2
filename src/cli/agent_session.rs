//! The agent of a node: builds its adapters and serves the session on standard input and output.

use std::io::{self, BufReader, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::agent_host::KernelGround;
use super::kernel_node::KernelNode;
use crate::agent::keeper::KeeperOrder;
use crate::agent::process::keep_freed_memory;
use crate::agent::session::{Interrupt, Measuring, serve};
use crate::agent::{claim, front, privilege};
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

The end of the input ends the session, and the end of the last session clears the node.")]
    Session(SessionArgs),
    Panic(super::panic::PanicArgs),
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
    /// Testbed that the session belongs to; an interface belongs to one testbed at a time
    #[arg(long, value_name = "NAME", default_value = "default")]
    testbed: String,
    /// How long the session may be silent before it counts as gone
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = lease)]
    lease: Duration,
}

/// A lease as people write it. Below a tenth of a second a busy machine would look like a lost session.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let fine = (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&lease);
    if fine { Ok(lease) } else { Err("a lease is between 100ms and 1h".to_owned()) }
}

/// The command line of `longhaul-agent`.
pub fn command() -> ExitCode {
    keep_freed_memory();
    let args = match AgentCli::parse().command {
        AgentCommand::Session(args) => args,
        AgentCommand::Panic(args) => return super::finish(|out| super::panic::run(&args, out)),
    };
    let interface = match args.interface.as_str() {
        AUTO => interface_toward(&args.toward),
        named => Ok(named.to_owned()),
    };
    let code = interface.and_then(|interface| {
        let order = KeeperOrder { interface: interface.clone(), testbed: args.testbed, lease: args.lease };
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        front::run(&order, &mut KernelGround::new(interface), input, &mut io::stdout())
    });
    match code {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(error) => outcome(Err(error)),
    }
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
    let interface = interface.unwrap_or_else(|| NODE_INTERFACE.to_owned());
    // A keeper that somebody starts in a lab's node must not take the node for its own.
    let _claim = claim::hold(&interface);
    // Finding out what the kernel can do takes more privileges than are kept.
    let abilities = told_abilities().unwrap_or_else(tc::abilities::probe);
    if let Err(error) = privilege::reduce() {
        return outcome(Err(io::Error::other(error)));
    }
    outcome(run(interface, Some(abilities)))
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
    serve(BufReader::new(io::stdin()), io::stdout(), &mut node, prober, move |why| interrupt(&stop, why))
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
pub(super) struct NodeProber {
    /// Ends its measurements.
    pub(super) stop: StopSignal,
}

/// Stops a measurement in the way that is asked for.
pub(super) fn interrupt(stop: &StopSignal, why: Interrupt) {
    match why {
        Interrupt::Abandon => stop.stop(),
        Interrupt::Finish => stop.finish(),
    }
}

impl Measuring for NodeProber {
    fn probe(&mut self, order: &ProbeOrder) -> Result<ProbeReport, String> {
        IcmpProber::new(self.stop.clone()).run(order).map_err(|error| error.to_string())
    }

    fn resume(&mut self) {
        self.stop.take_back();
    }
}
