//! Tests: the test vector of paper 003, the joint worth against its definition, and what holds for every plug-in.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::parameters::{Given, Parameters};
use crate::placement::contract::{placed, placer, problems};
use crate::placement::problem::{Draft, Host, Resource, Service, ServiceIndex};
use crate::placement::scheduling::{Cluster, Ties, schedule};
use crate::placement::{Evaluator, NO_HURRY, Placed, Problem, Setting};
use crate::topology::{NodeIndex, NodeName};
use crate::units::Delay;

use super::joint::{Joint, settled};
use super::{GroupPlan, Objectives, PLUGINS, Plugin, find, pending, schedule_group, worth};

pub(super) fn setting(plugin: &Plugin, given: &[(&str, &str)], seed: u64) -> Setting {
    let given: Given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let parameters = Parameters::new(plugin.policy.name, plugin.policy.parameters, &given).expect("allowed");
    Setting { parameters, stream: ChaCha8Rng::seed_from_u64(seed) }
}

/// What a plug-in gives the candidates of a service.
pub(super) fn scores(
    name: &str,
    given: &[(&str, &str)],
    cluster: &Cluster<'_>,
    service: ServiceIndex,
) -> Vec<(NodeIndex, f64)> {
    let plugin = find(name).expect("a plug-in");
    let nodes = cluster.candidates(service);
    let given = (plugin.scorer)(setting(plugin, given, 1)).scores(cluster, service, &nodes);
    nodes.into_iter().zip(given).collect()
}

pub(super) fn planned(name: &str, given: &[(&str, &str)], cluster: &Cluster<'_>, pods: &[ServiceIndex]) -> GroupPlan {
    let plugin = find(name).expect("a plug-in");
    (plugin.group)(setting(plugin, given, 1)).plan(cluster, pods, NO_HURRY)
}

pub(super) fn linear() -> Objectives {
    Objectives { packing: true, lambda_ms: None, weights: [1.0; 3], rounded: true }
}

pub(super) fn exponential() -> Objectives {
    Objectives { lambda_ms: Some(3.0), ..linear() }
}

/// Nodes of 16 cores and 16 GiB in regions on a line, pods of one core and 1 GiB in one group: the paper's scenarios.
pub(super) fn regions(regions: usize, each: usize, pods: usize) -> Problem {
    let nodes = regions * each;
    let host = |place| Host { name: NodeName::numbered(place + 1), capacity: vec![16_000, 16_384], used: vec![0, 0] };
    let pod =
        |place| Service { name: format!("p{place}"), demand: vec![1000, 1024], allowed: None, current: None, group: 0 };
    let delay = |i: usize| [700, 3000, 5000, 7000][(i / nodes / each).abs_diff(i % nodes / each)];
    let draft = Draft {
        resources: [("cpu", 1000), ("memory", 1024)]
            .map(|(name, unit)| Resource { name: name.to_owned(), unit })
            .to_vec(),
        hosts: (0..nodes).map(host).collect(),
        services: (0..pods).map(pod).collect(),
        delays: (0..nodes * nodes).map(|i| Delay::from_micros(delay(i))).collect(),
        ..Draft::default()
    };
    Problem::new(draft).expect("a problem")
}

/// GOLDEN: 3000 of 16000 and 3072 of 16384 used, the group at 0.7, 3 and 3 ms, the longest delay 7 ms.
#[test]
fn the_score_is_that_of_the_test_vector() {
    let mut draft = regions(4, 5, 7).draft().clone();
    draft.hosts[0].used = vec![3000, 3072];
    let problem = Problem::new(draft).expect("a problem");
    let mut cluster = Cluster::empty(&problem);
    for (pod, node) in [(0, 1), (1, 5), (2, 6)] {
        cluster.put(pod, node);
    }
    assert!((cluster.mean_delay_ms(3, 0) - 2.233_333).abs() < 1e-6);
    let near = |one: f64, other: f64| (one - other).abs() < 1e-6;
    let parts = linear().parts(&cluster, 3, 0);
    assert!(near(parts.cpu, 0.25) && near(parts.memory, 0.25) && near(parts.latency, 0.680_952), "{parts:?}");
    assert!((100.0 * linear().value(&problem, &parts) - 39.365_08).abs() < 1e-5);
    assert!(near(exponential().parts(&cluster, 3, 0).latency, 0.474_998));
    let least = Objectives { packing: false, ..linear() }.parts(&cluster, 3, 0);
    assert!(near(least.cpu, 0.75) && near(least.memory, 0.75), "{least:?}");
    assert_eq!(scores("argmax", &[], &cluster, 3)[0], (0, 39.0));
}

