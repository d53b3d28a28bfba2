//! Scheduler plug-ins of paper 003: nodes are scored 0 to 100 for a service by used cpu, used memory and the mean delay to those
//! of its group that have a node; or a whole group is placed at once.
//!
//! Each plug-in is a file with a [`Plugin`] and a line in [`PLUGINS`] and in the list of policies. It has
//!
//! - a [`Scorer`] for the loop that takes services one by one ([`scheduling::schedule`](super::scheduling::schedule),
//!   [`OneByOne`](super::scheduling::OneByOne)), as kube-scheduler calls it, and
//! - a [`GroupScheduler`] that gives all services of a group their nodes at once ([`pending`], [`schedule_group`]).
//!
//! [`Objectives`] says what is good; [`worth`] is how good a group's nodes are together, for comparing.

pub(super) mod aco;
mod adaptor;
pub(super) mod annealing;
pub(super) mod argmax;
pub(super) mod ilp;
mod joint;
pub(super) mod nsga2;
mod objectives;
mod parameters;
mod placer;
#[cfg(test)]
mod tests;
pub mod tiered;

use super::kubernetes::{ANEW, TIES};
use super::problem::ServiceIndex;
use super::scheduling::{Cluster, Scorer};
use super::{Policy, Setting, TimeUp};
use crate::topology::NodeIndex;

pub use objectives::{Objectives, Parts};
pub use placer::{pending, schedule_group};

/// A scheduler plug-in.
#[derive(Debug, Clone, Copy)]
pub struct Plugin {
    /// Its name and parameters; its placer does one or the other by the parameter `mode`.
    pub policy: Policy,
    /// Makes what scores nodes for one service.
    pub scorer: fn(Setting) -> Box<dyn Scorer>,
    /// Makes what places a group at once.
    pub group: fn(Setting) -> Box<dyn GroupScheduler>,
}

/// All plug-ins. A new one is a file and a line here.
pub const PLUGINS: &[&Plugin] =
    &[&argmax::PLUGIN, &annealing::PLUGIN, &aco::PLUGIN, &ilp::PLUGIN, &nsga2::PLUGIN, &tiered::PLUGIN];

/// The plug-in of that name.
pub fn find(name: &str) -> Option<&'static Plugin> {
    PLUGINS.iter().find(|plugin| plugin.policy.name == name).copied()
}

/// Where a group goes.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupPlan {
    /// A node for each service that was asked about, in their order; `None` for one that found no room. Capacities are kept.
    pub nodes: Vec<Option<NodeIndex>>,
    /// Whether no other plan has a higher [`worth`]: only where it has been proved.
    pub proven: bool,
    /// How much was tried: steps, ants, generations.
    pub tried: u64,
    /// For how many services this is not what the plug-in would say, but one after the other: there was too much for it, or the time
    /// was up before it began.
    pub makeshift: usize,
}

/// Places the services of a group at once.
pub trait GroupScheduler: Send {
    /// Nodes for `pods`, which are of one group and have none yet. When the time is up it answers with what it has, which may be
    /// no better than one after the other.
    fn plan(&mut self, cluster: &Cluster<'_>, pods: &[ServiceIndex], time_up: TimeUp<'_>) -> GroupPlan;
}

/// How good nodes of a group are together, from 0 to 100: the mean over `pods` of the usage of their nodes in the end and of the
/// benefit of the delays to all others of their group. Services without a node are left out.
pub fn worth(
    objectives: &Objectives,
    cluster: &Cluster<'_>,
    pods: &[ServiceIndex],
    nodes: &[Option<NodeIndex>],
) -> f64 {
    100.0 * joint::Joint::new(objectives, cluster, joint::settled(pods, nodes)).worth()
}
