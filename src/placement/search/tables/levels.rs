//! [`Levels`]: a graph with what is together merged more and more, annealed from the smallest graph to the original.

use super::graph::Graph;
use super::sites::Sites;
use super::tableau::Tableau;
use crate::placement::search::anneal::Course;
use crate::placement::search::ground::Lots;
use crate::placement::search::scales::Spent;

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
    /// What is on the same node merged as often as that makes the graph smaller, up to `percent` of a node; and where everything is
    /// then.
    pub(super) fn together(
        graph: &'a Graph,
        sites: &'a Sites,
        (percent, mut at): (f64, Vec<u32>),
        lots: &mut Lots,
    ) -> (Self, Vec<u32>) {
        let mut levels = Self { graph, sites, above: Vec::new() };
        let most = sites.share(percent);
        while let Some((part_of, parts)) = levels.top().paired(&at, &most, lots) {
            let level = Level::new(levels.top(), part_of, parts);
            at = level.up(&at);
            levels.above.push(level);
        }
        (levels, at)
    }

    fn top(&self) -> &Graph {
        self.above.last().map_or(self.graph, |level| &level.graph)
    }

    /// Anneals every other graph, as each has to be set up, from the smallest on; each from where that before ended, and at the same
    /// temperatures. What the original comes to.
    pub(super) fn anneal(
        &self,
        mut at: Vec<u32>,
        course: Course,
        spent: &mut Spent<'_>,
        lots: &mut Lots,
    ) -> Tableau<'a> {
        let annealed = (self.above.len() / 2 + 1) as u64;
        let course = Course { trials: (course.trials / annealed).max(1), ..course };
        let left_out = lots.below(2);
        for (below, level) in self.above.iter().enumerate().rev() {
            if below % 2 != left_out {
                let mut tableau = Tableau::new(&level.graph, self.sites, at);
                spent.trials += tableau.anneal(course, lots, spent.time_up).0;
                at = tableau.at;
            }
            at = level.down(&at);
        }
        let mut tableau = Tableau::new(self.graph, self.sites, at);
        spent.trials += tableau.anneal(course, lots, spent.time_up).0;
        tableau
    }
}
