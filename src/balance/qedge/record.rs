//! What a balancer remembers of one instance: latencies of the window, violations, cooldown, distance.

use std::collections::VecDeque;

use crate::balance::kde;
use crate::units::{Moment, Rtt, Span};

use super::Rule;
use super::pool::Estimate;

/// A request that has ended.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Moment,
    latency: Span,
    /// The latency beside the way, where the distance was known.
    processing: Option<Span>,
}

/// One instance, as far as this balancer knows.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) rtt: Option<Rtt>,
    /// Whether it passed the test of algorithm 3, which it does once.
    pub(super) admitted: bool,
    /// Until when it rests.
    pub(super) cooldown: Moment,
    /// As of the last maintenance.
    pub(super) estimate: Estimate,
    /// Its share of the requests.
    pub(super) share: f64,
    samples: VecDeque<Sample>,
    /// When violations were: those in a row, or those in the window; never more than decide.
    violations: VecDeque<Moment>,
}

impl Record {
    pub(super) fn new(rtt: Option<Rtt>) -> Self {
        Self { rtt, ..Self::default() }
    }

    /// Whether its distance leaves time to answer. Of one whose distance is not known, requests will tell.
    pub(super) fn is_within_reach(&self, rule: &Rule) -> bool {
        self.rtt.is_none_or(|rtt| Span::from(rtt) < rule.within)
    }

    /// Whether it rests.
    pub(super) fn is_cooling(&self, now: Moment) -> bool {
        self.cooldown > now
    }

    /// Whether nothing has ended there that still counts.
    pub(super) fn is_untried(&self) -> bool {
        self.samples.is_empty()
    }

    /// Takes in how a request ended (algorithm 2); whether the instance is to rest.
    pub(super) fn note(&mut self, now: Moment, latency: Span, good: bool, rule: &Rule) -> bool {
        if self.samples.len() >= rule.sample_cap {
            self.samples.pop_front();
        }
        let processing = self.rtt.map(|rtt| latency.saturating_sub(rtt.into()));
        self.samples.push_back(Sample { at: now, latency, processing });
        if good {
            if rule.consecutive {
                self.violations.clear();
            }
            return false;
        }
        if !rule.consecutive {
            drop_before(&mut self.violations, now, rule.window, |at| *at);
        }
        self.violations.push_back(now);
        let many = self.violations.len() > rule.error_count;
        if many {
            self.violations.clear();
            self.cooldown = now + rule.cooldown;
        }
        many
    }

    /// Forgets what is older than the window and estimates anew.
    pub(super) fn estimate_anew(&mut self, now: Moment, rule: &Rule, sorted: &mut Vec<f64>) {
        drop_before(&mut self.samples, now, rule.window, |sample| sample.at);
        let latencies = self.samples.iter().map(|sample| sample.latency);
        sort_into(sorted, latencies);
        self.estimate = kde::success(sorted, rule.within, rule.bandwidth);
    }

    /// The percentile of its processing times in the window, in milliseconds; `None` without any.
    pub(super) fn processing(&self, now: Moment, rule: &Rule, sorted: &mut Vec<f64>) -> Option<f64> {
        let recent = self.samples.iter().filter(|sample| now.since(sample.at) <= rule.window);
        sort_into(sorted, recent.filter_map(|sample| sample.processing));
        (!sorted.is_empty()).then(|| kde::percentile(sorted, rule.percentile))
    }
}

/// Drops what is older than a window from a list in the order of time.
pub(super) fn drop_before<T>(list: &mut VecDeque<T>, now: Moment, window: Span, at: impl Fn(&T) -> Moment) {
    while list.front().is_some_and(|first| now.since(at(first)) > window) {
        list.pop_front();
    }
}

fn sort_into(sorted: &mut Vec<f64>, spans: impl Iterator<Item = Span>) {
    sorted.clear();
    sorted.extend(spans.map(Span::as_millis_f64));
    sorted.sort_unstable_by(f64::total_cmp);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::qedge::tests::rule;

    const MS: fn(u64) -> Span = Span::from_millis;

    fn at(second: u64) -> Moment {
        Moment::START + Span::from_secs(second)
    }

    #[test]
    fn violations_in_a_row_or_in_the_window_bring_rest() {
        let bad = |record: &mut Record, second, rule: &Rule| record.note(at(second), MS(100), false, rule);
        let (row, window) = (rule(&[("error-count", "2")]), rule(&[("error-count", "2"), ("errors", "window")]));
        let mut record = Record::default();
        assert!(!bad(&mut record, 1, &row) && !bad(&mut record, 2, &row));
        assert!(!record.note(at(3), MS(10), true, &row), "a good one ends the row");
        assert!(!bad(&mut record, 4, &row) && !bad(&mut record, 5, &row) && bad(&mut record, 6, &row));
        assert!(record.is_cooling(at(10)) && !record.is_cooling(at(11)));
        assert!(!bad(&mut record, 7, &row), "the count begins anew");
        let mut record = Record::default();
        assert!(!bad(&mut record, 1, &window) && !record.note(at(2), MS(10), true, &window));
        // 1 s is out of the window of 10 s by now; 3, 12 and 13 s are three.
        assert!(!bad(&mut record, 3, &window) && !bad(&mut record, 12, &window) && bad(&mut record, 13, &window));
    }

    #[test]
    fn estimates_are_of_the_window_and_of_no_more_than_the_cap() {
        let (rule, mut sorted) = (rule(&[("sample-cap", "3")]), Vec::new());
        let mut record = Record::new(Some(Rtt::from_millis(10)));
        record.estimate_anew(at(0), &rule, &mut sorted);
        assert_eq!(record.estimate, None);
        for (second, latency) in [(1, 500), (2, 20), (3, 30), (4, 40)] {
            record.note(at(second), MS(latency), true, &rule);
        }
        assert_eq!(record.processing(at(4), &rule, &mut sorted), Some(28.0), "10, 20 and 30 ms at the 90th");
        record.estimate_anew(at(13), &rule, &mut sorted);
        assert_eq!(sorted, [30.0, 40.0]);
        record.estimate_anew(at(20), &rule, &mut sorted);
        assert_eq!((record.estimate, record.processing(at(20), &rule, &mut sorted)), (None, None));
    }

    #[test]
    fn without_a_distance_it_is_within_reach_and_tells_nothing_of_processing() {
        let (rule, mut record) = (rule(&[]), Record::new(None));
        assert!(record.is_within_reach(&rule));
        record.note(at(1), MS(50), true, &rule);
        assert_eq!(record.processing(at(1), &rule, &mut Vec::new()), None);
        record.rtt = Some(Rtt::from_millis(80));
        assert!(!record.is_within_reach(&rule), "as long as the bound is too long");
    }
}
