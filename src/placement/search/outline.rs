//! The outline: which region everything goes to, decided before any node is looked at.
//!
//! Where nodes lie in regions, what crosses between regions is most of what a placement can do better, and later nobody takes a
//! whole application elsewhere any more. Regions are few, so that this is searched on tables of costs; some outlines are grown from
//! nothing and crossed with each other until nothing more is gained.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::ground::Lots;
use super::regions::Regions;
use super::scales::{Spent, may_regroup};
use super::tables::{Evolution, Graph, Sites, evolved};
use super::terrain::Terrain;
use crate::placement::{Overload, Placement};

/// How many outlines there are at first, and at last.
const FIELD: usize = 16;
const FEWEST: usize = 3;

/// On how many trials for each service and region each is grown, and improved at first; and each that comes of two.
const GROWN: u64 = 10;
const IMPROVED: u64 = 5;
const CHILD: u64 = 2;

/// On how many trials for each of their common parts and each region those are annealed.
const CROSSING: u64 = 50;

/// How many trials there are in all for each service and region at most, and which part of all trials of a round at most; where that is
/// less, there are fewer outlines at first.
const MOST: u64 = 1300;
const PART: u64 = 2;

/// The outline that a placement is to be grown from, as nodes that are regions; none where no regions lie apart, where the problem is
/// small, where services cannot be moved as one pleases, or where nodes may be overloaded at a price.
pub(super) fn outline(
    terrain: &Terrain<'_>,
    trials: u64,
    spent: &mut Spent<'_>,
    stream: &mut ChaCha8Rng,
) -> Option<Placement> {
    let (Regions { problem, lie_apart, .. }, _) = terrain.regions.as_ref()?;
    if !lie_apart
        || terrain.is_small()
        || !may_regroup(terrain.problem)
        || problem.objective().overload != Overload::Forbidden
    {
        return None;
    }
    let sites = Sites::new(problem);
    let graph = Graph::new(problem, &sites);
    let size = (problem.services().len() * problem.hosts().len()) as u64;
    // With fewer trials there are fewer outlines; where these are too few, all of it is so much shorter.
    let most = (trials / PART).min(size.saturating_mul(MOST)).max(1);
    let each = size.saturating_mul(MOST / FIELD as u64);
    let field = usize::try_from(most / each.max(1)).unwrap_or(FIELD).clamp(FEWEST + 1, FIELD);
    let shorter = each.saturating_mul(field as u64).div_ceil(most).max(1);
    let of = |trials_each: u64| (size.saturating_mul(trials_each) / shorter).max(1);
    let evolution = Evolution {
        field,
        fewest: FEWEST,
        grown: of(GROWN),
        improved: of(IMPROVED),
        child: of(CHILD),
        crossing: (CROSSING / shorter).max(1),
        on_regions: true,
    };
    let end = spent.trials.saturating_add(most);
    let mut lots = Lots::new(stream.next_u64());
    let best = evolved((&graph, &sites), (evolution, end), spent, &mut lots)?;
    Some(best.placement())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::UNHEARD;
    use crate::placement::generate::{Shape, generate};
    use crate::placement::search::best::Best;
    use crate::placement::{Cost, NO_HURRY, Objective, Problem};
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
            // It ends with a whole generation.
            assert!(spent <= trials / 3 * 2, "{spent} of {trials}");
            let rank = Best::new(&regions.problem, outline.expect("an outline")).rank;
            assert!(rank.is_allowed(), "{rank:?}");
            costs.push(rank.cost.as_kb_ms());
        }
        assert!(costs[1] < costs[0], "{costs:?}");
    }

    #[test]
    fn where_moves_count_or_overload_has_a_price_there_are_none() {
        let few = Objective { max_moves: Some(3), ..Objective::default() };
        let priced = Objective { overload: Overload::Priced(Cost::from_kb_ms(1.0)), ..Objective::default() };
        for objective in [few, priced] {
            assert_eq!(outlined(&problem(objective), 1_000_000), (None, 0));
        }
    }
}
