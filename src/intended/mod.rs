//! [`Intended`]: what a testbed is to be like, from a delay matrix or an impairment file; a pure parser and resolver.
//!
//! Files are read by a function that the caller gives, so that everything here works on bytes.

mod document;
mod error;
mod rule;

use std::collections::BTreeMap;
use std::path::Path;

pub use error::{FileProblem, IntendedError, Spot};

use crate::matrix::{self, DelayMatrix, MatrixError, ReadError, ReadOptions};
use crate::shaping::Impairment;
use crate::topology::NodeIndex;
use document::Document;

/// What a testbed is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    matrix: DelayMatrix,
    /// What paths do beyond delay; those that are not here do nothing.
    beyond: BTreeMap<(NodeIndex, NodeIndex), Impairment>,
}

impl Intended {
    /// Delays and nothing else.
    pub fn plain(matrix: DelayMatrix) -> Self {
        Self { matrix, beyond: BTreeMap::new() }
    }

    /// Reads a matrix, or an impairment file when the name ends in .yaml or .yml.
    ///
    /// `read` gives the bytes of a file; `-` is standard input. Files that the impairment file names lie beside it.
    pub fn load(
        path: &Path,
        options: ReadOptions,
        read: impl Fn(&Path) -> Result<Vec<u8>, ReadError>,
    ) -> Result<Self, IntendedError> {
        if !is_impairment_file(path) {
            return Ok(Self::plain(matrix::parse(&shown(path), &read(path)?, options)?));
        }
        let name = shown(path);
        let document = Document::parse(&name, &read(path)?)?;
        let matrix = path.parent().unwrap_or(Path::new("")).join(&document.matrix);
        let matrix = matrix::parse(&shown(&matrix), &read(&matrix)?, options)?;
        let beyond = document.resolve(&name, &matrix)?;
        Ok(Self { matrix, beyond })
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
        let moved = self.beyond.iter().filter_map(|((from, to), does)| Some(((place(*from)?, place(*to)?), *does)));
        let matrix = DelayMatrix::new(order.iter().map(|old| names[*old].clone()).collect(), delays)?;
        Ok(Self { beyond: moved.collect(), matrix })
    }

    /// What the path between two nodes does.
    pub fn path(&self, from: NodeIndex, to: NodeIndex) -> Impairment {
        let plain = || Impairment::delay(self.matrix.delay(from, to));
        self.beyond.get(&(from, to)).copied().unwrap_or_else(plain)
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
