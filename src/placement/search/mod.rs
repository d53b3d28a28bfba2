//! Our own solver, and the default: greedy, annealing on several scales, and local search with kicks; can be stopped at any time.
//!
//! - A small problem begins with the greedy algorithm of paper 001 without slices ([`Pga`](super::pga::Pga) with one worker),
//!   so that the result is never worse than that.
//! - Then placements are grown from nothing: services that talk much are merged, again and again, and the smallest problem is
//!   annealed first, the original last ([`scales`]): what belongs together moves together. On many nodes it is decided before
//!   which region a service goes to ([`regions`]). The best of a few goes on.
//! - Cycles improve it: what is together on a node and talks is merged again, and all is annealed anew from temperatures
//!   by lot, which reach from moving whole applications to moving a service to the next node.
//! - A small problem has this in rounds that get longer, each followed by kicks ([`kick`]): a few services go to one node,
//!   others make room, a [`descent`] repairs what that worsened, and what is not better in the end is taken back. After each round
//!   branch and bound looks whether anything can be better, and ends the search where nothing can.
//!
//! All of it stops by counts, never by a clock of its own, so that the result is the same on every machine.

mod anneal;
mod coarse;
mod descent;
mod ground;
mod kick;
mod regions;
mod scales;
#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};

use super::dice::{below, unit_interval};
use super::exact::prove;
use super::pga::Pga;
use super::{Evaluator, Placed, Placement, Placer, Policy, Problem, Rank, TimeUp, Told, UNHEARD, start};
use anneal::Anneal;
use descent::Descent;
use ground::Ground;
use regions::Regions;
use scales::{Heat, Scales, Spent};

/// How long it anneals.
const EFFORT: Definition = Definition {
    name: "effort",
    what: "how many moves are tried by annealing for each service and node, unless the time is up before",
    kind: Kind::Count(0, 1_000_000),
    default: Value::Count(100),
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

/// In how many partial placements, for each trial that a service and node have and divided by their number, branch and bound looks
/// for anything better at the end of a small problem: about a second by default. After each round of [`PROVED`] trials before it, it
/// has as many as the round had trials: many problems are closed long before the last.
const PROOF: u64 = 10_000_000;

/// How many trials a round has for each service and node before anything is to be proved after it: in a millisecond there is
/// more to be had by trials.
const PROVED: u64 = 64;

/// A small problem has so many times the effort, in rounds that begin anew, each twice as long as the one before: trials for
/// each service and node in the first one.
const MORE: u64 = 24;
const FIRST_ROUND: u64 = 16;

/// How many placements are grown from nothing, of which the best goes on: on regions, and without; and on how many trials for
/// each service and node at most, or which part of all.
const BY_REGION: usize = 3;
const ANEW: u64 = 40;
const ANEW_PART: u64 = 4;

/// What part of a node, or of a region, merged services may fill at first, in percent.
const PLAIN_PART: u64 = 33;
const REGION_PART: u64 = 100;

/// How many trials a cycle has for each service and node; after so many cycles, one more.
const CYCLE: u64 = 4;
const LONGER: u64 = 12;

/// What part of a node merged services may fill in a cycle, in percent.
const PARTS: [u64; 3] = [20, 50, 100];

/// Between which temperatures cycles begin, as shares of what taking a service to any node costs, and which part of it
/// they end at.
const COOLEST: f64 = 1e-5;
const HOTTEST: f64 = 3e-2;
const SPAN: f64 = 0.01;

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

impl Placer for Search {
    fn place(&mut self, problem: &Problem, time_up: TimeUp<'_>) -> Placed {
        self.improve(problem, start(problem), time_up)
    }

    fn place_telling(&mut self, problem: &Problem, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        self.improve_telling(problem, start(problem), time_up, told)
    }
}

/// A problem, and what annealing looks up.
struct Terrain<'a> {
    problem: &'a Problem,
    ground: Ground,
    regions: Option<(Regions, Ground)>,
}

impl<'a> Terrain<'a> {
    fn new(problem: &'a Problem) -> Self {
        let with_ground = |regions: Regions| {
            let ground = Ground::new(&regions.problem);
            (regions, ground)
        };
        Self { problem, ground: Ground::new(problem), regions: Regions::new(problem).map(with_ground) }
    }

    fn size(&self) -> u64 {
        (self.problem.services().len() * self.problem.hosts().len()) as u64
    }
}

impl Search {
    /// The search from a placement on.
    pub fn improve(&mut self, problem: &Problem, start: Placement, time_up: TimeUp<'_>) -> Placed {
        self.improve_telling(problem, start, time_up, UNHEARD)
    }

    fn improve_telling(&mut self, problem: &Problem, start: Placement, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        let size = problem.services().len() * problem.hosts().len();
        let mut best = Best::telling(problem, start.clone(), told);
        let mut spent = Spent { trials: 0, time_up, told };
        let (mut proven, mut others) = (false, 0);
        if size < SMALL {
            best.offer(Pga { workers: 1 }.improve(problem, start, time_up).placement);
            best.offer(descended(problem, best.placement.clone(), time_up));
            (proven, others) = self.rounds(&mut best, &mut spent);
        } else if !best.is_ideal() && !time_up() {
            let trials = self.effort.saturating_mul(size as u64);
            let found = self.round(&Terrain::new(problem), trials, &mut spent);
            best.offer(descended(problem, found, time_up));
        }
        best.offer(descended(problem, best.placement.clone(), time_up));
        let proven = proven || best.is_ideal();
        Placed { proven, placement: settled(problem, best.placement), tried: spent.trials + others }
    }

