//! Coarsening: services that talk much become one, so that what belongs together moves together.

use rand_chacha::ChaCha8Rng;

use crate::placement::dice::unit_interval;
use crate::placement::problem::{Edge, Service, ServiceIndex};
use crate::placement::{Placement, Problem};

/// A smaller problem, and which of its services each service of the larger one is part of.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) problem: Problem,
    part_of: Vec<ServiceIndex>,
}

impl Level {
    /// The smaller problem's placement of one of the larger problem whose merged services are together.
    pub(super) fn up(&self, placement: &Placement) -> Placement {
        let mut nodes = vec![0; self.problem.services().len()];
        placement.iter().for_each(|(service, node)| nodes[self.part_of[service]] = node);
        Placement::new(nodes)
    }

    /// The larger problem's placement.
    pub(super) fn down(&self, placement: &Placement) -> Placement {
        Placement::new(self.part_of.iter().map(|part| placement.node(*part)).collect())
    }
}

/// Merges pairs that talk, those with the most traffic for their size first, and by lot a little; with `together` only those
/// on the same node. Each fills at most `percent` of the largest node. `None` where that makes the problem hardly smaller.
pub(super) fn coarsen(
    problem: &Problem,
    together: Option<&Placement>,
    percent: u64,
    stream: &mut ChaCha8Rng,
) -> Option<Level> {
    let services = problem.services().len();
    let mut pairs: Vec<(f64, ServiceIndex, ServiceIndex)> = Vec::new();
    for one in 0..services {
        for link in problem.links(one).iter().filter(|link| link.peer > one) {
            if together.is_none_or(|placement| placement.node(one) == placement.node(link.peer)) {
                let weight = (link.there + link.back) * (0.5 + unit_interval(stream));
                pairs.push((weight, one, link.peer));
            }
        }
    }
    pairs.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then((one.1, one.2).cmp(&(other.1, other.2))));
    let free = |place| (0..problem.hosts().len()).map(|node| problem.free(node)[place]).max().unwrap_or(0);
    let most: Vec<u64> = (0..problem.resources().len()).map(|place| share(free(place), percent)).collect();
    let (mut part_of, mut parts): (Vec<Option<ServiceIndex>>, _) = (vec![None; services], 0);
    for (_, one, other) in pairs {
        if part_of[one].is_none() && part_of[other].is_none() && may_merge(problem, one, other, &most) {
            (part_of[one], part_of[other]) = (Some(parts), Some(parts));
            parts += 1;
        }
    }
    for part in part_of.iter_mut().filter(|part| part.is_none()) {
        *part = Some(parts);
        parts += 1;
    }
    if parts == services || parts * 20 > services * 19 {
        return None;
    }
    let part_of: Vec<ServiceIndex> = part_of.into_iter().map(Option::unwrap_or_default).collect();
    Some(Level { problem: merged(problem, &part_of, parts), part_of })
}

#[allow(clippy::cast_possible_truncation)] // A percentage of a number that fits.
fn share(of: u64, percent: u64) -> u64 {
    (u128::from(of) * u128::from(percent.min(100)) / 100) as u64
}

/// Whether two services may run on the same nodes, and are not too much for one together.
fn may_merge(problem: &Problem, one: ServiceIndex, other: ServiceIndex, most: &[u64]) -> bool {
    let services = problem.services();
    let both = problem.demand(one).iter().zip(problem.demand(other)).map(|(one, other)| one.saturating_add(*other));
    services[one].allowed == services[other].allowed && both.zip(most).all(|(both, most)| both <= *most)
}

/// The problem whose services are so many parts.
fn merged(problem: &Problem, part_of: &[ServiceIndex], parts: usize) -> Problem {
    let kinds = problem.resources().len();
    let blank = || Service { name: String::new(), demand: Vec::new(), allowed: None, current: None, group: 0 };
    let (mut demands, mut services) = (vec![0u64; parts * kinds], Vec::with_capacity(parts));
    services.resize_with(parts, blank);
    for (service, part) in part_of.iter().enumerate() {
        for (sum, demand) in demands[part * kinds..].iter_mut().zip(problem.demand(service)) {
            *sum = sum.saturating_add(*demand);
        }
        // All of a part may go to the same nodes.
        if let Some(allowed) =
            problem.services()[service].allowed.as_ref().filter(|_| services[*part].allowed.is_none())
        {
            services[*part].allowed = Some(allowed.clone());
        }
    }
    let nodes = problem.hosts().len();
    let mut pulls = Vec::new();
    for (service, part) in part_of.iter().enumerate() {
        let Some(own) = problem.pulls(service) else { break };
        pulls.resize(parts * nodes, 0.0);
        pulls[part * nodes..].iter_mut().zip(own).for_each(|(sum, pull)| *sum += pull);
    }
    // Sorted and added up: a map would be most of what a cycle on regions takes.
    let between = problem.edges().iter().map(|edge| Edge { from: part_of[edge.from], to: part_of[edge.to], ..*edge });
    let mut edges: Vec<Edge> = between.filter(|edge| edge.from != edge.to).collect();
    edges.sort_unstable_by_key(|edge| (edge.from, edge.to));
    edges.dedup_by(|next, edge| {
        let same = (next.from, next.to) == (edge.from, edge.to);
        if same {
            edge.request = edge.request.saturating_add(next.request);
            edge.response = edge.response.saturating_add(next.response);
        }
        same
    });
    problem.with_services(services, demands, edges, pulls)
}
