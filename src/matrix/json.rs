//! The JSON form of a delay matrix: names and rows of whole nanoseconds.

use serde::{Deserialize, Serialize};

use super::delay_matrix::{DelayMatrix, Metadata};
use super::error::{Kind, Place, Problem, ReadError};
use super::unit::DelayUnit;
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
    /// Signed, so that a negative delay can be named by its path.
    delays_ns: Vec<Vec<i64>>,
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

/// Reads what [`to_json`] writes; `file` is what errors call it.
pub(super) fn parse(file: &str, text: &str) -> Result<DelayMatrix, ReadError> {
    let at_file = |problem: Problem| ReadError::new(file, Place::File, problem);
    let document: Document = serde_json::from_str(text)
        .map_err(|error| ReadError::new(file, Place::Line(error.line() as u64), Problem::Json(error)))?;
    check_shape(&document).map_err(at_file)?;
    let mut delays = Vec::with_capacity(document.names.len() * document.names.len());
    for (row, cells) in document.delays_ns.iter().enumerate() {
        for (column, ns) in cells.iter().enumerate() {
            let delay = u64::try_from(*ns).map(Delay::from_nanos).map_err(|_| {
                let (from, to) = (document.names[row].clone(), document.names[column].clone());
                let place = Place::Element { index: (row, column), from, to };
                let problem = Problem::Negative { text: ns.to_string(), kind: Kind::OneWay, unit: DelayUnit::Ns };
                ReadError::new(file, place, problem)
            })?;
            delays.push(delay);
        }
    }
    let mut matrix = DelayMatrix::new(document.names, delays).map_err(|error| at_file(error.into()))?;
    matrix.metadata = Metadata { source: document.source, date: document.date, comments: document.comments };
    Ok(matrix)
}

fn check_shape(document: &Document) -> Result<(), Problem> {
    let (names, rows) = (document.names.len(), document.delays_ns.len());
    if document.unit != "ns" {
        return Err(Problem::JsonUnit(document.unit.clone()));
    }
    if rows != names {
        return Err(Problem::JsonRows { rows, names });
    }
    match document.delays_ns.iter().enumerate().find(|(_, cells)| cells.len() != names) {
        Some((row, cells)) => Err(Problem::JsonRow { row, found: cells.len(), names }),
        None => Ok(()),
    }
}
