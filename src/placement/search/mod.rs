//! Our own solver, and the default: greedy, annealing on several scales, and local search with kicks; can be stopped at any time.
//!
//! - A small problem begins with the greedy algorithm of paper 001 without slices ([`Pga`](super::pga::Pga) with one worker),
//!   so that the result is never worse than that.
//! - Then services that talk much are merged, again and again, and the smallest problem is annealed first, the original last
//!   ([`coarse`]): what belongs together moves together. On many nodes it is decided before which region a service goes to
//!   ([`regions`]).
//! - A small problem is annealed several times, each followed by kicks ([`kick`]): a few services go to one node, others make
//!   room, a [`descent`] repairs what that worsened, and what is not better in the end is taken back. A tiny one is proved.

mod anneal;
mod coarse;
mod descent;
mod kick;
mod regions;
#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};

use super::exact::prove;
use super::pga::Pga;
use super::{Evaluator, Placed, Placement, Placer, Policy, Problem, Rank, TimeUp, Told, UNHEARD, start};
use anneal::{Anneal, Course};
use coarse::{Level, coarsen};
use descent::Descent;
use regions::Regions;

/// How long it anneals.
const EFFORT: Definition = Definition {
    name: "effort",
    what: "how many moves are tried by annealing for each service and node, unless the time is up before",
    kind: Kind::Count(0, 1_000_000),
    default: Value::Count(50),
};

/// How often it kicks.
const KICKS: Definition = Definition {
    name: "kicks",
    what: "how many times it tries, in small problems, to get out of the best placement so far by a kick",
    kind: Kind::Count(0, 1_000_000_000),
    default: Value::Count(2000),
};

/// Our own.
pub(super) const POLICY: Policy = Policy {
    name: "search",
    what: "longhaul's own: greedy, annealing on several scales, kicks; can be stopped at any time",
    parameters: &[EFFORT, KICKS],
    build: |setting| {
        let count = |definition: Definition| setting.parameters.count(definition.name);
        Box::new(Search { effort: count(EFFORT), kicks: count(KICKS), stream: setting.stream })
    },
};

/// Up to how many services times nodes a problem is small.
const SMALL: usize = 4000;

/// Up to how many services times nodes branch and bound is tried at the end, and on how many partial placements.
const TINY: usize = 100;
const PROOF: u64 = 20_000;

/// In how many courses a small problem's trials are spent.
const ROUNDS: u64 = 8;

/// The temperatures between which placements are annealed, as shares of what a trial for the worse costs in the mean: where
/// nothing is known, where the parts of it are known, and at the end.
const HOT: f64 = 1.0;
const WARM: f64 = 0.1;
const MILD: f64 = 0.02;
const COLD: f64 = 1e-3;

/// The share of all trials that decides on regions.
const REGIONAL: f64 = 0.3;

/// Our own solver.
#[derive(Debug)]
pub struct Search {
    /// Trials for each service and node.
    pub effort: u64,
    /// Kicks, in small problems.
    pub kicks: u64,
    /// Where its randomness comes from.
    pub stream: ChaCha8Rng,
}

/// Who says when to stop, and who hears of what there is so far.
#[derive(Clone, Copy)]
struct Watch<'a> {
    time_up: TimeUp<'a>,
    told: Told<'a>,
}

impl Placer for Search {
    fn place(&mut self, problem: &Problem, time_up: TimeUp<'_>) -> Placed {
        self.improve(problem, start(problem), time_up)
    }

    fn place_telling(&mut self, problem: &Problem, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        self.watched(problem, start(problem), Watch { time_up, told })
    }
}

/// What a course over several scales begins with.
#[derive(Debug, Clone, Copy)]
enum From<'a> {
    /// Nothing.
    Nothing,
    /// A region for each service.
    Regions(&'a Regions, &'a Placement),
}

impl Search {
    /// The search from a placement on.
    pub fn improve(&mut self, problem: &Problem, start: Placement, time_up: TimeUp<'_>) -> Placed {
        self.watched(problem, start, Watch { time_up, told: UNHEARD })
    }

    fn watched(&mut self, problem: &Problem, start: Placement, watch: Watch<'_>) -> Placed {
        let time_up = watch.time_up;
        let size = problem.services().len() * problem.hosts().len();
        let mut best = Best::new(problem, start.clone());
        if size < SMALL {
            best.offer(Pga { workers: 1 }.improve(problem, start, time_up).placement);
        }
        best.offer(descended(problem, best.placement.clone(), time_up));
        (watch.told)(best.rank);
        let mut tried = 0;
        // A small problem is worth several courses; kicks get from where each of them ended to what is near.
        let rounds = if size < SMALL { ROUNDS } else { 1 };
        for _ in 0..rounds {
            if best.is_ideal() || time_up() {
                break;
            }
            let mut found = Best::new(problem, self.anneal(problem, rounds, &mut tried, watch));
            (watch.told)(found.rank);
            if size < SMALL {
                tried += self.kick(&mut found, self.kicks / rounds, watch);
            }
            best.offer(found.placement);
        }
        if !best.is_ideal() && size <= TINY {
            let proof = prove(problem, best.placement, PROOF, time_up);
            return Placed { tried: tried + proof.tried, placement: settled(problem, proof.placement), ..proof };
        }
        Placed { proven: best.is_ideal(), placement: settled(problem, best.placement), tried }
    }

