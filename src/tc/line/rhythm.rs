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

/// What happened since the last wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Now.
    pub(super) now: Moment,
    /// When the capture queue was last emptied.
    pub(super) emptied: Moment,
    /// Whether there was something in it, and nothing that leaves at once.
    pub(super) flowing: bool,
    /// Whether packets were emitted.
    pub(super) emitted: bool,
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
    let not_before = if round.emitted { round.now.plus(GRAIN) } else { round.now };
    let due = round.next_due.map(|due| due.max(not_before));
    let empty_at = quantum.filter(|_| round.flowing).map(|quantum| round.emptied.plus(quantum));
    let until = match (due, empty_at) {
        (Some(due), Some(empty_at)) => Some(due.min(empty_at)),
        (due, empty_at) => due.or(empty_at),
    };
    Wait { until, empty_at }
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
        Round { now: at(1_000), emptied: at(900), flowing: false, emitted: false, next_due: None }
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
        let round = Round { emitted: true, next_due: Some(at(1_005)), ..idle() };
        assert_eq!(wait(round, QUANTUM).until, Some(at(1_030)));
        let round = Round { next_due: Some(at(1_500)), ..round };
        assert_eq!(wait(round, QUANTUM).until, Some(at(1_500)));
    }
}
