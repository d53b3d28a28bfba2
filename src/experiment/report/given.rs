//! [`Given`]: what the pictures of a kind of experiment are drawn from, and the small things that all of them need.

use super::results::TrialTables;
use crate::experiment::run::PointDescription;
use crate::matrix::DelayMatrix;
use crate::report::page::{Block, PageFigure};

/// What pictures are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The plan as written.
    pub point: &'a PointDescription,
    /// Its trials.
    pub trials: &'a [TrialTables],
    /// The delays of its first topology.
    pub matrix: &'a DelayMatrix,
    /// What intervals over all topologies are over, in words.
    pub over: &'a str,
}

impl<'a> Given<'a> {
    /// The trials of a strategy.
    pub(crate) fn of(self, strategy: usize) -> impl Iterator<Item = &'a TrialTables> {
        self.trials.iter().filter(move |trial| trial.record.strategy == strategy)
    }

    /// Those on the first topology.
    pub(crate) fn on_first(self, strategy: usize) -> impl Iterator<Item = &'a TrialTables> {
        self.of(strategy).filter(|trial| trial.record.topology == 0)
    }

    /// Numbers and names of all strategies.
    pub(crate) fn strategies(self) -> impl Iterator<Item = (usize, &'a str)> {
        self.point.strategies.iter().enumerate().map(|(number, strategy)| (number, strategy.name.as_str()))
    }

    /// "scenario-1", "5 repetitions".
    pub(crate) fn place(self) -> Vec<String> {
        let name = self.point.topologies.first().map_or_else(String::new, |topology| topology.name.clone());
        // Of a run of some strategies only the first may have none.
        let counts = self.strategies().map(|(strategy, _)| self.on_first(strategy).count());
        vec![name, repetitions(counts.max().unwrap_or(0))]
    }
}

fn repetitions(count: usize) -> String {
    format!("{count} repetition{}", if count == 1 { "" } else { "s" })
}

/// The table's rows, each a cell per column.
pub(crate) fn rows<'a, const N: usize>(trial: &'a TrialTables, table: &str, columns: [&str; N]) -> Vec<[&'a str; N]> {
    let Some(table) = trial.tables.get(table) else { return Vec::new() };
    let columns = columns.map(|column| table.texts(column));
    let count = columns.iter().map(Vec::len).min().unwrap_or(0);
    (0..count).map(|row| std::array::from_fn(|column| columns[column][row])).collect()
}

/// A cell as a number; not a number where it is none.
pub(crate) fn parsed(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// A picture with its file's name and what stands below it.
pub(crate) fn figure(name: &str, caption: String, svg: String) -> Block {
    Block::Figure(PageFigure { name: name.to_owned(), caption, svg })
}
