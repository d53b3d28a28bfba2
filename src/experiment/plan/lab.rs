//! What a plan must say for the testbed that it names: fields that belong to the lab alone, and things that a lab cannot play.

use crate::experiment::balancing::{Change, Discipline};
use crate::experiment::subject::Subject;
use crate::experiment::time_scale::TimeScale;
use crate::units::Span;
use crate::yaml::Spot;

use super::document::Document;
use super::error::{PlanProblem, Wrong};
use super::{Plan, Point, Testbed};

/// How often round trips can be measured: that takes several probes, and a proxy sends one every 10 ms at most.
const PROBING: (Span, Span) = (Span::from_millis(50), Span::from_secs(3_600));

/// Where a plan's words on its testbed stand.
struct Spots {
    testbed: Spot,
    /// What to change when times do not fit.
    scale: Spot,
}

/// Whether the plan's testbed can play it.
pub(super) fn check(document: &Document, plan: &Plan) -> Result<(), Wrong> {
    let testbed = document.testbed.spot;
    let scale = document.time_scale.as_ref().map(|at| at.spot);
    match plan.testbed {
        Testbed::Simulation if !plan.time_scale.is_one() => {
            Err((scale.unwrap_or(testbed), PlanProblem::VirtualTime { field: "timeScale" }))
        }
        Testbed::Simulation => match &document.cross_check {
            Some(at) => Err((at.spot, PlanProblem::VirtualTime { field: "crossCheck" })),
            None => Ok(()),
        },
        Testbed::Lab => {
            let spots = Spots { testbed, scale: scale.unwrap_or(testbed) };
            plan.points.iter().try_for_each(|point| playable(point, plan.time_scale, &spots))
        }
    }
}

fn playable(point: &Point, scale: TimeScale, spots: &Spots) -> Result<(), Wrong> {
    let Subject::Balancing(balancing) = &point.subject else {
        return Err((spots.testbed, PlanProblem::Computed));
    };
    let unfit = |what: String| (spots.scale, PlanProblem::Pace { what });
    if balancing.service.discipline == Discipline::Sharing {
        let what = "services of the lab take requests in their order; write discipline: fifo, or testbed: simulation";
        return Err((spots.testbed, PlanProblem::Unplayable(what)));
    }
    for strategy in &point.strategies {
        let fitting = scale.parameters_on_testbed(strategy.policy, &strategy.parameters);
        fitting.map_err(|error| unfit(format!("{}: {error}", strategy.name)))?;
    }
    for topology in &point.topologies {
        scale.matrix_on_testbed(&topology.matrix).map_err(|error| unfit(format!("{}: {error}", topology.name)))?;
    }
    for event in &balancing.events {
        if let Change::Matrix(matrix) = &event.change {
            scale.matrix_on_testbed(matrix).map_err(|error| unfit(error.to_string()))?;
        }
    }
    let probing = scale.on_testbed(balancing.probe_every);
    if !(PROBING.0..=PROBING.1).contains(&probing) {
        return Err(unfit(format!("probeEvery is {probing}; it has to be from {} to {}", PROBING.0, PROBING.1)));
    }
    Ok(())
}
