//! What trials of annealing look up: delays both ways side by side, which nodes are near which, and draws that cost little.

use std::sync::LazyLock;

use crate::placement::Problem;
use crate::topology::NodeIndex;

/// How many nodes are near one.
const NEAR: usize = 8;

/// In how many steps the chance of a worse trial is cut.
const STEPS: u16 = 4096;

/// The nodes of a problem, for trials. Problems whose services are merged have the same.
#[derive(Debug)]
pub(super) struct Ground {
    nodes: usize,
    /// Delay there and back in milliseconds, row by row.
    delays: Vec<[f64; 2]>,
    /// The nearest nodes of each, up to [`NEAR`], nearest first.
    near: Vec<NodeIndex>,
    each: usize,
    /// Minus the logarithm of the middle of every step from 0 to 1.
    patience: &'static [f64],
}

/// As many logarithms would be a tenth of a millisecond for every problem.
static PATIENCE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let step = |step| -libm::log((f64::from(step) + 0.5) / f64::from(STEPS));
    (0..STEPS).map(step).collect()
});

impl Ground {
    pub(super) fn new(problem: &Problem) -> Self {
        let nodes = problem.hosts().len();
        let rows = (0..nodes).flat_map(|node| problem.delays_from(node).iter().zip(problem.delays_to(node)));
        let delays: Vec<[f64; 2]> = rows.map(|(there, back)| [*there, *back]).collect();
        let each = NEAR.min(nodes.saturating_sub(1));
        let mut near = Vec::with_capacity(nodes * each);
        for node in 0..nodes {
            let far = |other: &NodeIndex| delays[node * nodes + *other][0] + delays[node * nodes + *other][1];
            let mut others: Vec<NodeIndex> = (0..nodes).filter(|other| *other != node).collect();
            let nearer = |one: &NodeIndex, other: &NodeIndex| far(one).total_cmp(&far(other)).then(one.cmp(other));
            if each < others.len() {
                others.select_nth_unstable_by(each, nearer);
                others.truncate(each);
            }
            others.sort_by(nearer);
            near.extend(others);
        }
        Self { nodes, delays, near, each, patience: &PATIENCE }
    }

    /// The delays from a node and back, by the other node.
    pub(super) fn row(&self, node: NodeIndex) -> &[[f64; 2]] {
        &self.delays[node * self.nodes..(node + 1) * self.nodes]
    }

    /// A node near that one; itself where there is no other.
    pub(super) fn near(&self, node: NodeIndex, lots: &mut Lots) -> NodeIndex {
        let near = &self.near[node * self.each..(node + 1) * self.each];
        near.get(lots.below(near.len())).copied().unwrap_or(node)
    }

    /// By how many temperatures a trial may be worse: as likely as Metropolis has it.
    pub(super) fn patience(&self, lots: &mut Lots) -> f64 {
        self.patience[lots.below(self.patience.len())]
    }
}

/// Many draws from one seed: annealing takes several for every trial, of which a stream's would be the most expensive part.
#[derive(Debug)]
pub(super) struct Lots(u64);

impl Lots {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of `0..count`, all as likely but for one part in 2^32 / `count`; 0 of none.
    #[allow(clippy::cast_possible_truncation)] // Less than `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        (((self.mixed() >> 32) * count as u64) >> 32) as usize
    }

    /// All bits of a draw.
    pub(super) fn word(&mut self) -> u64 {
        let mixed = self.mixed();
        mixed ^ (mixed >> 31)
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The generator `SplitMix64`: a counter in odd steps, mixed. Its upper half needs no more than this.
    fn mixed(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::generate::{Shape, generate};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn draws_reach_everything_and_worse_trials_are_taken_as_often_as_metropolis_says() {
        let shape = Shape { services: 4, nodes: 12, application: 4, edges: 1.0, fill: 0.5 };
        let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(1))).expect("a problem");
        let (ground, mut lots) = (Ground::new(&problem), Lots::new(7));
        let mut had = [0; 3];
        (0..30_000).for_each(|_| had[lots.below(3)] += 1);
        assert!(had.iter().all(|count| (9_500..10_500).contains(count)), "{had:?}");
        for worse in [0.1, 1.0, 3.0] {
            let taken = (0..100_000).filter(|_| worse <= ground.patience(&mut lots)).count() as f64 / 1e5;
            assert!((taken - libm::exp(-worse)).abs() < 0.01, "{worse}: {taken}");
        }
    }

    #[test]
    fn near_nodes_are_no_farther_than_any_other() {
        let shape = Shape { services: 4, nodes: 20, application: 4, edges: 1.0, fill: 0.5 };
        let problem = Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(2))).expect("a problem");
        let (ground, mut lots) = (Ground::new(&problem), Lots::new(1));
        let far = |one, other| problem.delay_ms(one, other) + problem.delay_ms(other, one);
        for node in 0..20 {
            let near = ground.near(node, &mut lots);
            let nearer = (0..20).filter(|other| *other != node && far(node, *other) < far(node, near)).count();
            assert!(near != node && nearer < NEAR, "{near} near {node}, {nearer} are nearer");
        }
    }
}
