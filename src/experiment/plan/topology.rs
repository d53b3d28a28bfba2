//! Topologies of a plan: from a file or a generator, scaled.

use std::path::Path;

use crate::experiment::placement::GraphError;
use crate::intended::{Intended, IntendedError};
use crate::matrix::generate::{Cities, GenerateError, Random, Regions, parse_cities};
use crate::matrix::{self, DelayMatrix, ReadError, ReadOptions};
use crate::shaping::{Aspect, Impairment, Jitter, Loss, Share};
use crate::sim::Disturbances;
use crate::units::{Delay, Rtt};
use crate::yaml::{At, Spot, Text};

use super::document::TopologyDocument;
use super::error::{PlanProblem, Wrong};

/// Nodes and what they are apart.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Its name in figures.
    pub name: String,
    /// The delays.
    pub matrix: DelayMatrix,
    /// What paths do, where that is more than delay.
    pub impaired: Option<Intended>,
}

/// Reads a file that a plan names.
pub(super) type Reader<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, ReadError>;

/// What was wrong: with the plan, or with a file that it names.
#[derive(Debug)]
pub(super) enum Failure {
    Plan(Wrong),
    File(ReadError),
    Impairments(IntendedError),
    Graph(GraphError),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::File(error)
    }
}

impl From<GraphError> for Failure {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

impl From<IntendedError> for Failure {
    fn from(error: IntendedError) -> Self {
        Self::Impairments(error)
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Plan(wrong)
    }
}

/// The topology that the `number`th entry describes, for a testbed, or to be `simulated` (too).
pub(super) fn topology(
    document: &TopologyDocument,
    number: usize,
    simulated: bool,
    read: Reader,
) -> Result<Topology, Failure> {
    let name = document.name.as_ref().map_or_else(|| format!("topology-{}", number + 1), |name| name.value.clone());
    one_source(document)?;
    let intended = match &document.impairments {
        Some(file) => {
            let intended = Intended::load(&file.value, ReadOptions::default(), read)?;
            if simulated {
                can_be_simulated(&intended).map_err(|problem| (file.spot, problem))?;
            }
            intended
        }
        None => disturbed(document, scaled(document, source(document, read)?)?)?,
    };
    let matrix = intended.matrix().clone();
    Ok(Topology { name, matrix, impaired: intended.beyond_delay().is_some().then_some(intended) })
}

/// One source, and no field that belongs to another.
fn one_source(document: &TopologyDocument) -> Result<(), Wrong> {
    let spots = [
        document.matrix.as_ref().map(|at| at.spot),
        document.cities.as_ref().map(|at| at.spot),
        document.random.as_ref().map(|at| at.spot),
        document.regions.as_ref().map(|at| at.spot),
        document.impairments.as_ref().map(|at| at.spot),
    ];
    let given: Vec<Spot> = spots.into_iter().flatten().collect();
    if given.len() != 1 {
        let spot = given.get(1).or(given.first()).copied();
        let spot = spot.or(document.name.as_ref().map(|at| at.spot)).unwrap_or_default();
        return Err((spot, PlanProblem::Sources(given.len())));
    }
    let (file, drawn) = (document.impairments.is_some(), document.cities.is_some() || document.random.is_some());
    let delays = "matrix, cities, random and regions; an impairment file has its own";
    let fields = [
        (document.noise.as_ref().map(|at| at.spot), document.cities.is_some(), "noise", "cities"),
        (document.seed.as_ref().map(|at| at.spot), drawn, "seed", "cities and random"),
        (document.scale.as_ref().map(|at| at.spot), !file, "scale", delays),
        (document.add.as_ref().map(|at| at.spot), !file, "add", delays),
        (document.jitter.as_ref().map(|at| at.spot), !file, "jitter", delays),
        (document.distribution.as_ref().map(|at| at.spot), !file, "distribution", delays),
        (document.jitter_correlation.as_ref().map(|at| at.spot), !file, "jitterCorrelation", delays),
        (document.loss.as_ref().map(|at| at.spot), !file, "loss", delays),
        (document.loss_correlation.as_ref().map(|at| at.spot), !file, "lossCorrelation", delays),
    ];
    let wrong = fields.into_iter().find_map(|(spot, here, field, to)| Some((spot.filter(|_| !here)?, field, to)));
    wrong.map_or(Ok(()), |(spot, field, to)| Err((spot, PlanProblem::Belongs { field, to })))
}

fn source(document: &TopologyDocument, read: Reader) -> Result<DelayMatrix, Failure> {
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

/// The delays with the jitter and loss that the entry has for every path.
fn disturbed(document: &TopologyDocument, matrix: DelayMatrix) -> Result<Intended, Wrong> {
    fn text<T: Copy + Default>(at: Option<&At<Text<T>>>) -> T {
        at.map_or_else(T::default, |at| at.value.0)
    }
    let spots = [
        document.jitter.as_ref().map(|at| at.spot),
        document.distribution.as_ref().map(|at| at.spot),
        document.jitter_correlation.as_ref().map(|at| at.spot),
        document.loss.as_ref().map(|at| at.spot),
        document.loss_correlation.as_ref().map(|at| at.spot),
    ];
    let Some(spot) = spots.into_iter().flatten().next() else { return Ok(Intended::plain(matrix)) };
    let jitter = Jitter {
        span: text(document.jitter.as_ref()),
        distribution: text(document.distribution.as_ref()),
        correlation: text(document.jitter_correlation.as_ref()),
    };
    let share =
        Share { probability: text(document.loss.as_ref()), correlation: text(document.loss_correlation.as_ref()) };
    let loss = if share == Share::default() { Loss::None } else { Loss::Random(share) };
    Intended::everywhere(matrix, Impairment { jitter, loss, ..Impairment::default() })
        .map_err(|problem| (spot, problem.into()))
}

/// Whether paths have what virtual time has, and nothing else.
fn can_be_simulated(intended: &Intended) -> Result<(), PlanProblem> {
    let names = intended.matrix().names();
    let wrong = intended.matrix().paths().find_map(|(from, to)| {
        let intent = intended.intent(from, to);
        let what = match Disturbances::beyond(&intent.all) {
            Some(Aspect::Rate) => "a rate",
            Some(Aspect::Duplicate) => "duplicates",
            Some(Aspect::Corrupt) => "corruption",
            Some(Aspect::Reorder) => "reordering",
            _ if !intent.services.is_empty() => "services of its own",
            _ if !intent.except.is_empty() => "exceptions",
            _ => return None,
        };
        Some(PlanProblem::NotSimulated { from: names[from].clone(), to: names[to].clone(), what })
    });
    wrong.map_or(Ok(()), Err)
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
