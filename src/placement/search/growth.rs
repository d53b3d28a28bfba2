//! Placements that are grown from nothing, of which the best is improved.

use rand_chacha::ChaCha8Rng;

use super::cycles::{LANES, cycles};
use super::field::Field;
use super::outline::outlines;
use super::scales::{Heat, Scales, Spent};
use super::terrain::{Terrain, lanes};
use crate::placement::{Placement, TimeUp, UNHEARD, start};

/// How many placements are grown from nothing, the first without a look at regions; in a small problem, from outlines, and in a round
/// of no more than [`SHORT`] trials for each service and node.
const CANDIDATES: usize = 8;
const SMALL_CANDIDATES: usize = 4;
const OUTLINED_CANDIDATES: usize = 4;
const SHORT: u64 = 16;

/// On how many trials for each service and node at most they are grown, all together, or which part of all trials.
const ANEW: u64 = 40;
const ANEW_PART: u64 = 4;

/// The same, for each time that they are improved before the worse half is left.
const STAGE: u64 = 32;
const STAGE_PART: u64 = 8;

/// How many services and nodes there are for each trial in a hurry.
const HURRY: u64 = 4;

/// What part of a node, or of a region, merged services may fill at first, in percent.
const PLAIN_PART: u64 = 100;
pub(super) const REGION_PART: u64 = 100;

/// What is known of a placement before it is grown.
#[derive(Debug, Clone, Copy)]
enum Seed<'a> {
    Nothing,
    /// That there are regions.
    Regions,
    /// Which region each service goes to.
    Outline(&'a Placement),
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
    let outlines = if is_short { Vec::new() } else { outlines(terrain, trials, spent, stream) };
    let candidates = match () {
        () if is_short => 1,
        () if terrain.is_small() => SMALL_CANDIDATES,
        () if outlines.is_empty() => CANDIDATES,
        () => OUTLINED_CANDIDATES,
    };
    let most = ANEW.saturating_mul(terrain.size());
    // A short round has nothing left for cycles.
    let part = if trials <= most { 1 } else { ANEW_PART };
    let each = (trials / part).min(most) / candidates as u64;
    let time_up = spent.time_up;
    let grown = lanes(terrain, candidates, stream, |lane, stream| {
        let seed = match outlines.get(lane % outlines.len().max(1)) {
            Some(outline) => Seed::Outline(outline),
            None if lane > 0 => Seed::Regions,
            None => Seed::Nothing,
        };
        grown(terrain, seed, each, time_up, stream)
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

/// A placement from nothing, and how many trials it took: services that talk much are merged, and the largest scale is annealed
/// first; on regions before that on nodes.
fn grown(
    terrain: &Terrain<'_>,
    seed: Seed<'_>,
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
    let chosen = if let Seed::Outline(outline) = seed {
        outline.clone()
    } else {
        let mut coarse = Scales::new(&regions.problem, ground);
        coarse.merge(REGION_PART, None, stream);
        let begun = coarse.begin(time_up);
        coarse.anneal(begun, trials / 2, Heat::ANYWHERE, &mut spent, stream)
    };
    let known = scales.merge(REGION_PART, Some(chosen.clone()), stream).unwrap_or(chosen);
    let begun = regions.grow(scales.top(), &known, None);
    let placement = scales.anneal(begun, trials / 2, Heat::WITHIN_REGIONS, &mut spent, stream);
    (placement, spent.trials)
}
