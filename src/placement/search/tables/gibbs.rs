//! Gibbs sampling on a table of costs, with prices in place of full nodes.
//!
//! A service is taken to any node at once, drawn with the chances that it has at this temperature (Geman and Geman 1984,
//! <https://doi.org/10.1109/TPAMI.1984.4767596>): the least of all costs, each less noise by Gumbel's distribution, is such a draw.
//! Where all that is worth it is full, most trials of [`anneal`](super::anneal) are exchanges that find nobody who fits. Here a node may
//! be overfull: what is asked for there has a price, as multipliers of Lagrange have for capacities, which rises while more is asked
//! for than there is and falls while less is. In the end everything is a little over; [`Tableau::relieve`] takes that away.

use std::sync::LazyLock;

use super::sites::Sites;
use super::tableau::Tableau;
use crate::placement::TimeUp;
use crate::placement::search::anneal::Course;
use crate::placement::search::ground::Lots;

/// How many samples lie between two looks at the clock, two temperatures and two prices, at most.
const BATCH: u64 = 256;

/// What a whole of a node more than there is costs a service that asks for a whole one, in temperatures: at once, and more after each
/// batch. On one graph of everything half of the first, and half and twice of the second, came to the same; with ten times the first
/// it came to 1.7 % more, and with a seventh prices swing.
const PRESSURE: f32 = 2000.0;
const RISE: f32 = 200.0;

/// How much noise there is, a power of two; and how many nodes there are at most, as each of them needs some that follows.
const NOISE: usize = 8192;
const WIDEST: usize = 1024;

/// By Gumbel's distribution.
#[allow(clippy::cast_possible_truncation)] // Seven digits are enough.
static GUMBEL: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let mut lots = Lots::new(1);
    // The middle of one of 2^53 steps from 0 to 1, which is never either.
    let mut draw = || -libm::log(-libm::log(lots.unit() + f64::EPSILON / 4.0)) as f32;
    (0..NOISE + WIDEST).map(|_| draw()).collect()
});

/// What it costs to ask for something on a node; amounts are parts of the largest node.
#[derive(Debug, Clone)]
pub(super) struct Prices {
    /// By resource and node.
    of: Vec<f32>,
    /// By resource, what one of it is of the largest node.
    scale: Vec<f32>,
}

#[allow(clippy::cast_possible_truncation)] // Seven digits are enough.
impl Prices {
    /// All of them nothing. `None` of too many nodes.
    pub(super) fn new(sites: &Sites) -> Option<Self> {
        let largest = sites.share(100.0);
        let scale = largest.iter().map(|most| 1.0 / (*most).max(1) as f32).collect();
        (sites.count <= WIDEST).then(|| Self { of: vec![0.0; sites.kinds * sites.count], scale })
    }

    /// By how much what is asked for is more than there is, or less, by resource and node.
    fn over(&self, tableau: &Tableau<'_>) -> Vec<f32> {
        let nodes = 0..u32::try_from(tableau.sites.count).unwrap_or(u32::MAX);
        let kinds = self.scale.iter().enumerate();
        kinds
            .flat_map(|(kind, scale)| nodes.clone().map(move |node| -(tableau.left(node)[kind] as f32) * scale))
            .collect()
    }

    /// After a batch at that temperature.
    fn follow(&mut self, over: &[f32], heat: f32) {
        for (price, over) in self.of.iter_mut().zip(over) {
            *price = (*price + RISE * heat * over).max(0.0);
        }
    }
}

/// What a sample needs room for.
struct Scratch {
    /// By how much nodes are over, by resource and node.
    over: Vec<f32>,
    /// What the service asks for, by resource.
    asked: Vec<f32>,
    /// What each node comes to.
    value: Vec<f32>,
}

