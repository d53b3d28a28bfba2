//! Tests: the evaluator against brute force, and what holds for every policy on every problem.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Given, Kind, Parameters};
use crate::topology::NodeName;
use crate::units::Delay;

use super::problem::{Draft, Edge, Host, Resource, Service, Weights};
use super::{
    Cost, Evaluator, NO_HURRY, Objective, Overload, POLICIES, Placed, Placement, Placer, Policy, Problem, Setting,
    Valuation, build, find,
};

/// A placer's answer, with the stream of that seed.
pub(super) fn placed_with(policy: &Policy, given: &[(&str, &str)], seed: u64, problem: &Problem) -> Placed {
    placer(policy, given, seed).place(problem, NO_HURRY)
}

/// A placer, with the stream of that seed.
pub(super) fn placer(policy: &Policy, given: &[(&str, &str)], seed: u64) -> Box<dyn Placer> {
    let given: Given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let parameters = Parameters::new(policy.name, policy.parameters, &given).expect("allowed");
    build(policy, Setting { parameters, stream: ChaCha8Rng::seed_from_u64(seed) })
}

/// What the policy of that name comes to.
pub(super) fn placed(name: &str, given: &[(&str, &str)], problem: &Problem) -> Placed {
    placed_with(find(name).expect("a policy"), given, 1, problem)
}

/// Problems of up to so many services and nodes, with two resources, of which there may be too little.
pub(super) fn problems(services: usize, nodes: usize) -> impl Strategy<Value = Problem> {
    (1..=services, 1..=nodes).prop_flat_map(move |(services, nodes)| {
        let host = (50u64..400, 50u64..400, 0u64..60);
        let allowed = prop::option::weighted(0.2, prop::collection::btree_set(0..nodes, 1..=nodes));
        let service = (0u64..120, 0u64..120, allowed, prop::option::weighted(0.7, 0..nodes));
        let edge = (0..services, 0..services, 0u64..5000, 0u64..5000);
        let drafts = (
            prop::collection::vec(host, nodes),
            prop::collection::vec(service, services),
            prop::collection::vec(edge, 0..3 * services),
            prop::collection::vec(0u64..60_000, nodes * nodes),
            (0.0f64..2.0, 0.0f64..2.0),
            objectives(services),
        );
        drafts.prop_map(move |(hosts, services, edges, delays, weights, objective)| {
            let draft = draft(&hosts, services, &edges, &delays, weights, objective);
            Problem::new(draft).expect("a problem")
        })
    })
}

fn objectives(services: usize) -> impl Strategy<Value = Objective> {
    let overload = prop_oneof![
        3 => Just(Overload::Forbidden),
        1 => (0.0f64..1e5).prop_map(|price| Overload::Priced(Cost::from_kb_ms(price))),
    ];
    let price = prop_oneof![2 => Just(0.0), 1 => 0.0f64..100.0].prop_map(Cost::from_kb_ms);
    (overload, price, prop::option::weighted(0.3, 0..=services))
        .prop_map(|(overload, move_price, max_moves)| Objective { overload, move_price, max_moves })
}

type Asked = (u64, u64, Option<std::collections::BTreeSet<usize>>, Option<usize>);

fn draft(
    hosts: &[(u64, u64, u64)],
    services: Vec<Asked>,
    edges: &[(usize, usize, u64, u64)],
    delays: &[u64],
    (request, response): (f64, f64),
    objective: Objective,
) -> Draft {
    let nodes = hosts.len();
    let host = |(place, (cpu, memory, used)): (usize, &(u64, u64, u64))| Host {
        name: NodeName::numbered(place + 1),
        capacity: vec![*cpu, *memory],
        used: vec![*used, used / 2],
    };
    let service = |(place, (cpu, memory, allowed, current)): (usize, Asked)| Service {
        name: format!("s{place}"),
        demand: vec![cpu, memory],
        allowed: allowed.map(|nodes| nodes.into_iter().collect()),
        current,
        group: u32::from(place % 2 == 1),
    };
    let edges = edges.iter().filter(|(from, to, ..)| from != to);
    Draft {
        resources: vec![
            Resource { name: "cpu".to_owned(), unit: 100 },
            Resource { name: "memory".to_owned(), unit: 1024 },
        ],
        hosts: hosts.iter().enumerate().map(host).collect(),
        services: services.into_iter().enumerate().map(service).collect(),
        edges: edges
            .map(|(from, to, request, response)| Edge { from: *from, to: *to, request: *request, response: *response })
            .collect(),
        delays: (0..nodes * nodes)
            .map(|i| Delay::from_micros(if i / nodes == i % nodes { 0 } else { delays[i] }))
            .collect(),
        weights: Weights { request, response },
        objective,
    }
}

