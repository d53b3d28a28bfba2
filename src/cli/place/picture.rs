//! The answer of `longhaul place` as a picture.

use std::collections::BTreeMap;

use super::answer::Answer;
use crate::placement::{Loads, Problem};
use crate::report::plot::{Topology, TopologyLink, TopologyNode, topology};

/// Up to this many lines between nodes have a label.
const LABELS: usize = 12;

pub(super) fn svg(answer: &Answer<'_>) -> String {
    let (problem, placement) = (answer.problem, &answer.placed.placement);
    let ring = ring(problem);
    let place: BTreeMap<usize, usize> = ring.iter().enumerate().map(|(place, node)| (*node, place)).collect();
    let loads = Loads::of(problem, placement);
    let node = |node: &usize| {
        let shares = loads
            .asked(*node)
            .iter()
            .zip(problem.free(*node))
            .map(|(asked, free)| *asked as f64 / (*free).max(1) as f64);
        let here = placement.iter().filter(|(_, at)| at == node);
        TopologyNode {
            name: problem.hosts()[*node].name.as_str().to_owned(),
            load: shares.fold(0.0, f64::max),
            services: here
                .map(|(service, at)| (problem.services()[service].name.clone(), problem.is_moved(service, at)))
                .collect(),
        }
    };
    let mut costs: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for (service, at) in placement.iter() {
        for link in problem.links(service).iter().filter(|link| link.peer > service) {
            let other = placement.node(link.peer);
            if at != other {
                *costs.entry((at.min(other), at.max(other))).or_default() += problem.link_cost(link, at, other);
            }
        }
    }
    let whole: f64 = costs.values().sum::<f64>().max(f64::MIN_POSITIVE);
    let few = costs.len() <= LABELS;
    let links = costs.iter().map(|((from, to), cost)| TopologyLink {
        from: place[from],
        to: place[to],
        share: cost / whole,
        label: if few || cost / whole > 0.1 { format!("{cost:.0} KB·ms") } else { String::new() },
    });
    topology(&Topology {
        title: format!("Placement of {} services on {} nodes: {}", placement.len(), ring.len(), answer.policy.name),
        subtitle: answer.headline(),
        links: links.collect(),
        nodes: ring.iter().map(node).collect(),
    })
}

/// The nodes so that each next one is the nearest of those left.
fn ring(problem: &Problem) -> Vec<usize> {
    let mut left: Vec<usize> = (1..problem.hosts().len()).collect();
    let mut ring = vec![0];
    while !left.is_empty() {
        let last = ring[ring.len() - 1];
        let far = |node: &usize| problem.delay_ms(last, *node) + problem.delay_ms(*node, last);
        let Some(place) = (0..left.len()).min_by(|one, other| far(&left[*one]).total_cmp(&far(&left[*other]))) else {
            break;
        };
        ring.push(left.remove(place));
    }
    ring
}
