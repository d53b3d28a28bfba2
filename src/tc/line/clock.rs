//! The line's clocks: the kernel stamps packets in real time, timers and due times are monotonic.
//!
//! [`Converter`] is pure. It follows steps and slews of the real-time clock and never turns the order of stamps around.

use nix::time::{ClockId, clock_gettime};

use super::moment::Moment;
use crate::units::Span;

/// A captured packet cannot have waited longer than this; older stamps are something else (before kernel 5.18 the
/// departure time of TCP on the monotonic clock comes through).
const OLDEST_STAMP: Span = Span::from_millis(1_000);
/// A reading of both clocks that took longer than this was interrupted and is tried again.
const TIGHT: Span = Span::from_nanos(1_000);
const TRIES: u32 = 8;
/// Differences below this are noise of the readings.
const NOISE_NS: u64 = 1_000;

/// Nanoseconds of the real-time clock since 1970; zero means that the kernel gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct WallStamp(u64);

impl WallStamp {
    /// From nanoseconds since 1970.
    pub(super) const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }
}

/// One reading of both clocks: the real time between two monotonic ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    before: Moment,
    wall: WallStamp,
    after: Moment,
}

impl Reading {
    fn width(self) -> Span {
        self.after.since(self.before)
    }

    /// Real minus monotonic time, in nanoseconds.
    fn offset(self) -> i128 {
        let middle = u128::from(self.before.as_nanos()).midpoint(u128::from(self.after.as_nanos()));
        i128::from(self.wall.0) - i128::try_from(middle).unwrap_or(i128::MAX)
    }
}

/// Turns stamps into monotonic time. Pure: readings and the present are arguments.
#[derive(Debug)]
pub(super) struct Converter {
    offset: i128,
    /// The latest moment handed out.
    latest: Moment,
    /// No moment before this is handed out any more: set when the offset changes.
    floor: Moment,
}

impl Converter {
    /// Starts with `reading`.
    pub(super) fn new(reading: Reading) -> Self {
        Self { offset: reading.offset(), latest: Moment::START, floor: Moment::START }
    }

    /// Follows the clocks.
    pub(super) fn update(&mut self, reading: Reading) {
        let offset = reading.offset();
        if offset.abs_diff(self.offset) > u128::from(NOISE_NS.max(reading.width().as_nanos())) {
            self.offset = offset;
            self.floor = self.latest;
        }
    }

    /// The monotonic time of `stamp`; `now` when the stamp is missing, in the future or too old to be true.
    pub(super) fn moment(&mut self, stamp: WallStamp, now: Moment) -> Moment {
        let converted = u64::try_from(i128::from(stamp.0) - self.offset).map(Moment::from_nanos);
        let moment = match converted {
            Ok(moment) if moment <= now && now.since(moment) <= OLDEST_STAMP => moment,
            _ => now,
        };
        let moment = moment.max(self.floor);
        self.latest = self.latest.max(moment);
        moment
    }
}

/// The monotonic clock.
pub(super) fn now() -> Moment {
    Moment::from_nanos(nanos(ClockId::CLOCK_MONOTONIC))
}

/// Both clocks, read so that no interruption comes between them, as far as that can be seen.
pub(super) fn read() -> Reading {
    let mut best = read_once();
    for _ in 1..TRIES {
        if best.width() <= TIGHT {
            break;
        }
        let again = read_once();
        if again.width() < best.width() {
            best = again;
        }
    }
    best
}

fn read_once() -> Reading {
    let before = now();
    let wall = WallStamp(nanos(ClockId::CLOCK_REALTIME));
    Reading { before, wall, after: now() }
}

fn nanos(clock: ClockId) -> u64 {
    // Both clocks exist on every Linux and do not run before their epoch.
    clock_gettime(clock).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Real time is this much ahead of monotonic time.
    const AHEAD: u64 = 1_700_000_000_000_000_000;

    fn reading(at: u64, ahead: u64) -> Reading {
        Reading { before: Moment::from_nanos(at - 50), wall: WallStamp(at + ahead), after: Moment::from_nanos(at + 50) }
    }

    fn moment(converter: &mut Converter, stamp: u64, now: u64) -> u64 {
        converter.moment(WallStamp(stamp), Moment::from_nanos(now)).as_nanos()
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn plausible_stamps_are_converted_exactly_and_others_become_now() {
        let mut converter = Converter::new(reading(100 * SECOND, AHEAD));
        let now = 200 * SECOND;
        for (stamp, expected) in [
            (now + AHEAD - 5, now - 5),
            (now + AHEAD, now),
            (now + AHEAD - SECOND, now - SECOND),
            (now + AHEAD - SECOND - 1, now),
            (now + AHEAD + 1, now),
            (0, now),
            (now - 5, now),
        ] {
            assert_eq!(moment(&mut converter, stamp, now), expected, "{stamp}");
        }
    }

    #[test]
    fn a_new_offset_does_not_turn_the_order_around() {
        let now = 150 * SECOND + 500_000_000;
        let mut converter = Converter::new(reading(100 * SECOND, AHEAD));
        let first = moment(&mut converter, AHEAD + 150 * SECOND, now);
        converter.update(reading(now, AHEAD + 5_000));
        let second = moment(&mut converter, AHEAD + 150 * SECOND + 1_000, now);
        let third = moment(&mut converter, AHEAD + 150 * SECOND + 7_000, now);
        assert_eq!((first, second, third), (150 * SECOND, 150 * SECOND, 150 * SECOND + 2_000));
    }

    #[test]
    fn noise_of_a_reading_changes_nothing_and_a_step_is_followed() {
        let mut converter = Converter::new(reading(100 * SECOND, AHEAD));
        converter.update(reading(101 * SECOND, AHEAD + 900));
        assert_eq!(moment(&mut converter, AHEAD + 101 * SECOND, 102 * SECOND), 101 * SECOND);
        converter.update(reading(102 * SECOND, AHEAD - 3_600 * SECOND));
        assert_eq!(moment(&mut converter, AHEAD - 3_498 * SECOND, 103 * SECOND), 102 * SECOND);
    }

    #[test]
    fn the_clocks_agree_with_themselves() {
        let mut converter = Converter::new(read());
        let wall = WallStamp(nanos(ClockId::CLOCK_REALTIME));
        let now = now();
        let moment = converter.moment(wall, now);
        assert!(now.since(moment) < OLDEST_STAMP);
    }
}
