//! Resettling: a region at a time is emptied, and everything that was there is placed within it anew.
//!
//! What services of a region send to other regions depends little on where in the region they are, so that each region is nearly a
//! problem of its own: small enough to be solved in some milliseconds, and again and again from nothing, while a search in all of
//! the problem is stuck in every region with what it began with there.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::best::Best;
use super::excerpt::Excerpt;
use super::ground::Lots;
use super::scales::Spent;
use super::tables::{Evolution, Graph, Sites, evolved};
use super::terrain::{Terrain, lanes};
use crate::placement::{Placement, UNHEARD};
use crate::topology::NodeIndex;

/// How many trials each region has at most, for each of its services and nodes, every time that it is placed anew; how many placements
/// there are of it at first and at last, and on how many trials each is grown, improved at first, and improved that comes of two.
const EACH: u64 = 200;
const FIELD: usize = 4;
const FEWEST: usize = 2;
const GROWN: u64 = 10;
const IMPROVED: u64 = 10;
const CHILD: u64 = 5;

/// What part of a node may move as one while they are grown, in percent.
const LARGEST: f64 = 100.0;

/// On how many trials for each of the common parts of two placements and each node those are annealed.
const CROSSING: u64 = 50;

/// Every region is placed anew, again and again until there were `end` trials; what is better stays.
pub(super) fn resettled(
    terrain: &Terrain<'_>,
    best: &mut Best<'_>,
    groups: &[Vec<NodeIndex>],
    end: u64,
    spent: &mut Spent<'_>,
    stream: &mut ChaCha8Rng,
) {
    while spent.trials < end && !best.is_ideal() && !(spent.time_up)() {
        let (time_up, base) = (spent.time_up, best.placement.clone());
        let found = lanes(terrain, groups.len(), stream, |lane, stream| {
            let mut own = Spent { trials: 0, time_up, told: UNHEARD };
            (anew(terrain, &base, &groups[lane], &mut own, stream), own.trials)
        });
        for (placement, tried) in found {
            // One at least: where regions are empty this has to end too.
            spent.trials += tried.max(1);
            // Others may have become better meanwhile: from here come the services of one region alone.
            let mut next = best.placement.clone();
            let changed = placement.iter().filter(|(service, node)| base.node(*service) != *node);
            changed.for_each(|(service, node)| next.set(service, node));
            best.offer(next);
        }
    }
}

/// The placement with what is on these nodes placed anew there, unless that is worse.
fn anew(
    terrain: &Terrain<'_>,
    base: &Placement,
    nodes: &[NodeIndex],
    spent: &mut Spent<'_>,
    stream: &mut ChaCha8Rng,
) -> Placement {
    let Some(excerpt) = Excerpt::new(terrain.problem, base, nodes) else { return base.clone() };
    let sites = Sites::new(&excerpt.problem);
    let graph = Graph::new(&excerpt.problem, &sites);
    let size = (excerpt.problem.services().len() * nodes.len()) as u64;
    let evolution = Evolution {
        field: FIELD,
        fewest: FEWEST,
        grown: GROWN * size,
        improved: IMPROVED * size,
        largest: LARGEST,
        child: CHILD * size,
        crossing: CROSSING,
        on_regions: false,
    };
    let end = spent.trials.saturating_add(EACH * size);
    let mut best = Best::new(&excerpt.problem, excerpt.up(base));
    if let Some(found) = evolved((&graph, &sites), (evolution, end), spent, &mut Lots::new(stream.next_u64())) {
        best.offer(found.placement());
    }
    excerpt.down(&best.placement, base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::generate::{Shape, generate};
    use crate::placement::{NO_HURRY, Problem};
    use rand::SeedableRng;

    /// Services are spread over their regions without a look at traffic: it gets better, and no service leaves its region.
    #[test]
    fn regions_are_mended_each_for_itself() {
        let shape = Shape { services: 200, nodes: 40, application: 10, edges: 1.4, fill: 0.6 };
        let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(5))).expect("a problem");
        let terrain = Terrain::new(&problem);
        let (regions, _) = terrain.regions.as_ref().expect("regions");
        let groups = regions.groups();
        let start = Placement::new((0..200).map(|service| (service / 40) + 5 * (service % 8)).collect());
        let mut best = Best::new(&problem, start.clone());
        let before = best.rank;
        let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
        resettled(&terrain, &mut best, &groups, 200_000, &mut spent, &mut ChaCha8Rng::seed_from_u64(1));
        assert!(best.rank.is_allowed() && spent.trials >= 200_000, "{:?} after {}", best.rank, spent.trials);
        assert_eq!(regions.up(&best.placement), regions.up(&start));
        assert!(best.rank.beats(before), "{:?}, before {before:?}", best.rank);
    }
}