/// Equations (1) and (2) spelled out over all pairs and nodes, from the draft alone.
pub(super) fn brute_force(problem: &Problem, placement: &Placement) -> Valuation {
    let draft = problem.draft();
    let nodes = draft.hosts.len();
    let delay = |from: usize, to: usize| draft.delays[from * nodes + to].as_millis_f64();
    let mut traffic = 0.0;
    for edge in &draft.edges {
        let (u, v) = (placement.node(edge.from), placement.node(edge.to));
        traffic += draft.weights.request * edge.request as f64 / 1000.0 * delay(u, v);
        traffic += draft.weights.response * edge.response as f64 / 1000.0 * delay(v, u);
    }
    let mut excess = 0.0;
    for (node, host) in draft.hosts.iter().enumerate() {
        for (k, resource) in draft.resources.iter().enumerate() {
            let here = draft.services.iter().enumerate().filter(|(service, _)| placement.node(*service) == node);
            let asked: u64 = here.map(|(_, service)| service.demand[k]).sum();
            let free = host.capacity[k].saturating_sub(host.used[k]);
            excess += asked.saturating_sub(free) as f64 / resource.unit as f64;
        }
    }
    let away = |(u, service): (usize, &Service)| service.current.is_some_and(|node| node != placement.node(u));
    let moves = draft.services.iter().enumerate().filter(|each| away(*each)).count();
    Valuation { traffic: Cost::from_kb_ms(traffic), excess, moves }
}

/// Whether two valuations are the same but for rounding.
pub(super) fn same(one: &Valuation, other: &Valuation) -> bool {
    let near = |one: f64, other: f64| (one - other).abs() <= 1e-9 * (1.0 + one.abs());
    near(one.traffic.as_kb_ms(), other.traffic.as_kb_ms()) && near(one.excess, other.excess) && one.moves == other.moves
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_evaluator_agrees_with_brute_force(
        problem in problems(8, 5),
        walk in prop::collection::vec((0usize..8, 0usize..5, 0usize..8, 0usize..5), 1..30),
    ) {
        let (services, nodes) = (problem.services().len(), problem.hosts().len());
        let mut evaluator = Evaluator::new(&problem, Placement::new(vec![0; services]));
        for (u, to, v, beside) in walk {
            let (u, to, v, beside) = (u % services, to % nodes, v % services, beside % nodes);
            let mut after = evaluator.placement().clone();
            after.set(u, to);
            let promised = evaluator.valuation_after(u, to);
            prop_assert!(same(&promised, &brute_force(&problem, &after)), "{promised:?}");
            if u != v {
                let mut both = after.clone();
                both.set(v, beside);
                let before = evaluator.clone();
                let (rank, wanted) = (evaluator.rank_after_both((u, to), (v, beside)), brute_force(&problem, &both));
                let wanted = problem.objective().rank(&wanted);
                prop_assert!(!rank.beats(wanted) && !wanted.beats(rank), "{rank:?} for {wanted:?}");
                prop_assert_eq!(evaluator.valuation(), before.valuation());
            }
            let room = evaluator.fits(u, to);
            evaluator.apply(u, to);
            prop_assert!(same(&evaluator.valuation(), &brute_force(&problem, &after)));
            prop_assert_eq!(room, evaluator.loads().is_within(to));
            prop_assert_eq!(evaluator.placement(), &after);
        }
    }
}

/// Values worth trying of a parameter: every word, both bounds, but no longer than tests can wait.
fn extremes(definition: &Definition) -> Vec<String> {
    match definition.kind {
        Kind::Flag => vec!["true".to_owned(), "false".to_owned()],
        Kind::Count(least, most) => vec![least.to_string(), most.min(least.max(40)).to_string()],
        Kind::Number(least, most) => vec![least.to_string(), most.to_string()],
        Kind::Time(least, most) => vec![least.to_string(), most.to_string()],
        Kind::Choice(words) => words.iter().map(|word| (*word).to_owned()).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// With every policy and every extreme of its parameters: each service has a node that it may run on, and the same again
    /// gives the same.
    #[test]
    fn every_policy_places_everything_where_it_may_be(problem in problems(7, 4)) {
        for policy in POLICIES {
            let mut settings: Vec<Vec<(&str, String)>> = vec![vec![]];
            for definition in policy.parameters {
                settings.extend(extremes(definition).into_iter().map(|text| vec![(definition.name, text)]));
            }
            for setting in settings {
                let mut given: Vec<(&str, &str)> = setting.iter().map(|(name, text)| (*name, text.as_str())).collect();
                // A few generations do what many do, over and over.
                if policy.parameters.iter().any(|one| one.name == "generations") && !given.iter().any(|one| one.0 == "generations") {
                    given.push(("generations", "3"));
                }
                let once = placed_with(policy, &given, 1, &problem);
                prop_assert_eq!(once.placement.len(), problem.services().len());
                for (service, node) in once.placement.iter() {
                    prop_assert!(problem.allows(service, node), "{} with {given:?}: {service} on {node}", policy.name);
                }
                prop_assert!(once == placed_with(policy, &given, 1, &problem), "{} with {given:?}", policy.name);
            }
        }
    }
}

#[test]
fn without_a_policy_everything_stays_and_what_is_new_goes_to_the_emptiest_node() {
    use super::golden::{cpu, hosts, service};
    let services = vec![service("a", 900, Some(1)), service("b", 100, None), service("c", 2000, None)];
    let draft =
        Draft { resources: cpu(), hosts: hosts(2, 1000), services, delays: vec![Delay::ZERO; 4], ..Draft::default() };
    let problem = Problem::new(draft).expect("a problem");
    // Nothing has room for `c`: it goes where the least is missing.
    assert_eq!(placed("stay", &[], &problem).placement.nodes(), [1, 0, 0]);
    assert_eq!(placed("kubernetes", &[("anew", "true")], &problem).placement.nodes(), [0, 1, 1]);
}
