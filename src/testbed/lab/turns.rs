//! Pure: whose turn it is to change a lab. One command at a time, in the order in which they came, so that no two of them
//! leave a mixture behind.

use std::collections::VecDeque;
use std::time::Duration;

use crate::agent::lease::Moment;

/// The client that may change the lab, and those that wait.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// The first one's turn it is.
    queue: VecDeque<Turn>,
    /// Whether the first one has been told.
    told: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Turn {
    client: u64,
    /// The number of its request.
    id: u64,
    heard: Moment,
}

impl Turns {
    /// A client wants to change the lab.
    pub(super) fn reserve(&mut self, client: u64, id: u64, now: Moment) {
        self.queue.push_back(Turn { client, id, heard: now });
    }

    /// A client has ended, or changes no more.
    pub(super) fn leave(&mut self, client: u64, now: Moment) {
        let first = self.queue.front().is_some_and(|turn| turn.client == client);
        self.queue.retain(|turn| turn.client != client);
        if first {
            self.pass(now);
        }
    }

    /// Something came from a client.
    pub(super) fn heard(&mut self, client: u64, now: Moment) {
        for turn in self.queue.iter_mut().filter(|turn| turn.client == client) {
            turn.heard = now;
        }
    }

    /// Ends a turn in which nothing was heard for `lease`, unless the client waits for answers itself.
    pub(super) fn expire(&mut self, lease: Duration, now: Moment, busy: impl Fn(u64) -> bool) {
        let Some(first) = self.queue.front_mut() else { return };
        if busy(first.client) {
            first.heard = now;
        } else if self.told && now >= first.heard.saturating_add(lease) {
            self.queue.pop_front();
            self.pass(now);
        }
    }

    fn pass(&mut self, now: Moment) {
        self.told = false;
        if let Some(next) = self.queue.front_mut() {
            next.heard = now;
        }
    }

    /// The client whose turn has begun, with the number of its request; once.
    pub(super) fn begun(&mut self) -> Option<(u64, u64)> {
        let first = self.queue.front().filter(|_| !self.told)?;
        self.told = true;
        Some((first.client, first.id))
    }

    /// Whether a client may change the lab now. As long as nobody has reserved it, everybody may.
    pub(super) fn permits(&self, client: u64) -> bool {
        self.queue.front().is_none_or(|turn| turn.client == client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn turns_come_in_order_and_are_told_once() {
        let mut turns = Turns::default();
        assert!(turns.permits(1) && turns.begun().is_none());
        turns.reserve(1, 10, at(0));
        turns.reserve(2, 20, at(0));
        assert_eq!((turns.begun(), turns.begun()), (Some((1, 10)), None));
        assert!(turns.permits(1) && !turns.permits(2) && !turns.permits(3));
        turns.leave(3, at(1));
        assert_eq!(turns.begun(), None);
        turns.leave(1, at(1));
        assert_eq!((turns.begun(), turns.begun()), (Some((2, 20)), None));
        turns.leave(2, at(2));
        assert!(turns.permits(1) && turns.begun().is_none());
    }

    #[test]
    fn a_silent_turn_passes_on_unless_its_client_waits_itself() {
        let mut turns = Turns::default();
        turns.reserve(1, 10, at(0));
        turns.reserve(2, 20, at(0));
        turns.begun();
        turns.expire(at(10), at(9), |_| true);
        turns.expire(at(10), at(18), |_| false);
        assert!(turns.permits(1));
        turns.heard(1, at(18));
        turns.expire(at(10), at(27), |_| false);
        assert!(turns.permits(1));
        turns.expire(at(10), at(28), |_| false);
        assert_eq!(turns.begun(), Some((2, 20)));
        assert!(!turns.permits(1), "what it still sends is refused");
        turns.expire(at(10), at(37), |_| false);
        assert!(turns.permits(2), "its time runs from its beginning");
    }
}
