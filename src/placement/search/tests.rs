//! Tests: the search against the greedy algorithm, brute force, the exact policy and the clock.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::placement::contract::{brute_force, placed, placer, problems};
use crate::placement::generate::{Shape, generate};
use crate::placement::golden::social;
use crate::placement::problem::Resource;
use crate::placement::{Cost, Evaluator, NO_HURRY, Objective, Overload, Placement, Problem, Rank, find};
use crate::units::Delay;

fn rank(problem: &Problem, placement: &Placement) -> Rank {
    problem.objective().rank(&brute_force(problem, placement))
}

fn cost_of(name: &str, given: &[(&str, &str)], problem: &Problem) -> f64 {
    let rank = rank(problem, &placed(name, given, problem).placement);
    assert!(rank.is_allowed(), "{name} {given:?}: {rank:?}");
    rank.cost.as_kb_ms()
}

/// Problems by lot: sizes, tightness and graphs of all kinds.
fn shapes() -> impl Iterator<Item = Problem> {
    let shape = |(seed, services, nodes, edges, fill)| {
        let shape = Shape { services, nodes, application: services / 2 + 1, edges, fill };
        Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(seed))).expect("a problem")
    };
    let sizes = [(4, 2), (6, 3), (8, 4), (10, 5), (12, 6), (20, 7), (27, 9)];
    let all = sizes.into_iter().flat_map(|(services, nodes)| {
        [(1.0, 0.4), (1.5, 0.6), (2.5, 0.75)].map(|(edges, fill)| (services, nodes, edges, fill))
    });
    all.zip(1u64..).map(|((services, nodes, edges, fill), seed)| (seed, services, nodes, edges, fill)).map(shape)
}

/// GOLDEN: the example, where the best that the greedy algorithm finds with any number of workers is known.
#[test]
fn the_example_is_placed_at_least_as_well_as_by_any_workers() {
    for (round_trips, free, best) in [
        (false, 4000, 0.0),
        (false, 2000, 3188.0),
        (false, 1000, 21_125.0),
        (true, 2000, 10_536.0),
        (true, 1000, 55_501.0),
    ] {
        let cost = cost_of("search", &[], &social(round_trips, free, Objective::default()));
        assert!(cost <= best + 1e-6, "{cost}, not {best}, with {free}m and round trips {round_trips}");
    }
}

/// A fifth of the default: no effort makes the beginning worse, which is greedy.
const BRIEF: &[(&str, &str)] = &[("effort", "20")];

#[test]
fn it_is_at_least_as_good_as_greedy_with_any_workers() {
    for problem in shapes() {
        let cost = cost_of("search", BRIEF, &problem);
        for workers in ["1", "4", "32"] {
            let greedy = rank(&problem, &placed("pga", &[("workers", workers)], &problem).placement);
            let what = format!("{} services on {} nodes", problem.services().len(), problem.hosts().len());
            assert!(
                !greedy.is_allowed() || cost <= greedy.cost.as_kb_ms() + 1e-6,
                "{what}: {cost}, but {greedy:?} with {workers} workers"
            );
        }
    }
}

/// On every one of these problems that branch and bound closes, which are at least half of them.
#[test]
fn it_is_within_one_percent_of_the_optimum() {
    let mut closed = 0;
    for problem in shapes().take(15) {
        let exact = placed("exact", &[("steps", "200000")], &problem);
        if exact.proven {
            closed += 1;
            let (best, found) = (rank(&problem, &exact.placement).cost.as_kb_ms(), cost_of("search", &[], &problem));
            assert!(best <= found + 1e-6 && found <= best * 1.01 + 1e-6, "{found}, and {best} is possible");
        }
    }
    assert!(closed >= 8, "{closed}");
}

/// Hard ones: nodes full to nine tenths of two resources, services that are pinned, and delays three times as long one way.
fn hard(seed: u64) -> Problem {
    let shape = Shape {
        services: [8, 9, 10, 11][usize::try_from(seed % 4).expect("less than 4")],
        nodes: 4,
        application: 12,
        edges: 1.6,
        fill: 0.9,
    };
    let mut draft = generate(shape, &mut ChaCha8Rng::seed_from_u64(seed));
    draft.resources.push(Resource { name: "memory".to_owned(), unit: 1024 });
    let count = draft.services.len();
    let memory = |place: usize| 100 + (place as u64 * 37 + seed * 11) % 200;
    for (place, service) in draft.services.iter_mut().enumerate() {
        service.demand.push(memory(place));
        service.allowed = (place % 5 == 2).then(|| vec![place % 4]);
    }
    let each = (0..count).map(memory).sum::<u64>() * 10 / 9 / 4 + 1;
    for host in &mut draft.hosts {
        host.capacity.push(each);
        host.used.push(0);
    }
    for (place, delay) in draft.delays.iter_mut().enumerate().filter(|(place, _)| place / 4 < place % 4) {
        *delay = Delay::from_millis_f64(delay.as_millis_f64() * 3.0 + place as f64 / 10.0).expect("a delay");
    }
    Problem::new(draft).expect("a problem")
}

