//! From the document to a [`Plan`]: everything is looked up, and every point of the sweep is a plan that could stand alone.

use std::path::Path;

use crate::experiment::balancing::balancing;
use crate::experiment::placement::{PlacementDocument, Placing, ServiceGraph, placing};
use crate::experiment::subject::{Kind, Subject};
use crate::experiment::time_scale::TimeScale;
use crate::matrix::{self, ReadOptions};
use crate::parameters::{Given, Parameters};
use crate::units::Span;
use crate::yaml::{self, At, Spot};

use super::document::{Document, StrategyDocument};
use super::error::{PlanError, PlanProblem, Wrong};
use super::topology::{Failure, Reader, topology};
use super::{Plan, Point, Strategy, Testbed, Topology, claim, cross_check, lab, sweep};

/// The version of the format.
const VERSION: &str = "longhaul/v1";

/// The plan in `bytes`, which errors call `file`.
pub(super) fn plan(file: &str, bytes: &[u8], read: Reader) -> Result<Plan, PlanError> {
    let located = |(spot, problem): Wrong| PlanError::Plan { file: file.to_owned(), spot, problem: Box::new(problem) };
    let failed = |failure| match failure {
        Failure::Plan(wrong) => located(wrong),
        Failure::File(error) => PlanError::Read(error),
        Failure::Impairments(error) => PlanError::Impairments(error),
        Failure::Graph(error) => PlanError::Graph(error),
    };
    let document = parse(bytes).map_err(located)?;
    let written = point(&document, read).map_err(failed)?;
    let metrics: Vec<&str> = written.subject.metrics().iter().map(|metric| metric.name).collect();
    let claims = document.claims.iter().map(|one| claim::claim(one, &written, &metrics));
    let claims = claims.collect::<Result<_, _>>().map_err(located)?;
    let bounds = document.cross_check.as_ref().map(|at| cross_check::bounds(&at.value, written.subject.metrics()));
    let bounds = bounds.transpose().map_err(located)?.unwrap_or_default();
    let mut points = vec![written];
    points.extend(varied(&document, bytes, read).map_err(failed)?);
    let plan = Plan {
        name: name(&document.name).map_err(located)?,
        question: document.question.trim().to_owned(),
        testbed: testbed(&document.testbed).map_err(located)?,
        seed: document.seed.as_ref().map_or(1, |at| at.value),
        repetitions: repetitions(&document).map_err(located)?,
        time_scale: time_scale(&document).map_err(located)?,
        points,
        claims,
        cross_check: bounds,
        text: String::from_utf8_lossy(bytes).into_owned(),
    };
    let trials: u64 = plan.points.iter().map(|point| (point.topologies.len() * point.strategies.len()) as u64).sum();
    let trials = trials * u64::from(plan.repetitions);
    if trials > super::MAX_TRIALS {
        return Err(located((Spot::File, PlanProblem::TooMany(trials))));
    }
    lab::check(&document, &plan).map_err(located)?;
    Ok(plan)
}

fn parse(bytes: &[u8]) -> Result<Document, Wrong> {
    let document: Document =
        yaml::parse(bytes).map_err(|complaint| (complaint.spot, PlanProblem::Form(complaint.words)))?;
    let version = &document.api_version;
    if version.value != VERSION {
        return Err((version.spot, PlanProblem::Version(version.value.clone())));
    }
    Ok(document)
}

/// The points of the sweep, beside the plan as written.
fn varied(document: &Document, bytes: &[u8], read: Reader) -> Result<Vec<Point>, Failure> {
    if document.sweep.is_empty() {
        return Ok(Vec::new());
    }
    let tree: serde_json::Value =
        yaml::parse(bytes).map_err(|complaint| (complaint.spot, PlanProblem::Form(complaint.words)))?;
    let spot = document.sweep.first().map_or(Spot::File, |axis| axis.over.spot);
    let file = |what, error| {
        let problem = Box::new(PlanProblem::PointFile(error));
        Failure::Plan((spot, PlanProblem::Point { what, problem }))
    };
    let points = sweep::varied(&tree, &document.sweep)?.into_iter().map(|varied| {
        let what = varied.values.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
        let made = parse(varied.text.as_bytes()).map_err(Failure::Plan).and_then(|document| point(&document, read));
        match made {
            Ok(point) => Ok(Point { varied: varied.values, ..point }),
            Err(Failure::Plan((_, problem))) => {
                Err(Failure::Plan((spot, PlanProblem::Point { what, problem: Box::new(problem) })))
            }
            Err(Failure::File(error)) => Err(file(what, error.to_string())),
            Err(Failure::Impairments(error)) => Err(file(what, error.to_string())),
            Err(Failure::Graph(error)) => Err(file(what, error.to_string())),
        }
    });
    points.collect()
}

fn point(document: &Document, read: Reader) -> Result<Point, Failure> {
    if document.topologies.value.is_empty() {
        return Err((document.topologies.spot, PlanProblem::NoneOf("topology")).into());
    }
    let topologies = document.topologies.value.iter().enumerate();
    let simulated = testbed(&document.testbed)? == Testbed::Simulation || document.cross_check.is_some();
    let topologies = topologies.map(|(number, entry)| topology(entry, number, simulated, read));
    let topologies = topologies.collect::<Result<Vec<_>, _>>()?;
    let names = topologies.iter().map(|topology| topology.name.as_str());
    once(names, "topologies").map_err(|problem| (document.topologies.spot, problem))?;
    if document.strategies.value.is_empty() {
        return Err((document.strategies.spot, PlanProblem::NoneOf("strategy")).into());
    }
    let kind = kind(document)?;
    let strategies = document.strategies.value.iter().map(|one| strategy(one, kind)).collect::<Result<Vec<_>, _>>()?;
    let names = strategies.iter().map(|strategy| strategy.name.as_str());
    once(names, "strategies").map_err(|problem| (document.strategies.spot, problem))?;
    let subject = subject(document, &topologies, read)?;
    Ok(Point { varied: Vec::new(), topologies, strategies, subject })
}

