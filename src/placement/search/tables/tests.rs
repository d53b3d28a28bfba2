//! Tables against the problem itself, and what comes of them.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::cycles::{heaped, rehoused};
use super::growth::{Growth, grown, merged, packed};
use super::parts::recombine;
use super::tableau::Tableau;
use super::{Evolution, Graph, Sites, evolved};
use crate::placement::contract::{brute_force, problems};
use crate::placement::dice::below;
use crate::placement::exact::prove;
use crate::placement::generate::{Shape, generate};
use crate::placement::problem::{Draft, Edge, Host, Resource, Service};
use crate::placement::search::anneal::Course;
use crate::placement::search::excerpt::Excerpt;
use crate::placement::search::ground::Lots;
use crate::placement::search::scales::Spent;
use crate::placement::{Evaluator, NO_HURRY, Placement, Problem, UNHEARD};
use crate::topology::{NodeIndex, NodeName};
use crate::units::Delay;

/// Seven digits, of which sums lose some.
fn is_near(one: f64, other: f64) -> bool {
    is_near_beside(one, other, one.abs().max(other.abs()))
}

/// The same where numbers as large as `most` were added and taken off again.
fn is_near_beside(one: f64, other: f64, most: f64) -> bool {
    (one - other).abs() <= 1e-4 * (1.0 + most)
}

fn numbers(placement: &Placement) -> Vec<u32> {
    placement.nodes().iter().map(|node| u32::try_from(*node).expect("a small number")).collect()
}

/// Everywhere that services may go, by lot.
fn by_lot(problem: &Problem, stream: &mut ChaCha8Rng) -> Placement {
    let node = |service: usize, stream: &mut ChaCha8Rng| {
        let nodes: Vec<NodeIndex> = problem.allowed_nodes(service).collect();
        nodes[below(stream, nodes.len())]
    };
    Placement::new((0..problem.services().len()).map(|service| node(service, stream)).collect())
}

fn traffic(problem: &Problem, placement: &Placement) -> f64 {
    Evaluator::new(problem, placement.clone()).valuation().traffic.as_kb_ms()
}

proptest! {
    /// After any moves, of a whole problem and of some of its nodes: the total, every difference, and all room.
    #[test]
    fn a_table_has_what_everything_costs(problem in problems(9, 5), seed in any::<u64>()) {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let base = by_lot(&problem, &mut stream);
        let nodes: Vec<NodeIndex> = (0..problem.hosts().len()).filter(|_| below(&mut stream, 3) > 0).collect();
        let excerpt = Excerpt::new(&problem, &base, &nodes);
        let part = excerpt.as_ref().map(|excerpt| (&excerpt.problem, excerpt.up(&base)));
        for (problem, mut placement) in [Some((&problem, base.clone())), part].into_iter().flatten() {
            let sites = Sites::new(problem);
            let graph = Graph::new(problem, &sites);
            let mut tableau = Tableau::new(&graph, &sites, numbers(&placement));
            let mut most = tableau.total;
            for _ in 0..20 {
                let service = below(&mut stream, placement.len());
                let home = placement.node(service);
                for to in 0..problem.hosts().len() {
                    prop_assert_eq!(graph.allows(service as u32, to as u32), problem.allows(service, to));
                    let [here, there] = [home, to].map(|node| tableau.cost(service as u32, node as u32));
                    if problem.allows(service, to) {
                        let evaluator = Evaluator::new(problem, placement.clone());
                        let [before, after] = [home, to].map(|node| evaluator.traffic_at(service, node).as_kb_ms());
                        let near = |one: f32, other| is_near_beside(f64::from(one), other, most);
                        prop_assert!(near(here, before) && near(there, after), "{there} {after}");
                        most = most.max(after);
                    } else {
                        prop_assert!(there.is_infinite());
                    }
                }
                let allowed: Vec<NodeIndex> = problem.allowed_nodes(service).collect();
                let to = allowed[below(&mut stream, allowed.len())];
                if to != home {
                    placement.set(service, to);
                    tableau.shift(service as u32, to as u32);
                }
                most = most.max(tableau.total);
                prop_assert!(is_near_beside(tableau.total, traffic(problem, &placement), most));
                prop_assert_eq!(tableau.placement(), placement.clone());
                let loads = Evaluator::new(problem, placement.clone());
                prop_assert_eq!(tableau.fits(), (0..problem.hosts().len()).all(|node| loads.loads().is_within(node)));
            }
        }
    }

    /// What is merged is on one node, and costs nothing within.
    #[test]
    fn heaps_cost_what_their_services_do(problem in problems(9, 5), seed in any::<u64>()) {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let [one, other] = [(); 2].map(|()| by_lot(&problem, &mut stream));
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        let heaps = heaped(&graph, numbers(&one).into_iter().zip(numbers(&other)));
        for placement in [&one, &other] {
            let up = heaps.up(&numbers(placement));
            prop_assert_eq!(heaps.down(&up), numbers(placement));
            prop_assert!(is_near(Tableau::new(&heaps.graph, &sites, up).total, traffic(&problem, placement)));
        }
    }

    #[test]
    fn a_child_is_no_worse_than_the_best_and_every_service_is_where_a_parent_has_it(
        problem in problems(9, 4),
        seed in any::<u64>(),
    ) {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        let [best, base, found] = [(); 3].map(|()| numbers(&by_lot(&problem, &mut stream)));
        let mut child = Tableau::new(&graph, &sites, best.clone());
        let before = child.total;
        recombine(&mut child, &base, Tableau::new(&graph, &sites, found.clone()));
        prop_assert!(child.total <= before);
        prop_assert!(is_near(child.total, Tableau::new(&graph, &sites, child.at.clone()).total));
        for (service, node) in child.at.iter().enumerate() {
            prop_assert!([best[service], base[service], found[service]].contains(node));
        }
    }
}

