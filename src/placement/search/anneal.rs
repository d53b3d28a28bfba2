//! Annealing: services move by lot, also for the worse, ever less so. Most trials take a service to where one of its peers is, or
//! near; where there is no room, it changes places with one from there.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::ground::{Ground, Lots};
use super::scales::may_regroup;
use crate::placement::evaluator::is_moved;
use crate::placement::problem::{Problem, ServiceIndex};
use crate::placement::{Evaluator, Overload, Placement, Rank, TimeUp};
use crate::topology::NodeIndex;

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
    ground: &'a Ground,
    evaluator: Evaluator<'a>,
    members: Vec<Vec<ServiceIndex>>,
    /// Where each service is in the list of its node.
    place: Vec<usize>,
    /// What is left of each node, less than nothing where it is overloaded, and what each service asks for, by resource.
    room: Vec<i64>,
    demand: Vec<i64>,
    kinds: usize,
    /// Whether moves have no price and no limit.
    moves_freely: bool,
    /// Services with links, or whose place matters to those outside: nothing is to be gained by the others.
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
    pub(super) fn new(problem: &'a Problem, ground: &'a Ground, start: Placement) -> Self {
        let evaluator = Evaluator::new(problem, start);
        let each = 2 * problem.services().len() / problem.hosts().len().max(1) + 2;
        let mut members: Vec<Vec<ServiceIndex>> =
            (0..problem.hosts().len()).map(|_| Vec::with_capacity(each)).collect();
        let mut place = Vec::with_capacity(problem.services().len());
        for (service, node) in evaluator.placement().iter() {
            place.push(members[node].len());
            members[node].push(service);
        }
        let talks = |service: &ServiceIndex| !problem.links(*service).is_empty() || problem.pulls(*service).is_some();
        let talkers = (0..place.len()).filter(talks).collect();
        let best = (evaluator.rank(), evaluator.placement().clone());
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let left = |node: NodeIndex| {
            let both = problem.free(node).iter().zip(evaluator.loads().asked(node));
            both.map(move |(free, asked)| whole(*free).saturating_sub(whole(*asked)))
        };
        let room = (0..problem.hosts().len()).flat_map(left).collect();
        let demand = (0..place.len()).flat_map(|service| problem.demand(service)).map(|asked| whole(*asked)).collect();
        let (kinds, moves_freely) = (problem.resources().len(), may_regroup(problem));
        Self { problem, ground, evaluator, members, place, room, demand, kinds, moves_freely, talkers, best }
    }

    /// Whether a node has room for a service, and, where one is named, for that in exchange for another.
    fn has_room(&self, node: NodeIndex, joins: ServiceIndex, leaves: Option<ServiceIndex>) -> bool {
        (0..self.kinds).all(|kind| {
            let left = leaves.map_or(0, |leaves| self.demand[leaves * self.kinds + kind]);
            self.demand[joins * self.kinds + kind] <= self.room[node * self.kinds + kind].saturating_add(left)
        })
    }

    /// The best so far.
    pub(super) fn into_best(self) -> Placement {
        self.best.1
    }

    /// What it came to in the end, which may be worse than it has been.
    pub(super) fn into_last(self) -> Placement {
        self.evaluator.into_placement()
    }

    /// How much it costs, where it costs more, to take a service to any node, in the mean over some.
    pub(super) fn typical(&self, stream: &mut ChaCha8Rng) -> f64 {
        let mut lots = Lots::new(stream.next_u64());
        let (mut sum, mut worse) = (0.0, 0.0f64);
        for _ in 0..64 {
            let Some(service) = self.talkers.get(lots.below(self.talkers.len())) else { break };
            let home = self.evaluator.node(*service);
            let gained = self.gained(*service, home, lots.below(self.members.len()));
            if gained > 0.0 {
                (sum, worse) = (sum + gained, worse + 1.0);
            }
        }
        sum / worse.max(1.0)
    }

    /// One course. Ends early when the time is up.
    pub(super) fn run(&mut self, course: Course, stream: &mut ChaCha8Rng, time_up: TimeUp<'_>) -> u64 {
        let factor = libm::pow(course.to / course.from, BATCH as f64 / course.trials.max(1) as f64);
        let (mut temperature, mut done) = (course.from, 0);
        let mut lots = Lots::new(stream.next_u64());
        while done < course.trials && !self.talkers.is_empty() && !time_up() {
            for _ in 0..BATCH.min(course.trials - done) {
                let most = temperature * self.ground.patience(&mut lots);
                if let Some(trial) = self.trial(&mut lots)
                    && trial.cost <= most
                {
                    self.carry_out(trial);
                }
            }
            done += BATCH;
            temperature *= factor;
            self.remember();
        }
        done.min(course.trials)
    }

    /// A trial by lot; `None` where what came up is not allowed.
    fn trial(&self, lots: &mut Lots) -> Option<Trial> {
        let service = *self.talkers.get(lots.below(self.talkers.len()))?;
        let home = self.evaluator.node(service);
        let to = self.target(service, home, lots);
        if to == home || !self.problem.allows(service, to) {
            return None;
        }
        let mut cost = self.price(service, home, to)?;
        match self.problem.objective().overload {
            Overload::Priced(price) => {
                let loads = self.evaluator.loads();
                let after = loads.excess_after(home, to, self.problem.demand(service));
                cost += price.as_kb_ms() * (after - loads.excess());
            }
            Overload::Forbidden if !self.has_room(to, service, None) => {
                return self.exchange(service, home, to, lots);
            }
            Overload::Forbidden => {}
        }
        let gained = self.gained(service, home, to);
        Some(Trial { cost: cost + gained, gained, service, to, partner: None })
    }

    /// Where to: to a peer or near one, one time in 16 anywhere.
    fn target(&self, service: ServiceIndex, home: NodeIndex, lots: &mut Lots) -> NodeIndex {
        let kind = lots.below(16);
        if kind == 0 {
            return lots.below(self.members.len());
        }
        let links = self.problem.links(service);
        if links.is_empty() {
            return lots.below(self.members.len());
        }
        let beside = self.evaluator.node(links[lots.below(links.len())].peer);
        if kind.is_multiple_of(2) || beside == home { self.ground.near(beside, lots) } else { beside }
    }

    /// The service and one by lot from the full node, the other way round.
    fn exchange(&self, service: ServiceIndex, home: NodeIndex, to: NodeIndex, lots: &mut Lots) -> Option<Trial> {
        let members = &self.members[to];
        let partner = *members.get(lots.below(members.len()))?;
        if !self.problem.allows(partner, home) {
            return None;
        }
        if !self.has_room(to, service, Some(partner)) || !self.has_room(home, partner, Some(service)) {
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
        let (before, after) = (self.ground.row(from), self.ground.row(to));
        let nodes = self.evaluator.placement().nodes();
        let mut gained = self.problem.pulls(service).map_or(0.0, |pulls| pulls[to] - pulls[from]);
        for link in self.problem.links(service) {
            let peer = nodes[link.peer];
            let (was, is) = (before[peer], after[peer]);
            gained += link.there * (is[0] - was[0]) + link.back * (is[1] - was[1]);
        }
        gained
    }

    /// What the move costs as a move; `None` where there may be no more.
    fn price(&self, service: ServiceIndex, from: NodeIndex, to: NodeIndex) -> Option<f64> {
        if self.moves_freely {
            return Some(0.0);
        }
        let objective = self.problem.objective();
        let price = objective.move_price.as_kb_ms();
        let moved = |node| is_moved(self.problem, service, node);
        let more = i8::from(moved(to)) - i8::from(moved(from));
        let full = objective.max_moves.is_some_and(|most| self.evaluator.valuation().moves >= most);
        (more <= 0 || !full).then(|| price * f64::from(more))
    }

    fn carry_out(&mut self, trial: Trial) {
        let home = self.evaluator.node(trial.service);
        self.transfer(trial.service, trial.to, trial.gained);
        if let Some(partner) = trial.partner {
            self.transfer(partner, home, 0.0);
        }
    }

    /// Looks whether this is the best so far. Seldom, as it costs a copy: towards the end of a course it always is, or nearly.
    fn remember(&mut self) {
        let rank = self.evaluator.rank();
        if rank.beats(self.best.0) {
            self.best.0 = rank;
            self.best.1.clone_from(self.evaluator.placement());
        }
    }

    fn transfer(&mut self, service: ServiceIndex, to: NodeIndex, gained: f64) {
        let from = self.evaluator.node(service);
        self.evaluator.apply_with(service, to, gained);
        for kind in 0..self.kinds {
            let demand = self.demand[service * self.kinds + kind];
            let (left, joined) = (from * self.kinds + kind, to * self.kinds + kind);
            self.room[left] = self.room[left].saturating_add(demand);
            self.room[joined] = self.room[joined].saturating_sub(demand);
        }
        let place = self.place[service];
        self.members[from].swap_remove(place);
        if let Some(last) = self.members[from].get(place) {
            self.place[*last] = place;
        }
        self.place[service] = self.members[to].len();
        self.members[to].push(service);
    }
}
