//! [`Descent`]: improves a placement by one service or two at a time until nothing does, looking only at what may have changed;
//! all of it can be taken back.

use std::collections::VecDeque;

use crate::placement::problem::{Problem, ServiceIndex};
use crate::placement::{Evaluator, Placement, Rank, TimeUp};
use crate::topology::NodeIndex;

/// How many services of a full node are tried as partners of a swap.
const PARTNERS: usize = 16;

/// A placement on its way down.
#[derive(Debug)]
pub(super) struct Descent<'a> {
    evaluator: Evaluator<'a>,
    /// The services on each node.
    members: Vec<Vec<ServiceIndex>>,
    /// Services that may have become improvable, each once.
    queue: VecDeque<ServiceIndex>,
    queued: Vec<bool>,
    /// What was done since the last keep: who came from where.
    done: Vec<(ServiceIndex, NodeIndex)>,
    row: Vec<f64>,
    other_row: Vec<f64>,
    /// Changes since the sum was last added up anew.
    changes: u64,
}

impl<'a> Descent<'a> {
    /// Begins.
    pub(super) fn new(evaluator: Evaluator<'a>) -> Self {
        let problem = evaluator.problem();
        let mut members = vec![Vec::new(); problem.hosts().len()];
        evaluator.placement().iter().for_each(|(service, node)| members[node].push(service));
        let queued = vec![false; problem.services().len()];
        let (queue, done, row, other_row) = (VecDeque::new(), Vec::new(), Vec::new(), Vec::new());
        Self { evaluator, members, queue, queued, done, row, other_row, changes: 0 }
    }

