//! From files to [`Intended`]: which files there are to be read, and who is who in them.

use std::path::{Path, PathBuf};

use super::document::{Document, Matrices, Shape};
use super::error::{FileProblem, IntendedError};
use super::regions::Nodes;
use super::resolve::{Resolver, Side, Sides};
use super::shapes::Shapes;
use super::{Intended, SideFiles, is_impairment_file, shown};
use crate::matrix::{self, DelayMatrix, Grid, Quantity, ReadError, ReadOptions};
use crate::topology::{NodeIndex, NodeName};
use crate::yaml::Spot;

/// A file of matrices, rules or both, with all that it names.
pub(super) struct Loader<R> {
    pub(super) options: ReadOptions,
    pub(super) read: R,
}

impl<R: Fn(&Path) -> Result<Vec<u8>, ReadError>> Loader<R> {
    pub(super) fn load(&self, path: &Path, files: &SideFiles) -> Result<Intended, IntendedError> {
        let name = shown(path);
        if is_impairment_file(path) {
            let document = Document::parse(&name, &(self.read)(path)?)?;
            let folder = path.parent().unwrap_or(Path::new(""));
            let beside = document.matrices.files(folder).under(files);
            let matrix = self.matrix(&name, &document, folder)?;
            return self.resolved(&name, &document, folder, &matrix, &beside);
        }
        let matrix = matrix::parse(&name, &(self.read)(path)?, self.options)?;
        if *files == SideFiles::default() {
            return Ok(Intended::plain(matrix));
        }
        self.resolved(&name, &Document::empty(), Path::new(""), &matrix, files)
    }

    fn matrix(&self, name: &str, document: &Document, folder: &Path) -> Result<DelayMatrix, IntendedError> {
        let wrong = |(spot, problem)| IntendedError::new(name, spot, problem);
        let file = match (&document.matrix, &document.matrices.delay) {
            (Some(_), Some(second)) => return Err(wrong((second.spot, FileProblem::TwoMatrices))),
            (first, second) => first.as_ref().or(second.as_ref()),
        };
        if let Some(file) = file {
            let path = folder.join(&file.value);
            return Ok(matrix::parse(&shown(&path), &(self.read)(&path)?, self.options)?);
        }
        let Some(delays) = &document.delays else { return Err(wrong((Spot::File, FileProblem::NoDelays))) };
        let names = Nodes::listed(document).map_err(wrong)?;
        Nodes::new(&names, document).and_then(|nodes| nodes.matrix(delays)).map_err(wrong)
    }

    fn resolved(
        &self,
        name: &str,
        document: &Document,
        folder: &Path,
        matrix: &DelayMatrix,
        files: &SideFiles,
    ) -> Result<Intended, IntendedError> {
        let sides = Sides {
            jitter: self.side(files.jitter.as_deref(), matrix)?,
            loss: self.side(files.loss.as_deref(), matrix)?,
            rate: self.side(files.rate.as_deref(), matrix)?,
        };
        let shapes = self.shapes(document, folder)?;
        let resolver = Resolver::new(name, document, matrix, &sides, &shapes)?;
        let (paths, networks) = (resolver.paths()?, resolver.networks()?);
        let delays: Vec<_> = (0..matrix.len() * matrix.len())
            .map(|place| (place / matrix.len(), place % matrix.len()))
            .map(|path| paths.get(&path).map_or_else(|| matrix.delay(path.0, path.1), |intent| intent.all.delay))
            .collect();
        let metadata = matrix.metadata.clone();
        let mut effective = DelayMatrix::new(matrix.names().to_vec(), delays)
            .map_err(|error| IntendedError::new(name, Spot::File, error.into()))?;
        effective.metadata = metadata;
        Ok(Intended { matrix: effective, paths, networks })
    }

    fn side<T: Quantity>(&self, file: Option<&Path>, matrix: &DelayMatrix) -> Result<Option<Side<T>>, IntendedError> {
        let Some(path) = file else { return Ok(None) };
        let file = shown(path);
        let grid = Grid::parse(&file, &(self.read)(path)?)?;
        let order = order(&grid, matrix.names())
            .map_err(|stranger| IntendedError::new(&file, Spot::File, FileProblem::OtherNodes(stranger)))?;
        Ok(Some(Side { file, order, grid }))
    }

    fn shapes(&self, document: &Document, folder: &Path) -> Result<Shapes, IntendedError> {
        use super::document::ShapeFile::{Samples, Table};
        let mut shapes = Shapes::default();
        let rules = std::iter::once(&document.defaults).chain(&document.paths);
        for shape in rules.filter_map(|rule| rule.distribution.as_ref()) {
            let Shape::File(file) = &shape.value else { continue };
            if shapes.has(file) {
                continue;
            }
            let (Table(path) | Samples(path)) = file;
            let path = folder.join(path);
            shapes.add(file, &shown(&path), &(self.read)(&path)?)?;
        }
        Ok(shapes)
    }
}

/// Where the nodes of the matrix stand in a table; what is wrong when it is for others.
fn order<T: Quantity>(grid: &Grid<T>, names: &[NodeName]) -> Result<Vec<NodeIndex>, String> {
    if grid.len() != names.len() {
        return Err(format!("it has {} nodes, the matrix has {}", grid.len(), names.len()));
    }
    let Some(theirs) = &grid.names else { return Ok((0..names.len()).collect()) };
    let place = |name: &NodeName| {
        theirs.iter().position(|other| other == name).ok_or_else(|| format!("it has no node `{name}`"))
    };
    names.iter().map(place).collect()
}

impl Matrices {
    fn files(&self, folder: &Path) -> SideFiles {
        let file = |at: &Option<crate::yaml::At<PathBuf>>| at.as_ref().map(|at| folder.join(&at.value));
        SideFiles { jitter: file(&self.jitter), loss: file(&self.loss), rate: file(&self.rate) }
    }
}

impl SideFiles {
    /// These, but for those that `others` has.
    fn under(self, others: &Self) -> Self {
        Self {
            jitter: others.jitter.clone().or(self.jitter),
            loss: others.loss.clone().or(self.loss),
            rate: others.rate.clone().or(self.rate),
        }
    }
}
