//! Recombining: where two placements differ, services that talk and differ are a part; parts have nothing to do with each other but
//! for room and moves, so that each can be taken from the better one (partition crossover, Whitley, Hains and Howe 2009).

use crate::placement::problem::ServiceIndex;
use crate::placement::{Evaluator, Placement, Problem};

/// `best` with every part of what `found` has otherwise than `base` that makes it better; or, where that is better, `found` with
/// parts as in `base`. Never worse than `best`, whether that is `base` or what has become of it since.
pub(super) fn recombined(problem: &Problem, best: &Placement, base: &Placement, found: &Placement) -> Placement {
    let parts = parts(problem, base, found);
    let forth = taken(problem, best, &parts, found);
    let back = taken(problem, found, &parts, base);
    let better = if back.rank().beats(forth.rank()) { back } else { forth };
    better.into_placement()
}

/// Services that are elsewhere in `other` than in `one`, those that talk to each other together.
fn parts(problem: &Problem, one: &Placement, other: &Placement) -> Vec<Vec<ServiceIndex>> {
    let mut differs: Vec<bool> = one.iter().map(|(service, node)| other.node(service) != node).collect();
    let mut parts = Vec::new();
    for first in 0..differs.len() {
        if std::mem::take(&mut differs[first]) {
            let (mut part, mut next) = (vec![first], 0);
            while let Some(service) = part.get(next).copied() {
                next += 1;
                for link in problem.links(service) {
                    if std::mem::take(&mut differs[link.peer]) {
                        part.push(link.peer);
                    }
                }
            }
            parts.push(part);
        }
    }
    parts
}

/// `base` with the nodes of `from` for every part where that is better; those that found no room are tried again after others.
fn taken<'a>(problem: &'a Problem, base: &Placement, parts: &[Vec<ServiceIndex>], from: &Placement) -> Evaluator<'a> {
    let mut evaluator = Evaluator::new(problem, base.clone());
    let mut left: Vec<&Vec<ServiceIndex>> = parts.iter().collect();
    loop {
        let before = left.len();
        left.retain(|part| !take(&mut evaluator, part, from));
        if left.is_empty() || left.len() == before {
            evaluator.refresh();
            return evaluator;
        }
    }
}

/// Whether a part is better so; if not, it is as before.
fn take(evaluator: &mut Evaluator<'_>, part: &[ServiceIndex], from: &Placement) -> bool {
    let before = evaluator.rank();
    let homes: Vec<_> = part.iter().map(|service| evaluator.node(*service)).collect();
    for service in part {
        evaluator.apply(*service, from.node(*service));
    }
    let better = evaluator.rank().beats(before);
    if !better {
        for (service, home) in part.iter().zip(homes) {
            evaluator.apply(*service, home);
        }
    }
    better
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::placement::contract::{brute_force, problems};
    use crate::placement::dice::below;
    use crate::placement::generate::{Shape, generate};

    fn by_lot(problem: &Problem, stream: &mut ChaCha8Rng) -> Placement {
        let node = |service| {
            let nodes: Vec<_> = problem.allowed_nodes(service).collect();
            nodes[below(stream, nodes.len())]
        };
        Placement::new((0..problem.services().len()).map(node).collect())
    }

    proptest! {
        #[test]
        fn no_parent_is_better_and_every_service_is_where_a_parent_has_it(problem in problems(9, 4), seed in any::<u64>()) {
            let mut stream = ChaCha8Rng::seed_from_u64(seed);
            let [best, base, found] = [(); 3].map(|()| by_lot(&problem, &mut stream));
            let rank = |placement: &Placement| problem.objective().rank(&brute_force(&problem, placement));
            let child = recombined(&problem, &best, &base, &found);
            prop_assert!(!rank(&best).beats(rank(&child)));
            let child = recombined(&problem, &base, &base, &found);
            prop_assert!(!rank(&base).beats(rank(&child)) && !rank(&found).beats(rank(&child)));
            for (service, node) in child.iter() {
                prop_assert!([base.node(service), found.node(service)].contains(&node));
            }
        }
    }

    /// Two applications, each of which only one of the parents has together: the child has both.
    #[test]
    fn the_better_half_of_each_parent_is_taken() {
        let shape = Shape { services: 8, nodes: 4, application: 4, edges: 2.0, fill: 0.1 };
        let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(3))).expect("a problem");
        let spread: Vec<usize> = (0..8).map(|service| service % 4).collect();
        let half = |together: std::ops::Range<usize>| {
            Placement::new(
                (0..8).map(|service| if together.contains(&service) { 2 } else { spread[service] }).collect(),
            )
        };
        let (one, other) = (half(0..4), half(4..8));
        let child = recombined(&problem, &one, &one, &other);
        assert!(brute_force(&problem, &one).traffic.as_kb_ms() > 0.0, "there is something to gain");
        assert_eq!(child.nodes(), [2; 8]);
    }
}
