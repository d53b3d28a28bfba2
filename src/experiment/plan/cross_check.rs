//! Cross-checks: how far the metrics of a testbed may be from those of a simulation of the same trials.

use serde::{Deserialize, Serialize};

use super::error::{PlanProblem, Wrong};
use crate::experiment::outcome::{Metric, MetricUnit};
use crate::units::{Probability, Span};
use crate::yaml::{At, Ordered};

/// How far a metric may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Its name.
    pub metric: String,
    /// The largest difference of the means, in the metric's unit: milliseconds, or a part of 1.
    pub most: f64,
}

/// The bounds of a plan, in its order; `metrics` are those that the experiment gives.
pub(super) fn bounds(document: &Ordered<At<String>>, metrics: &[Metric]) -> Result<Vec<Bound>, Wrong> {
    let bound = |(name, text): &(At<String>, At<String>)| {
        let metric = metrics.iter().find(|metric| metric.name == name.value).ok_or_else(|| {
            let known = metrics.iter().map(|metric| metric.name).collect::<Vec<_>>().join(", ");
            let known = format!("; there are {known}");
            (name.spot, PlanProblem::Unknown { what: "metric", name: name.value.clone(), known })
        })?;
        let (most, wanted) = match metric.unit {
            MetricUnit::Milliseconds => (milliseconds(&text.value), "a time, such as 3ms"),
            MetricUnit::Share | MetricUnit::Index => (share(&text.value), "a share, such as 0.05 or 5%"),
            MetricUnit::KilobyteMilliseconds | MetricUnit::Factor | MetricUnit::Count => {
                (text.value.trim().parse().ok().filter(|most: &f64| *most >= 0.0), "a number, such as 2")
            }
        };
        let what = "the bound of a cross-check";
        let problem = PlanProblem::Bounds { what, value: text.value.clone(), wanted };
        Ok(Bound { metric: name.value.clone(), most: most.ok_or((text.spot, problem))? })
    };
    document.0.iter().map(bound).collect()
}

fn milliseconds(text: &str) -> Option<f64> {
    text.parse::<Span>().ok().map(Span::as_millis_f64)
}

fn share(text: &str) -> Option<f64> {
    let percent = text.parse::<Probability>().ok().map(Probability::as_f64);
    percent.or_else(|| text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share)))
}
