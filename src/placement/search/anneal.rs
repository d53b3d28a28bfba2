//! Annealing: services move by lot, also for the worse, ever less so. Most trials take a service to where one of its peers is;
//! where there is no room, it changes places with one from there.

use rand_chacha::ChaCha8Rng;

use crate::placement::dice::{below, unit_interval};
use crate::placement::evaluator::is_moved;
use crate::placement::problem::{Problem, ServiceIndex};
use crate::placement::{Evaluator, Overload, Placement, Rank};
use crate::topology::NodeIndex;

use super::Watch;

/// How many trials lie between two looks at the clock and two temperatures.
const BATCH: u64 = 512;

/// A course of falling temperatures, in kilobytes times milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    pub(super) trials: u64,
    pub(super) from: f64,
    pub(super) to: f64,
}

/// A placement that is annealed, and the best that it has been.
#[derive(Debug)]
pub(super) struct Anneal<'a> {
    problem: &'a Problem,
    evaluator: Evaluator<'a>,
    members: Vec<Vec<ServiceIndex>>,
    /// Where each service is in the list of its node.
    place: Vec<usize>,
    /// Services with links: nothing is to be gained by the others.
    talkers: Vec<ServiceIndex>,
    best: (Rank, Placement),
}

/// A trial that may be carried out: what it changes.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// What decides: traffic, price and overload.
    cost: f64,
    /// Traffic alone.
    gained: f64,
    service: ServiceIndex,
    to: NodeIndex,
    partner: Option<ServiceIndex>,
}

impl<'a> Anneal<'a> {
    pub(super) fn new(problem: &'a Problem, start: Placement) -> Self {
        let evaluator = Evaluator::new(problem, start);
        let mut members = vec![Vec::new(); problem.hosts().len()];
        let mut place = Vec::with_capacity(problem.services().len());
        for (service, node) in evaluator.placement().iter() {
            place.push(members[node].len());
            members[node].push(service);
        }
        let talkers = (0..place.len()).filter(|service| !problem.links(*service).is_empty()).collect();
        let best = (evaluator.rank(), evaluator.placement().clone());
        Self { problem, evaluator, members, place, talkers, best }
    }

    /// The best so far.
    pub(super) fn into_best(self) -> Placement {
        self.best.1
    }

    /// How much a trial that makes things worse does so, in the mean over some.
    pub(super) fn typical(&self, stream: &mut ChaCha8Rng) -> f64 {
        let trials = (0..256).filter_map(|_| self.trial(stream));
        let worse: Vec<f64> = trials.map(|trial| trial.cost).filter(|cost| *cost > 0.0).collect();
        worse.iter().sum::<f64>() / (worse.len() as f64).max(1.0)
    }

    /// One course. Ends early when the time is up or nothing can be better.
    pub(super) fn run(&mut self, course: Course, stream: &mut ChaCha8Rng, watch: Watch<'_>) -> u64 {
        let factor = libm::pow(course.to / course.from, BATCH as f64 / course.trials.max(1) as f64);
        let (mut temperature, mut done) = (course.from, 0);
        while done < course.trials && !self.talkers.is_empty() && !(watch.time_up)() {
            for _ in 0..BATCH.min(course.trials - done) {
                if let Some(trial) = self.trial(stream)
                    && (trial.cost <= 0.0 || unit_interval(stream) < libm::exp(-trial.cost / temperature))
                {
                    self.carry_out(trial);
                }
            }
            done += BATCH;
            temperature *= factor;
            self.remember(watch);
        }
        done.min(course.trials)
    }

    /// A trial by lot; `None` where what came up is not allowed.
    fn trial(&self, stream: &mut ChaCha8Rng) -> Option<Trial> {
        let service = *self.talkers.get(below(stream, self.talkers.len()))?;
        let links = self.problem.links(service);
        let to = match below(stream, 8) {
            0 => below(stream, self.members.len()),
            _ => self.evaluator.node(links[below(stream, links.len())].peer),
        };
        let home = self.evaluator.node(service);
        if to == home || !self.problem.allows(service, to) {
            return None;
        }
        let gained = self.gained(service, home, to);
        let mut cost = gained + self.price(service, home, to)?;
        match self.problem.objective().overload {
            Overload::Priced(price) => {
                let loads = self.evaluator.loads();
                let after = loads.excess_after(home, to, self.problem.demand(service));
                cost += price.as_kb_ms() * (after - loads.excess());
            }
            Overload::Forbidden if !self.evaluator.loads().has_room(to, self.problem.demand(service)) => {
                return self.exchange(service, home, to, stream);
            }
            Overload::Forbidden => {}
        }
        Some(Trial { cost, gained, service, to, partner: None })
    }

