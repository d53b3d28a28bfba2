//! Placers of plug-ins: one service after the other, or a group at once.

use std::collections::BTreeMap;

use crate::placement::kubernetes::{ANEW, ties};
use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::{Cluster, OneByOne};
use crate::placement::{Placed, Placement, Placer, Problem, Setting, TimeUp};

use super::parameters::MODE;
use super::{GroupPlan, GroupScheduler, Plugin};

/// The placer that a setting asks for.
pub(super) fn placer(plugin: &Plugin, setting: Setting) -> Box<dyn Placer> {
    let anew = setting.parameters.flag(ANEW.name);
    if setting.parameters.choice(MODE.name) == "group" {
        return Box::new(Grouped { scheduler: (plugin.group)(setting), anew });
    }
    // Lots among equals are a stream of their own: what a search draws does not depend on them.
    let mut lots = setting.stream.clone();
    lots.set_stream(lots.get_stream().wrapping_add(1));
    let ties = ties(Setting { parameters: setting.parameters.clone(), stream: lots });
    Box::new(OneByOne { scorer: (plugin.scorer)(setting), anew, ties })
}

/// Places group after group, each at once, in the order of their first services.
struct Grouped {
    scheduler: Box<dyn GroupScheduler>,
    anew: bool,
}

impl Placer for Grouped {
    fn place(&mut self, problem: &Problem, time_up: TimeUp<'_>) -> Placed {
        let mut cluster = if self.anew { Cluster::empty(problem) } else { Cluster::running(problem) };
        let (mut tried, mut makeshift) = (0, 0);
        for pods in pending(&cluster) {
            let done = schedule_group(&mut cluster, &pods, self.scheduler.as_mut(), time_up);
            (tried, makeshift) = (tried + done.tried, makeshift + done.makeshift);
        }
        let nodes = (0..problem.services().len()).map(|service| cluster.node(service).unwrap_or(0)).collect();
        Placed { placement: Placement::new(nodes), proven: false, tried, makeshift }
    }
}

/// The services that have no node yet, by group, in the order of the groups' first ones.
pub fn pending(cluster: &Cluster<'_>) -> Vec<Vec<ServiceIndex>> {
    let services = cluster.problem().services();
    let mut order: Vec<Vec<ServiceIndex>> = Vec::new();
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    for service in (0..services.len()).filter(|service| cluster.node(*service).is_none()) {
        let place = *places.entry(services[service].group).or_insert(order.len());
        if place == order.len() {
            order.push(Vec::new());
        }
        order[place].push(service);
    }
    order
}

/// Gives the services of one group their nodes at once; those that no node has room for go where they do the least harm. Returns
/// the plan.
pub fn schedule_group(
    cluster: &mut Cluster<'_>,
    pods: &[ServiceIndex],
    scheduler: &mut dyn GroupScheduler,
    time_up: TimeUp<'_>,
) -> GroupPlan {
    let plan = scheduler.plan(cluster, pods, time_up);
    for (pod, node) in pods.iter().zip(&plan.nodes) {
        if let Some(node) = node {
            cluster.put(*pod, *node);
        }
    }
    for (pod, _) in pods.iter().zip(&plan.nodes).filter(|(_, node)| node.is_none()) {
        let node = cluster.least_bad(*pod);
        cluster.put(*pod, node);
    }
    plan
}
