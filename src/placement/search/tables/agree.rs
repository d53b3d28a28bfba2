//! Agreement: what several hasty placements have together becomes one, and what is left is placed again and again.
//!
//! Where all talk to all, what a placement comes to is decided while it is hot, by which half of everything goes where, and annealing
//! that begins with the result rarely gets out of that again. So there have to be many placements, each of them cooled for long enough
//! to be told from the others, and that is dear where every service is for itself. But hasty ones agree on most: what is together in
//! all of them is merged, as Ovelgönne and Geyer-Schulz 2013 merge the core groups of weak clusterings ("An ensemble learning strategy
//! for graph clustering"), and the same again with what that comes to. Of what is left, a fifth of a thousand services, there are many
//! placements in a short time. The best of them are annealed again without the mergers, those of the last time first.
//!
//! One graph of a thousand services comes to 0.6 to 1.1 % less than with two slow courses in a little more time (three graphs, nodes
//! full to 70 and 92 %, n = 16). Warm from 2 to 10 % of what taking a service anywhere costs, one merger or three, 6 slower last
//! placements or 8: all the same, within half a percent.

use super::at_once;
use super::graph::Graph;
use super::growth::{Fall, Growth, packed, regrown, together};
use super::sites::Sites;
use super::tableau::Tableau;
use crate::placement::UNHEARD;
use crate::placement::search::ground::Lots;
use crate::placement::search::scales::Spent;

/// How many placements there are of the same services, and on how many trials for each service and node each is grown.
#[derive(Debug, Clone, Copy)]
struct Field {
    count: usize,
    trials: u64,
}

/// Those whose agreement is merged, one after the other; and those of what is left then, of which the best so many go on.
const HASTY: [Field; 2] = [Field { count: 6, trials: 10 }, Field { count: 4, trials: 20 }];
const LAST: Field = Field { count: 8, trials: 60 };
const BEST: usize = 2;

/// On how many trials for each service and node these are annealed after each merger that is taken back, and from which share of what
/// taking a service to any node costs.
const REFINED: u64 = 60;
const WARM: f64 = 0.03;

/// How many trials all of this has for each service and node, about.
const ALL: u64 = 350;

/// What part of a node the parts of a step may fill at most, in percent; what has been agreed on may be as much as a node.
const LARGEST: f64 = 20.0;
const WHOLE: f64 = 100.0;

/// What all placements have in common.
struct Terms<'a> {
    sites: &'a Sites,
    /// From hot to cold.
    fall: Fall,
    /// By how much everything has to be shorter.
    share: f64,
}

/// The best placement that is found in so many trials, about, or fewer. `None` where none is found that everything fits in.
pub(in super::super) fn agreed<'a>(
    (graph, sites): (&'a Graph, &'a Sites),
    most: u64,
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Option<Tableau<'a>> {
    let begun = packed(graph, sites)?;
    let fall = Fall::whole(&Tableau::new(graph, sites, begun.clone()), lots);
    let all = ((graph.services * sites.count) as u64).saturating_mul(ALL).max(1);
    let terms = Terms { sites, fall, share: (most as f64 / all as f64).min(1.0) };
    let found = terms.best(graph, begun, &HASTY, spent, lots);
    let found = found.into_iter().map(|at| Tableau::new(graph, sites, at));
    found.min_by(|one, other| one.total.total_cmp(&other.total))
}

