//! Claims: what was said before, and what is to be seen if it holds.

use serde::{Deserialize, Serialize};

use super::document::ClaimDocument;
use super::error::{PlanProblem, Wrong};
use super::{Point, Strategy, Topology};
use crate::yaml::{At, Spot};

/// Something that was said, such as by a paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Its words.
    pub says: String,
    /// What is to be seen.
    pub expectation: Expectation,
    /// Only on the topology of this name.
    pub topology: Option<String>,
}

/// What is to be seen if a claim holds, on the plan as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// A strategy's mean lies between two numbers, which are included.
    Between {
        /// Of what.
        metric: String,
        /// The strategy.
        of: String,
        /// The bounds.
        bounds: (f64, f64),
    },
    /// A strategy's mean is greater than another's.
    Above {
        /// Of what.
        metric: String,
        /// The strategy.
        of: String,
        /// The other.
        than: String,
    },
    /// A strategy's mean on the claim's topology, divided by that on another one, lies between two numbers.
    Growth {
        /// Of what.
        metric: String,
        /// The strategy.
        of: String,
        /// The other topology.
        from: String,
        /// The bounds.
        bounds: (f64, f64),
    },
    /// It cannot be tested here.
    NotTestable(String),
}

/// The claim of a plan, checked against what the plan has; `metrics` are those that the experiment gives.
pub(super) fn claim(document: &ClaimDocument, point: &Point, metrics: &[&str]) -> Result<Claim, Wrong> {
    let topology = document.topology.as_ref().map(|at| known(at, "topology", &names(&point.topologies))).transpose()?;
    Ok(Claim { says: document.says.clone(), expectation: expectation(document, point, metrics)?, topology })
}

fn expectation(document: &ClaimDocument, point: &Point, metrics: &[&str]) -> Result<Expectation, Wrong> {
    let spot = document.metric.as_ref().map_or(Spot::File, |at| at.spot);
    let strategies: Vec<&str> = point.strategies.iter().map(|Strategy { name, .. }| name.as_str()).collect();
    if let Some(from) = &document.relative_to {
        let (Some(metric), Some(of), Some(bounds), Some(_)) =
            (&document.metric, &document.of, &document.between, &document.topology)
        else {
            return Err((from.spot, PlanProblem::Growth));
        };
        return Ok(Expectation::Growth {
            metric: known(metric, "metric", metrics)?,
            of: known(of, "strategy", &strategies)?,
            from: known(from, "topology", &names(&point.topologies))?,
            bounds: bounds.value,
        });
    }
    match (&document.metric, &document.of, &document.between, &document.above, &document.not_testable) {
        (None, None, None, None, Some(why)) => Ok(Expectation::NotTestable(why.clone())),
        (Some(_), Some(_), Some(bounds), None, None)
            if !(bounds.value.0..=bounds.value.1).contains(&bounds.value.0) =>
        {
            let (value, wanted) = (format!("{} to {}", bounds.value.0, bounds.value.1), "from the less to the more");
            Err((bounds.spot, PlanProblem::Bounds { what: "between", value, wanted }))
        }
        (Some(metric), Some(of), Some(bounds), None, None) => Ok(Expectation::Between {
            metric: known(metric, "metric", metrics)?,
            of: known(of, "strategy", &strategies)?,
            bounds: bounds.value,
        }),
        (Some(metric), Some(of), None, Some(than), None) => Ok(Expectation::Above {
            metric: known(metric, "metric", metrics)?,
            of: known(of, "strategy", &strategies)?,
            than: known(than, "strategy", &strategies)?,
        }),
        _ => Err((spot, PlanProblem::Claim)),
    }
}

fn names(topologies: &[Topology]) -> Vec<&str> {
    topologies.iter().map(|topology| topology.name.as_str()).collect()
}

fn known(name: &At<String>, what: &'static str, all: &[&str]) -> Result<String, Wrong> {
    if all.contains(&name.value.as_str()) {
        return Ok(name.value.clone());
    }
    let known = format!("; there are {}", all.join(", "));
    Err((name.spot, PlanProblem::Unknown { what, name: name.value.clone(), known }))
}
