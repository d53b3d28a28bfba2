//! The run directory: what is known of a run, on disk. A trial is there when its `trial.json` is: that is written last.
//!
//! ```text
//! plan.yaml       as given           matrices/pP-tT.csv   delays of point P, topology T
//! plan.json       as understood      trials/pP-tT-rR-sS/  trial.json and a CSV per table
//! run.json        where and when     metrics.csv          every metric of every trial, long form
//!                                    trials/…/clock.json  metrics that a clock gave, which differ from run to run
//!                                    simulated/…          simulations of a testbed's trials, in the same form
//!                                    impairments/pP-tT.csv  what paths do, where that is more than delay
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::description::{Description, impairments_file, matrix_file};
use crate::experiment::outcome::{Outcome, Table};
use crate::experiment::plan::{Plan, Trial, TrialId};
use crate::intended::Intended;
use crate::matrix::csv::{CsvOptions, to_csv};
use crate::wording::excerpt;

/// The folder of trials.
const TRIALS: &str = "trials";

/// The folder of the simulations of a testbed's trials.
const SIMULATED: &str = "simulated";

/// A run directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file that cannot be read or written.
    #[error("{operation} {}: {error}", .path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file that says something else than expected.
    #[error("{}: not what longhaul writes there: {}", .path.display(), excerpt(.what))]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The directory has another plan.
    #[error("{} holds a run of another plan, or of another version of it; name a new directory with --output", .0.display())]
    OtherPlan(PathBuf),
    /// The directory has something else.
    #[error("{} is there already and is no run; name a new directory with --output", .0.display())]
    Taken(PathBuf),
    /// The directory has a run, and nobody said that it is to go on.
    #[error("{} holds a run already; add --resume to go on with it", .0.display())]
    Unasked(PathBuf),
}

/// A run directory.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

/// What `trial.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialRecord {
    /// The folder's name.
    pub id: String,
    /// The point of the sweep.
    pub point: usize,
    /// The topology's number.
    pub topology: usize,
    /// The repetition.
    pub repetition: u32,
    /// The strategy's number.
    pub strategy: usize,
    /// Metrics; one without a value, such as a percentile of nothing, is null.
    pub metrics: std::collections::BTreeMap<String, Option<f64>>,
    /// What to know before trusting the numbers.
    pub caveats: Vec<String>,
    /// The tables beside it.
    pub tables: Vec<String>,
}

impl RunDirectory {
    /// A new run of `plan` in `path`, or with `resume` the one that is there.
    pub fn open(path: &Path, plan: &Plan, description: &Description, resume: bool) -> Result<Self, DirectoryError> {
        let directory = Self { path: path.to_path_buf() };
        let understood = directory.path.join("plan.json");
        if understood.exists() {
            if !resume {
                return Err(DirectoryError::Unasked(directory.path));
            }
            if read(&understood)? != description.to_json() || !directory.same_matrices(plan)? {
                return Err(DirectoryError::OtherPlan(directory.path));
            }
            return Ok(directory);
        }
        let empty = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if !empty {
            return Err(DirectoryError::Taken(directory.path));
        }
        for (file, matrix) in matrices(plan) {
            directory.write(&file, &matrix)?;
        }
        directory.write("plan.yaml", &plan.text)?;
        directory.write("plan.json", &description.to_json())?;
        Ok(directory)
    }