    /// Rounds, each with twice the trials and kicks of the one before, and a look whether anything can be better. Whether that is
    /// proven, and how many kicks and partial placements it took.
    fn rounds(&mut self, best: &mut Best<'_>, spent: &mut Spent<'_>) -> (bool, u64) {
        let terrain = Terrain::new(best.problem);
        let all = self.effort.saturating_mul(MORE).saturating_mul(terrain.size());
        let (mut length, mut kicks, mut steps) = (FIRST_ROUND * terrain.size(), 0, 0);
        while !best.is_ideal() && !(spent.time_up)() {
            let left = all.saturating_sub(spent.trials);
            let last = length >= left;
            let trials = length.min(left);
            let mut found = Best::telling(best.problem, self.round(&terrain, trials, spent), spent.told);
            let share = self.kicks as f64 * trials as f64 / (all as f64).max(1.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A part of a whole number.
            let most = if last { self.kicks.saturating_sub(kicks) } else { share as u64 };
            kicks += self.kick(&mut found, most, spent.time_up);
            best.offer(found.placement);
            let most = if last { self.effort.saturating_mul(PROOF) / terrain.size().max(1) } else { trials };
            if last || trials >= PROVED * terrain.size() {
                let proof = prove(best.problem, best.placement.clone(), most, spent.time_up);
                best.offer(proof.placement);
                steps += proof.tried;
                if last || proof.proven {
                    return (proof.proven, kicks + steps);
                }
            }
            length = length.saturating_mul(2);
        }
        (false, kicks + steps)
    }

    /// The best of some placements that are grown from nothing, and cycles from there.
    fn round(&mut self, terrain: &Terrain<'_>, trials: u64, spent: &mut Spent<'_>) -> Placement {
        let end = spent.trials.saturating_add(trials);
        let candidates = terrain.regions.as_ref().map_or(1, |_| BY_REGION + 1);
        let most = ANEW.saturating_mul(terrain.size());
        // A short round has nothing left for cycles.
        let part = if trials <= most { 1 } else { ANEW_PART };
        let each = (trials / part).min(most) / candidates as u64;
        let mut best = Best::telling(terrain.problem, self.grown(terrain, false, each, spent), spent.told);
        for _ in 1..candidates {
            if (spent.time_up)() {
                break;
            }
            best.offer(self.grown(terrain, true, each, spent));
        }
        self.cycles(terrain, &mut best, end, spent);
        best.placement
    }

    /// A placement from nothing: services that talk much are merged, and the largest scale is annealed first; on regions before
    /// that on nodes.
    fn grown(&mut self, terrain: &Terrain<'_>, by_region: bool, trials: u64, spent: &mut Spent<'_>) -> Placement {
        let stream = &mut self.stream;
        let mut scales = Scales::new(terrain.problem, &terrain.ground);
        let Some((regions, ground)) = terrain.regions.as_ref().filter(|_| by_region) else {
            scales.merge(PLAIN_PART, None, stream);
            let begun = scales.begin(spent.time_up);
            return scales.anneal(begun, trials, Heat::ANYWHERE, spent, stream);
        };
        let mut coarse = Scales::new(&regions.problem, ground);
        coarse.merge(REGION_PART, None, stream);
        let begun = coarse.begin(spent.time_up);
        let chosen = coarse.anneal(begun, trials / 2, Heat::ANYWHERE, spent, stream);
        let known = scales.merge(REGION_PART, Some(chosen.clone()), stream).unwrap_or(chosen);
        let begun = regions.grow(scales.top(), &known);
        scales.anneal(begun, trials / 2, Heat::WITHIN_REGIONS, spent, stream)
    }

    /// Cycles: services on the same node that talk are merged, and all is annealed again from some temperature on, first as
    /// merged; what is not better in the end is forgotten.
    fn cycles(&mut self, terrain: &Terrain<'_>, best: &mut Best<'_>, end: u64, spent: &mut Spent<'_>) {
        let typical = Anneal::new(terrain.problem, &terrain.ground, best.placement.clone()).typical(&mut self.stream);
        let mut cycle = 0;
        while spent.trials < end && typical > 0.0 && !best.is_ideal() && !(spent.time_up)() {
            let stream = &mut self.stream;
            let from = typical * COOLEST * libm::pow(HOTTEST / COOLEST, unit_interval(stream));
            let trials = (CYCLE + cycle / LONGER).saturating_mul(terrain.size()).min(end - spent.trials);
            let mut scales = Scales::new(terrain.problem, &terrain.ground);
            let here = best.placement.clone();
            let part = PARTS[below(stream, PARTS.len())];
            let begun = scales.merge(part, Some(here.clone()), stream).unwrap_or(here);
            best.offer(scales.anneal(begun, trials, Heat::Fixed { from, to: from * SPAN }, spent, stream));
            cycle += 1;
        }
    }

    /// Kicks a placement, up to so many times; how many times.
    fn kick(&mut self, best: &mut Best<'_>, most: u64, time_up: TimeUp<'_>) -> u64 {
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
                }
            }
        }
        kicks
    }
}

/// The best placement so far.
struct Best<'a> {
    problem: &'a Problem,
    rank: Rank,
    placement: Placement,
    /// Hears of each that is better.
    told: Told<'a>,
}

impl<'a> Best<'a> {
    fn new(problem: &'a Problem, placement: Placement) -> Self {
        Self::telling(problem, placement, UNHEARD)
    }

    fn telling(problem: &'a Problem, placement: Placement, told: Told<'a>) -> Self {
        let evaluator = Evaluator::new(problem, placement);
        let rank = evaluator.rank();
        told(rank);
        Self { problem, rank, placement: evaluator.into_placement(), told }
    }

    /// Takes a placement that is better.
    fn offer(&mut self, placement: Placement) {
        let other = Best::new(self.problem, placement);
        if other.rank.beats(self.rank) {
            (self.told)(other.rank);
            *self = Self { told: self.told, ..other };
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
