//! The outline: which region everything goes to, decided before any node is looked at.
//!
//! Where nodes lie in regions, what crosses between regions is most of what a placement can do better, and later nobody takes a
//! whole application elsewhere any more. Regions are few, so that this is searched on tables of costs. Outlines are grown from nothing:
//! many in a short time where there are applications, which only have to be put in the right regions, and these are crossed with each
//! other until nothing more is gained; hasty ones where all talk to all and the best cut through one graph is looked for, of which what
//! all agree on is merged, so that there can be many of what is left.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::ground::Lots;
use super::regions::Regions;
use super::scales::{Spent, may_regroup};
use super::tables::{Evolution, Graph, Growth, Sites, agreed, at_once, evolved, grown};
use super::terrain::Terrain;
use crate::placement::{Overload, Placement, UNHEARD};

/// How many outlines there are at first, and at last.
const FIELD: usize = 16;
const FEWEST: usize = 3;

/// On how many trials for each service and region each is grown, and improved at first; and each that comes of two.
const GROWN: u64 = 10;
const IMPROVED: u64 = 5;
const CHILD: u64 = 2;

/// What part of a region may move as one while outlines are grown, in percent: applications that are no larger had better be in one.
/// Where all talk to all there are none, and smaller parts leave more of a choice.
const SMALL: f64 = 20.0;
const LARGE: f64 = 100.0;

/// On how many trials for each service and region both are tried first, or which part of all; and how much dearer small parts have to
/// come than large ones for there to be applications.
const RACE: u64 = 15;
const RACE_PART: u64 = 20;
const APART: f64 = 1.25;

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
    let most = (trials / PART).min(size.saturating_mul(MOST)).max(1);
    let end = spent.trials.saturating_add(most);
    let mut lots = Lots::new(stream.next_u64());
    let tried = (most / size.max(1) / RACE_PART).min(RACE);
    let are_apart = has_applications((&graph, &sites), size * tried, spent, &mut lots)?;
    let left = end.saturating_sub(spent.trials);
    let best = if are_apart {
        evolved((&graph, &sites), (many(size, left), end), spent, &mut lots)
    } else {
        agreed((&graph, &sites), left, spent, &mut lots)
    };
    Some(best?.placement())
}

/// Whether large parts come to much less than small ones, both grown once on so many trials. `None` where not everything fits.
fn has_applications(
    (graph, sites): (&Graph, &Sites),
    trials: u64,
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Option<bool> {
    let (parts, time_up) = ([SMALL, LARGE], spent.time_up);
    let costs = at_once(parts.len(), lots, |lane, lots| {
        let mut own = Spent { trials: 0, time_up, told: UNHEARD };
        let growth = Growth { trials, largest: parts[lane], priced: false };
        (grown((graph, sites), growth, &mut own, lots).map(|grown| grown.total), own.trials)
    });
    spent.trials += costs.iter().map(|(_, trials)| trials).sum::<u64>();
    Some(costs[1].0? * APART < costs[0].0?)
}

/// Many that are grown fast; with fewer trials there are fewer of them, and where these are too few, all of it is so much shorter.
fn many(size: u64, trials: u64) -> Evolution {
    let most = trials.max(1);
    let each = size.saturating_mul(MOST / FIELD as u64);
    let field = usize::try_from(most / each.max(1)).unwrap_or(FIELD).clamp(FEWEST + 1, FIELD);
    let shorter = each.saturating_mul(field as u64).div_ceil(most).max(1);
    let of = |trials_each: u64| (size.saturating_mul(trials_each) / shorter).max(1);
    Evolution {
        field,
        fewest: FEWEST,
        grown: of(GROWN),
        improved: of(IMPROVED),
        largest: LARGE,
        child: of(CHILD),
        crossing: (CROSSING / shorter).max(1),
        on_regions: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn applications_are_told_from_one_graph() {
        for (application, expected) in [(25, true), (1000, false)] {
            let shape = Shape { services: 1000, nodes: 100, application, edges: 1.6, fill: 0.8 };
            let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(2))).expect("a problem");
            let terrain = Terrain::new(&problem);
            let (Regions { problem, .. }, _) = terrain.regions.as_ref().expect("regions");
            let sites = Sites::new(problem);
            let graph = Graph::new(problem, &sites);
            let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
            let found = has_applications((&graph, &sites), 100_000, &mut spent, &mut Lots::new(1));
            assert_eq!(found, Some(expected), "applications of {application}");
            assert!((195_000..=200_000).contains(&spent.trials), "{}", spent.trials);
        }
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
