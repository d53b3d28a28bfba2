//! The trace: lines of `time,from,to,delay[,jitter,loss,rate]`, each the value of one path from an instant on.
//!
//! A path keeps its value until a later line about it, and leaves packets alone before its first. Lines may stand in any
//! order. Times are seconds from the start of the replay, delays and jitters milliseconds, unless the header names another
//! unit (`delay_us`), a line `# unit: us` says so for delays and jitters, or the number carries its own.

use std::collections::BTreeMap;

use super::moment::{LATEST, parse_nanos};
use super::trace_error::{TraceError, TraceProblem};
use super::{MomentError, TimelineStep, write_moment};
use crate::matrix::{DelayUnit, MAX_DELAY};
use crate::shaping::{Impairment, Jitter, Loss, Share};
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Probability, Rate, Span, scaled_decimal};

/// The columns; the first four must be there.
const COLUMNS: [&str; 7] = ["time", "from", "to", "delay", "jitter", "loss", "rate"];
const NEEDED: usize = 4;

/// A trace as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    file: String,
    /// In the order of instants; lines of one instant in the order of the file.
    entries: Vec<TraceEntry>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEntry {
    /// Where it stands, from 1.
    pub line: u64,
    /// From the start of the replay.
    pub at: Span,
    /// The sender.
    pub from: NodeName,
    /// The receiver.
    pub to: NodeName,
    /// What the path does from then on.
    pub does: Impairment,
}

/// Reads a trace; `file` is what errors call it.
pub fn parse_trace(file: &str, text: &str) -> Result<Trace, TraceError> {
    let error = |line, column, problem| TraceError { file: file.to_owned(), line, column, problem: Box::new(problem) };
    let mut reader = Reader::default();
    let mut entries = Vec::new();
    for (line, number) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().zip(1u64..) {
        if let Some(comment) = line.strip_prefix('#') {
            reader.comment(comment).map_err(|problem| error(number, None, problem))?;
        } else if !line.trim().is_empty() {
            let entry = reader.line(line, number).map_err(|(column, problem)| error(number, column, problem))?;
            entries.extend(entry);
        }
    }
    if entries.is_empty() {
        return Err(error(0, None, TraceProblem::Empty));
    }
    entries.sort_by_key(|entry| entry.at);
    Ok(Trace { file: file.to_owned(), entries })
}