/// Most of these have a placement in which everything fits, and it is hard to find.
#[test]
fn hard_problems_are_placed_as_well_as_can_be() {
    let mut fitting = 0;
    for seed in 1..=8 {
        let problem = hard(seed);
        let exact = placed("exact", &[("steps", "2000000")], &problem);
        let (best, found) =
            (rank(&problem, &exact.placement), rank(&problem, &placed("search", &[], &problem).placement));
        assert!(exact.proven, "{seed} is too hard to know");
        fitting += u32::from(best.is_allowed());
        assert!(
            (found.violation - best.violation).abs() < 1e-6 && found.cost.as_kb_ms() <= best.cost.as_kb_ms() * 1.01,
            "{seed}: {found:?}, and {best:?} is possible"
        );
    }
    assert!(fitting >= 4, "{fitting}");
}

/// Every placement there is, in the order of its rank.
fn best_of_all(problem: &Problem) -> Rank {
    let (services, nodes) = (u32::try_from(problem.services().len()).expect("few"), problem.hosts().len());
    let mut best = Rank::WORST;
    for number in 0..nodes.pow(services) {
        let placement = Placement::new((0..services).map(|u| number / nodes.pow(u) % nodes).collect());
        if placement.iter().all(|(service, node)| problem.allows(service, node)) {
            let rank = rank(problem, &placement);
            if rank.beats(best) {
                best = rank;
            }
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// Pins, prices, limits of moves, overloads that nothing mends: the exact policy finds the best of all placements and
    /// proves it, and nobody else finds a better one.
    #[test]
    fn the_exact_policy_finds_the_best_of_all(problem in problems(5, 3)) {
        let best = best_of_all(&problem);
        let exact = placed("exact", &[], &problem);
        let found = rank(&problem, &exact.placement);
        prop_assert!(exact.proven && !best.beats(found) && !found.beats(best), "{found:?}, not {best:?}");
        let search = placed("search", &[], &problem);
        prop_assert!(!search.proven || !best.beats(rank(&problem, &search.placement)));
    }

    /// Pins, two resources, prices and limits.
    #[test]
    fn greed_with_any_workers_never_beats_it(problem in problems(12, 7), workers in 1usize..=9) {
        let search = rank(&problem, &placed("search", &[], &problem).placement);
        let greedy = rank(&problem, &placed("pga", &[("workers", &workers.to_string())], &problem).placement);
        prop_assert!(!greedy.beats(search), "{search:?}, but greed comes to {greedy:?}");
    }

    #[test]
    fn no_search_is_worse_than_where_it_began(problem in problems(8, 5)) {
        let start = crate::placement::start(&problem);
        for name in ["search", "pga"] {
            let found = rank(&problem, &placed(name, &[], &problem).placement);
            prop_assert!(!rank(&problem, &start).beats(found), "{name}: {found:?}");
        }
    }
}

#[test]
fn without_time_it_says_where_it_began_or_better() {
    let shape = Shape { services: 200, nodes: 30, application: 20, edges: 1.5, fill: 0.7 };
    let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(3))).expect("a problem");
    let mut search = super::Search { effort: 1000, kicks: 1000, stream: ChaCha8Rng::seed_from_u64(1) };
    let placed = crate::placement::Placer::place(&mut search, &problem, &|| true);
    let begun = rank(&problem, &crate::placement::start(&problem));
    assert!(placed.tried == 0 && !begun.beats(rank(&problem, &placed.placement)));
}

/// Whoever listens gets the same placement, and has heard of what it costs at the end, or of nothing better.
#[test]
fn what_is_told_on_the_way_ends_where_the_answer_is() {
    use std::sync::Mutex;
    let brief: &[(&str, &str)] = &[("effort", "4"), ("kicks", "40")];
    for (policy, given, services) in
        [("search", brief, 27), ("search", brief, 210), ("pga", &[], 27), ("exact", &[("steps", "2000")], 8)]
    {
        let shape = Shape { services, nodes: 20, application: 20, edges: 1.5, fill: 0.7 };
        let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(5))).expect("a problem");
        let told = Mutex::new(Vec::new());
        let hear = |rank: Rank| told.lock().expect("nobody panics").push(rank);
        let placed_quietly = placed(policy, given, &problem);
        let placed_telling = placer(find(policy).expect("a policy"), given, 1).place_telling(&problem, NO_HURRY, &hear);
        assert_eq!(placed_telling, placed_quietly, "{policy}");
        let told = told.into_inner().expect("nobody panics");
        let best = told.iter().copied().fold(Rank::WORST, |best, next| if next.beats(best) { next } else { best });
        let end = rank(&problem, &placed_telling.placement);
        let close = (best.cost.as_kb_ms() - end.cost.as_kb_ms()).abs() <= 1e-6 * end.cost.as_kb_ms().max(1.0);
        let close = close && (best.violation - end.violation).abs() <= 1e-6;
        assert!(told.len() > 1 && close, "{policy}: {best:?}, {end:?}");
    }
}

