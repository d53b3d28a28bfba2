//! Placements that are grown from nothing, and cycles that improve the best of them. Large problems have several of both at once,
//! always as many: the result does not depend on the processors.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::SMALL;
use super::anneal::Anneal;
use super::best::Best;
use super::ground::Ground;
use super::recombine::recombined;
use super::regions::Regions;
use super::scales::{Heat, Scales, Spent, may_regroup};
use crate::placement::dice::{below, unit_interval};
use crate::placement::{Placement, Problem, TimeUp, Told, UNHEARD};

/// How many placements are grown from nothing, the first without a look at regions; in a small problem, and in a round of no more
/// than [`SHORT`] trials for each service and node.
const CANDIDATES: usize = 8;
const SMALL_CANDIDATES: usize = 4;
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
const REGION_PART: u64 = 100;

/// How many trials a cycle has for each service and node; after so many cycles, one more.
const CYCLE: u64 = 2;
const LONGER: u64 = 12;

/// What part of a node merged services may fill in a cycle, in percent.
const PARTS: [u64; 3] = [20, 50, 100];

/// Between which temperatures cycles begin, as shares of what taking a service to any node costs, and which part of it
/// they end at.
const COOLEST: f64 = 1e-5;
const HOTTEST: f64 = 3e-2;
const SPAN: f64 = 0.01;

/// How many cycles a large problem has at once; which part of them decides on regions first, with which part of its trials, and at
/// how many times the temperature.
const LANES: usize = 4;
const REGIONAL: f64 = 0.6;
const REGIONAL_PART: u64 = 5;
const REGIONAL_HEAT: f64 = 10.0;

/// A problem, and what annealing looks up.
pub(super) struct Terrain<'a> {
    problem: &'a Problem,
    ground: Ground,
    regions: Option<(Regions, Ground)>,
}

impl<'a> Terrain<'a> {
    pub(super) fn new(problem: &'a Problem) -> Self {
        let with_ground = |regions: Regions| {
            let ground = Ground::new(&regions.problem);
            (regions, ground)
        };
        Self { problem, ground: Ground::new(problem), regions: Regions::new(problem).map(with_ground) }
    }

    pub(super) fn size(&self) -> u64 {
        (self.problem.services().len() * self.problem.hosts().len()) as u64
    }

    /// How many links a service has in the mean.
    pub(super) fn links_each(&self) -> u64 {
        let services = 0..self.problem.services().len();
        let count = services.len().max(1);
        (services.map(|service| self.problem.links(service).len()).sum::<usize>() / count) as u64
    }

    fn is_small(&self) -> bool {
        self.size() < SMALL
    }

    fn candidates(&self, trials: u64) -> usize {
        if self.regions.is_none() || trials <= SHORT.saturating_mul(self.size()) {
            1
        } else if self.is_small() {
            SMALL_CANDIDATES
        } else {
            CANDIDATES
        }
    }
}

/// One that is grown from nothing in a hurry: what there is in the first moments of a large problem.
pub(super) fn hurried(terrain: &Terrain<'_>, spent: &mut Spent<'_>, stream: &mut ChaCha8Rng) -> Placement {
    let (placement, tried) = grown(terrain, true, terrain.size() / HURRY, spent.time_up, stream);
    spent.trials += tried;
    placement
}

/// Placements that are grown from nothing and improved, of which the better half goes on until there is one, and cycles from there.
pub(super) fn round(terrain: &Terrain<'_>, trials: u64, spent: &mut Spent<'_>, stream: &mut ChaCha8Rng) -> Placement {
    let end = spent.trials.saturating_add(trials);
    let candidates = terrain.candidates(trials);
    let most = ANEW.saturating_mul(terrain.size());
    // A short round has nothing left for cycles.
    let part = if trials <= most { 1 } else { ANEW_PART };
    let each = (trials / part).min(most) / candidates as u64;
    let time_up = spent.time_up;
    let grown = lanes(terrain, candidates, stream, |lane, stream| grown(terrain, lane > 0, each, time_up, stream));
    let (mut field, tried) = heard(terrain.problem, grown, spent.told);
    spent.trials += tried;
    while field.len() > 1 {
        let stage = (trials / STAGE_PART).min(STAGE.saturating_mul(terrain.size()));
        let each = stage / field.len() as u64;
        let begun = &field;
        let improved = lanes(terrain, begun.len(), stream, |lane, stream| {
            let mut best = Best::telling(terrain.problem, begun[lane].placement.clone(), UNHEARD);
            let mut own = Spent { trials: 0, time_up, told: UNHEARD };
            cycles(terrain, &mut best, (each, 1), &mut own, stream);
            (best.placement, own.trials)
        });
        let (improved, tried) = heard(terrain.problem, improved, spent.told);
        spent.trials += tried;
        field = better_half(improved);
    }
    let Some(mut best) = field.pop() else { return crate::placement::start(terrain.problem) };
    let count = if terrain.is_small() { 1 } else { LANES };
    cycles(terrain, &mut best, (end, count), spent, stream);
    best.placement
}

/// What lanes came to, with their ranks, and all their trials.
fn heard<'a>(problem: &'a Problem, found: Vec<(Placement, u64)>, told: Told<'a>) -> (Vec<Best<'a>>, u64) {
    let trials = found.iter().map(|(_, trials)| trials).sum();
    (found.into_iter().map(|(placement, _)| Best::telling(problem, placement, told)).collect(), trials)
}

