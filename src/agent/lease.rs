//! Pure bookkeeping of who still wants what is applied: sessions with leases, and what is to outlive them.

use std::collections::BTreeMap;
use std::time::Duration;

/// An instant, as the time since some fixed one before it.
pub type Moment = Duration;

/// The longest time that anything may be asked to stay without a session: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Who wants what is applied, and until when.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leases {
    sessions: BTreeMap<u64, Lease>,
    /// What is applied stays until then, sessions or not.
    detached: Option<Moment>,
}

#[derive(Debug, PartialEq, Eq)]
struct Lease {
    length: Duration,
    until: Moment,
    /// How long to keep what is applied after this session's end.
    after: Option<Duration>,
}

impl Leases {
    /// A session begins, and must be heard of at least every `length`.
    pub fn join(&mut self, session: u64, length: Duration, now: Moment) {
        let until = now.saturating_add(length);
        self.sessions.insert(session, Lease { length, until, after: None });
    }

    /// Something was heard of a session.
    pub fn renew(&mut self, session: u64, now: Moment) {
        if let Some(lease) = self.sessions.get_mut(&session) {
            lease.until = now.saturating_add(lease.length);
        }
    }

    /// What is applied is to stay for `after` beyond the session's end. Returns how long it will be.
    pub fn detach(&mut self, session: u64, after: Duration) -> Duration {
        let after = after.min(LONGEST);
        if let Some(lease) = self.sessions.get_mut(&session) {
            lease.after = Some(after);
        }
        after
    }

    /// A session has ended.
    pub fn leave(&mut self, session: u64, now: Moment) {
        let Some(after) = self.sessions.remove(&session).and_then(|lease| lease.after) else { return };
        let until = now.saturating_add(after);
        self.detached = self.detached.max(Some(until));
    }

    /// What was applied has been cleared on request: nothing is left that could be kept.
    pub fn cleared(&mut self) {
        self.detached = None;
        for lease in self.sessions.values_mut() {
            lease.after = None;
        }
    }

    /// The sessions that have not been heard of for longer than their lease.
    pub fn expired(&self, now: Moment) -> Vec<u64> {
        self.sessions.iter().filter(|(_, lease)| lease.until <= now).map(|(session, _)| *session).collect()
    }

    /// Whether anybody still wants what is applied.
    pub fn wanted(&self, now: Moment) -> bool {
        !self.sessions.is_empty() || self.detached.is_some_and(|until| until > now)
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.sessions.len()
    }

    /// Until when what is applied stays without a session.
    pub const fn detached_until(&self) -> Option<Moment> {
        self.detached
    }

    /// The shortest lease, which is how long a failure may go unnoticed; `None` without sessions.
    pub fn shortest(&self) -> Option<Duration> {
        self.sessions.values().map(|lease| lease.length).min()
    }

    /// When to look again.
    pub fn next(&self) -> Option<Moment> {
        self.sessions.values().map(|lease| lease.until).chain(self.detached).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_lives_as_long_as_it_is_heard_of() {
        let mut leases = Leases::default();
        assert!(!leases.wanted(at(0)));
        assert_eq!(leases.next(), None);
        leases.join(1, at(10), at(100));
        leases.join(2, at(3), at(101));
        assert_eq!((leases.count(), leases.shortest(), leases.next()), (2, Some(at(3)), Some(at(104))));
        leases.renew(1, at(103));
        leases.renew(7, at(103));
        assert!(leases.expired(at(103)).is_empty());
        assert_eq!(leases.expired(at(104)), [2]);
        leases.leave(2, at(104));
        assert!(leases.wanted(at(112)));
        assert!(leases.expired(at(112)).is_empty());
        assert_eq!(leases.expired(at(113)), [1]);
        leases.leave(1, at(113));
        assert!(!leases.wanted(at(113)));
    }

    #[test]
    fn what_is_detached_stays_that_long_after_the_end_and_no_longer() {
        let mut leases = Leases::default();
        leases.join(1, at(10), at(0));
        assert_eq!(leases.detach(1, at(60)), at(60));
        assert_eq!(leases.next(), Some(at(10)), "the time runs from the end of the session");
        leases.leave(1, at(5));
        assert!(leases.wanted(at(64)) && !leases.wanted(at(65)));
        assert_eq!(leases.next(), Some(at(65)));
        // A later session adds nothing of its own, and cannot shorten it by leaving.
        leases.join(2, at(10), at(20));
        leases.leave(2, at(30));
        assert_eq!(leases.detached_until(), Some(at(65)));
        leases.join(3, at(10), at(40));
        leases.detach(3, at(5));
        leases.leave(3, at(41));
        assert_eq!(leases.detached_until(), Some(at(65)), "the longer one counts");
    }

    #[test]
    fn clearing_ends_what_was_detached_and_what_would_be() {
        let mut leases = Leases::default();
        for session in [1, 2] {
            leases.join(session, at(10), at(0));
            leases.detach(session, at(60));
        }
        leases.leave(1, at(1));
        leases.cleared();
        leases.leave(2, at(2));
        assert!(!leases.wanted(at(2)));
    }

    #[test]
    fn absurd_times_are_no_overflow() {
        let mut leases = Leases::default();
        leases.join(1, Duration::MAX, at(5));
        assert_eq!(leases.detach(1, Duration::MAX), LONGEST);
        leases.leave(1, Duration::MAX);
        assert_eq!(leases.detached_until(), Some(Duration::MAX));
    }

    proptest! {
        /// Whatever happens: once every session has been silent for the longest lease, and the longest detachment has
        /// passed, nothing is wanted any more.
        #[test]
        fn everything_ends(events in prop::collection::vec((0u8..5, 0u64..4, 1u64..50), 0..60)) {
            let (mut leases, mut now, mut longest) = (Leases::default(), at(0), 0);
            for (what, session, seconds) in events {
                now += at(seconds % 7);
                longest = longest.max(seconds);
                match what {
                    0 => leases.join(session, at(seconds), now),
                    1 => leases.renew(session, now),
                    2 => { leases.detach(session, at(seconds)); }
                    3 => leases.leave(session, now),
                    _ => leases.cleared(),
                }
            }
            now += at(longest);
            for session in leases.expired(now) {
                leases.leave(session, now);
            }
            prop_assert_eq!(leases.count(), 0);
            prop_assert!(!leases.wanted(now + at(longest)));
        }
    }
}
