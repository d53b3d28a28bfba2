//! [`Terrain`]: a problem with all that the search looks up; and [`lanes`], what is done at once.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::SMALL;
use super::ground::Ground;
use super::regions::Regions;
use crate::placement::Problem;

/// A problem, and what annealing looks up.
pub(super) struct Terrain<'a> {
    pub(super) problem: &'a Problem,
    pub(super) ground: Arc<Ground>,
    pub(super) regions: Option<(Regions, Arc<Ground>)>,
}

impl<'a> Terrain<'a> {
    pub(super) fn new(problem: &'a Problem) -> Self {
        let with_ground = |regions: Regions| {
            let ground = Arc::new(Ground::new(&regions.problem));
            (regions, ground)
        };
        let regions = Regions::new(problem).map(with_ground);
        Self { problem, ground: Arc::new(Ground::new(problem)), regions }
    }

    pub(super) fn size(&self) -> u64 {
        (self.problem.services().len() * self.problem.hosts().len()) as u64
    }

    /// How many links a service has in the mean.
    pub(super) fn links_each(&self) -> u64 {
        let services = 0..self.problem.services().len();
        let count = services.len().max(1);
        (services.map(|service| self.problem.links(service).len()).sum::<usize>() / count) as u64
    }

    pub(super) fn is_small(&self) -> bool {
        is_small(self.problem)
    }
}

/// Whether a problem is small.
pub(super) fn is_small(problem: &Problem) -> bool {
    ((problem.services().len() * problem.hosts().len()) as u64) < SMALL
}

/// Does something so many times, each with a number and a stream of its own: at once where the problem is large. What is done does not
/// depend on how many processors there are.
pub(super) fn lanes<T: Send>(
    terrain: &Terrain<'_>,
    count: usize,
    stream: &mut ChaCha8Rng,
    work: impl Fn(usize, &mut ChaCha8Rng) -> T + Sync,
) -> Vec<T> {
    let streams: Vec<(usize, ChaCha8Rng)> =
        (0..count).map(|lane| (lane, ChaCha8Rng::seed_from_u64(stream.next_u64()))).collect();
    let work = |(lane, mut stream): (usize, ChaCha8Rng)| work(lane, &mut stream);
    if terrain.is_small() || count == 1 {
        streams.into_iter().map(work).collect()
    } else {
        streams.into_par_iter().map(work).collect()
    }
}
