//! `TraDE`'s mapper: the parallel greedy algorithm (algorithms 2 and 3 of paper 001).
//!
//! Pairs of services are sorted by their traffic and cut into contiguous slices, one for each worker. A worker tries every pair
//! of nodes for each of its pairs of services and takes whatever is better, until nothing is; the best worker's placement
//! begins the next round. So the number of workers changes the result, not only the time: it is a parameter and not the
//! number of cores.

use rayon::prelude::*;

use crate::parameters::{Definition, Kind, Value};

use super::joint::Joint;
use super::problem::ServiceIndex;
use super::{Evaluator, Placed, Placement, Placer, Policy, Problem, TimeUp, Told, UNHEARD, start};

/// How many slices.
const WORKERS: Definition = Definition {
    name: "workers",
    what: "into how many slices the pairs of services are cut; changes the result, and with one worker no pair is out of sight",
    kind: Kind::Count(1, 4096),
    default: Value::Count(USUAL as u64),
};

/// How many slices there are unless somebody says otherwise.
const USUAL: usize = 4;

/// The parallel greedy algorithm.
pub(super) const POLICY: Policy = Policy {
    name: "pga",
    what: "TraDE's parallel greedy algorithm: pairs of services by traffic, each tried on all pairs of nodes",
    parameters: &[WORKERS],
    build: |setting| {
        Box::new(Pga { workers: usize::try_from(setting.parameters.count(WORKERS.name)).unwrap_or(usize::MAX) })
    },
};

/// The parallel greedy algorithm with that many slices.
#[derive(Debug, Clone, Copy)]
pub struct Pga {
    /// Into how many slices the pairs are cut.
    pub workers: usize,
}

impl Default for Pga {
    fn default() -> Self {
        Self { workers: USUAL }
    }
}

impl Placer for Pga {
    fn place(&mut self, problem: &Problem, time_up: TimeUp<'_>) -> Placed {
        self.improve(problem, start(problem), time_up)
    }

    fn place_telling(&mut self, problem: &Problem, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        self.improve_telling(problem, start(problem), time_up, told)
    }
}

impl Pga {
    /// The algorithm from a placement on (P0). Counts its rounds, the last of which finds nothing.
    pub fn improve(self, problem: &Problem, start: Placement, time_up: TimeUp<'_>) -> Placed {
        self.improve_telling(problem, start, time_up, UNHEARD)
    }

    fn improve_telling(self, problem: &Problem, start: Placement, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        let pairs = sorted_pairs(problem);
        let slices: Vec<&[Pair]> = pairs.chunks(pairs.len().div_ceil(self.workers.max(1)).max(1)).collect();
        let mut best = Evaluator::new(problem, start);
        let mut rounds = 0;
        while !slices.is_empty() {
            rounds += 1;
            let found: Vec<Evaluator<'_>> =
                slices.par_iter().map(|slice| improved(slice, best.clone(), time_up, told)).collect();
            let now = best.rank();
            // Of equals the first: its pairs have more traffic.
            for mut evaluator in found {
                evaluator.refresh();
                if evaluator.rank().beats(best.rank()) {
                    best = evaluator;
                }
            }
            if !best.rank().beats(now) || time_up() {
                break;
            }
        }
        Placed { placement: best.into_placement(), proven: false, tried: rounds, makeshift: 0 }
    }
}

/// An upstream and a downstream service.
type Pair = (ServiceIndex, ServiceIndex);

/// Pairs that talk, those with the most traffic first (algorithm 2); of equals, by index. Each direction is a pair of its own.
pub(super) fn sorted_pairs(problem: &Problem) -> Vec<Pair> {
    let mut stress = std::collections::BTreeMap::<Pair, u64>::new();
    for edge in problem.edges() {
        let sum = stress.entry((edge.from, edge.to)).or_default();
        *sum = sum.saturating_add(edge.request).saturating_add(edge.response);
    }
    let mut pairs: Vec<(Pair, u64)> = stress.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    pairs.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    pairs.into_iter().map(|(pair, _)| pair).collect()
}

/// A worker: its pairs over and over, until none can be placed better.
fn improved<'a>(slice: &[Pair], mut evaluator: Evaluator<'a>, time_up: TimeUp<'_>, told: Told<'_>) -> Evaluator<'a> {
    loop {
        let mut improved = false;
        for pair in slice {
            if time_up() {
                return evaluator;
            }
            if improve_pair(*pair, &mut evaluator) {
                improved = true;
                told(evaluator.rank());
            }
        }
        if !improved {
            return evaluator;
        }
    }
}

