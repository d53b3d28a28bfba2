//! The JSON form of a delay matrix: names and rows of whole nanoseconds.

use serde::{Deserialize, Serialize};

use super::delay_matrix::{DelayMatrix, Metadata};
use super::error::Problem;
use crate::topology::NodeName;
use crate::units::Delay;

/// The document. `unit` is always `ns`: it is there for the people who read it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    names: Vec<NodeName>,
    #[serde(default = "nanoseconds")]
    unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    comments: Vec<String>,
    delays_ns: Vec<Vec<Delay>>,
}

fn nanoseconds() -> String {
    "ns".to_owned()
}

/// Writes `{"names": […], "unit": "ns", "delays_ns": [[…]]}` with the metadata, one matrix row a line.
pub fn to_json(matrix: &DelayMatrix) -> String {
    let rows: Vec<String> = matrix
        .delays()
        .chunks(matrix.len())
        .map(|row| {
            let cells: Vec<String> = row.iter().map(|delay| delay.as_nanos().to_string()).collect();
            format!("    [{}]", cells.join(", "))
        })
        .collect();
    let mut fields = vec![field("names", matrix.names()), field("unit", "ns")];
    let metadata = &matrix.metadata;
    fields.extend(metadata.source.as_ref().map(|source| field("source", source)));
    fields.extend(metadata.date.as_ref().map(|date| field("date", date)));
    if !metadata.comments.is_empty() {
        fields.push(field("comments", &metadata.comments));
    }
    fields.push(format!("  \"delays_ns\": [\n{}\n  ]", rows.join(",\n")));
    format!("{{\n{}\n}}\n", fields.join(",\n"))
}

fn field<T: Serialize + ?Sized>(key: &str, value: &T) -> String {
    format!("  \"{key}\": {}", serde_json::json!(value))
}

/// Reads what [`to_json`] writes.
pub(super) fn parse(text: &str) -> Result<DelayMatrix, Problem> {
    let document: Document = serde_json::from_str(text).map_err(Problem::Json)?;
    if document.unit != "ns" {
        return Err(Problem::JsonUnit(document.unit));
    }
    let columns = document.names.len();
    if let Some(row) = document.delays_ns.iter().find(|row| row.len() != columns) {
        return Err(Problem::NotSquare { rows: document.delays_ns.len(), columns: row.len() });
    }
    let delays = document.delays_ns.into_iter().flatten().collect();
    let mut matrix = DelayMatrix::new(document.names, delays)?;
    matrix.metadata = Metadata { source: document.source, date: document.date, comments: document.comments };
    Ok(matrix)
}