impl Tableau<'_> {
    /// One course of falling temperatures in which nodes may be overfull; how many samples it took. Ends early when the time is up.
    #[allow(clippy::cast_possible_truncation)] // Seven digits are enough.
    pub(super) fn sample(&mut self, course: Course, prices: &mut Prices, lots: &mut Lots, time_up: TimeUp<'_>) -> u64 {
        let batch = BATCH.min(self.graph.talkers.len() as u64);
        let factor = libm::pow(course.to / course.from, batch as f64 / course.trials.max(1) as f64);
        let (mut temperature, mut done) = (course.from, 0);
        let over = prices.over(self);
        let mut scratch = Scratch { over, asked: vec![0.0; prices.scale.len()], value: vec![0.0; self.sites.count] };
        while done < course.trials && batch > 0 && !time_up() {
            let heat = temperature as f32;
            (0..batch).for_each(|_| self.draw(heat, prices, &mut scratch, lots.word()));
            prices.follow(&scratch.over, heat);
            done += batch;
            temperature *= factor;
        }
        done
    }

    /// Takes a service by lot to a node by lot.
    #[allow(clippy::cast_possible_truncation)] // Few bits.
    fn draw(&mut self, heat: f32, prices: &Prices, scratch: &mut Scratch, word: u64) {
        let (graph, count) = (self.graph, self.sites.count);
        let service = graph.talkers[(((word >> 32) * graph.talkers.len() as u64) >> 32) as usize];
        let home = self.at[service as usize];
        let Scratch { over, asked, value } = scratch;
        let demand = graph.demand(service).iter().zip(&prices.scale);
        asked.iter_mut().zip(demand).for_each(|(asked, (demand, scale))| *asked = *demand as f32 * scale);
        let noise = &GUMBEL[word as usize & (NOISE - 1)..][..count];
        let costs = self.row(service).iter().zip(noise);
        value.iter_mut().zip(costs).for_each(|(value, (cost, noise))| *value = cost - heat * noise);
        let kinds = asked.iter().zip(over.chunks_exact_mut(count).zip(prices.of.chunks_exact(count)));
        for (asked, (over, prices)) in kinds {
            // It is not in its own way.
            over[home as usize] -= asked;
            let pressure = PRESSURE * heat;
            for (value, (over, price)) in value.iter_mut().zip(over.iter().zip(prices)) {
                *value += asked * (price + pressure * (over + asked * 0.5).max(0.0));
            }
        }
        let (mut to, mut least) = (home, f32::INFINITY);
        for (node, value) in (0u32..).zip(&*value) {
            (to, least) = if *value < least { (node, *value) } else { (to, least) };
        }
        asked.iter().zip(over.chunks_exact_mut(count)).for_each(|(asked, over)| over[to as usize] += asked);
        if to != home {
            self.shift(service, to);
        }
    }

    /// Takes services from overfull nodes to others that have room, those first that cost the least for what they leave. Whether
    /// no node is overfull in the end.
    #[allow(clippy::cast_possible_truncation)] // There are fewer than 2^32 nodes.
    pub(super) fn relieve(&mut self) -> bool {
        for node in 0..self.sites.count as u32 {
            while self.left(node).iter().any(|left| *left < 0) {
                let Some((service, to)) = self.leaver(node) else { return false };
                self.shift(service, to);
            }
        }
        true
    }

    /// Who had best leave an overfull node, and where to.
    #[allow(clippy::cast_possible_truncation)] // There are fewer than 2^32 nodes.
    fn leaver(&self, node: u32) -> Option<(u32, u32)> {
        let mut best = (f32::INFINITY, None);
        for service in self.members(node, 0).1 {
            let relief = self.graph.demand(*service).iter().zip(self.left(node));
            let relief = relief.map(|(asked, left)| (*asked).min((-left).max(0)) as f32).sum::<f32>();
            let others = (0..self.sites.count as u32).filter(|to| *to != node && self.has_room(*to, *service));
            for to in others.filter(|_| relief > 0.0) {
                let price = (self.cost(*service, to) - self.cost(*service, node)) / relief;
                best = if price < best.0 { (price, Some((*service, to))) } else { best };
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::contract::brute_force;
    use crate::placement::generate::{Shape, generate};
    use crate::placement::problem::Resource;
    use crate::placement::search::scales::Spent;
    use crate::placement::search::tables::graph::Graph;
    use crate::placement::search::tables::growth::{Growth, grown, packed};
    use crate::placement::{NO_HURRY, Problem, UNHEARD};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const SHAPE: Shape = Shape { services: 60, nodes: 6, application: 60, edges: 2.0, fill: 0.9 };

    /// One service is free, with all the room it wants: it is on every node as often as Boltzmann says.
    #[test]
    fn samples_come_as_often_as_their_costs_say() {
        let mut draft = generate(Shape { services: 4, fill: 0.05, ..SHAPE }, &mut ChaCha8Rng::seed_from_u64(2));
        for service in 1..4 {
            draft.services[service].allowed = Some(vec![service]);
            draft.services[service].current = Some(service);
        }
        let problem = Problem::new(draft).expect("a problem");
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        let mut tableau = Tableau::new(&graph, &sites, vec![0, 1, 2, 3]);
        let heat = f64::from(tableau.row(0).iter().copied().fold(0.0, f32::max)) / 2.0;
        let chances: Vec<f64> = tableau.row(0).iter().map(|cost| libm::exp(-f64::from(*cost) / heat)).collect();
        let (mut lots, mut prices) = (Lots::new(1), Prices::new(&sites).expect("prices"));
        let mut had = [0.0; 6];
        for _ in 0..40_000 {
            let course = Course { trials: 4, from: heat, to: heat };
            assert_eq!(tableau.sample(course, &mut prices, &mut lots, NO_HURRY), 4);
            had[tableau.at[0] as usize] += 1.0 / 40_000.0;
            assert_eq!(tableau.at[1..], [1, 2, 3]);
        }
        for (had, chance) in had.iter().zip(&chances) {
            let expected = chance / chances.iter().sum::<f64>();
            assert!((had - expected).abs() < 0.02, "{had}, not {expected}");
        }
    }

    /// Full nodes, two resources, some services bound: little is too much, and what is left over is taken away.
    #[test]
    fn prices_keep_nodes_from_being_overfull_by_much() {
        let mut draft = generate(SHAPE, &mut ChaCha8Rng::seed_from_u64(4));
        draft.resources.push(Resource { name: "memory".to_owned(), unit: 1 });
        draft.hosts.iter_mut().for_each(|host| (host.capacity.push(80), host.used.push(0)).1);
        draft.services.iter_mut().enumerate().for_each(|(place, service)| service.demand.push(place as u64 % 14));
        for service in (0..60).step_by(7) {
            draft.services[service].allowed = Some(vec![service % 6, (service + 1) % 6]);
        }
        let problem = Problem::new(draft).expect("a problem");
        let sites = Sites::new(&problem);
        let graph = Graph::new(&problem, &sites);
        let mut tableau = Tableau::new(&graph, &sites, packed(&graph, &sites).expect("it fits"));
        let (mut lots, mut prices) = (Lots::new(1), Prices::new(&sites).expect("prices"));
        let from = tableau.typical(&mut lots) / 2.0;
        let tried = tableau.sample(Course { trials: 200_000, from, to: from / 50.0 }, &mut prices, &mut lots, NO_HURRY);
        assert!((200_000..200_060).contains(&tried), "{tried}");
        let over = prices.over(&tableau);
        assert!(over.iter().all(|over| *over < 0.1), "{over:?}");
        assert!(prices.of.iter().any(|price| *price > 0.0), "nobody wants what is full");
        assert!(tableau.relieve() && tableau.fits());
        let placement = tableau.placement();
        assert!(placement.iter().all(|(service, node)| problem.allows(service, node)));
        let (total, exact) = (tableau.total, brute_force(&problem, &placement).traffic.as_kb_ms());
        assert!((total - exact).abs() <= 1e-4 * exact, "{total}, not {exact}");
        let none = tableau.sample(Course { trials: 100, from, to: from }, &mut prices, &mut lots, &|| true);
        assert_eq!(none, 0, "the time is up");
    }

    /// Three services of which no two fit on one node, on two nodes: without prices it does not fit either.
    #[test]
    fn what_cannot_be_relieved_is_told() {
        let mut draft = generate(Shape { services: 3, nodes: 2, ..SHAPE }, &mut ChaCha8Rng::seed_from_u64(1));
        draft.hosts.iter_mut().for_each(|host| host.capacity = vec![1000]);
        draft.services.iter_mut().for_each(|service| service.demand = vec![600]);
        for (count, fits) in [(2, true), (3, false)] {
            let mut draft = draft.clone();
            draft.services.truncate(count);
            draft.edges.retain(|edge| edge.from < count && edge.to < count);
            let problem = Problem::new(draft).expect("a problem");
            let sites = Sites::new(&problem);
            let graph = Graph::new(&problem, &sites);
            let mut tableau = Tableau::new(&graph, &sites, vec![0; count]);
            assert_eq!((tableau.relieve(), tableau.fits()), (fits, fits));
            let growth = Growth { trials: 1000, largest: 20.0, priced: true };
            let mut spent = Spent { trials: 0, time_up: NO_HURRY, told: UNHEARD };
            let found = grown((&graph, &sites), growth, &mut spent, &mut Lots::new(1));
            assert_eq!(found.is_some_and(|found| found.fits()), fits);
        }
    }
}