/// Every pair of nodes in order, and whatever is better is taken. While the two move, nothing else does, so that the sums of
/// the others are known once for all.
fn improve_pair((u, v): Pair, evaluator: &mut Evaluator<'_>) -> bool {
    let nodes = evaluator.problem().hosts().len();
    let joint = Joint::new(evaluator, u, v);
    let begun = (evaluator.node(u), evaluator.node(v));
    let (mut best, mut at) = (evaluator.rank(), begun);
    for a in 0..nodes {
        if joint.is_hopeless(a, best) {
            continue;
        }
        for b in (0..nodes).filter(|b| joint.allows_other(*b)) {
            let rank = joint.rank(a, b);
            if (a, b) != at && rank.beats(best) {
                (best, at) = (rank, (a, b));
            }
        }
    }
    evaluator.apply(u, at.0);
    evaluator.apply(v, at.1);
    at != begun
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::golden::social;
    use crate::placement::{Cost, NO_HURRY, Objective, Overload};

    /// A row of the table: whether delays are round trips, free thousandths of a core, F for a core.
    fn run(round_trips: bool, free: u64, price: f64, workers: usize) -> (f64, u64, f64) {
        let objective = Objective { overload: Overload::Priced(Cost::from_kb_ms(price)), ..Objective::default() };
        let problem = social(round_trips, free, objective);
        let placed = Pga { workers }.place(&problem, NO_HURRY);
        let evaluator = Evaluator::new(&problem, placed.placement);
        (evaluator.rank().cost.as_kb_ms(), placed.tried, evaluator.valuation().excess)
    }

    /// GOLDEN: J(P*) and the rounds, from i mod 9.
    #[test]
    fn the_example_ends_where_the_table_says() {
        for (round_trips, free, price, workers, cost, rounds) in [
            (false, 4000, 1e4, 1, 0.0, 2),
            (false, 4000, 1e4, 4, 0.0, 5),
            (false, 4000, 1e4, 8, 0.0, 6),
            (false, 2000, 1e4, 1, 3188.0, 2),
            (false, 2000, 1e4, 4, 3188.0, 5),
            (false, 2000, 1e4, 8, 3188.0, 6),
            (false, 2000, 1e4, 32, 3795.0, 13),
            (false, 1000, 1e6, 1, 21_125.0, 2),
            (false, 1000, 1e6, 8, 21_125.0, 6),
            (true, 4000, 1e4, 1, 0.0, 2),
            (true, 4000, 1e4, 4, 0.0, 5),
            (true, 2000, 1e4, 1, 5536.0, 2),
            (true, 2000, 1e4, 8, 5536.0, 7),
            (true, 2000, 1e6, 1, 10_536.0, 2),
            (true, 2000, 1e6, 8, 10_536.0, 6),
            (true, 1000, 1e4, 1, 15_536.0, 2),
            (true, 1000, 1e6, 1, 63_886.0, 2),
            (true, 1000, 1e6, 8, 55_501.0, 9),
        ] {
            let (had, took, _) = run(round_trips, free, price, workers);
            let row =
                format!("round trips {round_trips}, {free}m, F {price}, {workers} workers: {had} in {took} rounds");
            assert!((had - cost).abs() < 1e-6 && took == rounds, "{row}, not {cost} in {rounds}");
        }
    }

    /// The paper's penalty with the paper's F: the overload is bought, and nothing says so but the excess.
    #[test]
    fn with_the_papers_price_a_node_ends_overloaded() {
        let (cost, _, excess) = run(true, 1000, 1e4, 1);
        assert!((cost - 15_536.0).abs() < 1e-6 && excess >= 1.25, "{cost}, {excess}");
        let (_, _, excess) = run(true, 1000, 1e6, 1);
        assert!(excess < 1e-9, "{excess}");
    }

    #[test]
    fn workers_change_the_result_and_threads_do_not() {
        let problem = social(true, 1000, Objective::default());
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let run = |threads, workers| pool(threads).install(|| Pga { workers }.place(&problem, NO_HURRY));
        for workers in [1, 4, 8, 32] {
            assert_eq!(run(1, workers), run(3, workers));
        }
        assert_ne!(run(1, 1).placement, run(1, 8).placement);
    }

    #[test]
    fn pairs_are_sorted_by_traffic_and_then_by_index() {
        use crate::placement::golden::{cpu, hosts, service};
        use crate::placement::problem::{Draft, Edge};
        let edge = |from, to, request, response| Edge { from, to, request, response };
        let draft = Draft {
            resources: cpu(),
            hosts: hosts(1, 1),
            services: ["a", "b", "c"].map(|name| service(name, 1, None)).to_vec(),
            edges: vec![edge(1, 0, 5, 0), edge(0, 1, 2, 3), edge(1, 2, 4, 0), edge(1, 2, 0, 4), edge(2, 0, 0, 0)],
            delays: vec![crate::units::Delay::ZERO],
            ..Draft::default()
        };
        assert_eq!(sorted_pairs(&Problem::new(draft).expect("a problem")), [(1, 2), (0, 1), (1, 0)]);
    }
}
