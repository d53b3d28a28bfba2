//! The report of a run: verdicts on claims, tables, figures, one page; made from the run directory alone, so that it is the
//! same bytes each time. What is specific to a kind of experiment is the list of figures in its own room; everything else
//! here serves all kinds.
//!
//! ```text
//! records, tables, matrices ─results─► Cells, Estimates ─┬─verdict──► claims
//!  (read here)                                           ├─overview─► tables, bars     ─document─► Page ─► report.html
//!                                                        ├─sweep────► lines, grids                    └─► figures/*.svg, *.png
//!                                                        └─figures──► of the kind of experiment
//! ```

mod conduct;
mod cross_check;
mod document;
mod given;
mod matrices;
mod overview;
mod results;
mod sweep;
mod text;
mod verdict;

pub use cross_check::{Beside, besides};
pub use given::Given;
pub(super) use given::{figure, parsed, rows};
pub(super) use overview::{capital, wide_axis};
pub use results::{Results, TrialTables};
pub use verdict::{Judged, Verdict, verdicts};

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use self::document::Material;
use self::matrices::Delays;
use super::outcome::Table;
use super::run::{Description, DirectoryError, RunDirectory, write_whole};
use crate::matrix::{self, ReadError, ReadOptions};
use crate::report::page::{Page, html};
use crate::report::plot::{PlotError, png};

/// Pixels per unit of the PNGs: sharp at print size.
const PNG_SCALE: f32 = 2.0;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of the run that cannot be read, or of the report that cannot be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A matrix of the run that is none.
    #[error(transparent)]
    Matrix(#[from] ReadError),
    /// A figure that cannot be drawn.
    #[error("figure {name}: {error}")]
    Plot {
        /// Its name.
        name: String,
        /// Why.
        error: PlotError,
    },
}

/// A report that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The claims with their verdicts.
    pub judged: Vec<Judged>,
    /// The report in short, for a terminal.
    pub summary: String,
    /// How many figures there are.
    pub figures: usize,
}

/// Writes `report.html`, `metrics.csv` and the figures of a run into `output`, which may be the run's own directory.
pub fn write(directory: &RunDirectory, description: &Description, output: &Path) -> Result<Written, ReportError> {
    let mut records = directory.records()?;
    if let Some(point) = description.points.first() {
        point.facts.compare(&mut records);
    }
    let results = Results { description, records, simulated: directory.simulated()? };
    let judged = verdicts(&results);
    let page = document(directory, &results, &judged)?;
    write_whole(&output.join("metrics.csv"), metrics(&results).to_csv().as_bytes())?;
    let figures = page.figures();
    for figure in &figures {
        let file = |ending: &str| output.join("figures").join(format!("{}.{ending}", figure.name));
        write_whole(&file("svg"), figure.svg.as_bytes())?;
        let plot = |error| ReportError::Plot { name: figure.name.clone(), error };
        write_whole(&file("png"), &png(&figure.svg, PNG_SCALE).map_err(plot)?)?;
    }
    write_whole(&output.join("report.html"), html(&page).as_bytes())?;
    let summary = text::summary(&results, &judged);
    Ok(Written { figures: figures.len(), judged, summary })
}

fn document(directory: &RunDirectory, results: &Results, judged: &[Judged]) -> Result<Page, ReportError> {
    let written = results.records.iter().filter(|record| record.point == 0);
    let tables = |record: &super::run::TrialRecord| -> Result<TrialTables, DirectoryError> {
        let tables = record.tables.iter().map(|name| Ok((name.clone(), directory.table(record, name)?)));
        Ok(TrialTables { record: record.clone(), tables: tables.collect::<Result<_, DirectoryError>>()? })
    };
    let trials = written.map(tables).collect::<Result<Vec<_>, _>>()?;
    let delays = delays(directory, results)?;
    let plan = optional(directory, "plan.yaml")?.unwrap_or_default();
    let record = optional(directory, "run.json")?.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let material = Material { results, trials: &trials, delays: &delays, judged, plan: &plan, record: record.as_ref() };
    Ok(document::page(&material))
}

/// The delays of the plan as written. What a testbed measured of topology T lies beside them as `matrices/measured-p0-tT.csv`.
fn delays(directory: &RunDirectory, results: &Results) -> Result<Vec<Delays>, ReportError> {
    let topologies = results.written().map_or(&[][..], |point| &point.topologies);
    let parsed = |file: &str, text: &str| {
        let path = directory.path().join(file);
        matrix::parse(&path.display().to_string(), text.as_bytes(), ReadOptions::default())
    };
    let mut all = Vec::new();
    for topology in topologies {
        let intended = parsed(&topology.file, &directory.text(&topology.file)?)?;
        let file = topology.file.replacen("matrices/", "matrices/measured-", 1);
        let measured = optional(directory, &file)?.map(|text| parsed(&file, &text)).transpose()?;
        all.push(Delays { name: topology.name.clone(), intended, measured });
    }
    Ok(all)
}

/// The text of a file that need not be there.
fn optional(directory: &RunDirectory, file: &str) -> Result<Option<String>, DirectoryError> {
    match fs::exists(directory.path().join(file)) {
        Ok(true) => directory.text(file).map(Some),
        Ok(false) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DirectoryError::File { operation: "look for", path: directory.path().join(file), error }),
    }
}

/// Every metric of every trial, long form.
fn metrics(results: &Results) -> Table {
    let mut table =
        Table::new("metrics", &["point", "varied", "topology", "repetition", "strategy", "metric", "value"]);
    for record in &results.records {
        let point = results.description.points.get(record.point);
        let varied = point.map_or(&[][..], |point| &point.varied);
        let varied = varied.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let topology = point.and_then(|point| point.topologies.get(record.topology));
        let strategy = point.and_then(|point| point.strategies.get(record.strategy));
        for (metric, value) in &record.metrics {
            table.rows.push(vec![
                record.point.to_string(),
                varied.clone(),
                topology.map_or_else(String::new, |topology| topology.name.clone()),
                record.repetition.to_string(),
                strategy.map_or_else(String::new, |strategy| strategy.name.clone()),
                metric.clone(),
                value.map_or_else(String::new, |value| value.to_string()),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests;
