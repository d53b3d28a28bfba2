//! [`Levels`]: a graph with its services merged more and more, annealed from the smallest graph to the original.

use super::graph::Graph;
use super::sites::Sites;
use super::tableau::Tableau;
use crate::placement::search::anneal::Course;
use crate::placement::search::ground::Lots;
use crate::placement::search::scales::{Heat, Spent};

/// A smaller graph, and which of its services each service of the larger one is part of.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) graph: Graph,
    part_of: Vec<u32>,
}

impl Level {
    pub(super) fn new(graph: &Graph, part_of: Vec<u32>, parts: usize) -> Self {
        Self { graph: graph.contracted(&part_of, parts), part_of }
    }

    /// The smaller graph's placement of one of the larger whose merged services are together.
    pub(super) fn up(&self, at: &[u32]) -> Vec<u32> {
        let mut nodes = vec![0; self.graph.services];
        self.part_of.iter().zip(at).for_each(|(part, node)| nodes[*part as usize] = *node);
        nodes
    }

    /// The larger graph's placement.
    pub(super) fn down(&self, at: &[u32]) -> Vec<u32> {
        self.part_of.iter().map(|part| at[*part as usize]).collect()
    }
}

/// A graph and what merging made of it.
#[derive(Debug)]
pub(super) struct Levels<'a> {
    graph: &'a Graph,
    sites: &'a Sites,
    above: Vec<Level>,
}

impl<'a> Levels<'a> {
    /// Merged as often as that makes it smaller, up to `percent` of a node.
    pub(super) fn anywhere(graph: &'a Graph, sites: &'a Sites, percent: i64, lots: &mut Lots) -> Self {
        Self::merged((graph, sites), (percent, None), lots).0
    }

    /// The same of those alone that are on the same node, and where everything is then.
    pub(super) fn together(
        graph: &'a Graph,
        sites: &'a Sites,
        (percent, at): (i64, Vec<u32>),
        lots: &mut Lots,
    ) -> (Self, Vec<u32>) {
        let (levels, at) = Self::merged((graph, sites), (percent, Some(at)), lots);
        (levels, at.unwrap_or_default())
    }

    fn merged(
        (graph, sites): (&'a Graph, &'a Sites),
        (percent, mut at): (i64, Option<Vec<u32>>),
        lots: &mut Lots,
    ) -> (Self, Option<Vec<u32>>) {
        let mut levels = Self { graph, sites, above: Vec::new() };
        let most = sites.share(percent);
        while let Some((part_of, parts)) = levels.top().paired(at.as_deref(), &most, lots) {
            let level = Level::new(levels.top(), part_of, parts);
            at = at.map(|at| level.up(&at));
            levels.above.push(level);
        }
        (levels, at)
    }

    fn top(&self) -> &Graph {
        self.above.last().map_or(self.graph, |level| &level.graph)
    }

    /// Where to begin where nothing is known; levels on which not everything fits are left out. `None` where it fits on none.
    pub(super) fn begin(&mut self) -> Option<Vec<u32>> {
        loop {
            if let Some(at) = packed(self.top(), self.sites) {
                return Some(at);
            }
            self.above.pop()?;
        }
    }

    /// Anneals the smallest graph from a placement on, and each larger one from the best that was; with fixed temperatures from where
    /// that ended, and every other level alone, as each has to be set up. What it comes to, and the best on the way of the original.
    pub(super) fn anneal(
        &self,
        mut at: Vec<u32>,
        (trials, heat): (u64, Heat),
        spent: &mut Spent<'_>,
        lots: &mut Lots,
    ) -> (Tableau<'a>, Vec<u32>) {
        let is_fixed = matches!(heat, Heat::Fixed { .. });
        let parts = if is_fixed { self.above.len() / 2 } else { self.above.len() } + 1;
        let share = (trials / parts as u64).max(1);
        let left_out = lots.below(2);
        for (below, level) in self.above.iter().enumerate().rev() {
            if !(is_fixed && below % 2 == left_out) {
                let mut tableau = Tableau::new(&level.graph, self.sites, at);
                let best = annealed(&mut tableau, (share, heat, below + 1 == self.above.len()), spent, lots);
                at = if is_fixed { tableau.at } else { best };
            }
            at = level.down(&at);
        }
        let mut tableau = Tableau::new(self.graph, self.sites, at);
        let best = annealed(&mut tableau, (share, heat, self.above.is_empty()), spent, lots);
        (tableau, best)
    }
}

/// One course, at the temperatures of the top or of what is below; the best that was.
fn annealed(
    tableau: &mut Tableau<'_>,
    (trials, heat, is_top): (u64, Heat, bool),
    spent: &mut Spent<'_>,
    lots: &mut Lots,
) -> Vec<u32> {
    let (from, to) = match heat {
        Heat::Fixed { from, to } => (from, to),
        Heat::Shares { top, below, end } => {
            let typical = tableau.typical(lots);
            (typical * if is_top { top } else { below }, typical * end)
        }
    };
    if from <= 0.0 {
        return tableau.at.clone();
    }
    let (tried, best) = tableau.anneal(Course { trials, from, to }, lots, spent.time_up);
    spent.trials += tried;
    best
}

/// The largest services first, each to the node with the most room of those that it may go to. `None` where that does not fit.
pub(super) fn packed(graph: &Graph, sites: &Sites) -> Option<Vec<u32>> {
    let Ok(count) = u32::try_from(sites.count) else { return None };
    let mut room = sites.free.clone();
    let mut order: Vec<u32> = (0..).take(graph.services).collect();
    order.sort_by_key(|service| std::cmp::Reverse(graph.demand(*service).iter().max().copied()));
    let mut at = vec![0; graph.services];
    for service in order {
        let asked = graph.demand(service);
        let left = |node: u32| &room[node as usize * sites.kinds..(node as usize + 1) * sites.kinds];
        let fits = |node: &u32| {
            graph.allows(service, *node) && asked.iter().zip(left(*node)).all(|(asked, left)| asked <= left)
        };
        let node = (0..count).filter(fits).max_by_key(|node| left(*node).first().copied())?;
        let first = node as usize * sites.kinds;
        room[first..first + sites.kinds].iter_mut().zip(asked).for_each(|(left, asked)| *left -= asked);
        at[service as usize] = node;
    }
    Some(at)
}
