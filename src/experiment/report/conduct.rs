//! How a testbed behaved: how late requests left, what else the machine did, what the emulated network dropped. From the tables
//! `conduct` and `events` of the trials of the plan as written.

use crate::experiment::run::PointDescription;
use crate::report::number;
use crate::report::page::{Block, Cell, PageTable, Section, Tone};

use super::given::{parsed, rows};
use super::results::TrialTables;

/// What becomes of a number of several trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Together {
    Sum,
    Most,
}

/// A number of the table `conduct`.
#[derive(Debug, Clone, Copy)]
struct Column {
    name: &'static str,
    head: &'static str,
    together: Together,
    factor: f64,
    decimals: usize,
    /// From where on it is marked: above another number of the trial, or above nothing.
    above: Option<&'static str>,
}

const fn count(name: &'static str, head: &'static str) -> Column {
    Column { name, head, together: Together::Sum, factor: 1.0, decimals: 0, above: None }
}

const fn most(name: &'static str, head: &'static str, factor: f64, decimals: usize) -> Column {
    Column { name, head, together: Together::Most, factor, decimals, above: None }
}

/// No number is above it.
const NOTHING: &str = "";

/// When requests left.
const LEAVING: [Column; 6] = [
    count("requests", "requests"),
    Column { above: Some(NOTHING), ..count("not_sent", "not sent") },
    most("lateness_p50_ms", "late: median (ms)", 1.0, 3),
    Column { above: Some("lateness_bound_ms"), ..most("lateness_p99_ms", "late: 99th percentile (ms)", 1.0, 3) },
    most("lateness_max_ms", "late: most (ms)", 1.0, 3),
    most("lateness_bound_ms", "99th percentile allowed (ms)", 1.0, 3),
];

/// What the machine and the emulated network did.
const AROUND: [Column; 6] = [
    most("steal", "processor time taken by other guests (%)", 100.0, 1),
    most("load1", "runnable processes, mean of a minute", 1.0, 2),
    count("packets_delayed", "packets delayed"),
    Column { above: Some(NOTHING), ..count("packets_dropped", "packets dropped by the emulation") },
    count("packets_late", "packets more than 1 ms late"),
    Column { above: Some(NOTHING), ..count("agent_restarts", "restarts of agents") },
];

/// The section of the page; nothing where no trial has noted how its testbed behaved.
pub(super) fn section(trials: &[TrialTables], point: &PointDescription) -> Option<Section> {
    let noted: Vec<&TrialTables> = trials.iter().filter(|trial| trial.tables.contains_key("conduct")).collect();
    if noted.is_empty() {
        return None;
    }
    let text = "How late a request left counts from the instant at which it was to leave, in plan time; it is part of the request's \
                latency. Counts are of all trials of a strategy together, other numbers those of its worst trial. Packets that the \
                emulation had to drop are an error of the testbed; losses that the plan asks for are not among them. – is what \
                nobody counted.";
    let mut blocks = vec![Block::Text(text.to_owned())];
    for (caption, columns) in [
        ("When requests left", &LEAVING),
        ("What the machine and the emulated network did while requests were sent", &AROUND),
    ] {
        blocks.push(Block::Table(by_strategy(&noted, point, caption, columns)));
    }
    blocks.extend(events(&noted).map(Block::Table));
    let each = [
        by_trial(&noted, point, "When requests left, by trial", &LEAVING),
        by_trial(&noted, point, "The machine and the emulated network, by trial", &AROUND),
    ];
    blocks.push(Block::Fold("The same by trial".to_owned(), each.map(Block::Table).to_vec()));
    Some(Section { title: "How the lab behaved".to_owned(), blocks })
}

fn by_strategy(noted: &[&TrialTables], point: &PointDescription, caption: &str, columns: &[Column]) -> PageTable {
    let rows = point.strategies.iter().enumerate().map(|(number, strategy)| {
        let own: Vec<&TrialTables> = noted.iter().copied().filter(|trial| trial.record.strategy == number).collect();
        let cells = columns.iter().map(|column| cell(*column, &own));
        let trials = Cell::new(own.len().to_string(), Tone::Number);
        [Cell::plain(&strategy.name), trials].into_iter().chain(cells).collect()
    });
    let head = ["strategy", "trials"].into_iter().chain(columns.iter().map(|column| column.head));
    PageTable { caption: caption.to_owned(), rows: rows.collect(), head: head.map(str::to_owned).collect() }
}