impl Terms<'_> {
    /// The best placements after so many mergers, each begun with one that fits.
    fn best(
        &self,
        graph: &Graph,
        begun: Vec<u32>,
        hasty: &[Field],
        spent: &mut Spent<'_>,
        lots: &mut Lots,
    ) -> Vec<Vec<u32>> {
        let (field, mergers) = hasty.split_first().map_or((LAST, None), |(field, mergers)| (*field, Some(mergers)));
        let mut found = self.annealed(graph, &vec![begun; field.count], (field.trials, self.fall), spent, lots);
        found.sort_by(|one, other| one.total.total_cmp(&other.total));
        let Some(mergers) = mergers else {
            return found.into_iter().take(BEST).map(|tableau| tableau.at).collect();
        };
        let agree =
            |one: u32, other: u32| found.iter().all(|tableau| tableau.at[one as usize] == tableau.at[other as usize]);
        let heaps = together(graph, agree, &self.sites.share(WHOLE));
        let best = self.best(&heaps.graph, heaps.up(&found[0].at), mergers, spent, lots);
        let begun: Vec<Vec<u32>> = best.iter().map(|at| heaps.down(at)).collect();
        let warm = Fall { from: self.fall.typical * WARM, ..self.fall };
        let refined = self.annealed(graph, &begun, (REFINED, warm), spent, lots);
        let before = begun.into_iter().map(|at| Tableau::new(graph, self.sites, at));
        before
            .zip(refined)
            .map(|(before, after)| if after.total < before.total { after.at } else { before.at })
            .collect()
    }

    /// Where each of these comes to.
    fn annealed<'b>(
        &'b self,
        graph: &'b Graph,
        begun: &[Vec<u32>],
        (trials, fall): (u64, Fall),
        spent: &mut Spent<'_>,
        lots: &mut Lots,
    ) -> Vec<Tableau<'b>> {
        let size = (graph.services * self.sites.count) as f64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Not negative, and as a whole number near enough.
        let growth = Growth { trials: (size * trials as f64 * self.share) as u64, largest: LARGEST, priced: true };
        let time_up = spent.time_up;
        let found = at_once(begun.len(), lots, |lane, lots| {
            let mut own = Spent { trials: 0, time_up, told: UNHEARD };
            (regrown((graph, self.sites), growth, (begun[lane].clone(), fall), &mut own, lots), own.trials)
        });
        spent.trials += found.iter().map(|(_, trials)| trials).sum::<u64>();
        found.into_iter().map(|(tableau, _)| tableau).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::growth::grown;
    use super::*;
    use crate::placement::contract::brute_force;
    use crate::placement::generate::{Shape, generate};
    use crate::placement::problem::{Draft, Resource};
    use crate::placement::{NO_HURRY, Problem};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const SHAPE: Shape = Shape { services: 200, nodes: 8, application: 200, edges: 2.0, fill: 0.8 };

    fn draft(shape: Shape) -> Draft {
        generate(shape, &mut ChaCha8Rng::seed_from_u64(4))
    }

    /// What is found for a problem, which service may go where looked at, with the cost by brute force and the trials.
    fn found(draft: Draft, most: u64, seed: u64) -> Option<(f64, u64)> {
        let problem = Problem::new(draft).expect("a problem");
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
        let found = agreed((&graph, &sites), most, &mut spent, &mut Lots::new(seed))?;
        assert!(found.fits());
        let placement = found.placement();
        assert!(placement.iter().all(|(service, node)| problem.allows(service, node)));
        let exact = brute_force(&problem, &placement).traffic.as_kb_ms();
        assert!((found.total - exact).abs() <= 1e-4 * exact, "{}, not {exact}", found.total);
        Some((exact, spent.trials))
    }

    #[test]
    fn it_comes_to_less_than_one_slow_course_of_as_many_trials() {
        let (mut costs, mut fewest) = ([0.0; 2], u64::MAX);
        let problem = Problem::new(draft(SHAPE)).expect("a problem");
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        for seed in 1..=6 {
            let (cost, trials) = found(draft(SHAPE), u64::MAX, seed).expect("it fits");
            costs[0] += cost;
            // Nominal trials are several times those of samples: with as many nominal ones a course has fewer, so it gets more.
            let growth = Growth { trials: trials * 3, largest: LARGEST, priced: true };
            let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
            costs[1] += grown((&graph, &sites), growth, &mut spent, &mut Lots::new(seed)).expect("it fits").total;
            fewest = fewest.min(spent.trials * 100 / trials);
        }
        assert!(fewest >= 80, "the slow courses had {fewest} % of the trials");
        assert!(costs[0] < costs[1], "{costs:?}");
    }

    #[test]
    fn fewer_trials_are_kept_to_and_come_to_more() {
        let size = 200 * 8;
        let mean = |each: u64| {
            let of = |seed| found(draft(SHAPE), size * each, seed).expect("it fits");
            let (costs, trials): (Vec<f64>, Vec<u64>) = (1..=4).map(of).unzip();
            (costs.iter().sum::<f64>() / 4.0, trials.into_iter().max())
        };
        let ((short, few), (long, many)) = (mean(10), mean(ALL));
        assert!(long < short, "{long}, {short} with fewer");
        assert!(few < Some(20 * size) && many < Some(ALL * size), "{few:?}, {many:?}");
    }

    /// Nodes nearly full, two resources, some services bound.
    #[test]
    fn services_stay_where_they_may_be_and_fit() {
        let mut draft = draft(Shape { services: 60, nodes: 6, application: 60, fill: 0.9, ..SHAPE });
        draft.resources.push(Resource { name: "memory".to_owned(), unit: 1 });
        draft.hosts.iter_mut().for_each(|host| (host.capacity.push(80), host.used.push(0)).1);
        draft.services.iter_mut().enumerate().for_each(|(place, service)| service.demand.push(place as u64 % 14));
        for service in (0..60).step_by(7) {
            draft.services[service].allowed = Some(vec![service % 6, (service + 1) % 6]);
        }
        for seed in 1..=4 {
            assert!(found(draft.clone(), u64::MAX, seed).is_some(), "it fits");
        }
    }

    #[test]
    fn where_nothing_fits_or_no_time_is_left_it_ends() {
        assert_eq!(found(draft(Shape { fill: 1.2, ..SHAPE }), u64::MAX, 1), None);
        let problem = Problem::new(draft(SHAPE)).expect("a problem");
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        let mut spent = Spent { trials: 0, time_up: &|| true, told: UNHEARD };
        let found = agreed((&graph, &sites), u64::MAX, &mut spent, &mut Lots::new(1));
        assert!(found.is_some_and(|found| found.fits()) && spent.trials == 0);
    }

    /// Two placements: only what talks and is together in both is one.
    #[test]
    fn only_what_talks_and_is_agreed_on_is_merged() {
        let problem = Problem::new(draft(Shape { services: 60, application: 60, ..SHAPE })).expect("a problem");
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        let placements: [Vec<u32>; 2] = [(0..60).map(|at| at % 3).collect(), (0..60).map(|at| at % 4).collect()];
        let agree = |one: u32, other: u32| placements.iter().all(|at| at[one as usize] == at[other as usize]);
        let heaps = together(&graph, agree, &sites.share(WHOLE));
        let heap = heaps.down(&(0..).take(heaps.graph.services).collect::<Vec<u32>>());
        let mut merged = 0;
        for pair in graph.pairs() {
            let (one, other) = pair.ends;
            assert_eq!(heap[one as usize] == heap[other as usize], one % 12 == other % 12, "{one} and {other}");
            merged += u32::from(one % 12 == other % 12);
        }
        assert!(merged > 3 && heaps.graph.services == 60 - merged as usize, "{merged} of {}", heaps.graph.services);
    }
}
