//! Which moves are carried out: the paper leaves out some services once the placement is known.
//!
//! That can leave a node with more than it has, as the others moved in the belief that these do too. To pin a service in the
//! problem ([`Service::allowed`](crate::placement::problem::Service::allowed)) does not have that fault.

use crate::placement::problem::ServiceIndex;
use crate::placement::{Placement, Problem};

/// The placement without the moves of these services: they stay where they run.
pub fn filter(problem: &Problem, found: &Placement, exempt: &[ServiceIndex]) -> Placement {
    let mut placement = found.clone();
    for service in exempt {
        if let Some(current) = problem.services()[*service].current {
            placement.set(*service, current);
        }
    }
    placement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::contract::placed;
    use crate::placement::golden::{ONE_WAY, cpu, hosts, service};
    use crate::placement::problem::{Draft, Edge};
    use crate::placement::{Evaluator, Objective};
    use crate::units::Delay;

    /// Two nodes with room for two each: `c` wants to be with `a`, and `b` goes the other way.
    fn draft() -> Draft {
        let services = [("a", 0), ("b", 0), ("c", 1), ("d", 1)];
        let edge = |from, to| Edge { from, to, request: 1_000_000, response: 0 };
        Draft {
            resources: cpu(),
            hosts: hosts(2, 1000),
            services: services.map(|(name, node)| service(name, 500, Some(node))).to_vec(),
            edges: vec![edge(0, 2), edge(1, 3)],
            delays: [0, 5, 5, 0].map(Delay::from_millis).to_vec(),
            weights: ONE_WAY,
            objective: Objective::default(),
        }
    }

    #[test]
    fn leaving_out_a_move_can_overload_a_node_and_a_pin_does_not() {
        let problem = Problem::new(draft()).expect("a problem");
        let found = placed("search", &[], &problem).placement;
        let excess =
            |problem: &Problem, placement: &Placement| Evaluator::new(problem, placement.clone()).valuation().excess;
        assert!(excess(&problem, &found) <= 0.0);
        let moved = (0..4).find(|service| problem.services()[*service].current != Some(found.node(*service)));
        let exempt = moved.expect("somebody moves");
        assert!(excess(&problem, &filter(&problem, &found, &[exempt])) > 0.0);
        let mut pinned = draft();
        pinned.services[exempt].allowed = pinned.services[exempt].current.map(|node| vec![node]);
        let pinned = Problem::new(pinned).expect("a problem");
        let found = placed("search", &[], &pinned).placement;
        let value = Evaluator::new(&pinned, found).valuation();
        assert!(value.excess <= 0.0 && value.traffic.as_kb_ms() <= 0.0, "{value:?}");
    }
}
