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
    /// When to empty the capture queue without being called; `None` when the next packet wakes the thread.
    pub(super) empty_at: Option<Moment>,
}

/// What to wait for after `round`, when packets may stay in the queue for `quantum`.
pub(super) fn wait(round: Round, quantum: Option<Span>) -> Wait {
    let at_once = Some(round.now);
    let rhythm = quantum.filter(|_| round.flowing).map(|quantum| round.emptied.plus(quantum));
    match round.emission {
        Emission::Blocked => Wait { until: at_once, empty_at: at_once },
        Emission::Unfinished => {
            let overloaded = round.next_due.is_some_and(|due| round.now.since(due) > OVERLOADED);
            let empty_at = if round.more { at_once } else { rhythm.or(at_once) };
            Wait { until: at_once, empty_at: if overloaded { Some(Moment::END) } else { empty_at } }
        }
        Emission::Idle | Emission::Finished if round.more => Wait { until: at_once, empty_at: at_once },
        Emission::Idle | Emission::Finished => {
            let grain = if round.emission == Emission::Finished { GRAIN } else { Span::ZERO };
            let due = round.next_due.map(|due| due.max(round.now.plus(grain)));
            let until = match (due, rhythm) {
                (Some(due), Some(empty_at)) => Some(due.min(empty_at)),
                (due, empty_at) => due.or(empty_at),
            };
            Wait { until, empty_at: rhythm }
        }
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
        assert_eq!(wait(idle(), QUANTUM), Wait { until: None, empty_at: None });
    }

    #[test]
    fn without_flow_the_next_due_packet_and_any_arrival_wake() {
        let round = Round { next_due: Some(at(5_000)), ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(5_000)), empty_at: None });
    }

    #[test]
    fn with_flow_the_queue_is_emptied_in_a_rhythm_and_due_packets_still_leave_in_time() {
        let round = Round { flowing: true, ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_400)), empty_at: Some(at(1_400)) });
        let round = Round { next_due: Some(at(1_100)), ..round };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_100)), empty_at: Some(at(1_400)) });
        assert_eq!(wait(round, None), Wait { until: Some(at(1_100)), empty_at: None });
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
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_000)), empty_at: Some(at(1_000)) });
    }

    #[test]
    fn a_long_emission_lets_the_queue_be_emptied_in_between_unless_it_is_far_behind() {
        let round = Round { emission: Emission::Unfinished, flowing: true, next_due: Some(at(990)), ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_000)), empty_at: Some(at(1_400)) });
        assert_eq!(wait(round, None), Wait { until: Some(at(1_000)), empty_at: Some(at(1_000)) });
        let behind = Round { now: at(101_000), ..round };
        assert_eq!(wait(behind, QUANTUM), Wait { until: Some(at(101_000)), empty_at: Some(Moment::END) });
    }

    #[test]
    fn what_is_left_in_the_queue_is_fetched_without_waiting() {
        let round = Round { more: true, flowing: true, ..idle() };
        assert_eq!(wait(round, QUANTUM), Wait { until: Some(at(1_000)), empty_at: Some(at(1_000)) });
    }
}
