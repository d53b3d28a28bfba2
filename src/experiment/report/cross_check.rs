//! The lab beside the simulation of the same trials: both means, their difference, and whether it is within what the plan
//! allows.

use crate::experiment::run::{MetricDescription, TrialRecord};
use crate::report::page::{Block, Cell, PageTable, Section, Tone};
use crate::report::statistics::{Cells, Estimate};

use super::results::Results;

/// A metric of a strategy on both.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside<'a> {
    /// The strategy's name.
    pub strategy: &'a str,
    /// The metric.
    pub metric: &'a MetricDescription,
    /// In the lab.
    pub lab: Estimate,
    /// In simulation.
    pub simulated: Estimate,
    /// Lab minus simulation, trial by trial.
    pub difference: Estimate,
    /// The largest difference of the means that the plan allows, in the metric's unit.
    pub most: f64,
}

impl Beside<'_> {
    /// Whether the means are as near as the plan wants them.
    pub fn is_within(&self) -> bool {
        self.difference.mean.abs() <= self.most
    }
}

/// All that the plan has a bound for, on the plan as written, of the trials that are there on both sides.
pub fn besides<'a>(results: &'a Results) -> Vec<Beside<'a>> {
    let Some(point) = results.written() else { return Vec::new() };
    let mut all = Vec::new();
    for bound in &results.description.cross_check {
        let Some(metric) = results.description.metrics.iter().find(|one| one.name == bound.metric) else { continue };
        for (number, strategy) in point.strategies.iter().enumerate() {
            let lab = results.cells(0, number, &metric.name);
            let simulated = cells(&results.simulated, number, &metric.name);
            let estimates = (lab.estimate(), simulated.estimate(), lab.minus(&simulated).estimate());
            if let (Some(lab), Some(simulated), Some(difference)) = estimates {
                all.push(Beside { strategy: &strategy.name, metric, lab, simulated, difference, most: bound.most });
            }
        }
    }
    all
}

fn cells(records: &[TrialRecord], strategy: usize, metric: &str) -> Cells {
    let ours = records.iter().filter(|record| record.point == 0 && record.strategy == strategy);
    Cells::new(ours.filter_map(|record| {
        let value = record.metrics.get(metric).copied().flatten()?;
        Some(((record.topology, record.repetition), value))
    }))
}

/// In a line, for a terminal; nothing where nothing was compared.
pub(super) fn line(results: &Results) -> Option<String> {
    let all = besides(results);
    let within = all.iter().filter(|one| one.is_within()).count();
    (!all.is_empty()).then(|| format!("lab beside simulation: {within} of {} means within their bounds", all.len()))
}

/// The section of the page; nothing where nothing was compared.
pub(super) fn section(results: &Results) -> Option<Section> {
    let all = besides(results);
    if all.is_empty() {
        return None;
    }
    let rows = all.iter().map(|one| {
        let (text, tone) = if one.is_within() { ("✓ within", Tone::Yes) } else { ("✗ not within", Tone::No) };
        let number = |text| Cell::new(text, Tone::Number);
        vec![
            Cell::plain(&one.metric.what),
            Cell::plain(one.strategy),
            number(one.metric.estimate(one.lab)),
            number(one.metric.estimate(one.simulated)),
            number(one.metric.difference(one.difference)),
            number(one.metric.value(one.most)),
            Cell::new(text, tone),
        ]
    });
    let head = ["metric", "strategy", "lab", "simulation", "lab − simulation", "allowed", ""];
    let caption = format!("Mean ± half of the 95 % interval over {}", results.interval_words());
    let table = PageTable { caption, head: head.map(str::to_owned).to_vec(), rows: rows.collect() };
    let text = "Every trial of the lab was also simulated: the intended delays, and the same clients, instances, arrivals and work \
                per request; balancers throw other dice. Differences are taken trial by trial; their mean decides. What a lab has \
                and a simulation has not: programs and their processor, connections that are set up, TCP's own retransmissions.";
    let blocks = vec![Block::Table(table), Block::Text(text.to_owned())];
    Some(Section { title: "Lab beside simulation".to_owned(), blocks })
}
