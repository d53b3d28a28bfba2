//! Outlines: which region everything goes to, decided before any node is looked at.
//!
//! Where nodes lie in regions, what crosses between regions is most of what a placement can do better, and later nobody takes a
//! whole application elsewhere any more. So some outlines are grown, cycles improve them, and the best two are kept.

use rand_chacha::ChaCha8Rng;

use super::field::Field;
use super::growth::REGION_PART;
use super::scales::{Heat, Scales, Spent, may_regroup};
use super::terrain::{Terrain, lanes};
use crate::placement::{Placement, UNHEARD};

/// How many are grown, and how many are kept.
const GROWN: usize = 8;
const KEPT: usize = 2;

/// On how many trials for each service and region each is grown, and how many they have all together each time that the worse half
/// is left; at most that part of all trials of a round.
const ANEW: u64 = 20;
const STAGE: u64 = 160;
const PART: u64 = 4;

/// The outlines that placements are to be grown from, as nodes that are regions; none where there are no regions, where the problem
/// is small, or where services cannot be moved as one pleases.
pub(super) fn outlines(
    terrain: &Terrain<'_>,
    trials: u64,
    spent: &mut Spent<'_>,
    stream: &mut ChaCha8Rng,
) -> Vec<Placement> {
    let Some((regions, ground)) = &terrain.regions else { return Vec::new() };
    if terrain.is_small() || !may_regroup(terrain.problem) {
        return Vec::new();
    }
    let above = Terrain::of_regions(regions, ground);
    let stages = (GROWN / KEPT).ilog2() + 1;
    let all = above.size().saturating_mul(ANEW * GROWN as u64 + STAGE * u64::from(stages));
    // Where there are fewer trials, all of it is so much shorter.
    let shorter = all.div_ceil((trials / PART).max(1)).max(1);
    let of = |trials_each: u64| above.size().saturating_mul(trials_each) / shorter;
    let time_up = spent.time_up;
    let grown = lanes(&above, GROWN, stream, |_, stream| {
        let mut own = Spent { trials: 0, time_up, told: UNHEARD };
        let mut scales = Scales::new(above.problem, &above.ground);
        scales.merge(REGION_PART, None, stream);
        let begun = scales.begin(time_up);
        (scales.anneal(begun, of(ANEW), Heat::ANYWHERE, &mut own, stream), own.trials)
    });
    let mut field = Field::of(above.problem, grown, UNHEARD, spent);
    loop {
        field = field.improved(&above, (of(STAGE), UNHEARD), spent, stream);
        if field.len() <= KEPT {
            return field.into_placements();
        }
        field = field.better_half();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::generate::{Shape, generate};
    use crate::placement::search::best::Best;
    use crate::placement::{NO_HURRY, Objective, Problem};
    use rand::SeedableRng;

    const SHAPE: Shape = Shape { services: 300, nodes: 40, application: 25, edges: 1.4, fill: 0.93 };

    fn problem(objective: Objective) -> Problem {
        Problem::new(generate(SHAPE, &mut ChaCha8Rng::seed_from_u64(3))).expect("a problem").with_objective(objective)
    }

    fn outlined(problem: &Problem, trials: u64) -> (Vec<Placement>, u64) {
        let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
        let terrain = Terrain::new(problem);
        let outlines = outlines(&terrain, trials, &mut spent, &mut ChaCha8Rng::seed_from_u64(1));
        (outlines, spent.trials)
    }

    #[test]
    fn outlines_fit_their_regions_and_more_trials_make_them_better() {
        let problem = problem(Objective::default());
        let terrain = Terrain::new(&problem);
        let (regions, _) = terrain.regions.as_ref().expect("regions");
        let mut costs = Vec::new();
        for trials in [60_000, 10_000_000] {
            let (outlines, spent) = outlined(&problem, trials);
            // Cycles end with a whole number of rounds.
            assert!(outlines.len() == KEPT && spent <= trials / 3, "{spent} of {trials} for {}", outlines.len());
            let ranks = outlines.iter().map(|outline| Best::new(&regions.problem, outline.clone()).rank);
            costs.push(ranks.inspect(|rank| assert!(rank.is_allowed())).map(|rank| rank.cost.as_kb_ms()).sum::<f64>());
        }
        assert!(costs[1] < costs[0], "{costs:?}");
    }

    #[test]
    fn where_moves_count_there_are_none() {
        let few = Objective { max_moves: Some(3), ..Objective::default() };
        assert_eq!(outlined(&problem(few), 1_000_000), (Vec::new(), 0));
    }
}
