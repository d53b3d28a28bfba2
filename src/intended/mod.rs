//! [`Intended`]: what a testbed is to be like, from a delay matrix or an impairment file; a pure parser and resolver.
//!
//! Files are read by a function that the caller gives, so that everything here works on bytes.
//!
//! ```text
//! file ──document──► fields with their places ──resolve──► what each path does, or file:line:column and what is wrong
//!                    matrices, tables, samples ──load──┘
//! ```

mod change;
mod document;
mod error;
mod load;
mod regions;
mod resolve;
mod rule;
mod shapes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

pub use error::{FileProblem, IntendedError};

use crate::matrix::{DelayMatrix, MatrixError, ReadError, ReadOptions};
use crate::shaping::{Impairment, NetworkIntent, PathIntent, Row, beyond_delay};
use crate::topology::{Node, NodeIndex};
use load::Loader;

/// What a testbed is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    matrix: DelayMatrix,
    /// What paths do; those that are not here have their delay and nothing else.
    paths: BTreeMap<(NodeIndex, NodeIndex), PathIntent>,
    /// Networks that are reached through a node, beside its addresses.
    networks: BTreeMap<NodeIndex, Vec<IpNet>>,
}

/// Tables beside the delay matrix, by what they hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideFiles {
    /// Jitters.
    pub jitter: Option<PathBuf>,
    /// Losses.
    pub loss: Option<PathBuf>,
    /// Rates.
    pub rate: Option<PathBuf>,
}

impl Intended {
    /// Delays and nothing else.
    pub fn plain(matrix: DelayMatrix) -> Self {
        Self { matrix, paths: BTreeMap::new(), networks: BTreeMap::new() }
    }

    /// The delays of `matrix`, and on every path what `beyond` says; its delay does not count.
    pub fn everywhere(matrix: DelayMatrix, beyond: Impairment) -> Result<Self, FileProblem> {
        let paths = matrix.paths().map(|(from, to)| {
            let all = Impairment { delay: matrix.delay(from, to), ..beyond }.checked().map_err(|cause| {
                let name = |node: NodeIndex| matrix.names()[node].clone();
                FileProblem::Nonsense { from: name(from), to: name(to), cause }
            })?;
            Ok(((from, to), PathIntent::all(all)))
        });
        let paths = paths.collect::<Result<_, FileProblem>>()?;
        Ok(Self { matrix, paths, networks: BTreeMap::new() })
    }

    /// Whether what paths do beside their delay can stand beside these delays of the same nodes.
    pub fn check_with_delays(&self, delays: &DelayMatrix) -> Result<(), FileProblem> {
        delays.paths().try_for_each(|(from, to)| {
            let all = Impairment { delay: delays.delay(from, to), ..self.intent(from, to).all };
            let name = |node: NodeIndex| delays.names()[node].clone();
            let nonsense = |cause| FileProblem::Nonsense { from: name(from), to: name(to), cause };
            all.checked().map(drop).map_err(nonsense)
        })
    }

    /// Reads a matrix, or an impairment file when the name ends in .yaml or .yml.
    ///
    /// `read` gives the bytes of a file; `-` is standard input. Files that the impairment file names lie beside it.
    pub fn load(
        path: &Path,
        options: ReadOptions,
        read: impl Fn(&Path) -> Result<Vec<u8>, ReadError>,
    ) -> Result<Self, IntendedError> {
        Self::load_beside(path, &SideFiles::default(), options, read)
    }

    /// The same with tables of jitter, loss and rate beside it, which stand in for those that the file names.
    pub fn load_beside(
        path: &Path,
        beside: &SideFiles,
        options: ReadOptions,
        read: impl Fn(&Path) -> Result<Vec<u8>, ReadError>,
    ) -> Result<Self, IntendedError> {
        Loader { options, read }.load(path, beside)
    }

    /// The delays.
    pub fn matrix(&self) -> &DelayMatrix {
        &self.matrix
    }

    /// The same for nodes in another order: at each place stands the node that had the place `order` says.
    pub fn in_order(&self, order: &[NodeIndex]) -> Result<Self, MatrixError> {
        let (names, matrix) = (self.matrix.names(), &self.matrix);
        let delays = order.iter().flat_map(|from| order.iter().map(|to| matrix.delay(*from, *to))).collect();
        let place = |old: NodeIndex| order.iter().position(|known| *known == old);
        let paths = self.paths.iter();
        let paths = paths.filter_map(|((from, to), intent)| Some(((place(*from)?, place(*to)?), intent.clone())));
        let networks = self.networks.iter().filter_map(|(node, networks)| Some((place(*node)?, networks.clone())));
        let (paths, networks) = (paths.collect(), networks.collect());
        let matrix = DelayMatrix::new(order.iter().map(|old| names[*old].clone()).collect(), delays)?;
        Ok(Self { matrix, paths, networks })
    }

    /// What the path between two nodes does to packets that no service is said of.
    pub fn path(&self, from: NodeIndex, to: NodeIndex) -> Impairment {
        self.intent(from, to).all
    }

    /// What the path between two nodes does, services and exceptions included.
    pub fn intent(&self, from: NodeIndex, to: NodeIndex) -> PathIntent {
        let plain = || PathIntent::all(Impairment::delay(self.matrix.delay(from, to)));
        self.paths.get(&(from, to)).cloned().unwrap_or_else(plain)
    }

    /// What all paths do, and the networks of nodes.
    pub fn network(&self) -> NetworkIntent {
        let n = self.matrix.len();
        let intent = |place: usize| match (place / n, place % n) {
            (from, to) if from == to => PathIntent::default(),
            (from, to) => self.intent(from, to),
        };
        NetworkIntent { paths: (0..n * n).map(intent).collect(), networks: self.networks.clone() }
    }

    /// What paths do beyond delay, in one line; `None` when nothing.
    pub fn beyond_delay(&self) -> Option<String> {
        let counted = beyond_delay(self.paths.values().map(|intent| intent.all));
        let unit = |count: usize| if count == 1 { "path" } else { "paths" };
        let apart = |what: &str, count: usize| (count > 0).then(|| format!("{what} on {count} {}", unit(count)));
        let services = self.paths.values().filter(|intent| !intent.services.is_empty()).count();
        let except = self.paths.values().filter(|intent| !intent.except.is_empty()).count();
        let parts = [counted, apart("services apart", services), apart("exceptions", except)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// What `nodes`, in the matrix's order, are to do: one row each.
    pub fn rows(&self, nodes: &[Node]) -> Vec<Row> {
        let network = self.network();
        (0..nodes.len()).map(|from| network.row(nodes, from)).collect()
    }
}

/// Whether a file is an impairment file by its name; else it is a matrix.
pub fn is_impairment_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// What messages call a file.
fn shown(path: &Path) -> String {
    if path == Path::new("-") { "<stdin>".to_owned() } else { path.display().to_string() }
}

#[cfg(test)]
mod tests;