    /// The service and one by lot from the full node, the other way round.
    fn exchange(
        &self,
        service: ServiceIndex,
        home: NodeIndex,
        to: NodeIndex,
        stream: &mut ChaCha8Rng,
    ) -> Option<Trial> {
        let members = &self.members[to];
        let partner = *members.get(below(stream, members.len()))?;
        if !self.problem.allows(partner, home) {
            return None;
        }
        let (out, back) = (self.problem.demand(service), self.problem.demand(partner));
        let loads = self.evaluator.loads();
        let fits = |node: NodeIndex, leaves: &[u64], joins: &[u64]| {
            let asked = loads.asked(node).iter().zip(self.problem.free(node));
            asked.zip(leaves.iter().zip(joins)).all(|((asked, free), (leaves, joins))| asked - leaves + joins <= *free)
        };
        if !fits(to, back, out) || !fits(home, out, back) {
            return None;
        }
        // With both at once no limit of moves is looked at but through each alone.
        let price = self.price(service, home, to)? + self.price(partner, to, home)?;
        let mut gained = self.gained(service, home, to) + self.gained(partner, to, home);
        if let Some(link) = self.problem.links(service).iter().find(|link| link.peer == partner) {
            // Each sum took the other for staying: they are as far apart as before, the other way round.
            gained += self.problem.link_cost(link, home, to) + self.problem.link_cost(link, to, home);
        }
        Some(Trial { cost: gained + price, gained, service, to, partner: Some(partner) })
    }

    /// By how much the traffic of a service costs more on `to`.
    fn gained(&self, service: ServiceIndex, from: NodeIndex, to: NodeIndex) -> f64 {
        let (out, out_before) = (self.problem.delays_from(to), self.problem.delays_from(from));
        let (back, back_before) = (self.problem.delays_to(to), self.problem.delays_to(from));
        let mut gained = 0.0;
        for link in self.problem.links(service) {
            let peer = self.evaluator.node(link.peer);
            gained += link.there * (out[peer] - out_before[peer]) + link.back * (back[peer] - back_before[peer]);
        }
        gained
    }

    /// What the move costs as a move; `None` where there may be no more.
    fn price(&self, service: ServiceIndex, from: NodeIndex, to: NodeIndex) -> Option<f64> {
        let objective = self.problem.objective();
        let moved = |node| is_moved(self.problem, service, node);
        let more = i8::from(moved(to)) - i8::from(moved(from));
        let full = objective.max_moves.is_some_and(|most| self.evaluator.valuation().moves >= most);
        (more <= 0 || !full).then(|| objective.move_price.as_kb_ms() * f64::from(more))
    }

    fn carry_out(&mut self, trial: Trial) {
        let home = self.evaluator.node(trial.service);
        self.transfer(trial.service, trial.to, trial.gained);
        if let Some(partner) = trial.partner {
            self.transfer(partner, home, 0.0);
        }
    }

    /// Looks whether this is the best so far. Seldom, as it costs a copy: towards the end of a course it always is, or nearly.
    fn remember(&mut self, watch: Watch<'_>) {
        let rank = self.evaluator.rank();
        if rank.beats(self.best.0) {
            self.best.0 = rank;
            (watch.told)(rank);
            self.best.1.clone_from(self.evaluator.placement());
        }
    }

    fn transfer(&mut self, service: ServiceIndex, to: NodeIndex, gained: f64) {
        let from = self.evaluator.node(service);
        self.evaluator.apply_with(service, to, gained);
        let place = self.place[service];
        self.members[from].swap_remove(place);
        if let Some(last) = self.members[from].get(place) {
            self.place[*last] = place;
        }
        self.place[service] = self.members[to].len();
        self.members[to].push(service);
    }
}
