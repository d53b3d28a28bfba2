//! Pure: when the line's thread wakes up.
//!
//! Waking for each packet costs more than handling it. The kernel stamps what it captures, so a packet may wait in the
//! capture queue for a part of its delay without leaving any later: under traffic the queue is emptied in a rhythm.

use super::moment::Moment;
use crate::units::{Delay, Span};

/// The longest time that packets stay in the capture queue: what arrives in it must fit the queue.
const LONGEST_QUANTUM: Span = Span::from_millis(2);
/// Below this a rhythm costs more than it saves, and timers are not exact enough.
const SHORTEST_QUANTUM: Span = Span::from_micros(100);
/// Packets that are due within this of each other leave together when the line is busy.
const GRAIN: Span = Span::from_micros(30);

/// How long captured packets may wait in their queue when the shortest delay is `shortest`: min(shortest / 4, 2 ms);
/// `None` when each packet has to be fetched as it comes.
pub(super) fn quantum(shortest: Option<Delay>) -> Option<Span> {
    let quarter = Span::from_nanos(shortest?.as_nanos() / 4);
    (quarter >= SHORTEST_QUANTUM).then_some(quarter.min(LONGEST_QUANTUM))
}

/// When due packets leave later than this, new ones stay in the capture queue, which drops when it is full: a line that
/// is asked for too much does not get later and later.
const OVERLOADED: Span = Span::from_millis(100);

/// What became of the packets that were due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emission {
    /// None was due.
    Idle,
    /// All went out.
    Finished,
    /// There are more than go out at once.
    Unfinished,
    /// They have to wait for the capture to be emptied.
    Blocked,
}

impl Emission {
    /// When so many packets were due, and all went out.
    pub(super) fn of(packets: usize) -> Self {
        if packets == 0 { Self::Idle } else { Self::Finished }
    }
}

/// What happened since the last wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Now.
    pub(super) now: Moment,
    /// When the capture queue was last emptied.
    pub(super) emptied: Moment,
    /// Whether there was a flow of packets in it, and nothing that leaves at once.
    pub(super) flowing: bool,
    /// Whether something was left in it.
    pub(super) more: bool,
    /// What became of due packets.
    pub(super) emission: Emission,
    /// When the next held packet is due.
    pub(super) next_due: Option<Moment>,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// Wake up then; `None` for no timer.
    pub(super) until: Option<Moment>,
    /// Whether a packet is due exactly then.
    pub(super) exact: bool,
    /// When to empty the capture queue without being called; `None` when the next packet wakes the thread.
    pub(super) empty_at: Option<Moment>,
}

/// What to wait for after `round`, when packets may stay in the queue for `quantum`.
pub(super) fn wait(round: Round, quantum: Option<Span>) -> Wait {
    let at_once = Some(round.now);
    let rhythm = quantum.filter(|_| round.flowing).map(|quantum| round.emptied.plus(quantum));
    match round.emission {
        Emission::Blocked => Wait { until: at_once, exact: false, empty_at: at_once },
        Emission::Unfinished => {
            let overloaded = round.next_due.is_some_and(|due| round.now.since(due) > OVERLOADED);
            let empty_at = if round.more { at_once } else { rhythm.or(at_once) };
            Wait { until: at_once, exact: false, empty_at: if overloaded { Some(Moment::END) } else { empty_at } }
        }
        Emission::Idle | Emission::Finished if round.more => Wait { until: at_once, exact: false, empty_at: at_once },
        Emission::Idle | Emission::Finished => {
            let grain = if round.emission == Emission::Finished { GRAIN } else { Span::ZERO };
            let due = round.next_due.map(|due| due.max(round.now.plus(grain)));
            let until = match (due, rhythm) {
                (Some(due), Some(empty_at)) => Some(due.min(empty_at)),
                (due, empty_at) => due.or(empty_at),
            };
            Wait { until, exact: until.is_some() && until == round.next_due, empty_at: rhythm }
        }
    }
}

/// Threads wake up some time after their timer. This learns how long that takes, so that the timer can be set earlier and
/// the rest be waited for without sleeping.
#[derive(Debug)]
pub(super) struct Lead(Span);