/// Full nodes, some services bound to some nodes: hot annealing keeps to both, and knows what it costs in the end.
#[test]
fn annealing_keeps_to_room_and_bounds() {
    let shape = Shape { services: 60, nodes: 6, application: 10, edges: 1.5, fill: 0.9 };
    let mut draft = generate(shape, &mut ChaCha8Rng::seed_from_u64(4));
    for service in (0..60).step_by(7) {
        draft.services[service].allowed = Some(vec![service % 6, (service + 1) % 6]);
    }
    let problem = Problem::new(draft).expect("a problem");
    let sites = Sites::new(&problem);
    let graph = Graph::new(&problem, &sites);
    let begun = packed(&graph, &sites).expect("it fits");
    let mut tableau = Tableau::new(&graph, &sites, begun);
    let begun = tableau.placement();
    let mut lots = Lots::new(1);
    for (from, to) in [(1e5, 1e4), (1e4, 1.0)] {
        let before = tableau.total;
        let (tried, best) = tableau.anneal(Course { trials: 100_000, from, to }, &mut lots, NO_HURRY);
        assert!(tried == 100_000 && tableau.fits());
        let placement = tableau.placement();
        assert!(placement != begun, "it moves");
        assert!(placement.iter().all(|(service, node)| problem.allows(service, node)));
        assert!(is_near(tableau.total, brute_force(&problem, &placement).traffic.as_kb_ms()));
        assert!(Tableau::new(&graph, &sites, best).total <= before * 1.000_1);
    }
    let (tried, _) = tableau.anneal(Course { trials: 100_000, from: 1.0, to: 0.1 }, &mut lots, &|| true);
    assert_eq!(tried, 0, "the time is up");
}

