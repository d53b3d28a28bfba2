//! The agent of a node: builds its adapters and serves the session on standard input and output.

use std::io::{self, BufReader, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::agent::protocol::{Applied, NodeStatus, Place, Traffic};
use crate::agent::session::{NodeControl, serve};
use crate::measure::{IcmpProber, ProbeOrder, ProbeReport, Prober, StopSignal};
use crate::netlink::route::{self, TowardError};
use crate::netlink::{Connection, NetlinkError, link};
use crate::shaping::{Abilities, Backend, BackendChoice, Row, State, choose, desired, diff};
use crate::tc::{self, KernelTc, TrafficControl};
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
    let mut node = KernelNode { interface, tc: None, abilities, applied: None, stop: stop.clone() };
    serve(BufReader::new(io::stdin()), &mut io::stdout().lock(), &mut node, move || stop.stop())
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

/// What was applied last.
struct Last {
    row: Row,
    backend: Backend,
}

/// A node whose kernel is this one.
struct KernelNode {
    interface: String,
    tc: Option<KernelTc>,
    abilities: Option<Abilities>,
    applied: Option<Last>,
    stop: StopSignal,
}

impl KernelNode {
    /// Whether the counter of drops also counts losses that were asked for, as netem's does: then it says nothing of the
    /// emulation's own.
    fn drops_are_meant(&self) -> bool {
        let lossy = |last: &Last| last.row.paths.iter().any(|path| path.impairment.expected_loss() > 0.0);
        self.applied.as_ref().is_some_and(|last| last.backend == Backend::Netem && lossy(last))
    }

    fn tc(&mut self) -> Result<&mut KernelTc, String> {
        if self.tc.is_none() {
            self.tc = Some(KernelTc::open(&self.interface).map_err(|error| error.to_string())?);
        }
        self.tc.as_mut().ok_or_else(|| "traffic control is not open".to_owned())
    }
}

impl NodeControl for KernelNode {
    fn abilities(&mut self) -> Abilities {
        self.abilities.get_or_insert_with(tc::abilities::probe).clone()
    }

    fn place(&mut self) -> Result<Place, String> {
        let interface = self.interface.clone();
        let addresses = || -> Result<Option<Vec<IpAddr>>, NetlinkError> {
            let mut kernel = Connection::open()?;
            link::find(&mut kernel, &interface)?.map(|link| link::addresses(&mut kernel, &link)).transpose()
        };
        let found = addresses().map_err(|error| error.to_string())?;
        let addresses = found.ok_or_else(|| format!("this host has no interface `{interface}`"))?;
        Ok(Place { interface, addresses })
    }

    fn apply(&mut self, row: &Row, backend: BackendChoice) -> Result<Applied, String> {
        let abilities = self.abilities();
        let (backend, reason) = choose(backend, &abilities).map_err(|error| error.to_string())?;
        let applied = tc::impair(self.tc()?, row, backend, &abilities).map_err(|error| error.to_string())?;
        self.applied = Some(Last { row: row.clone(), backend });
        Ok(Applied { backend, reason, operations: applied.operations })
    }

    fn clear(&mut self) -> Result<usize, String> {
        self.applied = None;
        let cleared = tc::clear(self.tc()?).map_err(|error| error.to_string())?;
        Ok(cleared.operations)
    }

    fn status(&mut self) -> Result<NodeStatus, String> {
        let abilities = self.abilities();
        let current = self.tc()?.current().map_err(|error| error.to_string())?;
        let wanted = match &self.applied {
            Some(last) => desired(&last.row, last.backend, &abilities, &current).map_err(|error| error.to_string())?,
            None => State::default(),
        };
        let traffic = if self.applied.is_some() { self.tc()?.traffic().map(Some) } else { Ok(None) };
        Ok(NodeStatus {
            backend: self.applied.as_ref().map(|last| last.backend),
            row: self.applied.as_ref().map(|last| last.row.clone()).unwrap_or_default(),
            differences: diff(&current, &wanted).iter().map(ToString::to_string).collect(),
            traffic: traffic.map_err(|error| error.to_string())?.map(|traffic| Traffic {
                packets: traffic.packets,
                dropped: if self.drops_are_meant() { 0 } else { traffic.dropped },
            }),
        })
    }

    fn probe(&mut self, order: &ProbeOrder) -> Result<ProbeReport, String> {
        IcmpProber::new(self.stop.clone()).run(order).map_err(|error| error.to_string())
    }

    fn resume(&mut self) {
        self.stop.take_back();
    }
}
