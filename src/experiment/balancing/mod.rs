//! Request balancing as in paper 004: clients send to the balancer of their node, which gives each request to an instance of
//! the service; what counts is whether every client keeps its share of requests answered in time.

mod build;
mod document;
mod facts;
pub mod figures;
mod layout;
pub mod live;
mod regret;
mod simulate;
mod tally;
mod words;

pub(crate) use build::balancing;
pub use document::BalancingDocument;
pub use facts::BalancingFacts;
pub use layout::{Layout, k_center};
pub use simulate::{Ready, Simulated, simulate};
pub use tally::METRICS;

use crate::balance::Qos;
use crate::matrix::DelayMatrix;
use crate::topology::NodeName;
use crate::units::{Moment, Rtt, Span};
use crate::workload::{Arrivals, Pace, ServiceTime};

/// What is done on the topology.
#[derive(Debug, Clone, PartialEq)]
pub struct Balancing {
    /// For how long requests are sent.
    pub duration: Span,
    /// What is left out of the figures at the start.
    pub warm_up: Span,
    /// What an instance does with a request.
    pub service: Service,
    /// Where instances are at the start.
    pub instances: Instances,
    /// Who sends.
    pub clients: Clients,
    /// What every client is to get.
    pub qos: Qos,
    /// How long a balancer waits for an answer.
    pub timeout: Span,
    /// The round trip between a balancer and an instance of the same node.
    pub local_rtt: Rtt,
    /// How balancers come to connections with instances.
    pub connections: Connections,
    /// How often balancers measure how far instances are.
    pub probe_every: Span,
    /// What happens, in the order of the instants.
    pub events: Vec<Event>,
}

/// What an instance does with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Service {
    /// How long a request keeps a core busy.
    pub time: ServiceTime,
    /// How many cores an instance has.
    pub cores: usize,
    /// Who gets a core.
    pub discipline: Discipline,
}

/// How balancers come to connections with instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// There are always enough.
    Ready,
    /// A request for which none is free opens one, which takes the round trip of the matrix before the request can leave. It is
    /// kept when its answer has come.
    Opened,
}

/// Who gets a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// Who came first.
    Fifo,
    /// All at once, evenly.
    Sharing,
}

/// Where instances are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// As far from each other as a greedy choice puts them; from this node on, or from one that the topology's seed draws.
    KCenter {
        /// How many.
        count: usize,
        /// The first.
        first: Option<NodeName>,
    },
    /// On these nodes; a node may have several.
    On(Vec<NodeName>),
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clients {
    /// On each node, at the start.
    pub each: u32,
    /// How often each sends.
    pub pace: Pace,
    /// With what regularity.
    pub arrivals: Arrivals,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub change: Change,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Clients join.
    Join(Crowd),
    /// Clients leave; of a node's the last that came first.
    Leave(Crowd),
    /// An instance appears on a node.
    Add(NodeName),
    /// An instance is removed: what it has it finishes. The number counts from 0.
    Remove(usize),
    /// An instance fails: what it has is lost.
    Fail(usize),
    /// A node is cut off; nobody is told.
    Cut(NodeName),
    /// It is back.
    Rejoin(NodeName),
    /// Other delays.
    Matrix(DelayMatrix),
}

/// Clients that come or go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// On which nodes.
    pub nodes: Nodes,
    /// How many on each.
    pub each: u32,
}

/// Some nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// That many, drawn by the topology's seed.
    Drawn(usize),
    /// These.
    Named(Vec<NodeName>),
}

#[cfg(test)]
mod tests;