fn by_trial(noted: &[&TrialTables], point: &PointDescription, caption: &str, columns: &[Column]) -> PageTable {
    let rows = noted.iter().map(|trial| {
        let record = &trial.record;
        let strategy = point.strategies.get(record.strategy).map_or("", |strategy| &strategy.name);
        let topology = point.topologies.get(record.topology).map_or("", |topology| &topology.name);
        let place = [Cell::plain(strategy), Cell::plain(topology), Cell::plain((record.repetition + 1).to_string())];
        let own = [*trial];
        place.into_iter().chain(columns.iter().map(|column| cell(*column, &own))).collect()
    });
    let head = ["strategy", "topology", "repetition"].into_iter().chain(columns.iter().map(|column| column.head));
    PageTable { caption: caption.to_owned(), rows: rows.collect(), head: head.map(str::to_owned).collect() }
}

/// What a trial noted under a name, if it is a number.
fn noted_as(trial: &TrialTables, name: &str) -> Option<f64> {
    let mut rows = rows(trial, "conduct", ["what", "value"]).into_iter();
    rows.find(|[what, _]| *what == name).map(|[_, value]| parsed(value)).filter(|value| value.is_finite())
}

/// A number of trials, marked where it should not be so high.
fn cell(column: Column, trials: &[&TrialTables]) -> Cell {
    let values: Vec<Option<f64>> = trials.iter().map(|trial| noted_as(trial, column.name)).collect();
    let known = values.iter().flatten().copied();
    let value = match column.together {
        // A sum of what is partly unknown is none.
        Together::Sum if values.contains(&None) => None,
        Together::Sum => Some(known.sum()),
        Together::Most => known.reduce(f64::max),
    };
    let Some(value) = value.filter(|_| !values.is_empty()) else { return Cell::new("–", Tone::Number) };
    let bad = |trial: &&TrialTables| {
        let Some(above) = column.above else { return false };
        let bound = if above == NOTHING { Some(0.0) } else { noted_as(trial, above) };
        noted_as(trial, column.name).zip(bound).is_some_and(|(value, bound)| value > bound)
    };
    let text = number(value * column.factor, column.decimals, false);
    // Not by colour alone.
    if trials.iter().any(bad) { Cell::new(format!("✗ {text}"), Tone::Alarm) } else { Cell::new(text, Tone::Number) }
}

/// What happened when: the latest and the longest of all trials.
fn events(noted: &[&TrialTables]) -> Option<PageTable> {
    let mut all: Vec<(&str, &str, usize, f64, f64)> = Vec::new();
    for [what, at, late, took] in
        noted.iter().flat_map(|trial| rows(trial, "events", ["what", "at_s", "late_ms", "took_ms"]))
    {
        let (late, took) = (parsed(late), parsed(took));
        match all.iter_mut().find(|one| (one.0, one.1) == (what, at)) {
            Some(one) => (one.2, one.3, one.4) = (one.2 + 1, one.3.max(late), one.4.max(took)),
            None => all.push((what, at, 1, late, took)),
        }
    }
    let ms = |value: f64| Cell::new(number(value, 1, false), Tone::Number);
    let row = |(what, at, times, late, took): (&str, &str, usize, f64, f64)| {
        let at = Cell::new(number(parsed(at), 1, false), Tone::Number);
        vec![Cell::plain(what), at, Cell::new(times.to_string(), Tone::Number), ms(late), ms(took)]
    };
    let head = ["event", "planned for (s)", "times", "begun so late at most (ms)", "took at most (ms)"];
    let table = PageTable {
        caption: "What happened, in plan time".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: all.into_iter().map(row).collect(),
    };
    (!table.rows.is_empty()).then_some(table)
}
