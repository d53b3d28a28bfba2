//! Pure: whether a process that is watched by beats still lives, hangs, or is to be asked.

use std::time::Duration;

use super::lease::Moment;

/// How many beats there are in the time that a silence may last.
const BEATS: u32 = 3;

/// What is known of a watched process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    limit: Duration,
    /// When it last answered.
    heard: Moment,
    /// When it was last asked, if it has not answered since.
    asked: Option<Moment>,
    /// When the watcher last looked.
    looked: Moment,
}

/// What a watcher must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Nothing until then.
    Fine(Moment),
    /// Ask it for a beat.
    Ask,
    /// It has been silent for longer than it may.
    Hangs,
}

impl Pulse {
    /// Watches from `now` on; a silence may last `limit`.
    pub const fn new(limit: Duration, now: Moment) -> Self {
        Self { limit, heard: now, asked: None, looked: now }
    }

    /// How long a silence may last.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// How long nothing has been heard of it.
    pub const fn silence(&self, now: Moment) -> Duration {
        now.saturating_sub(self.heard)
    }

    /// Another silence is allowed from now on.
    pub const fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Something was heard of it.
    pub fn heard(&mut self, now: Moment) {
        self.heard = self.heard.max(now);
        self.asked = None;
    }

    /// It is being asked now.
    pub const fn asked(&mut self, now: Moment) {
        if self.asked.is_none() {
            self.asked = Some(now);
        }
    }

    /// Looks. What was heard by `now` must have been entered before.
    pub fn look(&mut self, now: Moment) -> Finding {
        let beat = self.limit / BEATS;
        let rest = self.limit.saturating_sub(beat);
        // Nobody who did not look knows how long the other was silent: a machine that was suspended, or a watcher that was
        // stopped, begins to count again.
        let since = now.saturating_sub(self.looked);
        self.looked = now;
        if since > 2 * beat {
            self.heard = self.heard.saturating_add(since.saturating_sub(beat)).min(now);
            self.asked = self.asked.map(|asked| asked.saturating_add(since.saturating_sub(beat)).min(now));
        }
        match self.asked {
            Some(asked) if now >= asked.saturating_add(rest) => Finding::Hangs,
            Some(asked) => Finding::Fine((asked + rest).min(now + beat)),
            None if now >= self.heard.saturating_add(beat) => Finding::Ask,
            None => Finding::Fine(self.heard + beat),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Moment {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn one_that_answers_is_fine_and_is_asked_thrice_in_its_time() {
        let mut pulse = Pulse::new(at(900), at(0));
        assert_eq!(pulse.look(at(0)), Finding::Fine(at(300)));
        assert_eq!(pulse.look(at(300)), Finding::Ask);
        pulse.asked(at(300));
        assert_eq!(pulse.look(at(310)), Finding::Fine(at(610)));
        pulse.heard(at(320));
        assert_eq!(pulse.look(at(500)), Finding::Fine(at(620)));
        assert_eq!(pulse.look(at(620)), Finding::Ask);
    }

    #[test]
    fn one_that_is_silent_hangs_after_its_time_and_not_before() {
        let mut pulse = Pulse::new(at(900), at(0));
        assert_eq!(pulse.look(at(300)), Finding::Ask);
        pulse.asked(at(300));
        for now in [301, 500, 700, 899] {
            assert!(matches!(pulse.look(at(now)), Finding::Fine(_)), "{now}");
        }
        assert_eq!(pulse.look(at(900)), Finding::Hangs);
    }

    #[test]
    fn a_watcher_that_did_not_look_begins_to_count_again() {
        let mut pulse = Pulse::new(at(900), at(0));
        pulse.look(at(300));
        pulse.asked(at(300));
        pulse.look(at(310));
        // An hour of suspension.
        let woken = 3_600_000;
        assert!(matches!(pulse.look(at(woken)), Finding::Fine(_)));
        let mut now = woken;
        while matches!(pulse.look(at(now)), Finding::Fine(_)) {
            now += 100;
        }
        assert!((300..=900).contains(&(now - woken)), "{}", now - woken);
    }

    #[test]
    fn a_new_limit_counts_at_once() {
        let mut pulse = Pulse::new(at(9_000), at(0));
        pulse.set_limit(at(300));
        assert_eq!(pulse.look(at(100)), Finding::Ask);
        pulse.asked(at(100));
        assert_eq!(pulse.look(at(299)), Finding::Fine(at(300)));
        assert_eq!(pulse.look(at(300)), Finding::Hangs);
    }
}
