//! Scales: a problem with its services merged more and more, annealed from the smallest problem to the original.

use rand_chacha::ChaCha8Rng;

use super::anneal::{Anneal, Course};
use super::best::{Best, descended};
use super::coarse::{Level, coarsen};
use super::ground::Ground;
use crate::placement::{Placement, Problem, TimeUp, Told, start};

/// What is used up, who says when to stop, and who hears of what there is.
pub(super) struct Spent<'a> {
    pub(super) trials: u64,
    pub(super) time_up: TimeUp<'a>,
    /// Hears of what there is so far.
    pub(super) told: Told<'a>,
}

/// The temperatures of all scales.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heat {
    /// Shares of what taking a service to any node costs: on the largest scale, on the others, and at the end of each.
    Shares { top: f64, below: f64, end: f64 },
    /// Kilobytes times milliseconds.
    Fixed { from: f64, to: f64 },
}

impl Heat {
    /// Where nothing is known.
    pub(super) const ANYWHERE: Self = Self::Shares { top: 1.0, below: 0.1, end: 1e-3 };
    /// Where the region of everything is known.
    pub(super) const WITHIN_REGIONS: Self = Self::Shares { top: 0.02, below: 0.02, end: 1e-4 };
}

/// Whether services may be merged and moved together as one pleases: where moves count they may not, as a merged service has no place
/// where it runs now.
pub(super) fn may_regroup(problem: &Problem) -> bool {
    let objective = problem.objective();
    objective.max_moves.is_none() && objective.move_price.as_kb_ms() <= 0.0
}

/// A problem and what merging made of it.
#[derive(Debug)]
pub(super) struct Scales<'a> {
    problem: &'a Problem,
    ground: &'a Ground,
    levels: Vec<Level>,
}

impl<'a> Scales<'a> {
    /// The problem alone.
    pub(super) fn new(problem: &'a Problem, ground: &'a Ground) -> Self {
        Self { problem, ground, levels: Vec::new() }
    }

    /// Merges services as often as that makes the problem smaller, up to `percent` of a node; with `together`, only those on the
    /// same node, and returns that placement of what was merged.
    pub(super) fn merge(
        &mut self,
        percent: u64,
        mut together: Option<Placement>,
        stream: &mut ChaCha8Rng,
    ) -> Option<Placement> {
        if !may_regroup(self.problem) {
            return together;
        }
        while let Some(level) = coarsen(self.top(), together.as_ref(), percent, stream) {
            together = together.map(|placement| level.up(&placement));
            self.levels.push(level);
        }
        together
    }

    /// The problem with the fewest services.
    pub(super) fn top(&self) -> &Problem {
        self.at(self.levels.len())
    }

    fn at(&self, depth: usize) -> &Problem {
        depth.checked_sub(1).map_or(self.problem, |above| &self.levels[above].problem)
    }

    /// Where to begin where nothing is known; scales on which not everything fits are left out.
    pub(super) fn begin(&mut self, time_up: TimeUp<'_>) -> Placement {
        loop {
            let placement = start(self.top());
            if Best::new(self.top(), placement.clone()).rank.is_allowed() {
                return placement;
            }
            if self.levels.pop().is_none() {
                return descended(self.problem, placement, time_up);
            }
        }
    }

    /// Anneals the smallest problem from a placement on, and each larger one from the best that was: with fixed temperatures from
    /// where that ended, as parts of it may be better where all of it is not.
    pub(super) fn anneal(
        &self,
        mut placement: Placement,
        trials: u64,
        heat: Heat,
        spent: &mut Spent<'_>,
        stream: &mut ChaCha8Rng,
    ) -> Placement {
        let share = (trials / (self.levels.len() + 1) as u64).max(1);
        for depth in (0..=self.levels.len()).rev() {
            let mut anneal = Anneal::new(self.at(depth), self.ground, placement);
            let (from, to) = match heat {
                Heat::Fixed { from, to } => (from, to),
                Heat::Shares { top, below, end } => {
                    let typical = anneal.typical(stream);
                    (typical * if depth == self.levels.len() { top } else { below }, typical * end)
                }
            };
            if from > 0.0 && trials > 0 {
                spent.trials += anneal.run(Course { trials: share, from, to }, stream, spent.time_up);
            }
            placement = match heat {
                Heat::Fixed { .. } => anneal.into_last(),
                Heat::Shares { .. } => anneal.into_best(),
            };
            if let Some(above) = depth.checked_sub(1) {
                placement = self.levels[above].down(&placement);
            }
        }
        placement
    }
}
