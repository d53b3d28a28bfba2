//! Where things are on a topology: instances by greedy k-center, crowds of clients by the topology's seed.

use crate::matrix::DelayMatrix;
use crate::sim::{Streams, unit_interval};
use crate::topology::{NodeIndex, NodeName};
use crate::units::Rtt;

use super::{Balancing, Instances, Nodes};

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The node of each instance.
    pub instances: Vec<NodeIndex>,
}

impl Layout {
    /// The layout of `balancing` on the nodes of `matrix`. All names have been checked to be there.
    pub fn new(balancing: &Balancing, matrix: &DelayMatrix, streams: Streams) -> Self {
        let instances = match &balancing.instances {
            Instances::On(names) => names.iter().filter_map(|name| find(matrix, name)).collect(),
            Instances::KCenter { count, first } => {
                let named = first.as_ref().and_then(|name| find(matrix, name));
                let first = named.unwrap_or_else(|| drawn(matrix.len(), 1, streams, "first", 0)[0]);
                k_center(matrix, *count, first)
            }
        };
        Self { instances }
    }
}

/// The place of a node.
pub(super) fn find(matrix: &DelayMatrix, name: &NodeName) -> Option<NodeIndex> {
    matrix.names().iter().position(|other| other == name)
}

/// Nodes of a crowd, in the matrix's order. `event` is the number of the event, so that two draw differently.
pub(super) fn crowd(nodes: &Nodes, matrix: &DelayMatrix, streams: Streams, event: usize) -> Vec<NodeIndex> {
    let mut places: Vec<NodeIndex> = match nodes {
        Nodes::Drawn(count) => drawn(matrix.len(), *count, streams, "crowd", event as u64),
        Nodes::Named(names) => names.iter().filter_map(|name| find(matrix, name)).collect(),
    };
    places.sort_unstable();
    places
}

/// `count` of `nodes` nodes without repetition: the beginning of a shuffle. At least one, where there is any.
fn drawn(nodes: usize, count: usize, streams: Streams, kind: &str, index: u64) -> Vec<NodeIndex> {
    let mut dice = streams.stream(kind, index);
    let mut all: Vec<NodeIndex> = (0..nodes).collect();
    let count = count.clamp(1, nodes.max(1));
    for place in 0..count.min(nodes) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below the number of nodes
        let other = place + (unit_interval(&mut dice) * (nodes - place) as f64) as usize;
        all.swap(place, other);
    }
    all.truncate(count);
    all
}

/// Greedy k-center: after `first`, always the node that is farthest from the chosen ones by round trip; of equals the lowest.
pub fn k_center(matrix: &DelayMatrix, count: usize, first: NodeIndex) -> Vec<NodeIndex> {
    let mut chosen = vec![first];
    let mut nearest: Vec<Rtt> = (0..matrix.len()).map(|node| distance(matrix, node, first)).collect();
    while chosen.len() < count.min(matrix.len()) {
        let farthest = (0..matrix.len()).filter(|node| !chosen.contains(node));
        let Some(next) = farthest.max_by_key(|node| (nearest[*node], std::cmp::Reverse(*node))) else { break };
        chosen.push(next);
        for (node, near) in nearest.iter_mut().enumerate() {
            *near = (*near).min(distance(matrix, node, next));
        }
    }
    chosen
}

fn distance(matrix: &DelayMatrix, one: NodeIndex, other: NodeIndex) -> Rtt {
    if one == other { Rtt::ZERO } else { matrix.round_trip(one, other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn europe() -> DelayMatrix {
        let text = include_bytes!("../../../matrices/europe-30.csv");
        crate::matrix::parse("europe-30.csv", text, crate::matrix::ReadOptions::default()).expect("a matrix")
    }

    /// GOLDEN: the centers of the specification, from Frankfurt on.
    #[test]
    fn centers_are_as_far_apart_as_they_can_be() {
        let matrix = europe();
        let frankfurt = matrix.names().iter().position(|name| name.as_str() == "Frankfurt").expect("is there");
        let centers: Vec<&str> =
            k_center(&matrix, 10, frankfurt).into_iter().map(|node| matrix.names()[node].as_str()).collect();
        let golden =
            ["Frankfurt", "Lisbon", "Athens", "Helsinki", "Dublin", "Barcelona", "Warsaw", "Rome", "Oslo", "Bucharest"];
        assert_eq!(centers, golden);
        let radius = (0..30).map(|node| {
            let to_center = k_center(&matrix, 10, frankfurt).into_iter().map(|center| distance(&matrix, node, center));
            to_center.min().unwrap_or_default()
        });
        let radius = radius.max().unwrap_or_default().as_millis_f64();
        assert!((radius - 14.97).abs() < 0.01, "{radius}");
    }

    #[test]
    fn drawn_nodes_do_not_repeat_and_all_are_drawn_in_the_end() {
        for event in 0..20 {
            let mut nodes = drawn(7, 7, Streams::new(1), "crowd", event);
            nodes.sort_unstable();
            assert_eq!(nodes, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert_eq!(drawn(7, 3, Streams::new(1), "crowd", 0).len(), 3);
    }
}
