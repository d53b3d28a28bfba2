//! Tests: the programs against brute force.

use proptest::prelude::*;

use super::super::tests::{best_of_all, objectives, planned, regions, scores};
use super::super::worth;
use super::*;
use crate::placement::contract::problems;

/// All that are built in: with the feature `highs` two.
fn engines() -> impl Iterator<Item = Engine> {
    Engine::NAMES.iter().map(|name| Engine::named(name))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_program_of_pairs_reaches_the_best_of_all_placements(
        problem in problems(4, 3),
        objectives in objectives(),
    ) {
        let cluster = Cluster::running(&problem);
        for pods in super::super::pending(&cluster) {
            let best = best_of_all(&objectives, &cluster, &pods);
            for engine in engines() {
                let nodes = Pairs::new(&objectives, &cluster, &pods).solve(engine);
                prop_assert_eq!(nodes.is_some(), best.is_some());
                if let (Some(nodes), Some(best)) = (nodes, best) {
                    let nodes: Vec<_> = nodes.into_iter().map(Some).collect();
                    let reached = worth(&objectives, &cluster, &pods, &nodes);
                    prop_assert!((reached - best).abs() < 1e-5, "{reached} of {best} with {nodes:?} by {engine:?}");
                }
            }
        }
    }

    /// Against every assignment: whole variables reach the best sum of S, fractions are no worse.
    #[test]
    fn the_program_of_those_in_place_reaches_the_best_sum(problem in problems(4, 3), objectives in objectives()) {
        let cluster = Cluster::running(&problem);
        for pods in super::super::pending(&cluster) {
            let assignment = Assignment::new(&objectives, &cluster, &pods);
            let best = best_sum(&assignment, &cluster, &pods);
            let sum = |shares: Vec<Vec<f64>>| {
                let each = shares.iter().flatten().zip(assignment.values.iter().flatten());
                each.map(|(share, value)| share * value).sum::<f64>()
            };
            for (engine, best) in engines().filter_map(|engine| Some((engine, best?))) {
                let whole = sum(assignment.solve(engine, true, None).expect("solved"));
                prop_assert!((whole - best).abs() < 1e-6, "{whole} of {best} by {engine:?}");
                let divided = sum(assignment.solve(engine, false, None).expect("solved"));
                prop_assert!(divided > best - 1e-6, "{divided} below {best} by {engine:?}");
            }
        }
    }
}

fn best_sum(assignment: &Assignment, cluster: &Cluster<'_>, pods: &[ServiceIndex]) -> Option<f64> {
    fn fill(assignment: &Assignment, now: &mut Cluster<'_>, pods: &[ServiceIndex], place: usize) -> Option<f64> {
        let Some(pod) = pods.get(place) else { return Some(0.0) };
        let mut best: Option<f64> = None;
        for node in now.candidates(*pod) {
            let option = assignment.nodes[place].iter().position(|option| *option == node).expect("room at first");
            now.put(*pod, node);
            let sum = fill(assignment, now, pods, place + 1).map(|rest| rest + assignment.values[place][option]);
            now.take(*pod);
            best = [best, sum].into_iter().flatten().reduce(f64::max);
        }
        best
    }
    fill(assignment, &mut cluster.clone(), pods, 0)
}

#[test]
fn only_the_chosen_node_scores_unless_told() {
    let problem = regions(3, 2, 3);
    let mut cluster = Cluster::empty(&problem);
    cluster.put(0, 2);
    let solution: Vec<f64> = scores("ilp", &[], &cluster, 1).into_iter().map(|(_, score)| score).collect();
    assert_eq!(solution, [0.0, 0.0, 100.0, 0.0, 0.0, 0.0]);
    let all: Vec<f64> =
        scores("ilp", &[("answer", "coefficients")], &cluster, 1).into_iter().map(|(_, score)| score).collect();
    assert_eq!((all[2], all[3] > all[0]), (100.0, true), "{all:?}");
}

/// Pods of equal size: Simplex gives whole shares, and no node gets more than 16.
#[test]
fn with_equal_pods_simplex_divides_nobody() {
    let problem = regions(3, 5, 40);
    let mut cluster = Cluster::empty(&problem);
    cluster.put(0, 7);
    let pods: Vec<ServiceIndex> = (1..40).collect();
    let assignment = Assignment::new(&super::super::tests::exponential(), &cluster, &pods);
    let shares = assignment.solve(Engine::Microlp, false, None).expect("solved");
    assert!(shares.iter().flatten().all(|share| share.abs() < 1e-6 || (share - 1.0).abs() < 1e-6));
    let plan = planned("ilp", &[], &cluster, &pods);
    let on = |node| plan.nodes.iter().filter(|at| **at == Some(node)).count();
    assert_eq!((on(7), plan.nodes.iter().flatten().filter(|node| (5..10).contains(*node)).count()), (15, 39));
}

#[test]
fn a_bound_of_delay_is_kept_where_it_can_be() {
    let problem = regions(3, 2, 4);
    let mut cluster = Cluster::empty(&problem);
    cluster.put(0, 0);
    cluster.put(1, 5);
    // In the middle region 3 ms to both; at either end 0.7 and 5.
    let given = |bound| [("latency_bound", bound), ("answer", "solution"), ("resource_mode", "most")];
    let chosen = |bound| {
        let scores = scores("ilp", &given(bound), &cluster, 2);
        scores.into_iter().filter(|(_, score)| *score > 0.0).map(|(node, _)| node).collect::<Vec<_>>()
    };
    // Within the bound by the mean: 2.85 at the ends, 3 in the middle.
    assert_eq!(chosen("2.9ms").len(), 1);
    assert!([0, 1, 4, 5].contains(&chosen("2.9ms")[0]));
    assert_eq!(chosen("1us"), chosen("0s"), "no node is within: as without a bound");
}

#[test]
fn what_is_too_large_is_placed_one_after_the_other() {
    let problem = regions(3, 2, 8);
    let pods: Vec<ServiceIndex> = (0..8).collect();
    let cluster = Cluster::empty(&problem);
    let plan = planned("ilp", &[("max_variables", "10")], &cluster, &pods);
    assert_eq!(plan.nodes, planned("argmax", &[("latency_benefit", "exp")], &cluster, &pods).nodes);
    let small = planned("ilp", &[("method", "pairs")], &cluster, &pods[..4]);
    assert!(small.proven && small.nodes.iter().all(|node| *node == small.nodes[0]), "{small:?}");
    assert!(!planned("ilp", &[("method", "pairs")], &cluster, &pods).proven);
}
