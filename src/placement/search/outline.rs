//! The outline: which region everything goes to, decided before any node is looked at.
//!
//! Where nodes lie in regions, what crosses between regions is most of what a placement can do better, and later nobody takes a
//! whole application elsewhere any more. Most of it is decided with large pieces: services that talk much are merged until each
//! piece is as large as a quarter of a region, and these are searched from nothing many times, which takes some milliseconds. The
//! best go on with all services, the better half each time, until nothing more is gained.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::best::Best;
use super::cycles::{LANES, cycles};
use super::field::Field;
use super::growth::REGION_PART;
use super::scales::{Heat, Scales, Spent, may_regroup};
use super::terrain::{Terrain, lanes};
use crate::placement::{Placement, TimeUp, UNHEARD, start};

/// How large pieces are, in percent of a region, and on how many trials for each piece and region they are grown and improved.
const PIECE: u64 = 25;
const GROWN_ON: u64 = 40;
const IMPROVED_ON: u64 = 100;

/// How many outlines go on with all services, each the best of how many of pieces.
const FIELD: usize = 4;
const SEEDS: usize = 4;

/// How many trials for each service and region they have all together each time that the worse half is left, and the last one each
/// time that it is looked whether that gained something; by how little that is nothing, and how often in a row it is enough.
const STAGE: u64 = 40;
const STEP: u64 = 40;
const STALL: f64 = 0.002;
const STALLS: u32 = 2;

/// How many trials there are in all for each service and region at most, and which part of all trials of a round at most.
const MOST: u64 = 450;
const PART: u64 = 4;

/// The outline that a placement is to be grown from, as nodes that are regions; none where there are no regions, where the problem is
/// small, or where services cannot be moved as one pleases.
pub(super) fn outline(
    terrain: &Terrain<'_>,
    trials: u64,
    spent: &mut Spent<'_>,
    stream: &mut ChaCha8Rng,
) -> Option<Placement> {
    let (regions, ground) = terrain.regions.as_ref()?;
    if terrain.is_small() || !may_regroup(terrain.problem) {
        return None;
    }
    let above = Terrain::of_regions(regions, ground);
    // Where there are fewer trials, all of it is so much shorter.
    let shorter = above.size().saturating_mul(MOST).div_ceil((trials / PART).max(1)).max(1);
    let end = spent.trials.saturating_add(above.size().saturating_mul(MOST) / shorter);
    let time_up = spent.time_up;
    let of = |trials_each: u64| (above.size().saturating_mul(trials_each) / shorter).max(1);
    let grown = lanes(&above, FIELD, stream, |_, stream| of_pieces(&above, shorter, time_up, stream));
    let mut field = Field::of(above.problem, grown, UNHEARD, spent);
    while field.len() > 1 {
        field = field.improved(&above, (of(STAGE), UNHEARD), spent, stream).better_half();
    }
    let mut best = field.last()?;
    let mut stalls = 0;
    while spent.trials < end && stalls < STALLS && !best.is_ideal() && !time_up() {
        let before = best.rank.cost.as_kb_ms();
        let step = spent.trials.saturating_add(of(STEP)).min(end);
        cycles(&above, &mut best, (step, LANES), spent, stream);
        let gains = best.rank.cost.as_kb_ms() <= before * (1.0 - STALL);
        stalls = if gains { 0 } else { stalls + 1 };
    }
    Some(best.placement)
}

/// The best of some outlines of large pieces, and how many trials they took.
fn of_pieces(above: &Terrain<'_>, shorter: u64, time_up: TimeUp<'_>, stream: &mut ChaCha8Rng) -> (Placement, u64) {
    let mut best = Best::new(above.problem, start(above.problem));
    let mut spent = Spent { trials: 0, time_up, told: UNHEARD };
    for _ in 0..SEEDS {
        let mut pieces = Scales::new(above.problem, &above.ground);
        pieces.merge(PIECE, None, stream);
        let ground = Arc::clone(&above.ground);
        let terrain = Terrain { problem: pieces.top(), ground, regions: None, rehouses: true };
        let of = |trials_each: u64| terrain.size().saturating_mul(trials_each) / shorter;
        let mut scales = Scales::new(terrain.problem, &terrain.ground);
        scales.merge(REGION_PART, None, stream);
        let begun = scales.begin(time_up);
        let grown = scales.anneal(begun, of(GROWN_ON), Heat::ANYWHERE, &mut spent, stream);
        let mut piled = Best::new(terrain.problem, grown);
        let end = spent.trials.saturating_add(of(IMPROVED_ON));
        cycles(&terrain, &mut piled, (end, 1), &mut spent, stream);
        best.offer(pieces.down(piled.placement));
    }
    (best.placement, spent.trials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::generate::{Shape, generate};
    use crate::placement::{NO_HURRY, Objective, Problem};
    use rand::SeedableRng;

    const SHAPE: Shape = Shape { services: 300, nodes: 40, application: 25, edges: 1.4, fill: 0.93 };

    fn problem(objective: Objective) -> Problem {
        Problem::new(generate(SHAPE, &mut ChaCha8Rng::seed_from_u64(3))).expect("a problem").with_objective(objective)
    }

    fn outlined(problem: &Problem, trials: u64) -> (Option<Placement>, u64) {
        let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
        let outline = outline(&Terrain::new(problem), trials, &mut spent, &mut ChaCha8Rng::seed_from_u64(1));
        (outline, spent.trials)
    }

    #[test]
    fn an_outline_fits_its_regions_and_more_trials_make_it_better() {
        let problem = problem(Objective::default());
        let terrain = Terrain::new(&problem);
        let (regions, _) = terrain.regions.as_ref().expect("regions");
        let mut costs = Vec::new();
        for trials in [60_000, 10_000_000] {
            let (outline, spent) = outlined(&problem, trials);
            // Cycles end with a whole number of rounds.
            assert!(spent <= trials / 3, "{spent} of {trials}");
            let rank = Best::new(&regions.problem, outline.expect("an outline")).rank;
            assert!(rank.is_allowed(), "{rank:?}");
            costs.push(rank.cost.as_kb_ms());
        }
        assert!(costs[1] < costs[0], "{costs:?}");
    }

    #[test]
    fn where_moves_count_there_are_none() {
        let few = Objective { max_moves: Some(3), ..Objective::default() };
        assert_eq!(outlined(&problem(few), 1_000_000), (None, 0));
    }
}