/// What the plan is about.
fn kind(document: &Document) -> Result<Kind, Wrong> {
    match (&document.balancing, &document.placement) {
        (Some(_), None) => Ok(Kind::Balancing),
        (None, Some(_)) => Ok(Kind::Placement),
        (Some(_), Some(second)) => Err((second.spot, PlanProblem::Subjects)),
        (None, None) => Err((document.name.spot, PlanProblem::NoSubject)),
    }
}

/// What is done, if it can be done on all topologies.
fn subject(document: &Document, topologies: &[Topology], read: Reader) -> Result<Subject, Failure> {
    if let Some(placement) = &document.placement {
        return Ok(Subject::Placement(placed(document, &placement.value, topologies, read)?));
    }
    let Some(subject) = &document.balancing else {
        return Err((document.name.spot, PlanProblem::NoSubject).into());
    };
    let timeline: Vec<(Span, _)> =
        document.timeline.iter().map(|entry| (entry.value.at.0, &entry.value.event)).collect();
    let other = |path: &Path| -> Result<_, Failure> {
        Ok(matrix::parse(&path.display().to_string(), &read(path)?, ReadOptions::default())?)
    };
    Ok(Subject::Balancing(balancing(&subject.value, &timeline, topologies, other)?))
}

/// The services of the plan; what belongs to requests must not be there.
fn placed(
    document: &Document,
    placement: &PlacementDocument,
    topologies: &[Topology],
    read: Reader,
) -> Result<Placing, Failure> {
    let disturbed = topologies.iter().any(|topology| topology.impaired.is_some());
    let wrong = [
        (document.timeline.first().map(|entry| entry.spot), "timeline"),
        (disturbed.then_some(document.topologies.spot), "jitter or loss"),
    ];
    if let Some((spot, field)) = wrong.into_iter().find_map(|(spot, field)| Some((spot?, field))) {
        return Err((spot, PlanProblem::Belongs { field, to: "balancing" }).into());
    }
    let graph =
        |path: &Path| -> Result<_, Failure> { Ok(ServiceGraph::parse(&path.display().to_string(), &read(path)?)?) };
    placing(placement, topologies, graph)
}

fn once<'a>(names: impl Iterator<Item = &'a str>, what: &'static str) -> Result<(), PlanProblem> {
    let mut seen = Vec::new();
    for name in names {
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(PlanProblem::Label(name.to_owned()));
        }
        if seen.contains(&name) {
            return Err(PlanProblem::Twice { what, name: name.to_owned() });
        }
        seen.push(name);
    }
    Ok(())
}

fn strategy(document: &StrategyDocument, kind: Kind) -> Result<Strategy, Wrong> {
    let policy = kind.find(&document.policy.value).ok_or_else(|| {
        let known = kind.known().join(", ");
        (document.policy.spot, PlanProblem::Policy { name: document.policy.value.clone(), known })
    })?;
    let name = document.name.as_ref().map_or_else(|| policy.name().to_owned(), |name| name.value.clone());
    // One by one, so that the error stands where the wrong one does.
    let mut given = Given::new();
    for (key, value) in &document.parameters.0 {
        let alone = Given::from([(key.value.clone(), value.value.clone())]);
        Parameters::new(policy.name(), policy.parameters(), &alone).map_err(|error| (value.spot, error.into()))?;
        given.extend(alone);
    }
    let parameters = Parameters::new(policy.name(), policy.parameters(), &given);
    let parameters = parameters.map_err(|error| (document.policy.spot, error.into()))?;
    Ok(Strategy { name, policy, parameters })
}

fn name(at: &At<String>) -> Result<String, Wrong> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let good = at.value.len() <= 100
        && at.value.starts_with(|first: char| first.is_ascii_alphanumeric())
        && at.value.chars().all(allowed);
    if good { Ok(at.value.clone()) } else { Err((at.spot, PlanProblem::Name(at.value.clone()))) }
}

fn testbed(at: &At<String>) -> Result<Testbed, Wrong> {
    match at.value.as_str() {
        "simulation" => Ok(Testbed::Simulation),
        "lab" => Ok(Testbed::Lab),
        other => Err((at.spot, PlanProblem::Testbed(other.to_owned()))),
    }
}

fn repetitions(document: &Document) -> Result<u32, Wrong> {
    match &document.repetitions {
        Some(at) if !(1..=10_000).contains(&at.value) => {
            let value = at.value.to_string();
            Err((at.spot, PlanProblem::Bounds { what: "repetitions", value, wanted: "from 1 to 10000" }))
        }
        at => Ok(at.as_ref().map_or(1, |at| at.value)),
    }
}

fn time_scale(document: &Document) -> Result<TimeScale, Wrong> {
    let Some(at) = &document.time_scale else { return Ok(TimeScale::ONE) };
    TimeScale::new(at.value).ok_or_else(|| {
        let value = at.value.to_string();
        (at.spot, PlanProblem::Bounds { what: "timeScale", value, wanted: "from 0.001 to 1000" })
    })
}