/// Parts are of services on one node that talk, of one class, and no larger than is asked for; which they are is by lot.
#[test]
fn what_is_merged_is_together_and_no_larger_than_it_may_be() {
    let shape = Shape { services: 60, nodes: 6, application: 10, edges: 1.5, fill: 0.9 };
    let mut draft = generate(shape, &mut ChaCha8Rng::seed_from_u64(4));
    draft.services[7].allowed = Some(vec![1, 2]);
    let problem = Problem::new(draft).expect("a problem");
    let sites = Sites::new(&problem);
    let graph = Graph::new(&problem, &sites);
    let at: Vec<u32> = (0..60).map(|service| service / 10).collect();
    let mut lots = Lots::new(1);
    let mut seen = std::collections::BTreeSet::new();
    for percent in [10.0, 30.0, 100.0] {
        let most = sites.share(percent)[0];
        for _ in 0..20 {
            let level = merged(&graph, &at, &sites.share(percent), &mut lots);
            let part_of: Vec<u32> = level.down(&(0..level.graph.services as u32).collect::<Vec<_>>());
            for part in 0..level.graph.services as u32 {
                let members: Vec<u32> = (0..60).filter(|service| part_of[*service as usize] == part).collect();
                let node = at[members[0] as usize];
                assert!(members.iter().all(|service| at[*service as usize] == node));
                let asked: i64 = members.iter().map(|service| graph.demand(*service)[0]).sum();
                assert!(members.len() == 1 || (asked <= most && !members.contains(&7)), "{asked} of {most}");
                let talks = |one: &u32| graph.ties(*one).iter().any(|tie| members.contains(&tie.peer));
                assert!(members.len() == 1 || members.iter().all(talks), "{members:?}");
            }
            seen.insert(part_of);
        }
        assert!(seen.iter().any(|part_of| part_of.iter().max() < Some(&59)), "nothing is merged");
    }
    assert!(seen.len() > 15, "{} of 60 differ", seen.len());
}

#[test]
fn slower_growth_comes_to_less() {
    let shape = Shape { services: 200, nodes: 8, application: 200, edges: 2.0, fill: 0.8 };
    let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(4))).expect("a problem");
    let sites = Sites::new(&problem);
    let graph = Graph::new(&problem, &sites);
    for priced in [false, true] {
        let mean = |trials: u64| {
            let cost = |seed| {
                let (mut spent, mut lots) = (Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD }, Lots::new(seed));
                let growth = Growth { trials, largest: 20.0, priced };
                let found = grown((&graph, &sites), growth, &mut spent, &mut lots).expect("it fits");
                // Samples are for each part, of which there are fewer than services.
                let least = if priced { trials / 10 } else { trials / 2 };
                assert!(found.fits() && (least..=trials + 1024).contains(&spent.trials), "{}", spent.trials);
                assert!(is_near(found.total, brute_force(&problem, &found.placement()).traffic.as_kb_ms()));
                found.total
            };
            (1..=4).map(cost).sum::<f64>() / 4.0
        };
        let (begun, fast, slow) = (mean(0), mean(20_000), mean(500_000));
        assert!(slow < fast && fast < 0.7 * begun, "{begun}, {fast}, {slow} with prices: {priced}");
    }
}

/// Nodes in a row, 10 ms from one to the next, each full with two services that talk much, and a little to those of the next pair.
fn row(nodes: usize) -> Problem {
    let edge = |from, to, request| Edge { from, to, request, response: 0 };
    let pairs = (0..nodes).map(|pair| edge(2 * pair, 2 * pair + 1, 1_000_000));
    let chain = (1..nodes).map(|pair| edge(2 * pair - 1, 2 * pair, 10_000));
    let service =
        |number| Service { name: format!("s{number}"), demand: vec![500], allowed: None, current: None, group: 0 };
    let host = |number| Host { name: NodeName::numbered(number), capacity: vec![1000], used: vec![0] };
    let apart = |place: usize| Delay::from_millis(10 * (place / nodes).abs_diff(place % nodes) as u64);
    let draft = Draft {
        resources: vec![Resource { name: "cpu".to_owned(), unit: 1000 }],
        hosts: (1..=nodes).map(host).collect(),
        services: (1..=2 * nodes).map(service).collect(),
        edges: pairs.chain(chain).collect(),
        delays: (0..nodes * nodes).map(apart).collect(),
        ..Draft::default()
    };
    Problem::new(draft).expect("a problem")
}