    /// A run that is there, for its report.
    pub fn existing(path: &Path) -> Result<(Self, Description), DirectoryError> {
        let directory = Self { path: path.to_path_buf() };
        let file = directory.path.join("plan.json");
        let description = serde_json::from_str(&read(&file)?)
            .map_err(|error| DirectoryError::Content { path: file, what: error.to_string() })?;
        Ok((directory, description))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn same_matrices(&self, plan: &Plan) -> Result<bool, DirectoryError> {
        for (file, matrix) in matrices(plan) {
            if read(&self.path.join(file))? != matrix {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a trial's results are there.
    pub fn has(&self, id: TrialId) -> bool {
        self.trial_folder(id).join("trial.json").exists()
    }

    fn trial_folder(&self, id: TrialId) -> PathBuf {
        self.path.join(TRIALS).join(id.to_string())
    }

    /// Keeps what a trial gave.
    pub fn keep(&self, trial: &Trial, outcome: &Outcome) -> Result<(), DirectoryError> {
        // First: the trial counts as kept when its own record is there.
        if let Some(simulated) = &outcome.simulated {
            self.keep_in(SIMULATED, trial, simulated)?;
        }
        self.keep_in(TRIALS, trial, outcome)
    }

    fn keep_in(&self, kind: &str, trial: &Trial, outcome: &Outcome) -> Result<(), DirectoryError> {
        let (id, folder) = (trial.id, format!("{kind}/{}", trial.id));
        for table in outcome.tables.iter().chain(&outcome.evidence) {
            self.write(&format!("{folder}/{}.csv", table.name), &table.to_csv())?;
        }
        if !outcome.clocked.is_empty() {
            self.write(&format!("{folder}/{CLOCK}"), &json(&outcome.clocked))?;
        }
        let record = TrialRecord {
            id: id.to_string(),
            point: id.point,
            topology: id.topology,
            repetition: id.repetition,
            strategy: id.strategy,
            metrics: outcome
                .metrics
                .iter()
                .map(|(name, value)| (name.clone(), value.is_finite().then_some(*value)))
                .collect(),
            caveats: outcome.caveats.clone(),
            tables: outcome.tables.iter().map(|table| table.name.clone()).collect(),
        };
        self.write(&format!("{folder}/trial.json"), &json(&record))
    }

    /// All trials that are there, by their numbers.
    pub fn records(&self) -> Result<Vec<TrialRecord>, DirectoryError> {
        self.records_in(TRIALS)
    }

    /// The simulations of trials of a testbed, by their numbers.
    pub fn simulated(&self) -> Result<Vec<TrialRecord>, DirectoryError> {
        self.records_in(SIMULATED)
    }

    fn records_in(&self, kind: &str) -> Result<Vec<TrialRecord>, DirectoryError> {
        let folder = self.path.join(kind);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(DirectoryError::File { operation: "list", path: folder, error }),
        };
        let files = entries.flatten().map(|entry| entry.path().join("trial.json")).filter(|file| file.exists());
        let mut records = files.map(|file| record(&file)).collect::<Result<Vec<TrialRecord>, _>>()?;
        records.sort_by_key(|record| (record.point, record.topology, record.repetition, record.strategy));
        Ok(records)
    }

    /// A table of a trial.
    pub fn table(&self, record: &TrialRecord, name: &str) -> Result<Table, DirectoryError> {
        let file = self.path.join(TRIALS).join(&record.id).join(format!("{name}.csv"));
        let text = read(&file)?;
        let content = |error: csv::Error| DirectoryError::Content { path: file.clone(), what: error.to_string() };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
        let columns = cells(reader.headers().map_err(content)?);
        let rows = reader.records().map(|row| row.map(|row| cells(&row))).collect::<Result<_, _>>().map_err(content)?;
        Ok(Table { name: name.to_owned(), columns, rows })
    }

    /// Writes a file as a whole or not at all; `name` may have folders.
    pub fn write(&self, name: &str, text: &str) -> Result<(), DirectoryError> {
        self.write_bytes(name, text.as_bytes())
    }

    /// The same with bytes.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), DirectoryError> {
        write_whole(&self.path.join(name), bytes)
    }

    /// The text of a file; `name` may have folders.
    pub fn text(&self, name: &str) -> Result<String, DirectoryError> {
        read(&self.path.join(name))
    }
}

/// Where metrics that a clock gave are, beside a trial's record.
const CLOCK: &str = "clock.json";

/// What a trial gave, with what a clock gave.
fn record(file: &Path) -> Result<TrialRecord, DirectoryError> {
    let mut record: TrialRecord = parsed(file)?;
    let clock = file.with_file_name(CLOCK);
    if clock.exists() {
        let clocked: std::collections::BTreeMap<String, Option<f64>> = parsed(&clock)?;
        record.metrics.extend(clocked);
    }
    Ok(record)
}

fn parsed<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, DirectoryError> {
    serde_json::from_str(&read(file)?)
        .map_err(|error| DirectoryError::Content { path: file.to_path_buf(), what: error.to_string() })
}

/// Indented, with a line break at the end.
fn json(what: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(what).unwrap_or_default();
    text.push('\n');
    text
}

/// Writes a file as a whole or not at all; its folders are made.
pub(in crate::experiment) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DirectoryError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let failed = |operation, path: &Path| {
        let path = path.to_path_buf();
        move |error| DirectoryError::File { operation, path, error }
    };
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let half = path.with_extension("part");
    fs::write(&half, bytes).map_err(failed("write", &half))?;
    fs::rename(&half, path).map_err(failed("write", path))
}

/// What is known of paths: their delays, and what they do beyond, by the names of their files.
fn matrices(plan: &Plan) -> impl Iterator<Item = (String, String)> {
    let topologies = plan.points.iter().enumerate().flat_map(|(number, point)| {
        point.topologies.iter().enumerate().map(move |(place, topology)| (number, place, topology))
    });
    topologies.flat_map(|(number, place, topology)| {
        let delays = (matrix_file(number, place), to_csv(&topology.matrix, CsvOptions::default()));
        let impaired = topology.impaired.as_ref();
        let impaired = impaired.map(|intended| (impairments_file(number, place), impairments(intended).to_csv()));
        std::iter::once(delays).chain(impaired)
    })
}

/// What paths do, a line each.
fn impairments(intended: &Intended) -> Table {
    let mut table = Table::new("impairments", &["from", "to", "impairment"]);
    let names = intended.matrix().names();
    for (from, to) in intended.matrix().paths() {
        let impairment = intended.path(from, to).to_string();
        table.rows.push(vec![names[from].to_string(), names[to].to_string(), impairment]);
    }
    table
}

fn read(path: &Path) -> Result<String, DirectoryError> {
    fs::read_to_string(path).map_err(|error| DirectoryError::File {
        operation: "read",
        path: path.to_path_buf(),
        error,
    })
}