    pub(super) fn problem(&self) -> &'a Problem {
        self.evaluator.problem()
    }

    pub(super) fn evaluator(&self) -> &Evaluator<'a> {
        &self.evaluator
    }

    /// The placement as it is.
    pub(super) fn into_placement(self) -> Placement {
        self.evaluator.into_placement()
    }

    /// The services on a node.
    pub(super) fn members(&self, node: NodeIndex) -> &[ServiceIndex] {
        &self.members[node]
    }

    /// What was done since the last keep stays.
    pub(super) fn keep(&mut self) {
        self.done.clear();
        if self.changes > 4096 {
            self.changes = 0;
            self.evaluator.refresh();
        }
    }

    /// What was done since the last keep is taken back.
    pub(super) fn undo(&mut self) {
        while let Some((service, from)) = self.done.pop() {
            self.transfer(service, from);
        }
        while let Some(service) = self.queue.pop_front() {
            self.queued[service] = false;
        }
    }

    /// Everything may be improvable.
    pub(super) fn wake_all(&mut self) {
        (0..self.queued.len()).for_each(|service| self.wake(service));
    }

    fn wake(&mut self, service: ServiceIndex) {
        if !std::mem::replace(&mut self.queued[service], true) {
            self.queue.push_back(service);
        }
    }

    /// Moves a service; it and its peers may have become improvable.
    pub(super) fn apply(&mut self, service: ServiceIndex, to: NodeIndex) {
        let from = self.evaluator.node(service);
        if from == to {
            return;
        }
        self.done.push((service, from));
        self.transfer(service, to);
        self.wake(service);
        for link in self.problem().links(service) {
            self.wake(link.peer);
        }
    }

    fn transfer(&mut self, service: ServiceIndex, to: NodeIndex) {
        let from = self.evaluator.node(service);
        self.changes += 1;
        self.evaluator.apply(service, to);
        if let Some(place) = self.members[from].iter().position(|member| *member == service) {
            self.members[from].swap_remove(place);
        }
        self.members[to].push(service);
    }

    /// Improves until nothing does.
    pub(super) fn run(&mut self, time_up: TimeUp<'_>) {
        let mut looked = 0u32;
        while let Some(service) = self.queue.pop_front() {
            self.queued[service] = false;
            looked += 1;
            if looked.is_multiple_of(64) && time_up() {
                continue;
            }
            // A service that has moved is in the queue again.
            let _ = self.shift(service) || self.join(service) || self.swap(service);
        }
    }

    /// The best node for a service, if it is not there yet.
    fn shift(&mut self, service: ServiceIndex) -> bool {
        let mut row = std::mem::take(&mut self.row);
        self.evaluator.traffic_row(service, None, &mut row);
        let now = self.evaluator.rank();
        let (best, to) = self.best_of(service, &row, now);
        self.row = row;
        let better = best.beats(now);
        if better {
            self.apply(service, to);
        }
        better
    }

    /// The best rank that one service alone can reach, and where.
    fn best_of(&self, service: ServiceIndex, row: &[f64], now: Rank) -> (Rank, NodeIndex) {
        let (home, problem) = (self.evaluator.node(service), self.problem());
        let mut best = (now, home);
        // Without an overload to mend and a price to get back, only a shorter way is better.
        let content = self.evaluator.valuation().excess <= 0.0
            && now.is_allowed()
            && problem.services()[service].current.is_none_or(|current| current == home);
        for (to, cost) in row.iter().enumerate() {
            let gained = cost - row[home];
            if to == home || (content && gained >= 0.0) || !problem.allows(service, to) {
                continue;
            }
            let rank = self.evaluator.rank_with(service, to, gained);
            if rank.beats(best.0) {
                best = (rank, to);
            }
        }
        best
    }

    /// A service and one that it talks to, together on the best node for both.
    fn join(&mut self, service: ServiceIndex) -> bool {
        let problem = self.problem();
        let home = self.evaluator.node(service);
        let now = self.evaluator.rank();
        for link in problem.links(service) {
            let beside = self.evaluator.node(link.peer);
            if beside == home || link.there + link.back <= 0.0 {
                continue;
            }
            let (mut row, mut other) = (std::mem::take(&mut self.row), std::mem::take(&mut self.other_row));
            self.evaluator.traffic_row(service, Some(link.peer), &mut row);
            self.evaluator.traffic_row(link.peer, Some(service), &mut other);
            let apart = row[home] + other[beside] + problem.link_cost(link, home, beside);
            let candidates = (0..row.len()).filter(|node| row[*node] + other[*node] < apart);
            let found = candidates.min_by(|a, b| (row[*a] + other[*a]).total_cmp(&(row[*b] + other[*b])));
            (self.row, self.other_row) = (row, other);
            let allowed = |node: &NodeIndex| problem.allows(service, *node) && problem.allows(link.peer, *node);
            if let Some(node) = found.filter(allowed)
                && self.evaluator.rank_after_both((service, node), (link.peer, node)).beats(now)
            {
                self.apply(service, node);
                self.apply(link.peer, node);
                return true;
            }
        }
        false
    }

    /// A service and one from a node that has no room for it, the other way round.
    fn swap(&mut self, service: ServiceIndex) -> bool {
        let (problem, home, now) = (self.problem(), self.evaluator.node(service), self.evaluator.rank());
        let mut row = std::mem::take(&mut self.row);
        self.evaluator.traffic_row(service, None, &mut row);
        let mut best = (now, None);
        for to in 0..row.len() {
            if row[to] >= row[home] || !problem.allows(service, to) || self.evaluator.fits(service, to) {
                continue;
            }
            for place in 0..self.members[to].len().min(PARTNERS) {
                let partner = self.members[to][place];
                if problem.allows(partner, home) {
                    let rank = self.evaluator.rank_after_both((service, to), (partner, home));
                    if rank.beats(best.0) {
                        best = (rank, Some((to, partner)));
                    }
                }
            }
        }
        self.row = row;
        let Some((to, partner)) = best.1 else { return false };
        self.apply(service, to);
        self.apply(partner, home);
        true
    }

    /// The nearest node for a service that has room for it, other than where it is: for making room.
    pub(super) fn refuge(&mut self, service: ServiceIndex) -> Option<(f64, NodeIndex)> {
        let mut row = std::mem::take(&mut self.row);
        self.evaluator.traffic_row(service, None, &mut row);
        let home = self.evaluator.node(service);
        let open = |node: &NodeIndex| {
            *node != home && self.problem().allows(service, *node) && self.evaluator.fits(service, *node)
        };
        let nearest = (0..row.len()).filter(open).min_by(|one, other| row[*one].total_cmp(&row[*other]));
        let found = nearest.map(|node| (row[node] - row[home], node));
        self.row = row;
        found
    }
}