/// Every pair is on the wrong node, and no node has room: only whole nodes can change places.
#[test]
fn heaps_change_places_until_each_is_where_it_had_better_be() {
    let problem = row(8);
    let sites = Sites::new(&problem);
    let graph = Graph::new(&problem, &sites);
    let cost = |nodes: Vec<u32>| Tableau::new(&graph, &sites, nodes).total;
    let base: Vec<u32> = (0..16).map(|service| (service / 2) * 3 % 8).collect();
    let mut lots = Lots::new(1);
    let once = |_| {
        let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
        let nodes = rehoused(&graph, &sites, base.clone(), &mut spent, &mut lots);
        assert!(spent.trials > 0);
        assert!((0..8).all(|pair| nodes[2 * pair] == nodes[2 * pair + 1]), "{nodes:?}");
        cost(nodes)
    };
    let best = (0..20).map(once).fold(f64::INFINITY, f64::min);
    let (in_a_row, before) = (cost((0..16).map(|service| service / 2).collect()), cost(base.clone()));
    assert!(is_near(best, in_a_row) && before > 3.0 * in_a_row, "{best}, not {in_a_row}; {before} before");
}

fn evolve(problem: &Problem) -> Option<Placement> {
    let sites = Sites::new(problem);
    let graph = Graph::new(problem, &sites);
    let size = (problem.services().len() * problem.hosts().len()) as u64;
    let evolution = Evolution {
        field: 4,
        fewest: 2,
        grown: 20 * size,
        improved: 20 * size,
        largest: 100.0,
        child: 10 * size,
        crossing: 50,
        on_regions: false,
    };
    let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
    let found = evolved((&graph, &sites), (evolution, 1000 * size), &mut spent, &mut Lots::new(1))?;
    assert!(spent.trials > 0);
    Some(found.placement())
}

#[test]
fn what_evolves_is_the_optimum_of_small_problems() {
    for seed in 1..=12 {
        let shape = Shape { services: 10, nodes: 4, application: 5, edges: 1.5, fill: 0.7 };
        let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(seed))).expect("a problem");
        let found = evolve(&problem).expect("a placement");
        let proof = prove(&problem, found.clone(), 10_000_000, NO_HURRY);
        assert!(proof.proven, "problem {seed} is not closed");
        let [found, best] = [found, proof.placement].map(|placement| Evaluator::new(&problem, placement).rank());
        assert!(found.is_allowed() && !best.beats(found), "problem {seed}: {found:?}, not {best:?}");
    }
}

#[test]
fn nothing_evolves_where_not_everything_fits() {
    let shape = Shape { services: 10, nodes: 4, application: 5, edges: 1.5, fill: 1.2 };
    let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(1))).expect("a problem");
    assert_eq!(evolve(&problem), None);
}

#[test]
fn who_changes_places_fits_whatever_is_asked_for() {
    for kinds in [1, 2] {
        let shape = Shape { services: 60, nodes: 6, application: 20, edges: 1.5, fill: 0.9 };
        let mut draft = generate(shape, &mut ChaCha8Rng::seed_from_u64(1));
        if kinds == 2 {
            draft.resources.push(Resource { name: "memory".to_owned(), unit: 1 });
            draft.hosts.iter_mut().for_each(|host| (host.capacity.push(80), host.used.push(0)).1);
            draft.services.iter_mut().enumerate().for_each(|(place, service)| service.demand.push(place as u64 % 15));
        }
        let problem = Problem::new(draft).expect("a problem");
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        let tableau = Tableau::new(&graph, &sites, packed(&graph, &sites).expect("a packing"));
        let (mut lots, mut found) = (Lots::new(1), 0);
        for _ in 0..2000 {
            let (service, to) = (lots.below(60) as u32, lots.below(6) as u32);
            let home = tableau.at[service as usize];
            let (partner, gained) = tableau.partner(service, (home, to), lots.word() >> 32);
            if to != home && gained.is_finite() {
                found += 1;
                assert_eq!(tableau.at[partner as usize], to);
                assert!(tableau.has_room_for(to, service, partner) && tableau.has_room_for(home, partner, service));
                let exact = tableau.cost(partner, home) - tableau.cost(partner, to);
                assert!(is_near(f64::from(gained), f64::from(exact)), "{gained}, not {exact}");
            }
        }
        assert!(found > 500, "{found} with {kinds} resources");
    }
}
