//! Sweeps: a plan with other values in it. Any scalar of the plan can be varied; each set of values is a whole plan, which is
//! checked as if it had been written.

use serde_json::Value;

use crate::wording::excerpt;
use crate::yaml::Spot;

use super::MAX_POINTS;
use super::document::AxisDocument;
use super::error::{PlanProblem, Wrong};

/// One set of values: what is varied, in words, and the plan's text with it.
pub(super) struct Varied {
    pub(super) values: Vec<(String, String)>,
    pub(super) text: String,
}

/// The plans of all combinations of the axes' values, the last axis fastest. Without axes there are none.
pub(super) fn varied(plan: &Value, axes: &[AxisDocument]) -> Result<Vec<Varied>, Wrong> {
    if axes.is_empty() {
        return Ok(Vec::new());
    }
    let count = axes.iter().fold(1u64, |count, axis| count.saturating_mul(axis.over.value.len() as u64));
    if count > MAX_POINTS {
        let spot = axes.last().map_or(Spot::File, |axis| axis.over.spot);
        return Err((spot, PlanProblem::TooManyPoints(count)));
    }
    let mut combinations = vec![(plan.clone(), Vec::new())];
    for axis in axes {
        if axis.over.value.is_empty() {
            return Err((axis.over.spot, PlanProblem::NoneOf("value to vary over")));
        }
        let label = axis.label.as_ref().unwrap_or(&axis.vary.value);
        let mut next = Vec::new();
        for (tree, values) in &combinations {
            for value in &axis.over.value {
                let mut tree = tree.clone();
                set(&mut tree, &axis.vary.value, value).map_err(|problem| (axis.vary.spot, problem))?;
                let mut values: Vec<(String, String)> = values.clone();
                values.push((label.clone(), words(value)));
                next.push((tree, values));
            }
        }
        combinations = next;
    }
    let texts = combinations.into_iter().map(|(mut tree, values)| {
        if let Some(fields) = tree.as_object_mut() {
            fields.remove("sweep");
        }
        Varied { values, text: tree.to_string() }
    });
    Ok(texts.collect())
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Puts `value` at `path`. The place has to be there: a misspelt one would vary nothing.
fn set(tree: &mut Value, path: &str, value: &Value) -> Result<(), PlanProblem> {
    let mut place = tree;
    for part in path.split('.') {
        let missing = format!("no `{}`", excerpt(part));
        let next = match place {
            Value::Object(fields) => fields.get_mut(part),
            Value::Array(entries) => part.parse().ok().and_then(|number: usize| entries.get_mut(number)),
            _ => None,
        };
        place = next.ok_or_else(|| PlanProblem::NothingToVary { path: path.to_owned(), missing })?;
    }
    *place = value.clone();
    Ok(())
}
