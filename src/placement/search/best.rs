//! The best placement so far, and what is done to any in the end.

use super::descent::Descent;
use super::recombine::recombined;
use crate::placement::{Evaluator, Placement, Problem, Rank, TimeUp, Told, UNHEARD};

/// The best placement so far.
pub(super) struct Best<'a> {
    pub(super) problem: &'a Problem,
    pub(super) rank: Rank,
    pub(super) placement: Placement,
    /// Hears of each that is better.
    told: Told<'a>,
}

impl<'a> Best<'a> {
    pub(super) fn new(problem: &'a Problem, placement: Placement) -> Self {
        Self::telling(problem, placement, UNHEARD)
    }

    pub(super) fn telling(problem: &'a Problem, placement: Placement, told: Told<'a>) -> Self {
        let evaluator = Evaluator::new(problem, placement);
        let rank = evaluator.rank();
        told(rank);
        Self { problem, rank, placement: evaluator.into_placement(), told }
    }

    /// Takes a placement that is better.
    pub(super) fn offer(&mut self, placement: Placement) {
        let other = Best::new(self.problem, placement);
        if other.rank.beats(self.rank) {
            (self.told)(other.rank);
            *self = Self { told: self.told, ..other };
        }
    }

    /// Takes what is better of a placement, or all of it.
    pub(super) fn take(&mut self, placement: &Placement) {
        self.offer(recombined(self.problem, &self.placement, &self.placement, placement));
    }

    /// Whether nothing can be better: allowed, and nothing travels, moves at a price or is overloaded at one.
    pub(super) fn is_ideal(&self) -> bool {
        self.rank.violation <= 0.0 && self.rank.cost.as_kb_ms() <= 0.0
    }
}

/// The placement without the moves that gain nothing: who can go back to where it runs now at no cost does.
pub(super) fn settled(problem: &Problem, placement: Placement) -> Placement {
    let mut evaluator = Evaluator::new(problem, placement);
    let mut settling = true;
    while settling {
        settling = false;
        for (service, known) in problem.services().iter().enumerate() {
            let home = known.current.filter(|home| *home != evaluator.node(service) && problem.allows(service, *home));
            if let Some(home) = home
                && !evaluator.rank().beats(evaluator.rank_after(service, home))
            {
                evaluator.apply(service, home);
                settling = true;
            }
        }
    }
    evaluator.into_placement()
}

/// Down to where no service, no two that talk, and no swap is better.
pub(super) fn descended(problem: &Problem, start: Placement, time_up: TimeUp<'_>) -> Placement {
    let mut descent = Descent::new(Evaluator::new(problem, start));
    descent.wake_all();
    descent.run(time_up);
    descent.into_placement()
}
