//! The report in short, for a terminal.

use std::fmt::Write;

use crate::experiment::run::MetricDescription;
use crate::wording::OneLine;

use super::cross_check;
use super::document::progress;
use super::results::Results;
use super::verdict::Judged;

/// Verdicts and the table of metrics of the plan as written.
pub(super) fn summary(results: &Results, judged: &[Judged]) -> String {
    let description = results.description;
    // Writing to a string cannot fail.
    let mut text = String::new();
    let _ =
        writeln!(text, "{} ({} of {} trials)", OneLine(&description.name), results.records.len(), results.planned());
    if let Some(words) = progress(results) {
        let _ = writeln!(text, "not finished: {words}");
    }
    for one in judged {
        let _ = writeln!(text, "\n{} {}: {}", one.verdict.sign(), one.verdict.word(), OneLine(&one.says));
        let _ = writeln!(text, "  to be seen: {}\n  seen:       {}", OneLine(&one.expected), OneLine(&one.seen));
    }
    if let Some(point) = results.written() {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        let names = point.strategies.iter().map(|strategy| OneLine(&strategy.name).to_string());
        table.set_header(std::iter::once("METRIC".to_owned()).chain(names));
        for metric in &description.metrics {
            let cell = |strategy| {
                let estimate = results.cells(0, strategy, &metric.name).estimate();
                estimate.map_or_else(|| "–".to_owned(), |estimate| metric.bare(estimate))
            };
            let cells = (0..point.strategies.len()).map(cell);
            table.add_row(std::iter::once(MetricDescription::heading(metric)).chain(cells));
        }
        let _ = writeln!(text, "\n{}", table.trim_fmt());
        let _ = writeln!(text, "\nmean ± half of the 95 % interval over {}", results.interval_words());
    }
    if let Some(line) = cross_check::line(results) {
        let _ = writeln!(text, "{line}");
    }
    text
}
