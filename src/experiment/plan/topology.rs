//! Topologies of a plan: from a file or a generator, scaled.

use std::path::Path;

use crate::matrix::generate::{Cities, GenerateError, Random, Regions, parse_cities};
use crate::matrix::{self, DelayMatrix, ReadError, ReadOptions};
use crate::units::{Delay, Rtt};
use crate::yaml::{At, Spot};

use super::document::TopologyDocument;
use super::error::{PlanProblem, Wrong};

/// Nodes and what they are apart.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Its name in figures.
    pub name: String,
    /// The delays.
    pub matrix: DelayMatrix,
}

/// Reads a file that a plan names.
pub(super) type Reader<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, ReadError>;

/// What was wrong: with the plan, or with a file that it names.
#[derive(Debug)]
pub(super) enum Failure {
    Plan(Wrong),
    File(ReadError),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::File(error)
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Plan(wrong)
    }
}

/// The topology that the `number`th entry describes.
pub(super) fn topology(document: &TopologyDocument, number: usize, read: Reader) -> Result<Topology, Failure> {
    let name = document.name.as_ref().map_or_else(|| format!("topology-{}", number + 1), |name| name.value.clone());
    let matrix = source(document, read)?;
    Ok(Topology { name, matrix: scaled(document, matrix)? })
}

fn source(document: &TopologyDocument, read: Reader) -> Result<DelayMatrix, Failure> {
    let spots = [
        document.matrix.as_ref().map(|at| at.spot),
        document.cities.as_ref().map(|at| at.spot),
        document.random.as_ref().map(|at| at.spot),
        document.regions.as_ref().map(|at| at.spot),
    ];
    let given: Vec<Spot> = spots.into_iter().flatten().collect();
    if given.len() != 1 {
        let spot = given.get(1).or(given.first()).copied();
        let spot = spot.or(document.name.as_ref().map(|at| at.spot)).unwrap_or_default();
        return Err((spot, PlanProblem::Sources(given.len())).into());
    }
    belongs(document.noise.as_ref().map(|at| at.spot), document.cities.is_some(), "noise", "cities")?;
    let drawn = document.cities.is_some() || document.random.is_some();
    belongs(document.seed.as_ref().map(|at| at.spot), drawn, "seed", "cities and random")?;
    let seed = document.seed.as_ref().map_or(0, |at| at.value);
    let made = |spot: Spot| move |error: GenerateError| Failure::Plan((spot, error.into()));
    if let Some(At { value: file, .. }) = &document.matrix {
        return Ok(matrix::parse(&file.display().to_string(), &read(file)?, ReadOptions::default())?);
    }
    if let Some(At { value: file, spot }) = &document.cities {
        let cities = parse_cities(&file.display().to_string(), &read(file)?)?;
        let noise = document.noise.as_ref().map_or(Rtt::ZERO, |at| at.value.0);
        return Cities { noise, seed, ..Cities::with_default_fit(&cities) }.generate().map_err(made(*spot));
    }
    if let Some(At { value: random, spot }) = &document.random {
        let random = Random { nodes: random.nodes, base: random.base.0, addition: random.addition.0, seed };
        return random.generate().map_err(made(*spot));
    }
    let Some(At { value: regions, spot }) = &document.regions else {
        return Err((Spot::File, PlanProblem::Sources(0)).into());
    };
    Regions::with_default_delays(regions.regions, regions.nodes).generate().map_err(made(*spot))
}

fn belongs(given: Option<Spot>, here: bool, field: &'static str, to: &'static str) -> Result<(), Wrong> {
    match given {
        Some(spot) if !here => Err((spot, PlanProblem::Belongs { field, to })),
        _ => Ok(()),
    }
}

fn scaled(document: &TopologyDocument, matrix: DelayMatrix) -> Result<DelayMatrix, Wrong> {
    if document.scale.is_none() && document.add.is_none() {
        return Ok(matrix);
    }
    let scale = document.scale.as_ref().map_or(1.0, |at| at.value);
    let spot = document.scale.as_ref().map(|at| at.spot).or(document.add.as_ref().map(|at| at.spot));
    let spot = spot.unwrap_or_default();
    if !(0.0..=1_000.0).contains(&scale) {
        let value = scale.to_string();
        return Err((spot, PlanProblem::Bounds { what: "scale", value, wanted: "from 0 to 1000" }));
    }
    let add = document.add.as_ref().map_or(Delay::ZERO, |at| at.value.0);
    let nodes = matrix.len();
    let delays = matrix.delays().iter().enumerate().map(|(place, delay)| {
        if place / nodes == place % nodes {
            return *delay;
        }
        let ms = delay.as_millis_f64() * scale + add.as_millis_f64();
        Delay::from_millis_f64(ms).unwrap_or(Delay::from_nanos(u64::MAX))
    });
    let mut changed =
        DelayMatrix::new(matrix.names().to_vec(), delays.collect()).map_err(|error| (spot, error.into()))?;
    changed.metadata = matrix.metadata;
    Ok(changed)
}
