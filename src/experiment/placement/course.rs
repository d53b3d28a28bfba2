//! [`Course`]: what a policy had after how much time, in one run.

use crate::experiment::outcome::Table;
use crate::placement::Rank;
use crate::units::Span;

/// The table that is made of it.
pub(super) const COURSE: &str = "course";

/// By how much of the time before two entries are apart at least, in hundredths: a policy may tell of millions.
const APART: u64 = 5;

/// Times and the least cost within capacities by then.
#[derive(Debug, Clone, Default)]
pub(super) struct Course {
    entries: Vec<(Span, f64)>,
}

impl Course {
    /// Hears of a placement. It counts where it keeps all capacities and costs less than what was heard of before. What comes soon after
    /// another takes its place, so that entries are rather too late than too early.
    pub(super) fn hear(&mut self, now: Span, rank: Rank) {
        let cost = rank.cost.as_kb_ms();
        if !rank.is_allowed() || self.entries.last().is_some_and(|(_, least)| cost >= *least) {
            return;
        }
        // Workers that tell at once may come in another order than they looked at the clock.
        let now = now.max(self.entries.last().map_or(Span::ZERO, |(last, _)| *last));
        let crowded = self.entries.len().checked_sub(2).and_then(|place| self.entries.get(place));
        let crowded = crowded.is_some_and(|(then, _)| now.as_nanos() * 100 < then.as_nanos() * (100 + APART));
        if crowded {
            self.entries.pop();
        }
        self.entries.push((now, cost));
    }

    /// As a table.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(COURSE, &["elapsed_ms", "cost_kb_ms"]);
        let row = |(time, cost): &(Span, f64)| vec![time.as_millis_f64().to_string(), cost.to_string()];
        table.rows.extend(self.entries.iter().map(row));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::Cost;

    fn heard(all: &[(u64, f64, f64)]) -> Vec<String> {
        let mut course = Course::default();
        for (micros, cost, violation) in all {
            let rank = Rank { violation: *violation, cost: Cost::from_kb_ms(*cost) };
            course.hear(Span::from_micros(*micros), rank);
        }
        course.table().rows.iter().map(|row| row.join(" ")).collect()
    }

    #[test]
    fn only_what_is_better_and_within_capacities_counts() {
        let all = [(10, 5.0, 1.0), (20, 9.0, 0.0), (30, 9.0, 0.0), (40, 9.5, 0.0), (50, 7.0, 0.0), (60, 1.0, 0.5)];
        assert_eq!(heard(&all), ["0.02 9", "0.05 7"]);
        assert!(heard(&[(10, 5.0, 1.0)]).is_empty());
    }

    #[test]
    fn entries_that_crowd_are_put_together_and_never_too_early() {
        let all = [(100, 9.0, 0.0), (101, 8.0, 0.0), (102, 7.0, 0.0), (104, 6.0, 0.0), (106, 5.0, 0.0), (90, 4.0, 0.0)];
        assert_eq!(heard(&all), ["0.1 9", "0.104 6", "0.106 4"]);
    }
}
