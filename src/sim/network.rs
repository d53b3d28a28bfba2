//! The network of a simulation: what a matrix makes of a packet.

use crate::matrix::DelayMatrix;
use crate::topology::NodeIndex;
use crate::units::{Delay, Rtt, Span};

/// Delays between nodes. A node is `local` away from itself, there and back.
#[derive(Debug, Clone)]
pub struct Network {
    nodes: usize,
    delays: Vec<Delay>,
    cut: Vec<bool>,
}

impl Network {
    /// As the matrix says; on a node itself a round trip takes `local`.
    pub fn new(matrix: &DelayMatrix, local: Rtt) -> Self {
        let nodes = matrix.len();
        let mut network = Self { nodes, delays: matrix.delays().to_vec(), cut: vec![false; nodes] };
        let (there, _) = local.split_evenly();
        for node in 0..nodes {
            network.delays[node * nodes + node] = there;
        }
        network
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// What a packet takes from one node to another; `None` if it does not arrive.
    pub fn way(&self, from: NodeIndex, to: NodeIndex) -> Option<Span> {
        let apart = from != to && (self.cut[from] || self.cut[to]);
        (!apart).then(|| self.delays[from * self.nodes + to].into())
    }

    /// There and back.
    pub fn round_trip(&self, from: NodeIndex, to: NodeIndex) -> Rtt {
        self.delays[from * self.nodes + to].round_trip(self.delays[to * self.nodes + from])
    }

    /// Other delays from now on: those of a matrix of the same nodes.
    pub fn change(&mut self, matrix: &DelayMatrix) {
        for (from, to) in matrix.paths() {
            self.delays[from * self.nodes + to] = matrix.delay(from, to);
        }
    }

    /// Cuts a node off from all others, or joins it again.
    pub fn cut(&mut self, node: NodeIndex, apart: bool) {
        self.cut[node] = apart;
    }
}
