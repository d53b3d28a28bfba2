//! [`Excerpt`]: some nodes with all that is on them, as a problem of its own.

use crate::placement::problem::{Edge, Service, ServiceIndex};
use crate::placement::{Placement, Problem};
use crate::topology::NodeIndex;

/// Some nodes and the services on them. Everything else stays where it is; what it means for these services is in the problem.
pub(super) struct Excerpt {
    pub(super) problem: Problem,
    services: Vec<ServiceIndex>,
    nodes: Vec<NodeIndex>,
}

impl Excerpt {
    /// Of these nodes. `None` where less than two services are there.
    pub(super) fn new(problem: &Problem, placement: &Placement, nodes: &[NodeIndex]) -> Option<Self> {
        let mut inside: Vec<Option<usize>> = vec![None; problem.hosts().len()];
        nodes.iter().enumerate().for_each(|(place, node)| inside[*node] = Some(place));
        let services: Vec<ServiceIndex> =
            placement.iter().filter(|(_, node)| inside[*node].is_some()).map(|(service, _)| service).collect();
        if services.len() < 2 {
            return None;
        }
        let mut place_of: Vec<Option<usize>> = vec![None; placement.len()];
        services.iter().enumerate().for_each(|(place, service)| place_of[*service] = Some(place));
        let both = |edge: &Edge| Some(Edge { from: place_of[edge.from]?, to: place_of[edge.to]?, ..*edge });
        let edges = problem.edges().iter().filter_map(both).collect();
        let mut pulls = vec![0.0; services.len() * nodes.len()];
        for (place, service) in services.iter().enumerate() {
            let row = &mut pulls[place * nodes.len()..(place + 1) * nodes.len()];
            if let Some(own) = problem.pulls(*service) {
                row.iter_mut().zip(nodes).for_each(|(pull, node)| *pull += own[*node]);
            }
            for link in problem.links(*service).iter().filter(|link| place_of[link.peer].is_none()) {
                let peer = placement.node(link.peer);
                row.iter_mut().zip(nodes).for_each(|(pull, node)| *pull += problem.link_cost(link, *node, peer));
            }
        }
        let demands = services.iter().flat_map(|service| problem.demand(*service)).copied().collect();
        let blank = |service: &ServiceIndex| {
            let allowed = problem.services()[*service].allowed.as_ref();
            let allowed = allowed.map(|allowed| allowed.iter().filter_map(|node| inside[*node]).collect());
            Service { name: String::new(), demand: Vec::new(), allowed, current: None, group: 0 }
        };
        let all = services.iter().map(blank).collect();
        let part = problem.with_nodes(nodes, all, demands, edges, pulls);
        Some(Self { problem: part, services, nodes: nodes.to_vec() })
    }

    /// Where these services are.
    pub(super) fn up(&self, placement: &Placement) -> Placement {
        let place = |node: NodeIndex| self.nodes.iter().position(|other| *other == node).unwrap_or(0);
        Placement::new(self.services.iter().map(|service| place(placement.node(*service))).collect())
    }

    /// The whole placement with these services so.
    pub(super) fn down(&self, placement: &Placement, base: &Placement) -> Placement {
        let mut whole = base.clone();
        for (place, service) in self.services.iter().enumerate() {
            whole.set(*service, self.nodes[placement.node(place)]);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::placement::Evaluator;
    use crate::placement::contract::{brute_force, problems};
    use crate::placement::dice::below;

    proptest! {
        /// What services within an excerpt do costs there, but for one constant, what it costs in all of the problem.
        #[test]
        fn an_excerpt_differs_from_the_whole_by_a_constant(problem in problems(9, 5), seed in any::<u64>()) {
            let mut stream = ChaCha8Rng::seed_from_u64(seed);
            let anywhere = |service: usize, stream: &mut ChaCha8Rng| {
                let nodes: Vec<_> = problem.allowed_nodes(service).collect();
                nodes[below(stream, nodes.len())]
            };
            let base = Placement::new((0..problem.services().len()).map(|service| anywhere(service, &mut stream)).collect());
            let nodes: Vec<NodeIndex> = (0..problem.hosts().len()).filter(|_| below(&mut stream, 3) > 0).collect();
            let Some(excerpt) = Excerpt::new(&problem, &base, &nodes) else { return Ok(()) };
            let cost = |placement: &Placement| brute_force(&problem, placement).traffic.as_kb_ms();
            let part = |placement: &Placement| {
                Evaluator::new(&excerpt.problem, placement.clone()).valuation().traffic.as_kb_ms()
            };
            prop_assert_eq!(excerpt.down(&excerpt.up(&base), &base), base.clone());
            let elsewhere = Placement::new((0..excerpt.services.len()).map(|_| below(&mut stream, nodes.len())).collect());
            let whole = excerpt.down(&elsewhere, &base);
            let more = (cost(&whole) - cost(&base), part(&elsewhere) - part(&excerpt.up(&base)));
            prop_assert!((more.0 - more.1).abs() <= 1e-6 * (1.0 + cost(&base).abs()), "{more:?}");
            for (place, service) in excerpt.services.iter().enumerate() {
                prop_assert_eq!(excerpt.problem.demand(place), problem.demand(*service));
                for (inner, node) in nodes.iter().enumerate() {
                    prop_assert_eq!(excerpt.problem.allows(place, inner), problem.allows(*service, *node));
                    prop_assert_eq!(excerpt.problem.free(inner), problem.free(*node));
                }
            }
        }
    }
}
