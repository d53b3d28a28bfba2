//! Cycles, which improve a placement: what is together is merged, and all is annealed anew.

use rand_chacha::ChaCha8Rng;

use super::anneal::Anneal;
use super::best::Best;
use super::growth::REGION_PART;
use super::recombine::recombined;
use super::scales::{Heat, Scales, Spent, may_regroup};
use super::terrain::{Terrain, lanes};
use crate::placement::dice::{below, unit_interval};
use crate::placement::{Placement, UNHEARD};

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
pub(super) const LANES: usize = 4;
const REGIONAL: f64 = 0.6;
const REGIONAL_PART: u64 = 5;
const REGIONAL_HEAT: f64 = 10.0;

/// Cycles from temperatures by lot until there were `end` trials, `count` of them at once: of what each comes to, the parts that are
/// better are taken.
pub(super) fn cycles(
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
