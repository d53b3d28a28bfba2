//! Placement as in papers 001 and 003: services are given nodes by a policy; what counts is what their traffic costs, how far
//! apart they are, how full nodes get, and how long the policy takes.

mod anytime;
mod build;
mod comparison;
mod course;
mod document;
mod facts;
pub mod figures;
mod graph;
mod problem;
mod region_figures;
mod solve;
mod tally;
mod words;

pub(crate) use build::placing;
pub use comparison::compare;
pub use document::PlacementDocument;
pub use facts::PlacementFacts;
pub use graph::{Generated, GraphError, GraphService, ServiceGraph};
pub use solve::{Clock, Reading, solve};
pub use tally::{ALIKE_METRICS, METRICS};

use crate::placement::problem::Weights;
use crate::units::{Delay, Span};

/// What a reader has to know.
pub(super) const CAVEAT: &str = "Placements are computed, not run: cost is traffic times delay, not what users would feel. Times are those of \
     this machine, whatever else it did, and differ from run to run; trials are timed one at a time.";

/// What is placed where.
#[derive(Debug, Clone, PartialEq)]
pub struct Placing {
    /// What is placed.
    pub services: Services,
    /// What nodes have.
    pub capacity: Capacity,
    /// Where services run at the start.
    pub start: Start,
    /// After how long of real time a policy is to return.
    pub time: Option<Span>,
    /// What a core too much costs, in kilobytes times milliseconds; `None` if there must be none.
    pub overload_price: Option<f64>,
    /// How much the two directions of a call count.
    pub weights: Weights,
    /// Whether each direction counts the way there and back.
    pub round_trips: bool,
    /// The delay between two services of one node.
    pub same_node: Delay,
}

/// What is placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Services {
    /// A graph from a file.
    Graph {
        /// The file's name.
        file: String,
        /// What it says.
        graph: ServiceGraph,
    },
    /// A graph by lot, another one in each repetition.
    Generated(Generated),
    /// Services that are all the same and belong together: the pods of paper 003.
    Alike {
        /// How many, by topology.
        counts: Vec<usize>,
        /// What each asks for, in thousandths of a core.
        cpu: u64,
        /// What each asks for, in mebibytes.
        memory: u64,
        /// What each sends to each other one, in kilobytes.
        kilobytes: u32,
    },
}

/// What each node has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Capacity {
    /// So much.
    Fixed {
        /// Thousandths of a core.
        cpu: u64,
        /// Mebibytes.
        memory: u64,
    },
    /// So many times an even share of what all services ask for; never less than the largest service.
    Slack(f64),
}

/// Where services run at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// One after the other on one node after the other, from the first again after the last.
    Spread,
    /// Each on a node by lot.
    Random,
    /// They are new.
    Nowhere,
}

impl Placing {
    /// Whether services are all the same and belong together.
    pub fn is_alike(&self) -> bool {
        matches!(self.services, Services::Alike { .. })
    }
}

#[cfg(test)]
mod tests;