#[test]
fn without_others_in_place_the_delay_is_zero_and_its_benefit_whole() {
    let problem = regions(3, 2, 2);
    let mut cluster = Cluster::empty(&problem);
    assert!((linear().parts(&cluster, 0, 3).latency - 1.0).abs() < 1e-12);
    cluster.put(0, 3);
    assert_eq!(cluster.peers(0), 0);
    assert!((linear().parts(&cluster, 0, 3).latency - 1.0).abs() < 1e-12, "the service itself does not count");
    assert!((cluster.mean_delay_ms(1, 0) - 3.0).abs() < 1e-12);
    cluster.take(0);
    assert!(cluster.mean_delay_ms(1, 0).abs() < 1e-12);
}

/// The joint worth as its definition has it, from the draft alone.
fn defined(objectives: &Objectives, cluster: &Cluster<'_>, placed: &[(ServiceIndex, NodeIndex)]) -> f64 {
    let problem = cluster.problem();
    let draft = problem.draft();
    let longest = draft.delays.iter().map(|delay| delay.as_millis_f64()).fold(0.0, f64::max);
    let all: Vec<(ServiceIndex, NodeIndex)> = cluster.placed().chain(placed.iter().copied()).collect();
    let mut sum = 0.0;
    for (pod, node) in placed {
        let mut parts = vec![];
        for (k, resource) in draft.resources.iter().enumerate() {
            let host = &draft.hosts[*node];
            let here = all.iter().filter(|(_, at)| at == node).map(|(service, _)| draft.services[*service].demand[k]);
            let asked = host.used[k] + here.sum::<u64>();
            let used = (asked as f64 / host.capacity[k] as f64).min(1.0);
            let weight = objectives.weights[usize::from(resource.name == "memory")];
            parts.push((weight, if objectives.packing { used } else { 1.0 - used }));
        }
        let group = |service: &ServiceIndex| draft.services[*service].group;
        let peers: Vec<f64> = all
            .iter()
            .filter(|(other, _)| other != pod && group(other) == group(pod))
            .map(|(_, at)| draft.delays[node * draft.hosts.len() + at].as_millis_f64())
            .map(|delay| match objectives.lambda_ms {
                Some(lambda) => (-delay / lambda).exp(),
                None if longest > 0.0 => 1.0 - delay / longest,
                None => 1.0,
            })
            .collect();
        let near = if peers.is_empty() { 1.0 } else { peers.iter().sum::<f64>() / peers.len() as f64 };
        parts.push((objectives.weights[2], near));
        let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
        sum += parts.iter().map(|(weight, part)| weight * part).sum::<f64>() / total;
    }
    100.0 * sum / placed.len().max(1) as f64
}

/// The best worth of all placements of `pods` that keep capacities, and those that reach it; `None` where there is none.
pub(super) fn best_of_all(objectives: &Objectives, cluster: &Cluster<'_>, pods: &[ServiceIndex]) -> Option<f64> {
    let mut best: Option<f64> = None;
    let mut cluster_now = cluster.clone();
    fill(objectives, cluster, &mut cluster_now, pods, &mut Vec::new(), &mut best);
    best
}

fn fill(
    objectives: &Objectives,
    base: &Cluster<'_>,
    now: &mut Cluster<'_>,
    pods: &[ServiceIndex],
    placed: &mut Vec<(ServiceIndex, NodeIndex)>,
    best: &mut Option<f64>,
) {
    let Some(pod) = pods.get(placed.len()) else {
        let value = defined(objectives, base, placed);
        *best = Some(best.map_or(value, |best| best.max(value)));
        return;
    };
    for node in now.candidates(*pod) {
        now.put(*pod, node);
        placed.push((*pod, node));
        fill(objectives, base, now, pods, placed, best);
        placed.pop();
        now.take(*pod);
    }
}

