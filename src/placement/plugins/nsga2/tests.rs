//! Tests: what becomes of a population, and which of its front is taken.

use super::super::tests::{planned, regions, scores};
use super::*;

fn individual(genome: usize, objectives: [f64; 3], crowding: f64) -> Individual {
    Individual { genome: vec![genome], fitness: Fitness { objectives, violation: 0.0 }, rank: 0, crowding }
}

#[test]
fn the_paper_takes_an_end_of_the_front_where_the_others_take_its_middle() {
    let front = [
        individual(0, [0.0, 0.0, 1.0], f64::INFINITY),
        individual(1, [0.1, 0.1, 0.2], 1.5),
        individual(2, [1.0, 1.0, 0.0], f64::INFINITY),
    ];
    let chosen = |answer: &str| {
        let setting = super::super::tests::setting(&PLUGIN, &[("answer", answer)], 1);
        let worth = |genome: &Genome| [0.667, 0.867, 0.333][genome[0]];
        Genetic::new(setting).chosen(&front, &worth).cloned()
    };
    assert_eq!(["crowding", "weighted", "knee"].map(chosen), [Some(vec![0]), Some(vec![1]), Some(vec![1])]);
}

#[test]
fn with_enough_generations_the_front_of_a_small_cluster_is_found() {
    // One node is used and far, one is near the group and empty, the rest is neither.
    let mut draft = regions(3, 3, 3).draft().clone();
    draft.hosts[8].used = vec![15_000, 15_360];
    let problem = crate::placement::Problem::new(draft).expect("a problem");
    let mut cluster = Cluster::empty(&problem);
    cluster.put(0, 0);
    for answer in ["crowding", "weighted", "knee"] {
        let scores = scores("nsga2", &[("answer", answer)], &cluster, 1);
        let best = scores.iter().max_by(|one, other| one.1.total_cmp(&other.1)).expect("nodes").0;
        // Node 0 has the group's first pod: more used than its neighbours, as near.
        assert!(best == 0 || best == 8, "{answer}: {scores:?}");
    }
}

#[test]
fn a_group_keeps_capacities_though_genomes_need_not() {
    let problem = regions(2, 2, 60);
    let pods: Vec<ServiceIndex> = (0..60).collect();
    let plan = planned("nsga2", &[("generations", "3")], &Cluster::empty(&problem), &pods);
    let on = |node| plan.nodes.iter().filter(|at| **at == Some(node)).count();
    assert!((0..4).all(|node| on(node) <= 16) && (0..4).map(on).sum::<usize>() == 60, "{plan:?}");
}
