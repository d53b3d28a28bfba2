//! A field of placements of which the better half goes on.

use rand_chacha::ChaCha8Rng;

use super::best::Best;
use super::cycles::cycles;
use super::scales::Spent;
use super::terrain::{Terrain, lanes};
use crate::placement::{Placement, Problem, Told, UNHEARD};

/// Placements of the same problem, with their ranks.
pub(super) struct Field<'a>(Vec<Best<'a>>);

impl<'a> Field<'a> {
    /// What lanes came to, each with its trials; these are spent now.
    pub(super) fn of(
        problem: &'a Problem,
        found: Vec<(Placement, u64)>,
        told: Told<'a>,
        spent: &mut Spent<'_>,
    ) -> Self {
        spent.trials += found.iter().map(|(_, trials)| trials).sum::<u64>();
        Self(found.into_iter().map(|(placement, _)| Best::telling(problem, placement, told)).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each after cycles, which have so many trials all together.
    pub(super) fn improved(
        &self,
        terrain: &Terrain<'a>,
        (trials, told): (u64, Told<'a>),
        spent: &mut Spent<'_>,
        stream: &mut ChaCha8Rng,
    ) -> Self {
        let each = trials / self.len().max(1) as u64;
        let time_up = spent.time_up;
        let found = lanes(terrain, self.len(), stream, |lane, stream| {
            let mut best = Best::telling(terrain.problem, self.0[lane].placement.clone(), UNHEARD);
            let mut own = Spent { trials: 0, time_up, told: UNHEARD };
            cycles(terrain, &mut best, (each, 1), &mut own, stream);
            (best.placement, own.trials)
        });
        Self::of(terrain.problem, found, told, spent)
    }

    /// Those that fewer are better than; of equals the first.
    pub(super) fn better_half(mut self) -> Self {
        let field = &mut self.0;
        for _ in 0..field.len() / 2 {
            let worst =
                (1..field.len()).fold(0, |last, one| if field[one].rank.beats(field[last].rank) { last } else { one });
            field.remove(worst);
        }
        self
    }

    /// The only one there is; of several the last.
    pub(super) fn last(mut self) -> Option<Best<'a>> {
        self.0.pop()
    }
}