/// Which field, and what is wrong.
type Wrong = (Option<(usize, &'static str)>, TraceProblem);

/// What is known of the file so far.
#[derive(Default)]
struct Reader {
    /// Of delays and jitters.
    unit: DelayUnit,
    /// What is taken off every time: the text and its nanoseconds.
    start: Option<(String, u128)>,
    separator: char,
    /// Per column of the file: which of [`COLUMNS`], and the nanoseconds of its plain numbers if the header says.
    columns: Vec<(usize, Option<u64>)>,
}

impl Reader {
    fn comment(&mut self, comment: &str) -> Result<(), TraceProblem> {
        let Some((key, value)) = comment.trim_start_matches('#').split_once(':') else { return Ok(()) };
        let value = value.trim().trim_end_matches([',', ';', '\t']).trim_end();
        match key.trim().to_ascii_lowercase().as_str() {
            "unit" => self.unit = value.parse()?,
            "start" => self.start = Some((value.to_owned(), parse_nanos(value, 1_000_000_000)?)),
            _ => {}
        }
        Ok(())
    }

    fn line(&mut self, line: &str, number: u64) -> Result<Option<TraceEntry>, Wrong> {
        if self.columns.is_empty() {
            self.separator = ['\t', ';'].into_iter().find(|sign| line.contains(*sign)).unwrap_or(',');
            let names = self.split(line).map_err(|problem| (None, problem))?;
            self.columns = header(&names)?;
            return Ok(None);
        }
        let fields = self.split(line).map_err(|problem| (None, problem))?;
        if fields.len() != self.columns.len() {
            return Err((None, TraceProblem::Fields { found: fields.len(), wanted: self.columns.len() }));
        }
        self.entry(&fields, number).map(Some)
    }

    fn split(&self, line: &str) -> Result<Vec<String>, TraceProblem> {
        if !line.contains('"') {
            return Ok(line.split(self.separator).map(|field| field.trim().to_owned()).collect());
        }
        let delimiter = u8::try_from(self.separator).unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(line.as_bytes());
        let record = reader.records().next();
        let record = record.transpose().map_err(|error| TraceProblem::Quotes(error.to_string()))?;
        Ok(record.iter().flatten().map(|field| field.trim().to_owned()).collect())
    }

    fn entry(&self, fields: &[String], line: u64) -> Result<TraceEntry, Wrong> {
        let field = |column: usize| {
            let place = self.columns.iter().position(|(known, _)| *known == column)?;
            Some((fields[place].as_str(), self.columns[place].1)).filter(|(text, _)| !text.is_empty())
        };
        let place = |column: usize| {
            let place = self.columns.iter().position(|(known, _)| *known == column);
            place.map(|place| (place + 1, COLUMNS[column]))
        };
        let at_column = |column: usize| move |problem: TraceProblem| (place(column), problem);
        let text = |column: usize| field(column).map_or("", |(text, _)| text);
        let (time, scale) = field(0).unwrap_or(("", None));
        let at = self.moment(time, scale.unwrap_or(1_000_000_000)).map_err(at_column(0))?;
        let name = |column| text(column).parse::<NodeName>().map_err(|error| at_column(column)(error.into()));
        let (from, to) = (name(1)?, name(2)?);
        if from == to {
            return Err((place(2), TraceProblem::Itself(to.to_string())));
        }
        let span = |column: usize| match field(column) {
            Some((text, scale)) => self.span(text, scale).map_err(at_column(column)),
            None if column == 3 => Err((place(3), TraceProblem::Duration(String::new()))),
            None => Ok(Span::ZERO),
        };
        let delay = Delay::from_nanos(span(3)?.as_nanos());
        let loss = field(5).map(|(text, _)| text.parse::<Probability>()).transpose();
        let loss = loss.map_err(|error| at_column(5)(error.into()))?.unwrap_or_default();
        let rate = field(6).map(|(text, _)| text.parse::<Rate>()).transpose();
        let does = Impairment {
            delay,
            jitter: Jitter { span: span(4)?, ..Jitter::default() },
            loss: if loss == Probability::ZERO { Loss::None } else { Loss::Random(Share::of(loss)) },
            rate: rate.map_err(|error| at_column(6)(error.into()))?,
            ..Impairment::default()
        };
        let does = does.checked().map_err(|error| (None, error.into()))?;
        Ok(TraceEntry { line, at, from, to, does })
    }

    fn moment(&self, text: &str, scale: u64) -> Result<Span, TraceProblem> {
        let ns = parse_nanos(text, scale)?;
        let since = match &self.start {
            None => ns,
            Some((start, start_ns)) => ns
                .checked_sub(*start_ns)
                .ok_or_else(|| TraceProblem::BeforeStart { time: text.to_owned(), start: start.clone() })?,
        };
        let span = u64::try_from(since).ok().map(Span::from_nanos).filter(|span| *span <= LATEST);
        Ok(span.ok_or_else(|| MomentError::TooLate(text.to_owned()))?)
    }

    fn span(&self, text: &str, scale: Option<u64>) -> Result<Span, TraceProblem> {
        let plain = scaled_decimal(text, scale.unwrap_or(self.unit.nanos()));
        let ns = match plain {
            Some(ns) => ns,
            None if text.starts_with('-') => return Err(TraceProblem::Negative(text.to_owned())),
            None => {
                let span: Span = text.parse().map_err(|_| TraceProblem::Duration(text.to_owned()))?;
                u128::from(span.as_nanos())
            }
        };
        let ns = u64::try_from(ns).ok().filter(|ns| *ns <= MAX_DELAY.as_nanos());
        ns.map(Span::from_nanos).ok_or_else(|| TraceProblem::TooLong(text.to_owned()))
    }
}

/// Which columns there are: `delay`, `delay_ms` or `delay (ms)`.
fn header(names: &[String]) -> Result<Vec<(usize, Option<u64>)>, Wrong> {
    let mut columns: Vec<(usize, Option<u64>)> = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let lower = name.to_ascii_lowercase();
        let (stem, unit) = match lower.split_once(['_', '(']) {
            Some((stem, unit)) => (stem.trim(), Some(unit.trim_end_matches(')').trim())),
            None => (lower.as_str(), None),
        };
        let unknown = || (Some((place + 1, "header")), TraceProblem::UnknownColumn(name.clone()));
        let column = COLUMNS.iter().position(|known| *known == stem).ok_or_else(unknown)?;
        if columns.iter().any(|(known, _)| *known == column) {
            return Err((Some((place + 1, "header")), TraceProblem::ColumnTwice(COLUMNS[column])));
        }
        let scale = match (column, unit) {
            (_, None) => None,
            (0 | 3 | 4, Some(unit)) => Some(unit.parse::<DelayUnit>().map_err(|_| unknown())?.nanos()),
            _ => return Err(unknown()),
        };
        columns.push((column, scale));
    }
    match (0..NEEDED).find(|needed| !columns.iter().any(|(column, _)| column == needed)) {
        Some(missing) => Err((None, TraceProblem::NoHeader(COLUMNS[missing]))),
        None => Ok(columns),
    }
}

impl Trace {
    /// The lines in the order of their instants.
    pub fn entries(&self) -> &[TraceEntry] {
        &self.entries
    }

    /// The nodes that it speaks of, in the order of their first mention.
    pub fn names(&self) -> Vec<NodeName> {
        let mut by_line: Vec<&TraceEntry> = self.entries.iter().collect();
        by_line.sort_by_key(|entry| entry.line);
        let mut names: Vec<NodeName> = Vec::new();
        for name in by_line.into_iter().flat_map(|entry| [&entry.from, &entry.to]) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// One step per instant, for these nodes.
    pub(super) fn steps(&self, names: &[NodeName]) -> Result<Vec<TimelineStep>, TraceError> {
        let places: BTreeMap<&NodeName, NodeIndex> = names.iter().zip(0..).collect();
        let mut steps = Vec::new();
        for entries in self.entries.chunk_by(|one, next| one.at == next.at) {
            let mut paths = BTreeMap::new();
            let mut lines: BTreeMap<(NodeIndex, NodeIndex), u64> = BTreeMap::new();
            for entry in entries {
                let place = |name: &NodeName| {
                    places.get(name).copied().ok_or_else(|| {
                        let nodes = names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
                        self.at_line(entry.line, TraceProblem::UnknownNode { name: name.to_string(), nodes })
                    })
                };
                let path = (place(&entry.from)?, place(&entry.to)?);
                if paths.insert(path, entry.does).is_some_and(|before| before != entry.does) {
                    let (from, to, first) = (entry.from.to_string(), entry.to.to_string(), lines[&path]);
                    return Err(self.at_line(entry.line, TraceProblem::Twice { from, to, first }));
                }
                lines.entry(path).or_insert(entry.line);
            }
            let at = entries[0].at;
            steps.push(TimelineStep { at, name: format!("trace at {}", write_moment(at)), paths });
        }
        Ok(steps)
    }

    /// An error of the file as a whole.
    pub(super) fn error(&self, problem: impl Into<TraceProblem>) -> TraceError {
        self.at_line(0, problem.into())
    }

    fn at_line(&self, line: u64, problem: TraceProblem) -> TraceError {
        TraceError { file: self.file.clone(), line, column: None, problem: Box::new(problem) }
    }
}

#[cfg(test)]
mod tests;
