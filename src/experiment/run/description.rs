//! [`Description`]: a plan as it was understood, with everything that a report needs; pure. Two runs are of the same plan if
//! their descriptions are the same text.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::experiment::outcome::{Better, MetricUnit};
use crate::experiment::plan::{Bound, Claim, Plan, Point, Strategy, Testbed};
use crate::experiment::subject::Facts;
use crate::intended::Intended;

/// A plan as it was understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The version of longhaul that understood it.
    pub version: String,
    /// The plan's name.
    pub name: String,
    /// What it is to find out.
    pub question: String,
    /// `simulation` or `lab`.
    pub testbed: String,
    /// Where randomness comes from.
    pub seed: u64,
    /// How often each strategy is tried.
    pub repetitions: u32,
    /// Plan seconds per second.
    pub time_scale: f64,
    /// The points of the sweep; the first is the plan as written.
    pub points: Vec<PointDescription>,
    /// What is looked at.
    pub metrics: Vec<MetricDescription>,
    /// What was said before.
    pub claims: Vec<Claim>,
    /// How far the lab may be from simulation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cross_check: Vec<Bound>,
}

/// A point of the sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointDescription {
    /// What is varied, and to what.
    pub varied: Vec<(String, String)>,
    /// The topologies.
    pub topologies: Vec<TopologyDescription>,
    /// The strategies.
    pub strategies: Vec<StrategyDescription>,
    /// What is done, in words.
    pub setting: Vec<(String, String)>,
    /// What is done, in the numbers that figures need.
    pub facts: Facts,
}

/// A topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyDescription {
    /// Its name.
    pub name: String,
    /// How many nodes it has.
    pub nodes: usize,
    /// Its delays: the file of the run directory.
    pub file: String,
    /// What paths do beyond delay, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<String>,
}

/// A strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyDescription {
    /// Its name in figures.
    pub name: String,
    /// Its policy.
    pub policy: String,
    /// All parameters.
    pub parameters: Map<String, Value>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricDescription {
    /// Its name in files.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Its unit.
    pub unit: MetricUnit,
    /// Which numbers are better.
    pub better: Better,
}

impl Description {
    /// The description of a plan.
    pub fn new(plan: &Plan, version: &str) -> Self {
        let metrics = plan.points.first().map_or(&[][..], |point| point.subject.metrics());
        Self {
            version: version.to_owned(),
            name: plan.name.clone(),
            question: plan.question.clone(),
            testbed: match plan.testbed {
                Testbed::Simulation => "simulation".to_owned(),
                Testbed::Lab => "lab".to_owned(),
            },
            seed: plan.seed,
            repetitions: plan.repetitions,
            time_scale: plan.time_scale.plan_seconds(),
            points: plan
                .points
                .iter()
                .enumerate()
                .map(|(number, point)| PointDescription::new(number, point))
                .collect(),
            metrics: metrics
                .iter()
                .map(|metric| MetricDescription {
                    name: metric.name.to_owned(),
                    what: metric.what.to_owned(),
                    unit: metric.unit,
                    better: metric.better,
                })
                .collect(),
            claims: plan.claims.clone(),
            cross_check: plan.cross_check.clone(),
        }
    }

    /// As indented JSON with a line break at the end.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl PointDescription {
    fn new(number: usize, point: &Point) -> Self {
        let topologies = point.topologies.iter().enumerate().map(|(place, topology)| TopologyDescription {
            name: topology.name.clone(),
            nodes: topology.matrix.len(),
            file: matrix_file(number, place),
            beyond: topology.impaired.as_ref().and_then(Intended::beyond_delay),
        });
        Self {
            varied: point.varied.clone(),
            topologies: topologies.collect(),
            strategies: point.strategies.iter().map(StrategyDescription::new).collect(),
            setting: point.subject.words(),
            facts: point.subject.facts(),
        }
    }
}

impl StrategyDescription {
    fn new(strategy: &Strategy) -> Self {
        let parameters = strategy.parameters.iter().map(|(name, value)| (name.to_owned(), serde_json::json!(value)));
        Self {
            name: strategy.name.clone(),
            policy: strategy.policy.name().to_owned(),
            parameters: parameters.collect(),
        }
    }
}

/// The file of what paths of a topology do beyond delay.
pub(super) fn impairments_file(point: usize, topology: usize) -> String {
    format!("impairments/p{point}-t{topology}.csv")
}

/// The file of a topology's delays in the run directory.
pub(super) fn matrix_file(point: usize, topology: usize) -> String {
    format!("matrices/p{point}-t{topology}.csv")
}