pub(super) fn objectives() -> impl Strategy<Value = Objectives> {
    let lambda = prop::option::of(0.5f64..20.0);
    (any::<bool>(), lambda, prop::array::uniform3(0.1f64..2.0), any::<bool>())
        .prop_map(|(packing, lambda_ms, weights, rounded)| Objectives { packing, lambda_ms, weights, rounded })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_joint_worth_and_its_gains_are_those_of_the_definition(
        problem in problems(7, 5),
        objectives in objectives(),
        walk in prop::collection::vec((0usize..7, 0usize..5), 1..20),
    ) {
        let cluster = Cluster::running(&problem);
        for pods in pending(&cluster) {
            let nodes: Vec<Option<NodeIndex>> = pods.iter().map(|pod| Some(cluster.least_bad(*pod))).collect();
            let mut joint = Joint::new(&objectives, &cluster, settled(&pods, &nodes));
            for (place, to) in &walk {
                let (place, to) = (place % pods.len(), to % problem.hosts().len());
                let promised = joint.worth() + joint.gain(place, to);
                joint.apply(place, to);
                let placed: Vec<_> = pods.iter().copied().zip(joint.nodes().iter().copied()).collect();
                let wanted = defined(&objectives, &cluster, &placed) / 100.0;
                prop_assert!((joint.worth() - wanted).abs() < 1e-9, "{} for {wanted}", joint.worth());
                prop_assert!((promised - wanted).abs() < 1e-9, "{promised} for {wanted}");
            }
        }
    }

    /// The exact scorer against a look at every node, with sums made anew, while services come and go.
    #[test]
    fn the_exact_scorer_is_right_about_every_node(problem in problems(8, 6), exp: bool, least: bool) {
        let given = [
            ("latency_benefit", if exp { "exp" } else { "linear" }),
            ("resource_mode", if least { "least" } else { "most" }),
            ("round", "false"),
        ];
        let objectives = Objectives { packing: !least, lambda_ms: exp.then_some(3.0), ..linear() };
        let mut cluster = Cluster::running(&problem);
        for service in 0..problem.services().len() {
            cluster.take(service);
            let given = scores("argmax", &given, &cluster, service);
            for (node, score) in &given {
                // With S of a mean of delays, not the mean of benefits: they differ where the benefit is not linear.
                let peers: Vec<f64> = cluster.placed()
                    .filter(|(other, _)| problem.services()[*other].group == problem.services()[service].group)
                    .map(|(_, at)| problem.delay_ms(*node, at)).collect();
                let mean = if peers.is_empty() { 0.0 } else { peers.iter().sum::<f64>() / peers.len() as f64 };
                let parts = objectives.parts(&cluster, service, *node);
                let wanted = objectives.benefit(mean, problem.longest_delay_ms());
                prop_assert!((parts.latency - wanted).abs() < 1e-9);
                let alone = (parts.cpu + parts.memory + wanted) / 3.0;
                prop_assert!((score - 100.0 * alone).abs() < 1e-6, "{score} for {alone}");
            }
            let node = given.iter().map(|(node, _)| *node).next().unwrap_or_else(|| cluster.least_bad(service));
            cluster.put(service, node);
        }
    }
}

