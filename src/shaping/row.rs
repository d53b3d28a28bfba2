//! A [`Row`]: everything that one node must do to the packets it sends.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::matrix::{DelayMatrix, MatrixError};
use crate::topology::{Node, NodeIndex};
use crate::units::Delay;

/// What a path does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Impairment {
    /// How long each packet is held. Nanoseconds on the wire of the session protocol.
    pub delay: Delay,
}

impl Impairment {
    /// The netem that does it.
    pub fn netem(&self) -> super::Netem {
        super::Netem::delay(self.delay)
    }
}

/// One path of a row: the receiver's prefixes and what happens to packets to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowPath {
    /// The addresses and networks of the receiver.
    pub prefixes: Vec<IpNet>,
    /// What packets to them meet.
    pub impairment: Impairment,
}

/// All paths from one node. A path with a zero delay is not impaired and has no entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Row {
    /// The impaired paths.
    pub paths: Vec<RowPath>,
}

impl Row {
    /// The row of node `from` of `matrix`, whose nodes are `nodes` in the same order.
    pub fn of(matrix: &DelayMatrix, nodes: &[Node], from: NodeIndex) -> Self {
        let impaired = (0..matrix.len()).filter(|to| *to != from && matrix.delay(from, *to) != Delay::ZERO);
        let paths = impaired
            .map(|to| RowPath {
                prefixes: nodes[to].prefixes(),
                impairment: Impairment { delay: matrix.delay(from, to) },
            })
            .collect();
        Self { paths }
    }

    /// The matrix that the `rows` of all `nodes` make: the inverse of [`Row::of`]. Paths to strangers are left out.
    pub fn to_matrix(nodes: &[Node], rows: &[Self]) -> Result<DelayMatrix, MatrixError> {
        let n = nodes.len();
        let place: BTreeMap<IpNet, NodeIndex> = nodes
            .iter()
            .enumerate()
            .flat_map(|(index, node)| node.prefixes().into_iter().map(move |p| (p, index)))
            .collect();
        let mut delays = vec![Delay::ZERO; n * n];
        for (from, row) in rows.iter().enumerate() {
            for path in &row.paths {
                for to in path.prefixes.iter().filter_map(|prefix| place.get(prefix)) {
                    delays[from * n + to] = path.impairment.delay;
                }
            }
        }
        DelayMatrix::new(nodes.iter().map(|node| node.name.clone()).collect(), delays)
    }
}
