//! Placements that are grown from nothing, of which the best is improved.
//!
//! In a large problem whose regions lie apart there is one, grown from an [`outline`](super::outline), and improved in two ways in
//! turns: each region is settled anew for itself ([`resettled`](super::resettle)), or all of it goes through
//! [`cycles`](super::cycles). The way that gained more for its trials is gone the most: settling where applications are within regions,
//! cycles where all talk to all.

use rand_chacha::ChaCha8Rng;

use super::best::Best;
use super::cycles::{LANES, cycles};
use super::field::Field;
use super::outline::outline;
use super::regions::Regions;
use super::resettle::resettled;
use super::scales::{Heat, Scales, Spent};
use super::terrain::{Terrain, lanes};
use crate::placement::dice::unit_interval;
use crate::placement::{Placement, TimeUp, UNHEARD, start};

/// How many placements are grown from nothing, the first without a look at regions; in a small problem, and in a round of no more
/// than [`SHORT`] trials for each service and node there is one.
const CANDIDATES: usize = 8;
const SMALL_CANDIDATES: usize = 4;
const SHORT: u64 = 16;

/// On how many trials for each service and node at most they are grown, all together, or which part of all trials.
const ANEW: u64 = 40;
const ANEW_PART: u64 = 4;

/// The same, for each time that they are improved before the worse half is left.
const STAGE: u64 = 32;
const STAGE_PART: u64 = 8;

/// On how many trials for each service and node regions are settled anew at first, or which part of all trials; on how many of them
/// each way goes on from there, how often it is not the better one, and what part the gain of the last time has in what is known of it.
const SETTLING: u64 = 24;
const SETTLING_PART: u64 = 4;
const TURN: u64 = 8;
const OTHER: f64 = 0.15;
const LATEST: f64 = 0.5;

/// How many services and nodes there are for each trial in a hurry.
const HURRY: u64 = 4;

/// What part of a node, or of a region, merged services may fill at first, in percent.
const PLAIN_PART: u64 = 100;
pub(super) const REGION_PART: u64 = 100;

/// What is known of a placement before it is grown.
#[derive(Debug, Clone, Copy)]
enum Seed {
    Nothing,
    /// That there are regions.
    Regions,
}

/// One that is grown from nothing in a hurry: what there is in the first moments of a large problem.
pub(super) fn hurried(terrain: &Terrain<'_>, spent: &mut Spent<'_>, stream: &mut ChaCha8Rng) -> Placement {
    let (placement, tried) = grown(terrain, Seed::Regions, terrain.size() / HURRY, spent.time_up, stream);
    spent.trials += tried;
    placement
}

/// Placements that are grown from nothing and improved, of which the better half goes on until there is one, and cycles from there.
pub(super) fn round(terrain: &Terrain<'_>, trials: u64, spent: &mut Spent<'_>, stream: &mut ChaCha8Rng) -> Placement {
    let end = spent.trials.saturating_add(trials);
    let is_short = terrain.regions.is_none() || trials <= SHORT.saturating_mul(terrain.size());
    if let Some((regions, _)) = terrain.regions.as_ref().filter(|_| !is_short)
        && let Some(outline) = outline(terrain, trials, spent, stream)
    {
        return settled(terrain, (regions, &outline), end, spent, stream);
    }
    let candidates = match () {
        () if is_short => 1,
        () if terrain.is_small() => SMALL_CANDIDATES,
        () => CANDIDATES,
    };
    let most = ANEW.saturating_mul(terrain.size());
    // A short round has nothing left for cycles.
    let part = if trials <= most { 1 } else { ANEW_PART };
    let each = (trials / part).min(most) / candidates as u64;
    let time_up = spent.time_up;
    let grown = lanes(terrain, candidates, stream, |lane, stream| {
        grown(terrain, if lane > 0 { Seed::Regions } else { Seed::Nothing }, each, time_up, stream)
    });
    let mut field = Field::of(terrain.problem, grown, spent.told, spent);
    while field.len() > 1 {
        let stage = (trials / STAGE_PART).min(STAGE.saturating_mul(terrain.size()));
        field = field.improved(terrain, (stage, spent.told), spent, stream).better_half();
    }
    let Some(mut best) = field.last() else { return start(terrain.problem) };
    let count = if terrain.is_small() { 1 } else { LANES };
    cycles(terrain, &mut best, (end, count), spent, stream);
    best.placement
}

/// A placement within an outline, settled and improved until there were `end` trials.
fn settled(
    terrain: &Terrain<'_>,
    (regions, outline): (&Regions, &Placement),
    end: u64,
    spent: &mut Spent<'_>,
    stream: &mut ChaCha8Rng,
) -> Placement {
    let groups = regions.groups();
    let mut best = Best::telling(terrain.problem, regions.grow(terrain.problem, outline, None), spent.told);
    let first = (end.saturating_sub(spent.trials) / SETTLING_PART).min(SETTLING.saturating_mul(terrain.size()));
    let mut until = spent.trials.saturating_add(first);
    resettled(terrain, &mut best, &groups, until, spent, stream);
    // What settling and cycles gained for each trial; where nothing is known yet, more than any that is known.
    let mut gains = [f64::INFINITY; 2];
    while spent.trials < end && !best.is_ideal() && !(spent.time_up)() {
        let settles = (gains[0] >= gains[1]) != (unit_interval(stream) < OTHER);
        let (trials, cost) = (spent.trials, best.rank.cost.as_kb_ms());
        until = trials.saturating_add(TURN.saturating_mul(terrain.size())).min(end);
        if settles {
            resettled(terrain, &mut best, &groups, until, spent, stream);
        } else {
            cycles(terrain, &mut best, (until, LANES), spent, stream);
        }
        if spent.trials == trials {
            break;
        }
        let gain = (cost - best.rank.cost.as_kb_ms()) / (spent.trials - trials) as f64;
        let known = &mut gains[usize::from(!settles)];
        *known = if known.is_finite() { *known * (1.0 - LATEST) + gain * LATEST } else { gain };
    }
    best.placement
}

/// A placement from nothing, and how many trials it took: services that talk much are merged, and the largest scale is annealed
/// first; on regions before that on nodes.
fn grown(
    terrain: &Terrain<'_>,
    seed: Seed,
    trials: u64,
    time_up: TimeUp<'_>,
    stream: &mut ChaCha8Rng,
) -> (Placement, u64) {
    let mut spent = Spent { trials: 0, time_up, told: UNHEARD };
    let mut scales = Scales::new(terrain.problem, &terrain.ground);
    let Some((regions, ground)) = terrain.regions.as_ref().filter(|_| !matches!(seed, Seed::Nothing)) else {
        scales.merge(PLAIN_PART, None, stream);
        let begun = scales.begin(time_up);
        let placement = scales.anneal(begun, trials, Heat::ANYWHERE, &mut spent, stream);
        return (placement, spent.trials);
    };
    let mut coarse = Scales::new(&regions.problem, ground);
    coarse.merge(REGION_PART, None, stream);
    let begun = coarse.begin(time_up);
    let chosen = coarse.anneal(begun, trials / 2, Heat::ANYWHERE, &mut spent, stream);
    let known = scales.merge(REGION_PART, Some(chosen.clone()), stream).unwrap_or(chosen);
    let begun = regions.grow(scales.top(), &known, None);
    let placement = scales.anneal(begun, trials / 2, Heat::WITHIN_REGIONS, &mut spent, stream);
    (placement, spent.trials)
}
