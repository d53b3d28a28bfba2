//! [`Sites`]: the nodes of a problem as a table of costs needs them: delays by row, room, and where a trial goes from where a peer is.

use crate::placement::Problem;

/// How many nodes are near one.
const NEAR: usize = 8;

/// Rows are as long as a whole number of these, so that they are worked on in vectors.
pub(super) const VECTOR: usize = 8;

/// Among how many a trial chooses beside a node: every other one is the node itself, the others are near it.
pub(super) const CHOICES: usize = 16;

/// Nodes, for tables.
#[derive(Debug)]
pub(in super::super) struct Sites {
    pub(super) count: usize,
    /// How many numbers a row has: as many as there are nodes, and some that nobody looks at.
    pub(super) width: usize,
    pub(super) kinds: usize,
    /// What is free, by node and resource.
    pub(super) free: Vec<i64>,
    /// By node: the delay from every node to it, and from it to every node, in milliseconds.
    to: Vec<f32>,
    from: Vec<f32>,
    /// [`CHOICES`] by node: for services that are elsewhere, and then for those that are there already.
    choices: Vec<u32>,
}

/// The delays of one node with all others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    /// From every node to it.
    pub(super) to: &'a [f32],
    /// From it to every node.
    pub(super) from: &'a [f32],
}

#[allow(clippy::cast_possible_truncation)] // Delays are less than a minute, and milliseconds to seven digits are enough to choose by.
impl Sites {
    pub(in super::super) fn new(problem: &Problem) -> Self {
        let (count, kinds) = (problem.hosts().len(), problem.resources().len());
        let width = count.next_multiple_of(VECTOR);
        let (mut to, mut from) = (vec![0.0; count * width], vec![0.0; count * width]);
        for node in 0..count {
            let rows = problem.delays_to(node).iter().zip(problem.delays_from(node));
            for (other, (there, back)) in rows.enumerate() {
                (to[node * width + other], from[node * width + other]) = (*there as f32, *back as f32);
            }
        }
        let whole = |free: &u64| i64::try_from(*free).unwrap_or(i64::MAX);
        let free = (0..count).flat_map(|node| problem.free(node)).map(whole).collect();
        let near: Vec<Vec<u32>> = (0..count).map(|node| near(problem, node)).collect();
        let mut choices = Vec::with_capacity(2 * count * CHOICES);
        for is_there in [false, true] {
            for (node, near) in (0u32..).zip(&near) {
                choices.extend((0..CHOICES).map(|choice| match (is_there || choice % 2 == 0, near.len()) {
                    (false, _) | (_, 0) => node,
                    (true, many) => near[if is_there { choice } else { choice / 2 } % many],
                }));
            }
        }
        Self { count, width, kinds, free, to, from, choices }
    }

    pub(super) fn rows(&self, node: u32) -> Rows<'_> {
        let row = node as usize * self.width..(node as usize + 1) * self.width;
        Rows { to: &self.to[row.clone()], from: &self.from[row] }
    }

    /// The delay from one node to another and back.
    pub(super) fn round_trip(&self, one: u32, other: u32) -> f32 {
        let rows = self.rows(one);
        rows.to[other as usize] + rows.from[other as usize]
    }

    /// Where a trial goes that was drawn to a node, by one of [`CHOICES`].
    pub(super) fn beside(&self, node: u32, is_there: bool, choice: usize) -> u32 {
        self.choices[(usize::from(is_there) * self.count + node as usize) * CHOICES + choice]
    }

    /// How much of each resource `percent` of the largest node have.
    pub(super) fn share(&self, percent: f64) -> Vec<i64> {
        let free = |kind: usize| self.free.iter().skip(kind).step_by(self.kinds).copied().max().unwrap_or(0);
        (0..self.kinds).map(|kind| (free(kind) as f64 * percent / 100.0) as i64).collect()
    }
}

/// The nearest nodes, nearest first.
#[allow(clippy::cast_possible_truncation)] // There are fewer than 2^32 nodes.
fn near(problem: &Problem, node: usize) -> Vec<u32> {
    let far = |other: usize| problem.delay_ms(node, other) + problem.delay_ms(other, node);
    let mut others: Vec<usize> = (0..problem.hosts().len()).filter(|other| *other != node).collect();
    others.sort_by(|one, other| far(*one).total_cmp(&far(*other)).then(one.cmp(other)));
    others.iter().take(NEAR).map(|other| *other as u32).collect()
}
