//! Cycles, which improve a placement: what is together is merged, and all is annealed anew.

use rand_chacha::ChaCha8Rng;

use super::anneal::{Anneal, Course};
use super::best::Best;
use super::coarse::heaped;
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
const COOLEST_OF_REGIONS: f64 = 1e-4;
const HOTTEST: f64 = 3e-2;
const SPAN: f64 = 0.01;

/// How many cycles a large problem has at once; which part of them decides on regions first, with which part of its trials, and at
/// how many times the temperature.
pub(super) const LANES: usize = 4;
const REGIONAL: f64 = 0.6;
const REGIONAL_PART: u64 = 5;
const REGIONAL_HEAT: f64 = 10.0;

/// Which part of the cycles on regions begins with heaps that change places; how many trials that has for each heap and node, from
/// which share of what taking a heap to any node costs at most, and to which part of that.
const REHOUSED: f64 = 0.3;
const REHOUSING: u64 = 30;
const REHOUSING_HEAT: f64 = 1.0;
const REHOUSING_SPAN: f64 = 0.01;

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
    let coolest = if terrain.rehouses { COOLEST_OF_REGIONS } else { COOLEST };
    let mut done = 0;
    while spent.trials < end && typical > 0.0 && !best.is_ideal() && !(spent.time_up)() {
        let left = (end - spent.trials).div_ceil(count as u64);
        let trials = (CYCLE + done / LONGER).saturating_mul(terrain.size()).min(left);
        let (time_up, base) = (spent.time_up, best.placement.clone());
        let found = lanes(terrain, count, stream, |_, stream| {
            let from = typical * coolest * libm::pow(HOTTEST / coolest, unit_interval(stream));
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
    if terrain.rehouses && unit_interval(stream) < REHOUSED {
        begun = rehoused(terrain, begun, spent, stream);
    }
    let mut scales = Scales::new(terrain.problem, &terrain.ground);
    let part = PARTS[below(stream, PARTS.len())];
    let begun = scales.merge(part, Some(begun.clone()), stream).unwrap_or(begun);
    let left = trials.saturating_sub(spent.trials);
    scales.anneal(begun, left, Heat::Fixed { from, to: from * SPAN }, spent, stream)
}

/// Everything on a node as one heap, and heaps annealed until each is where it had better be: where they lie is beyond what single
/// services, or those that talk, can mend. Every other time it goes on from where the heaps came to last, and not from their best.
fn rehoused(terrain: &Terrain<'_>, base: Placement, spent: &mut Spent<'_>, stream: &mut ChaCha8Rng) -> Placement {
    let Some(heaps) = heaped(terrain.problem, &base).filter(|_| may_regroup(terrain.problem)) else { return base };
    let mut anneal = Anneal::new(&heaps.problem, &terrain.ground, heaps.up(&base));
    let from = anneal.typical(stream) * REHOUSING_HEAT * unit_interval(stream);
    if from <= 0.0 {
        return base;
    }
    let trials = REHOUSING.saturating_mul((heaps.problem.services().len() * terrain.problem.hosts().len()) as u64);
    spent.trials += anneal.run(Course { trials, from, to: from * REHOUSING_SPAN }, stream, spent.time_up);
    heaps.down(&if below(stream, 2) == 0 { anneal.into_last() } else { anneal.into_best() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::contract::brute_force;
    use crate::placement::problem::{Draft, Edge, Host, Resource, Service};
    use crate::placement::search::ground::Ground;
    use crate::placement::search::regions::Regions;
    use crate::placement::{NO_HURRY, Problem};
    use crate::topology::NodeName;
    use crate::units::Delay;
    use rand::SeedableRng;
    use std::sync::Arc;

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
        let terrain =
            Terrain { problem: &problem, ground: Arc::new(Ground::new(&problem)), regions: None, rehouses: true };
        let cost = |placement: &Placement| brute_force(&problem, placement).traffic.as_kb_ms();
        let base = Placement::new((0..16).map(|service| (service / 2) * 3 % 8).collect());
        let mut stream = ChaCha8Rng::seed_from_u64(1);
        let best = (0..20)
            .map(|_| {
                let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
                let placement = rehoused(&terrain, base.clone(), &mut spent, &mut stream);
                assert!(spent.trials > 0);
                assert!((0..8).all(|pair| placement.node(2 * pair) == placement.node(2 * pair + 1)), "{placement:?}");
                cost(&placement)
            })
            .fold(f64::INFINITY, f64::min);
        let (in_a_row, before) = (cost(&Placement::new((0..16).map(|service| service / 2).collect())), cost(&base));
        assert!((best - in_a_row).abs() < 1e-6 && before > 3.0 * in_a_row, "{best}, not {in_a_row}; {before} before");
    }

    #[test]
    fn regions_are_rehoused_and_nodes_are_not() {
        let problem = row(8);
        let regions = Regions::new(&problem).expect("regions");
        let ground = Arc::new(Ground::new(&regions.problem));
        assert!(Terrain::of_regions(&regions, &ground).rehouses && !Terrain::new(&problem).rehouses);
    }
}
