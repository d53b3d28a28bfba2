//! [`Conduct`]: how well a testbed kept to the plan, and what a reader has to know before trusting its numbers.

use crate::balance::Qos;
use crate::experiment::outcome::{Outcome, Table};
use crate::experiment::time_scale::TimeScale;
use crate::report::number;
use crate::report::statistics::quantile;
use crate::units::Span;

use super::Request;

/// The part of the time for an answer that the load may be late at its 99th percentile.
const LATENESS: f64 = 0.05;

/// The part of the processors' time that others may take.
const STEAL: f64 = 0.05;

/// The part of all packets that may leave more than a millisecond late.
const LATE_PACKETS: f64 = 0.01;

/// Something of the plan, as it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// What, in words.
    pub what: String,
    /// When it was to happen, in plan time.
    pub at: Span,
    /// How late it began, in plan time.
    pub late: Span,
    /// How long it then took, in plan time.
    pub took: Span,
}

/// What the emulation of the network did while a trial ran, all nodes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Emulation {
    /// Packets delayed.
    pub packets: u64,
    /// Packets that it had to drop, which no plan asked for; `None` where it counts these and asked-for losses as one.
    pub dropped: Option<u64>,
    /// Packets that left more than a millisecond after their time, as far as that is counted.
    pub late: u64,
    /// How often an agent had to begin anew.
    pub restarts: u64,
}

impl Emulation {
    /// What happened since `before`; where a count began anew, what it has come to since.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let passed = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
        Self {
            packets: passed(self.packets, before.packets),
            dropped: self.dropped.zip(before.dropped).map(|(now, then)| passed(now, then)),
            late: passed(self.late, before.late),
            restarts: passed(self.restarts, before.restarts),
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            dropped: self.dropped.zip(other.dropped).map(|(one, other)| one + other),
            late: self.late + other.late,
            restarts: self.restarts + other.restarts,
        }
    }
}

/// How well a testbed kept to the plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conduct {
    /// The part of the processors' time that other guests of the machine took, 0 to 1.
    pub steal: Option<f64>,
    /// Runnable processes at the end, mean of a minute.
    pub load1: Option<f64>,
    /// What the emulation of the network did.
    pub emulation: Option<Emulation>,
    /// What happened.
    pub happened: Vec<Happened>,
    /// Words on the delays, if they were not as intended.
    pub delays: Option<String>,
}

/// The lateness of the load at its 99th percentile, in plan time, from which on its trial has a caveat.
pub fn lateness_bound(qos: &Qos) -> Span {
    Span::from_millis_f64(qos.within.as_millis_f64() * LATENESS).unwrap_or(qos.within)
}

impl Conduct {
    /// Adds tables and caveats to what a trial gave.
    pub fn note(&self, outcome: &mut Outcome, requests: &[Request], qos: &Qos, scale: TimeScale) {
        let sent = requests.iter().filter(|request| request.outcome != "not sent");
        let mut late: Vec<f64> = sent.map(|request| request.lateness.as_millis_f64()).collect();
        late.sort_by(f64::total_cmp);
        let at = |share| quantile(&late, share);
        let unsent = requests.len() - late.len();
        let mut table = Table::new("conduct", &["what", "value"]);
        let mut line = |what: &str, value: Option<f64>| {
            let value = value.map_or_else(String::new, |value| format!("{value:.6}"));
            table.rows.push(vec![what.to_owned(), value]);
        };
        line("requests", Some(requests.len() as f64));
        line("not_sent", Some(unsent as f64));
        line("lateness_p50_ms", at(0.5));
        line("lateness_p99_ms", at(0.99));
        line("lateness_max_ms", at(1.0));
        line("lateness_bound_ms", Some(lateness_bound(qos).as_millis_f64()));
        line("plan_seconds_per_second", Some(scale.plan_seconds()));
        line("steal", self.steal);
        line("load1", self.load1);
        let count = |read: fn(Emulation) -> Option<u64>| Some(read(self.emulation?)? as f64);
        line("packets_delayed", count(|one| Some(one.packets)));
        line("packets_dropped", count(|one| one.dropped));
        line("packets_late", count(|one| Some(one.late)));
        line("agent_restarts", count(|one| Some(one.restarts)));
        outcome.tables.push(table);
        if !self.happened.is_empty() {
            outcome.tables.push(self.events());
        }
        outcome.caveats.extend(self.caveats(at(0.99), unsent, qos));
    }

    fn events(&self) -> Table {
        let mut table = Table::new("events", &["what", "at_s", "late_ms", "took_ms"]);
        let ms = |span: Span| format!("{:.3}", span.as_millis_f64());
        let row =
            |one: &Happened| vec![one.what.clone(), format!("{:.3}", one.at.as_secs_f64()), ms(one.late), ms(one.took)];
        table.rows = self.happened.iter().map(row).collect();
        table
    }

    /// In words that are the same for all trials that have the same trouble, so that a report can count them.
    fn caveats(&self, late: Option<f64>, unsent: usize, qos: &Qos) -> Vec<String> {
        let (bound, mut words) = (lateness_bound(qos), Vec::new());
        if late.is_some_and(|late| late > bound.as_millis_f64()) {
            words.push(format!(
                "The load did not keep its schedule: its 99th percentile of lateness is above {bound}, which counts as \
                 latency. The machine was too busy for this pace; a smaller timeScale gives it more time."
            ));
        }
        if unsent > 0 {
            words.push("Some requests could not be sent at all.".to_owned());
        }
        if self.steal.is_some_and(|steal| steal > STEAL) {
            let percent = number(STEAL * 100.0, 0, false);
            words.push(format!("Other guests of the machine took more than {percent} % of its processors' time."));
        }
        words.extend(self.emulation.into_iter().flat_map(troubles));
        words.extend(self.delays.clone());
        words
    }
}

/// What the emulation did that no plan asks for.
fn troubles(emulation: Emulation) -> Vec<String> {
    let mut words = Vec::new();
    if emulation.dropped.is_some_and(|dropped| dropped > 0) {
        words.push("The emulation of the network dropped packets that no plan asked it to drop.".to_owned());
    }
    if emulation.late as f64 > emulation.packets as f64 * LATE_PACKETS {
        let percent = number(LATE_PACKETS * 100.0, 0, false);
        words.push(format!("More than {percent} % of the packets left their delay more than a millisecond late."));
    }
    if emulation.restarts > 0 {
        words.push("An agent of the lab had to begin anew: packets were not delayed for a moment.".to_owned());
    }
    words
}