/// Those that fewer are better than; of equals the first.
fn better_half(mut field: Vec<Best<'_>>) -> Vec<Best<'_>> {
    for _ in 0..field.len() / 2 {
        let worst =
            (1..field.len()).fold(0, |last, one| if field[one].rank.beats(field[last].rank) { last } else { one });
        field.remove(worst);
    }
    field
}

/// Does something so many times, each with a number and a stream of its own: at once where the problem is large.
fn lanes<T: Send>(
    terrain: &Terrain<'_>,
    count: usize,
    stream: &mut ChaCha8Rng,
    work: impl Fn(usize, &mut ChaCha8Rng) -> T + Sync,
) -> Vec<T> {
    let streams: Vec<(usize, ChaCha8Rng)> =
        (0..count).map(|lane| (lane, ChaCha8Rng::seed_from_u64(stream.next_u64()))).collect();
    let work = |(lane, mut stream): (usize, ChaCha8Rng)| work(lane, &mut stream);
    if terrain.is_small() || count == 1 {
        streams.into_iter().map(work).collect()
    } else {
        streams.into_par_iter().map(work).collect()
    }
}

/// A placement from nothing, and how many trials it took: services that talk much are merged, and the largest scale is annealed
/// first; on regions before that on nodes.
fn grown(
    terrain: &Terrain<'_>,
    by_region: bool,
    trials: u64,
    time_up: TimeUp<'_>,
    stream: &mut ChaCha8Rng,
) -> (Placement, u64) {
    let mut spent = Spent { trials: 0, time_up, told: UNHEARD };
    let mut scales = Scales::new(terrain.problem, &terrain.ground);
    let placement = match terrain.regions.as_ref().filter(|_| by_region) {
        None => {
            scales.merge(PLAIN_PART, None, stream);
            let begun = scales.begin(time_up);
            scales.anneal(begun, trials, Heat::ANYWHERE, &mut spent, stream)
        }
        Some((regions, ground)) => {
            let mut coarse = Scales::new(&regions.problem, ground);
            coarse.merge(REGION_PART, None, stream);
            let begun = coarse.begin(time_up);
            let chosen = coarse.anneal(begun, trials / 2, Heat::ANYWHERE, &mut spent, stream);
            let known = scales.merge(REGION_PART, Some(chosen.clone()), stream).unwrap_or(chosen);
            let begun = regions.grow(scales.top(), &known, None);
            scales.anneal(begun, trials / 2, Heat::WITHIN_REGIONS, &mut spent, stream)
        }
    };
    (placement, spent.trials)
}

/// Cycles from temperatures by lot until there were `end` trials, `count` of them at once: of what each comes to, the parts that are
/// better are taken.
fn cycles(
    terrain: &Terrain<'_>,
    best: &mut Best<'_>,
    (end, count): (u64, usize),
    spent: &mut Spent<'_>,
    stream: &mut ChaCha8Rng,
) {
    let typical = Anneal::new(terrain.problem, &terrain.ground, best.placement.clone()).typical(stream);
    let mut done = 0;
    while spent.trials < end && typical > 0.0 && !best.is_ideal() && !(spent.time_up)() {
        let left = (end - spent.trials).div_ceil(count as u64);
        let trials = (CYCLE + done / LONGER).saturating_mul(terrain.size()).min(left);
        let (time_up, base) = (spent.time_up, best.placement.clone());
        let found = lanes(terrain, count, stream, |_, stream| {
            let from = typical * COOLEST * libm::pow(HOTTEST / COOLEST, unit_interval(stream));
            let mut own = Spent { trials: 0, time_up, told: UNHEARD };
            (cycle(terrain, &base, (from, trials), &mut own, stream), own.trials)
        });
        for (placement, tried) in found {
            spent.trials += tried;
            best.offer(recombined(terrain.problem, &best.placement, &base, &placement));
        }
        done += count as u64;
    }
}

/// Where a cycle from a placement and that temperature on comes to: services on the same node that talk are merged, and all is
/// annealed, first as merged. In a large problem some have the same on regions before, and who is in another region then is placed
/// anew.
fn cycle(
    terrain: &Terrain<'_>,
    base: &Placement,
    (from, trials): (f64, u64),
    spent: &mut Spent<'_>,
    stream: &mut ChaCha8Rng,
) -> Placement {
    let mut begun = base.clone();
    if let Some((regions, ground)) =
        terrain.regions.as_ref().filter(|_| !terrain.is_small() && may_regroup(terrain.problem))
        && unit_interval(stream) < REGIONAL
    {
        let here = regions.up(base);
        let mut scales = Scales::new(&regions.problem, ground);
        let merged = scales.merge(REGION_PART, Some(here.clone()), stream).unwrap_or(here);
        let from = from * REGIONAL_HEAT;
        let heat = Heat::Fixed { from, to: from * SPAN };
        let chosen = scales.anneal(merged, trials / REGIONAL_PART, heat, spent, stream);
        begun = regions.grow(terrain.problem, &chosen, Some(base));
    }
    let mut scales = Scales::new(terrain.problem, &terrain.ground);
    let part = PARTS[below(stream, PARTS.len())];
    let begun = scales.merge(part, Some(begun.clone()), stream).unwrap_or(begun);
    let left = trials.saturating_sub(spent.trials);
    scales.anneal(begun, left, Heat::Fixed { from, to: from * SPAN }, spent, stream)
}
