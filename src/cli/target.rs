//! Which testbed a command works on: a lab that is running, by its name, or the hosts of an inventory.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::inventory::{self, Inventory};
use crate::testbed::hosts::{Hosts, Rid, rid_all};
use crate::testbed::lab::{Lab, find_running};
use crate::testbed::{self, Present, Testbed};
use crate::topology::{Node, NodeIndex, NodeName};

/// The variable that names another program than `ssh`.
const SSH_VARIABLE: &str = "LONGHAUL_SSH";

/// Names the testbed of a command.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArgs {
    /// Name of the lab [default: the only one running]
    #[arg(long, conflicts_with = "hosts")]
    name: Option<String>,
    #[command(flatten)]
    hosts: HostsArgs,
}

/// Names hosts as the testbed.
#[derive(Debug, Clone, Args)]
pub(super) struct HostsArgs {
    /// Work on the hosts of this inventory, by ssh, instead of a lab
    #[arg(long, value_name = "INVENTORY")]
    hosts: Option<PathBuf>,
    /// Copy this program to the hosts first, as their agent, where they have not got it
    #[arg(long, requires = "hosts")]
    push: bool,
}

impl TargetArgs {
    /// Whether it is hosts.
    pub(super) fn names_hosts(&self) -> bool {
        self.hosts.hosts.is_some()
    }

    /// Connects to it.
    pub(super) fn connect(&self) -> anyhow::Result<Target> {
        if let Some(target) = self.hosts.connect()? {
            return Ok(target);
        }
        Ok(Target::of_lab(find_running(self.name.as_deref())?))
    }
}

impl HostsArgs {
    /// Connects to the hosts, if any are named.
    pub(super) fn connect(&self) -> anyhow::Result<Option<Target>> {
        let Some((inventory, program)) = self.inventory()? else { return Ok(None) };
        let hosts = Hosts::connect(&inventory, &program, env!("LONGHAUL_VERSION"), self.push)?;
        Ok(Some(Target { name: inventory.testbed, testbed: Connected::Hosts(hosts) }))
    }

    /// Rids the hosts, if any are named, of everything of ours; or with `dry_run` asks what would be done. Their names, and
    /// what became of them.
    pub(super) fn rid(&self, dry_run: bool) -> anyhow::Result<Option<Vec<(NodeName, Rid)>>> {
        let Some((inventory, program)) = self.inventory()? else { return Ok(None) };
        let all = rid_all(&inventory, &program, env!("LONGHAUL_VERSION"), self.push, dry_run)?;
        Ok(Some(inventory.hosts.into_iter().map(|host| host.name).zip(all).collect()))
    }

    /// The inventory, if one is named, and what reaches its hosts.
    fn inventory(&self) -> anyhow::Result<Option<(Inventory, Vec<String>)>> {
        let Some(file) = &self.hosts else { return Ok(None) };
        let inventory = load(file)?;
        let program = ssh_program(&inventory);
        Ok(Some((inventory, program)))
    }
}

fn load(file: &Path) -> anyhow::Result<Inventory> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?;
    Ok(inventory::parse(&name, &text)?)
}

fn ssh_program(inventory: &Inventory) -> Vec<String> {
    let told = std::env::var(SSH_VARIABLE).ok().filter(|program| !program.is_empty());
    told.map(|program| vec![program])
        .or_else(|| inventory.ssh_command.clone())
        .unwrap_or_else(|| vec!["ssh".to_owned()])
}

/// What sort of testbed it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Namespaces of this machine.
    Lab,
    /// Hosts reached by ssh.
    Hosts,
}

impl Kind {
    /// As messages and JSON name it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Lab => "lab",
            Self::Hosts => "testbed",
        }
    }
}

enum Connected {
    Lab(Lab),
    Hosts(Hosts),
}

/// A testbed that a command is connected to. In messages: "lab `trade`".
pub(super) struct Target {
    /// What it is called.
    pub(super) name: String,
    testbed: Connected,
}

impl Target {
    /// What sort it is.
    pub(super) fn kind(&self) -> Kind {
        match self.testbed {
            Connected::Lab(_) => Kind::Lab,
            Connected::Hosts(_) => Kind::Hosts,
        }
    }

    /// A lab that was started for this command.
    pub(super) fn of_lab(lab: Lab) -> Self {
        Self { name: lab.info().name.clone(), testbed: Connected::Lab(lab) }
    }

    /// Takes the lab down, or clears the hosts and leaves them.
    pub(super) fn end(self) -> anyhow::Result<()> {
        match self.testbed {
            Connected::Lab(lab) => lab.stop()?,
            Connected::Hosts(mut hosts) => {
                // What cannot be reached clears itself with its lease.
                testbed::clear(&mut Present::of(&mut hosts)?)?;
            }
        }
        Ok(())
    }

    /// To be operated on.
    pub(super) fn testbed(&mut self) -> &mut dyn Testbed {
        match &mut self.testbed {
            Connected::Lab(lab) => lab,
            Connected::Hosts(hosts) => hosts,
        }
    }

    /// Only the connection.
    pub(super) fn into_testbed(self) -> Box<dyn Testbed> {
        match self.testbed {
            Connected::Lab(lab) => Box::new(lab),
            Connected::Hosts(hosts) => Box::new(hosts),
        }
    }

    /// Its nodes, in order.
    pub(super) fn nodes(&self) -> &[Node] {
        match &self.testbed {
            Connected::Lab(lab) => lab.nodes(),
            Connected::Hosts(hosts) => hosts.nodes(),
        }
    }

    /// The sessions with its hosts; `None` for a lab, which needs none.
    pub(super) fn hosts(&mut self) -> Option<&mut Hosts> {
        match &mut self.testbed {
            Connected::Lab(_) => None,
            Connected::Hosts(hosts) => Some(hosts),
        }
    }

    /// Something that returns when the testbed has ended; `None` for one whose nodes tell of their ends themselves.
    pub(super) fn sentinel(&self) -> anyhow::Result<Option<Box<dyn FnOnce() + Send>>> {
        match self.testbed {
            Connected::Lab(_) => {
                // A connection of its own: nothing is asked on it, so it only ever tells of the end.
                let mut lab = Lab::connect(&self.name)?;
                Ok(Some(Box::new(move || lab.wait_for_end())))
            }
            Connected::Hosts(_) => Ok(None),
        }
    }

    /// The name of a node.
    pub(super) fn name_of(&self, node: NodeIndex) -> &str {
        self.nodes().get(node).map_or("", |node| node.name.as_str())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind().word(), self.name)
    }
}