impl Lead {
    /// The longest time to wait without sleeping.
    const LONGEST: Span = Span::from_micros(60);
    /// Up by this when it was too short and down by a third of it when it was enough, it covers three wake-ups of four.
    const STEP_NS: u64 = 1_500;
    /// Shorter waits are those of a busy line, which gathers packets instead.
    const SHORTEST_SLEEP: Span = Span::from_micros(300);

    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self(Span::from_micros(30))
    }

    /// What to set the timer to at `now` for being awake at `due`.
    pub(super) fn before(&self, due: Moment, now: Moment) -> Moment {
        if due.since(now) < Self::SHORTEST_SLEEP { due } else { Moment::from_nanos(due.as_nanos() - self.0.as_nanos()) }
    }

    /// The thread woke up so long after its timer.
    pub(super) fn learn(&mut self, lateness: Span) {
        let lead = self.0.as_nanos();
        let next = if lateness > self.0 { lead + Self::STEP_NS } else { lead.saturating_sub(Self::STEP_NS / 3) };
        self.0 = Span::from_nanos(next).min(Self::LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantum_is_a_quarter_of_the_shortest_delay_and_two_milliseconds_at_most() {
        for (shortest, expected) in [
            (None, None),
            (Some(Delay::ZERO), None),
            (Some(Delay::from_micros(399)), None),
            (Some(Delay::from_micros(400)), Some(Span::from_micros(100))),
            (Some(Delay::from_millis(1)), Some(Span::from_micros(250))),
            (Some(Delay::from_millis(8)), Some(Span::from_millis(2))),
            (Some(Delay::from_millis(200)), Some(Span::from_millis(2))),
        ] {
            assert_eq!(quantum(shortest), expected, "{shortest:?}");
        }
    }

    fn at(us: u64) -> Moment {
        Moment::from_nanos(us * 1_000)
    }

    fn idle() -> Round {
        Round {
            now: at(1_000),
            emptied: at(900),
            flowing: false,
            more: false,
            emission: Emission::Idle,
            next_due: None,
        }
    }

    const QUANTUM: Option<Span> = Some(Span::from_micros(500));

    #[test]
    fn without_packets_there_is_no_timer() {
        assert_eq!(wait(idle(), QUANTUM), Wait { until: None, exact: false, empty_at: None });
    }

    #[test]
    fn without_flow_the_next_due_packet_and_any_arrival_wake() {
        let round = Round { next_due: Some(at(5_000)), ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(5_000)), exact: true, empty_at: None });
    }

    #[test]
    fn with_flow_the_queue_is_emptied_in_a_rhythm_and_due_packets_still_leave_in_time() {
        let round = Round { flowing: true, ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_400)), exact: false, empty_at: Some(at(1_400)) });
        let round = Round { next_due: Some(at(1_100)), ..round };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_100)), exact: true, empty_at: Some(at(1_400)) });
        assert_eq!(wait(round, None), Wait { until: Some(at(1_100)), exact: true, empty_at: None });
    }

    #[test]
    fn a_busy_line_gathers_packets_that_are_nearly_due() {
        let round = Round { emission: Emission::Finished, next_due: Some(at(1_005)), ..idle() };
        assert_eq!(wait(round, QUANTUM).until, Some(at(1_030)));
        let round = Round { next_due: Some(at(1_500)), ..round };
        assert_eq!(wait(round, QUANTUM).until, Some(at(1_500)));
    }

    #[test]
    fn packets_that_wait_for_older_ones_empty_the_queue_at_once() {
        let round = Round { emission: Emission::Blocked, flowing: true, next_due: Some(at(1_000)), ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_000)), exact: false, empty_at: Some(at(1_000)) });
    }

    #[test]
    fn a_long_emission_lets_the_queue_be_emptied_in_between_unless_it_is_far_behind() {
        let round = Round { emission: Emission::Unfinished, flowing: true, next_due: Some(at(990)), ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_000)), exact: false, empty_at: Some(at(1_400)) });
        assert_eq!(wait(round, None), Wait { until: Some(at(1_000)), exact: false, empty_at: Some(at(1_000)) });
        let behind = Round { now: at(101_000), ..round };
        assert_eq!(wait(behind, QUANTUM), Wait { until: Some(at(101_000)), exact: false, empty_at: Some(Moment::END) });
    }

    #[test]
    fn what_is_left_in_the_queue_is_fetched_without_waiting() {
        let round = Round { more: true, flowing: true, ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_000)), exact: false, empty_at: Some(at(1_000)) });
    }

    #[test]
    fn the_lead_covers_three_wake_ups_of_four_and_is_bounded() {
        let mut lead = Lead::new();
        // Latenesses spread evenly over 0..40 µs, in an order that repeats.
        for at in 0..20_000u64 {
            lead.learn(Span::from_nanos(at * 7_919 % 40_000));
        }
        assert!((25_000..35_000).contains(&lead.0.as_nanos()), "{lead:?}");
        let lead_ns = lead.0.as_nanos();
        assert_eq!(lead.before(at(1_000), at(0)).as_nanos(), 1_000_000 - lead_ns);
        assert_eq!(lead.before(at(1_000), at(900)), at(1_000));
        (0..1_000).for_each(|_| lead.learn(Span::from_millis(5)));
        assert_eq!(lead.0, Lead::LONGEST);
        (0..1_000).for_each(|_| lead.learn(Span::ZERO));
        assert_eq!(lead.0, Span::ZERO);
    }
}
