//! [`Outcome`]: what a trial gives. Metrics are compared and summarised; tables are what figures are drawn from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a trial gives.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Numbers by their names.
    pub metrics: BTreeMap<String, f64>,
    /// Numbers that a clock of this machine gave. They differ from run to run even where everything else is the same, and
    /// are kept apart for that.
    pub clocked: BTreeMap<String, f64>,
    /// Long-form data.
    pub tables: Vec<Table>,
    /// Data that is kept beside them and that no report reads, such as every single request.
    pub evidence: Vec<Table>,
    /// What a simulation of the same trial gave, where one was wanted.
    pub simulated: Option<Box<Outcome>>,
    /// What a reader has to know before trusting the numbers; empty in virtual time.
    pub caveats: Vec<String>,
}

/// A table: columns with names, cells as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// What its file is called, without the ending.
    pub name: String,
    /// The columns' names, with their units.
    pub columns: Vec<String>,
    /// As many cells in each row as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// What an experiment says of one of its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// Its name in plans and files.
    pub name: &'static str,
    /// What it is, for tables and axes, without its unit.
    pub what: &'static str,
    /// Its unit.
    pub unit: MetricUnit,
    /// Which numbers are better.
    pub better: Better,
}

/// What a metric is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricUnit {
    /// A part of a whole: 0 to 1, shown as percents.
    Share,
    /// A number from 0 to 1 that is no part of anything.
    Index,
    /// Milliseconds.
    Milliseconds,
    /// Traffic times delay: kilobytes times milliseconds.
    KilobyteMilliseconds,
    /// How many times something else.
    Factor,
    /// How many.
    Count,
}

/// Which numbers are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Better {
    /// Greater ones.
    More,
    /// Smaller ones.
    Less,
}

impl Table {
    /// An empty one.
    pub fn new(name: &str, columns: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// As CSV with the columns' names in the first line.
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to a `Vec` cannot fail, and every row has its columns.
        let _ = writer.write_record(&self.columns);
        for row in &self.rows {
            let _ = writer.write_record(row);
        }
        writer.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// A column's cells as numbers; a cell that is none is left out.
    pub fn numbers(&self, column: &str) -> Vec<f64> {
        let Some(place) = self.columns.iter().position(|name| name == column) else { return Vec::new() };
        self.rows.iter().filter_map(|row| row.get(place)?.parse().ok()).collect()
    }

    /// A column's cells.
    pub fn texts(&self, column: &str) -> Vec<&str> {
        let Some(place) = self.columns.iter().position(|name| name == column) else { return Vec::new() };
        self.rows.iter().filter_map(|row| row.get(place).map(String::as_str)).collect()
    }
}
