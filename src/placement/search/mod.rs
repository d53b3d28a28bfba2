//! Our own solver, and the default: greedy, annealing on several scales, and local search with kicks; can be stopped at any time.
//!
//! - A small problem begins with the greedy algorithm of paper 001 ([`Pga`](super::pga::Pga)), so that the result is never worse
//!   than that, however short the time; where nothing is proved in the end it has another go with other numbers of workers.
//! - Then placements are grown from nothing: services that talk much are merged, again and again, and the smallest problem is
//!   annealed first, the original last ([`scales`]): what belongs together moves together. On many nodes it is decided before
//!   which region a service goes to ([`regions`]). Of some that are grown, the better half goes on, again and again.
//! - Cycles improve them ([`cycles`]): what is together on a node, or in a region, and talks is merged again, and all is annealed
//!   anew from temperatures by lot, which reach from moving whole applications to moving a service to the next node. Of what a
//!   cycle comes to, the parts that are better are taken ([`recombine`]). Large problems have several cycles at once.
//! - A small problem has this in rounds that get longer, each followed by kicks ([`kick`]): a few services go to one node,
//!   others make room, a [`descent`] repairs what that worsened, and what is not better in the end is taken back. After each round
//!   branch and bound looks whether anything can be better, and ends the search where nothing can.
//!
//! A large problem first has one placement that is grown with few trials, so that there is something when the time is short. Then
//! which region everything goes to is a search of its own ([`outline`]); within what comes of it every region is placed for itself,
//! again and again ([`resettle`]), in turns with cycles over all of the problem. In both, nodes are few, so that what a service costs
//! anywhere is kept in a table ([`tables`]), what moves as one while placements are grown is drawn anew at every step, and of those that
//! were grown, two are crossed with each other, or what all agree on is merged.
//!
//! All of it stops by counts, never by a clock of its own, and what is done at once does not depend on how many processors there
//! are, so that the result is the same on every machine.

mod anneal;
mod best;
mod coarse;
mod cycles;
mod descent;
mod excerpt;
mod field;
mod ground;
mod growth;
mod kick;
mod outline;
mod recombine;
mod regions;
mod resettle;
mod scales;
mod tables;
mod terrain;
#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};

use super::exact::prove;
use super::pga::Pga;
use super::{Evaluator, Placed, Placement, Placer, Policy, Problem, TimeUp, Told, UNHEARD, start};
use best::{Best, descended, settled};
use descent::Descent;
use scales::Spent;
use terrain::Terrain;

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
    what: "how many times it tries, in small problems, to get out of the best placement so far by a kick; fewer with many links",
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
const SMALL: u64 = 4000;

/// In how many partial placements, for each trial that a service and node have and divided by their number, branch and bound looks
/// for anything better at the end of a small problem: about a second by default. After each longer round before it, it has as many as
/// the round had trials: many problems are closed long before the last. Where services have many links, fewer.
const PROOF: u64 = 10_000_000;

/// From how many services times nodes on partial placements would take most of the time, and which part of those in the end there
/// are at most after a round before the last then.
const WIDE: u64 = 1000;
const WIDE_PART: u64 = 4;

/// A small problem has so many times the effort, in rounds that begin anew: trials for each service and node in each of the first
/// few, after which each is twice as long as the one before; and from how many on there is a look whether anything can be better: in
/// a millisecond there is more to be had by trials.
const MORE: u64 = 24;
const FIRST_ROUND: u64 = 16;
const FIRST_ROUNDS: u32 = 4;
const PROVED: u64 = 64;

/// With how many workers the greedy algorithm has another go in the end, where nothing is proved.
const WORKERS: [usize; 3] = [1, 8, 32];

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
        self.improve(problem, &start(problem), time_up)
    }

    fn place_telling(&mut self, problem: &Problem, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        self.improve_telling(problem, &start(problem), time_up, told)
    }
}

impl Search {
    /// The search from a placement on.
    pub fn improve(&mut self, problem: &Problem, start: &Placement, time_up: TimeUp<'_>) -> Placed {
        self.improve_telling(problem, start, time_up, UNHEARD)
    }

    fn improve_telling(&mut self, problem: &Problem, start: &Placement, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        let size = (problem.services().len() * problem.hosts().len()) as u64;
        let mut best = Best::telling(problem, start.clone(), told);
        let mut spent = Spent { trials: 0, time_up, told };
        let (mut proven, mut others) = (false, 0);
        if size < SMALL {
            best.offer(Pga::default().improve(problem, start.clone(), time_up).placement);
            best.offer(descended(problem, best.placement.clone(), time_up));
            let all = self.effort.saturating_mul(MORE).saturating_mul(size);
            (proven, others) = self.rounds(&Terrain::new(problem), all, &mut best, &mut spent);
            // With another number of workers it ends elsewhere, and nobody is to be better off with it.
            for workers in WORKERS {
                if !(proven || best.is_ideal() || time_up()) {
                    best.take(&Pga { workers }.improve(problem, start.clone(), time_up).placement);
                }
            }
        } else if !best.is_ideal() && !time_up() {
            let terrain = Terrain::new(problem);
            if self.effort > 0 {
                best.take(&growth::hurried(&terrain, &mut spent, &mut self.stream));
                // The next one that may keep to capacities is far off.
                if !best.rank.is_allowed() {
                    best.offer(descended(problem, best.placement.clone(), time_up));
                }
            }
            let trials = self.effort.saturating_mul(size);
            let found = growth::round(&terrain, trials, &mut spent, &mut self.stream);
            best.offer(descended(problem, found, time_up));
        }
        best.offer(descended(problem, best.placement.clone(), time_up));
        let proven = proven || best.is_ideal();
        let tried = spent.trials + others;
        Placed { proven, placement: settled(problem, best.placement), tried, makeshift: 0 }
    }

    /// Rounds, and after longer ones kicks and a look whether anything can be better. Whether that is proven, and how many kicks and
    /// partial placements it took.
    fn rounds(&mut self, terrain: &Terrain<'_>, all: u64, best: &mut Best<'_>, spent: &mut Spent<'_>) -> (bool, u64) {
        let size = terrain.size();
        // Kicks and partial placements cost as much as services have links; most have few.
        let heft = 1 + terrain.links_each() / 8;
        let all_kicks = self.kicks / heft;
        let (mut number, mut kicks, mut steps) = (0u32, 0, 0);
        while !best.is_ideal() && !(spent.time_up)() {
            number += 1;
            let length = (FIRST_ROUND << number.saturating_sub(FIRST_ROUNDS).min(40)).saturating_mul(size);
            let left = all.saturating_sub(spent.trials);
            let last = length >= left;
            let trials = length.min(left);
            let found = growth::round(terrain, trials, spent, &mut self.stream);
            let mut found = Best::telling(best.problem, found, spent.told);
            let share = all_kicks as f64 * trials as f64 / (all as f64).max(1.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A part of a whole number.
            let most = if last { all_kicks.saturating_sub(kicks) } else { share as u64 };
            kicks += self.kick(&mut found, most, spent.time_up);
            best.take(&found.placement);
            let in_the_end = self.effort.saturating_mul(PROOF) / size.max(1) / heft;
            let most = match () {
                () if last => in_the_end,
                () if size > WIDE => (trials / heft).min(in_the_end / WIDE_PART),
                () => trials / heft,
            };
            if last || trials >= PROVED * size {
                let proof = prove(best.problem, best.placement.clone(), most, spent.time_up);
                best.offer(proof.placement);
                steps += proof.tried;
                if last || proof.proven {
                    return (proof.proven, kicks + steps);
                }
            }
        }
        (false, kicks + steps)
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