    /// A round's trials, from the largest scale to the smallest.
    fn anneal(&mut self, problem: &Problem, rounds: u64, tried: &mut u64, watch: Watch<'_>) -> Placement {
        let trials = self.effort as f64 / rounds as f64 * (problem.services().len() * problem.hosts().len()) as f64;
        let Some(regions) = Regions::new(problem) else {
            return self.scales(problem, From::Nothing, trials, tried, watch);
        };
        // What it costs between regions says little of what it will cost between nodes.
        let unheard = Watch { told: UNHEARD, ..watch };
        let chosen = self.scales(&regions.problem, From::Nothing, trials * REGIONAL, tried, unheard);
        self.scales(problem, From::Regions(&regions, &chosen), trials * (1.0 - REGIONAL), tried, watch)
    }

    /// Merges services as often as it can, then anneals each scale from where the larger one ended.
    fn scales(
        &mut self,
        problem: &Problem,
        from: From<'_>,
        trials: f64,
        tried: &mut u64,
        watch: Watch<'_>,
    ) -> Placement {
        let mut levels: Vec<Level> = Vec::new();
        let mut regions = if let From::Regions(_, chosen) = from { Some(chosen.clone()) } else { None };
        let objective = problem.objective();
        // A merged service has no place where it runs now.
        let moves_count = objective.max_moves.is_some() || objective.move_price.as_kb_ms() > 0.0;
        let merge = |here: &Problem, regions: Option<&Placement>, stream: &mut ChaCha8Rng| {
            if moves_count { None } else { coarsen(here, regions, stream) }
        };
        while let Some(level) =
            merge(levels.last().map_or(problem, |level| &level.problem), regions.as_ref(), &mut self.stream)
        {
            regions = regions.map(|regions| level.up(&regions));
            levels.push(level);
        }
        let top = levels.last().map_or(problem, |level| &level.problem);
        let mut placement = match (from, &regions) {
            (From::Regions(known, _), Some(regions)) => known.grow(top, regions),
            _ => start(top),
        };
        let share = trials / (levels.len() + 1) as f64;
        let mut hot = if matches!(from, From::Nothing) { HOT } else { MILD };
        for depth in (0..=levels.len()).rev() {
            let here = depth.checked_sub(1).map_or(problem, |above| &levels[above].problem);
            placement = self.annealed(here, placement, (share, hot), tried, watch);
            hot = if matches!(from, From::Nothing) { WARM } else { MILD };
            if let Some(above) = depth.checked_sub(1) {
                placement = levels[above].down(&placement);
            }
        }
        descended(problem, placement, watch.time_up)
    }

    /// One scale, from a share of the typical loss on.
    fn annealed(
        &mut self,
        problem: &Problem,
        mut placement: Placement,
        (trials, hot): (f64, f64),
        tried: &mut u64,
        watch: Watch<'_>,
    ) -> Placement {
        if !Best::new(problem, placement.clone()).rank.is_allowed() {
            placement = descended(problem, placement, watch.time_up);
        }
        let mut anneal = Anneal::new(problem, placement);
        let typical = anneal.typical(&mut self.stream);
        if typical > 0.0 {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From whole numbers that are no larger.
            let course = Course { trials: trials as u64, from: typical * hot, to: typical * COLD };
            *tried += anneal.run(course, &mut self.stream, watch);
        }
        anneal.into_best()
    }

    /// Kicks a placement, up to so many times; how many times.
    fn kick(&mut self, best: &mut Best<'_>, most: u64, watch: Watch<'_>) -> u64 {
        let time_up = watch.time_up;
        let mut descent = Descent::new(Evaluator::new(best.problem, best.placement.clone()));
        let mut kicks = 0;
        while kicks < most && !best.is_ideal() && !time_up() {
            kicks += 1;
            let before = descent.evaluator().rank();
            let kicked = kick::kick(&mut descent, &mut self.stream);
            if kicked {
                descent.run(time_up);
            }
            let after = descent.evaluator().rank();
            if !kicked || before.beats(after) {
                descent.undo();
            } else {
                descent.keep();
                if after.beats(before) {
                    best.offer(descent.evaluator().placement().clone());
                    (watch.told)(best.rank);
                }
            }
        }
        kicks
    }
}

/// The best placement so far.
#[derive(Debug)]
struct Best<'a> {
    problem: &'a Problem,
    rank: Rank,
    placement: Placement,
}

impl<'a> Best<'a> {
    fn new(problem: &'a Problem, placement: Placement) -> Self {
        let evaluator = Evaluator::new(problem, placement);
        Self { problem, rank: evaluator.rank(), placement: evaluator.into_placement() }
    }

    /// Takes a placement that is better.
    fn offer(&mut self, placement: Placement) {
        let other = Best::new(self.problem, placement);
        if other.rank.beats(self.rank) {
            *self = other;
        }
    }

    /// Whether nothing can be better: allowed, and nothing travels, moves at a price or is overloaded at one.
    fn is_ideal(&self) -> bool {
        self.rank.violation <= 0.0 && self.rank.cost.as_kb_ms() <= 0.0
    }
}

/// The placement without the moves that gain nothing: who can go back to where it runs now at no cost does.
fn settled(problem: &Problem, placement: Placement) -> Placement {
    let mut evaluator = Evaluator::new(problem, placement);
    let mut settling = true;
    while settling {
        settling = false;
        for (service, known) in problem.services().iter().enumerate() {
            let home = known.current.filter(|home| *home != evaluator.node(service) && problem.allows(service, *home));
            if let Some(home) = home
                && !evaluator.rank().beats(evaluator.rank_after(service, home))
            {
                evaluator.apply(service, home);
                settling = true;
            }
        }
    }
    evaluator.into_placement()
}

/// Down to where no service, no two that talk, and no swap is better.
fn descended(problem: &Problem, start: Placement, time_up: TimeUp<'_>) -> Placement {
    let mut descent = Descent::new(Evaluator::new(problem, start));
    descent.wake_all();
    descent.run(time_up);
    descent.into_placement()
}