/// Applications on many nodes: to the regions first. The greedy algorithm is far off there.
#[test]
fn many_nodes_are_placed_much_better_than_by_greed() {
    let shape = Shape { services: 150, nodes: 32, application: 25, edges: 1.3, fill: 0.7 };
    let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(1))).expect("a problem");
    let (search, greedy) = (cost_of("search", &[("effort", "20")], &problem), cost_of("pga", &[], &problem));
    assert!(search < greedy / 2.0, "{search}, greedy {greedy}");
}

/// In the first part in a hundred of its looks at the clock a large problem has something twice as good as the beginning.
#[test]
fn a_large_problem_has_something_early() {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    let shape = Shape { services: 400, nodes: 60, application: 25, edges: 1.3, fill: 0.7 };
    let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(5))).expect("a problem");
    let begun = rank(&problem, &crate::placement::start(&problem)).cost.as_kb_ms();
    let (looks, early) = (AtomicU64::new(0), Mutex::new(None));
    let look = || {
        looks.fetch_add(1, Ordering::Relaxed);
        false
    };
    let hear = |rank: Rank| {
        if rank.is_allowed() && rank.cost.as_kb_ms() < begun / 2.0 {
            early.lock().expect("nobody panics").get_or_insert(looks.load(Ordering::Relaxed));
        }
    };
    placer(find("search").expect("a policy"), &[], 1).place_telling(&problem, &look, &hear);
    let (all, early) = (looks.into_inner(), early.into_inner().expect("nobody panics"));
    assert!(early.is_some_and(|early| early * 100 < all), "{early:?} of {all}");
}

/// What is done at once is the same everywhere.
#[test]
fn threads_do_not_change_what_a_large_problem_comes_to() {
    let shape = Shape { services: 160, nodes: 32, application: 20, edges: 1.4, fill: 0.8 };
    let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(5))).expect("a problem");
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let run = |threads| pool(threads).install(|| placed("search", &[("effort", "10")], &problem));
    assert_eq!(run(1), run(3));
}

/// Services without traffic stay, unless they make room.
#[test]
fn no_move_is_for_nothing() {
    for free in [1000, 2000, 4000] {
        let problem = social(true, free, Objective::default());
        let placement = placed("search", &[], &problem).placement;
        let mut evaluator = Evaluator::new(&problem, placement.clone());
        for (service, node) in placement.iter() {
            let home = service % 9;
            if node != home {
                let back = evaluator.rank_after(service, home);
                assert!(evaluator.rank().beats(back), "{service} from {home} to {node} with {free}m");
            }
        }
        evaluator.refresh();
        assert!(evaluator.rank().is_allowed());
    }
}

/// With moves that are limited or have a price, each one is worth it.
#[test]
fn few_moves_are_the_ones_that_gain_most() {
    let all = social(false, 2000, Objective::default());
    let full = Evaluator::new(&all, placed("search", &[], &all).placement).valuation();
    let mut last = 180_585.0;
    for most in [1, 3, 8] {
        let problem = social(false, 2000, Objective { max_moves: Some(most), ..Objective::default() });
        let value = Evaluator::new(&problem, placed("search", &[], &problem).placement).valuation();
        assert!(value.moves <= most && value.traffic.as_kb_ms() < last, "{value:?}");
        last = value.traffic.as_kb_ms();
    }
    let price = Cost::from_kb_ms(2000.0);
    let problem = social(false, 2000, Objective { move_price: price, ..Objective::default() });
    let value = Evaluator::new(&problem, placed("search", &[], &problem).placement).valuation();
    assert!(value.moves < full.moves && value.moves > 0, "{value:?} {full:?}");
}

/// The penalty's failure: with the price of paper 001 the best placement overloads a node.
#[test]
fn a_priced_overload_is_bought() {
    let objective = Objective { overload: Overload::Priced(Cost::from_kb_ms(1e4)), ..Objective::default() };
    let problem = social(true, 1000, objective);
    let value = brute_force(&problem, &placed("search", &[], &problem).placement);
    assert!(value.excess >= 0.5, "{value:?}");
    let problem = social(true, 1000, Objective::default());
    let value = brute_force(&problem, &placed("search", &[], &problem).placement);
    assert!(value.excess <= 0.0, "{value:?}");
    assert!(!NO_HURRY());
}
