//! When to place anew: the mean response time is over its target, or too many requests fail.
//!
//! The paper's rule is the first half alone. As failed requests are left out of its mean, a service that is dead does not
//! trigger; and without a pause it triggers again while the traffic still shows how things were before the last moves.

use crate::units::{Moment, Span};

/// When to place anew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// The mean response time that is too much when exceeded.
    pub target: Span,
    /// The share of failed requests that is too much when exceeded, 0 to 1.
    pub errors: f64,
    /// How long nothing triggers after a trigger: at least the window that traffic is taken over.
    pub cool_down: Span,
    /// By which share of the cost a placement has to be better to be worth its moves, 0 to 1.
    pub least_gain: f64,
}

/// What was seen since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Requests with an answer that is no error.
    pub good: u64,
    /// Failed requests.
    pub failed: u64,
    /// The response times of the good ones, together.
    pub time: Span,
}

/// Why a trigger fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// The mean response time.
    Slow(Span),
    /// The share of failed requests.
    Failing(f64),
}

/// A rule and when it last fired.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trigger {
    rule: Rule,
    fired: Option<Moment>,
}

impl Trigger {
    /// One that has not fired yet.
    pub fn new(rule: Rule) -> Self {
        Self { rule, fired: None }
    }

    /// Takes in what was seen until `now`; whether to place anew, and why. Nothing seen is no reason.
    pub fn look(&mut self, now: Moment, seen: Seen) -> Option<Reason> {
        if self.fired.is_some_and(|fired| now.since(fired) < self.rule.cool_down) {
            return None;
        }
        let reason = self.reason(seen)?;
        self.fired = Some(now);
        Some(reason)
    }

    fn reason(&self, seen: Seen) -> Option<Reason> {
        let share = seen.failed as f64 / (seen.failed + seen.good).max(1) as f64;
        if share > self.rule.errors {
            return Some(Reason::Failing(share));
        }
        let mean = Span::from_nanos(seen.time.as_nanos().checked_div(seen.good)?);
        (mean > self.rule.target).then_some(Reason::Slow(mean))
    }

    /// Whether a placement gains enough over what runs to be carried out.
    pub fn is_worth(&self, before: crate::placement::Cost, after: crate::placement::Cost) -> bool {
        let (before, after) = (before.as_kb_ms(), after.as_kb_ms());
        after < before && before - after >= self.rule.least_gain * before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::Cost;

    fn trigger() -> Trigger {
        let cool_down = Span::from_millis(600_000);
        Trigger::new(Rule { target: Span::from_millis(300), errors: 0.05, cool_down, least_gain: 0.1 })
    }

    fn seen(good: u64, failed: u64, mean_ms: u64) -> Seen {
        Seen { good, failed, time: Span::from_millis(mean_ms * good) }
    }

    #[test]
    fn slow_answers_and_failures_trigger_and_silence_does_not() {
        let look = |seen| trigger().look(Moment::from_millis(0), seen);
        assert_eq!(look(seen(100, 0, 300)), None);
        assert_eq!(look(seen(100, 0, 301)), Some(Reason::Slow(Span::from_millis(301))));
        assert_eq!(look(Seen::default()), None);
        // A dead service answers nothing, or only errors: the paper's mean does not see it.
        assert_eq!(look(seen(0, 10, 0)), Some(Reason::Failing(1.0)));
        assert_eq!(look(seen(95, 5, 1)), None);
    }

    #[test]
    fn after_a_trigger_there_is_a_pause() {
        let mut trigger = trigger();
        let mut look = |minute: u64| trigger.look(Moment::from_millis(minute * 60_000), seen(10, 0, 900)).is_some();
        assert_eq!([0, 1, 9, 10, 15, 20].map(&mut look), [true, false, false, true, false, true]);
    }

    #[test]
    fn small_gains_are_not_worth_moving() {
        let worth = |before, after| trigger().is_worth(Cost::from_kb_ms(before), Cost::from_kb_ms(after));
        assert!(worth(100.0, 90.0) && !worth(100.0, 91.0) && !worth(0.0, 0.0) && !worth(10.0, 20.0));
    }
}