/// Whether no node is asked for more than before beyond what it has: nothing was placed where there is no room.
fn keeps_capacities(before: &Cluster<'_>, after: &Cluster<'_>) -> bool {
    let nodes = 0..before.problem().hosts().len();
    nodes
        .into_iter()
        .all(|node| after.loads().is_within(node) || before.loads().asked(node) == after.loads().asked(node))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn scores_are_from_0_to_100_and_services_go_where_there_is_room(problem in problems(6, 4)) {
        for plugin in PLUGINS {
            let mut scorer = (plugin.scorer)(setting(plugin, &[], 1));
            let mut cluster = Cluster::running(&problem);
            for service in 0..problem.services().len() {
                if cluster.node(service).is_some() {
                    continue;
                }
                let nodes = cluster.candidates(service);
                let given = scorer.scores(&cluster, service, &nodes);
                prop_assert_eq!(given.len(), nodes.len());
                prop_assert!(given.iter().all(|score| (0.0..=100.0).contains(score)), "{}: {given:?}", plugin.policy.name);
                let before = cluster.clone();
                schedule(&mut cluster, service, scorer.as_mut(), &mut Ties::Lowest);
                prop_assert!(nodes.is_empty() || keeps_capacities(&before, &cluster), "{}", plugin.policy.name);
            }
        }
    }

    /// Feasible, never better than the best of all placements, and the same again from the same seed.
    #[test]
    fn groups_keep_capacities_and_are_never_better_than_the_best(problem in problems(4, 3)) {
        for plugin in PLUGINS {
            let objectives = Objectives::new(&setting(plugin, &[], 1).parameters);
            let mut cluster = Cluster::running(&problem);
            for pods in pending(&cluster) {
                let plan = planned(plugin.policy.name, &[], &cluster, &pods);
                prop_assert!(plan == planned(plugin.policy.name, &[], &cluster, &pods), "{}", plugin.policy.name);
                prop_assert_eq!(plan.nodes.len(), pods.len());
                let mut after = cluster.clone();
                for (pod, node) in settled(&pods, &plan.nodes) {
                    prop_assert!(problem.allows(pod, node));
                    after.put(pod, node);
                }
                prop_assert!(keeps_capacities(&cluster, &after), "{}: {plan:?}", plugin.policy.name);
                if plan.nodes.iter().all(Option::is_some) {
                    let best = best_of_all(&objectives, &cluster, &pods).expect("one at least");
                    let reached = worth(&objectives, &cluster, &pods, &plan.nodes);
                    prop_assert!(reached <= best + 1e-6, "{}: {reached} above {best}", plugin.policy.name);
                    prop_assert!(!plan.proven || reached >= best - 1e-6, "{}: {reached} of {best}", plugin.policy.name);
                }
                schedule_group(&mut cluster, &pods, (plugin.group)(setting(plugin, &[], 1)).as_mut(), NO_HURRY);
            }
        }
    }
}

#[test]
fn a_group_that_fits_one_node_is_packed_there_by_all() {
    let problem = regions(3, 2, 6);
    for plugin in PLUGINS {
        let cluster = Cluster::empty(&problem);
        let pods: Vec<ServiceIndex> = (0..6).collect();
        let plan = planned(plugin.policy.name, &[], &cluster, &pods);
        assert!(plan.nodes.iter().all(Option::is_some), "{}", plugin.policy.name);
    }
    let plan = planned("argmax", &[], &Cluster::empty(&problem), &(0..6).collect::<Vec<_>>());
    assert_eq!(plan.nodes, [Some(0); 6]);
    let plan = planned("annealing", &[], &Cluster::empty(&problem), &(0..6).collect::<Vec<_>>());
    assert_eq!(plan.nodes, [Some(0); 6]);
}

#[test]
fn when_the_time_is_up_at_once_everybody_still_has_a_node() {
    let problem = regions(3, 2, 40);
    let pods: Vec<ServiceIndex> = (0..40).collect();
    for plugin in PLUGINS {
        let plan = (plugin.group)(setting(plugin, &[], 1)).plan(&Cluster::empty(&problem), &pods, &|| true);
        assert!(plan.nodes.iter().all(Option::is_some), "{}", plugin.policy.name);
    }
}

/// One after the other or a group at once: who is placed by something else than the plug-in is counted, and has room.
#[test]
fn who_has_no_time_or_too_large_a_program_says_how_many_that_is() {
    let problem = regions(3, 2, 40);
    let within = |found: &Placed| {
        found.placement.len() == 40 && Evaluator::new(&problem, found.placement.clone()).valuation().excess <= 0.0
    };
    for name in ["random", "kubernetes", "argmax", "ilp"] {
        let found = placer(crate::placement::find(name).expect("a policy"), &[], 1).place(&problem, &|| true);
        assert!(found.makeshift == 40 && within(&found), "{name}: {}", found.makeshift);
        assert_eq!(placed(name, &[], &problem).makeshift, 0, "{name}");
    }
    let group = [("mode", "group"), ("max_variables", "100")];
    assert_eq!(placed("ilp", &group[..1], &problem).makeshift, 0);
    let found = placed("ilp", &group, &problem);
    assert!(found.makeshift == 40 && within(&found), "{}", found.makeshift);
}
