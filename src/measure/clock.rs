//! How far apart the clocks of several hosts are, and how well that is known. Pure.
//!
//! A host is asked for its clock over a connection whose ways there and back may be of different lengths: whatever they are,
//! the clock was read between asking and answer, so that half of the round trip bounds the error. The quickest round trip
//! bounds it best. Readings before and after a measurement tell how the clock drifted in between.

use serde::Serialize;

use crate::topology::NodeIndex;
use crate::units::Span;

/// How fast clocks may drift apart before it was a jump: kernels slew by at most 500 millionths, and so may the other one.
const FASTEST_DRIFT: f64 = 1e-3;

/// One reading of another host's clock. All in nanoseconds since 1970, two by this side's time line, one by the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When it was asked for.
    pub asked_ns: u64,
    /// When the answer was here.
    pub answered_ns: u64,
    /// What the host's clock said.
    pub theirs_ns: u64,
}

/// How far a host's clock is ahead of this side's at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offset {
    at_ns: u64,
    ahead_ns: i64,
    bound: Span,
}

impl Reading {
    fn offset(self) -> Offset {
        let round_trip = self.answered_ns.saturating_sub(self.asked_ns);
        let at_ns = self.asked_ns + round_trip / 2;
        Offset { at_ns, ahead_ns: difference(self.theirs_ns, at_ns), bound: Span::from_nanos(round_trip.div_ceil(2)) }
    }
}

/// The clock of one host against this side's: a straight line through one or two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    first: Offset,
    last: Offset,
}

impl Clock {
    /// By the quickest of these readings; `None` when there are none.
    pub fn of(readings: &[Reading]) -> Option<Self> {
        let offsets = readings.iter().map(|reading| reading.offset());
        let best = offsets.min_by_key(|offset| offset.bound)?;
        Some(Self { first: best, last: best })
    }

    /// This one at first, and `later` in the end.
    #[must_use]
    pub fn until(self, later: Self) -> Self {
        Self { first: self.first, last: later.last }
    }

    /// The host's clock when this side's says `ours_ns`.
    pub fn theirs(&self, ours_ns: u64) -> u64 {
        shifted(ours_ns, self.ahead_at(ours_ns))
    }

    /// What is to be added to the host's instants around `theirs_ns` to have them by this side's clock.
    fn correction(&self, theirs_ns: u64) -> i64 {
        // Each round leaves a thousandth of the error of the one before, or less: of a minute's drift nothing after three.
        let once = |ours: u64| shifted(theirs_ns, -self.ahead_at(ours));
        -self.ahead_at(once(once(once(shifted(theirs_ns, -self.first.ahead_ns)))))
    }

    fn ahead_at(&self, ours_ns: u64) -> i64 {
        let length = self.last.at_ns.saturating_sub(self.first.at_ns);
        if length == 0 {
            return self.first.ahead_ns;
        }
        let share = difference(ours_ns, self.first.at_ns) as f64 / length as f64;
        let drift = (self.last.ahead_ns - self.first.ahead_ns) as f64;
        // A drift of a measurement is far below 2^53 ns.
        #[allow(clippy::cast_possible_truncation)]
        let drifted = (drift * share).round() as i64;
        self.first.ahead_ns + drifted
    }

    /// How far the corrected instants between both readings may be off. A clock that was set in between may be off by as much
    /// as it jumped.
    pub fn bound(&self) -> Span {
        let known = self.first.bound.max(self.last.bound);
        let moved = self.last.ahead_ns.abs_diff(self.first.ahead_ns);
        if self.jumped() { Span::from_nanos(known.as_nanos().saturating_add(moved)) } else { known }
    }

    /// Whether it moved more in between than a clock drifts.
    pub fn jumped(&self) -> bool {
        let length = self.last.at_ns.saturating_sub(self.first.at_ns) as f64;
        let explained = (self.first.bound.as_nanos() + self.last.bound.as_nanos()) as f64 + FASTEST_DRIFT * length;
        self.last.ahead_ns.abs_diff(self.first.ahead_ns) as f64 > explained
    }
}

/// The clocks of all nodes of a testbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clocks {
    /// They are one, which is also this side's: instants of different nodes are comparable as they stand.
    One,
    /// They are not, or not known to be.
    Apart(Vec<HostClock>),
}

/// What is known of one node's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostClock {
    /// Names the boot of its kernel: the same name, the same clock. Empty where the kernel does not tell.
    pub boot: String,
    /// Against this side's; `None` when it was not read.
    pub clock: Option<Clock>,
}

impl HostClock {
    /// Whether anything is: of a host that was never reached nothing is, and it has no say in what others are judged by.
    pub fn is_known(&self) -> bool {
        !self.boot.is_empty() || self.clock.is_some()
    }
}

/// What the figures of a measurement are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// One-way delays: all nodes have one clock.
    #[default]
    OneWay,
    /// Round-trip times: each is taken by one clock, whatever the others say.
    RoundTrip,
}

impl Clocks {
    /// Of hosts in node order. Hosts of one boot share the clock that is known best.
    pub fn of(mut hosts: Vec<HostClock>) -> Self {
        let mut boots = hosts.iter().filter(|host| host.is_known()).map(|host| &host.boot);
        let first = boots.next();
        if first.is_some_and(|first| !first.is_empty() && boots.all(|boot| boot == first)) {
            // Even then this side's may be another: the start of a schedule is told by it.
            let best = hosts.iter().filter_map(|host| host.clock).min_by_key(Clock::bound);
            for host in hosts.iter_mut().filter(|host| !host.boot.is_empty()) {
                host.clock = best;
            }
            return Self::Apart(hosts);
        }
        let known: Vec<(String, Clock)> =
            hosts.iter().filter_map(|host| Some((host.boot.clone(), host.clock?))).collect();
        for host in hosts.iter_mut().filter(|host| !host.boot.is_empty()) {
            let shared = known.iter().filter(|(boot, _)| *boot == host.boot).map(|(_, clock)| *clock);
            host.clock = shared.min_by_key(Clock::bound);
        }
        Self::Apart(hosts)
    }

    /// These at first, and `later` in the end.
    #[must_use]
    pub fn until(self, later: Self) -> Self {
        let (Self::Apart(first), Self::Apart(last)) = (self, later) else { return Self::One };
        let both = first.into_iter().zip(last).map(|(first, last)| HostClock {
            clock: match (first.clock, last.clock) {
                (Some(before), Some(after)) if first.boot == last.boot => Some(before.until(after)),
                (before, after) => before.or(after),
            },
            boot: if first.boot == last.boot { first.boot } else { String::new() },
        });
        Self::Apart(both.collect())
    }

    /// What delays between the nodes are to be judged by.
    pub fn basis(&self) -> Basis {
        match self {
            Self::One => Basis::OneWay,
            Self::Apart(hosts) => {
                let mut boots = hosts.iter().filter(|host| host.is_known()).map(|host| &host.boot);
                let first = boots.next();
                let one = first.is_some_and(|first| !first.is_empty() && boots.all(|boot| boot == first));
                if one { Basis::OneWay } else { Basis::RoundTrip }
            }
        }
    }

    /// `ours_ns` by the clock of `node`.
    pub fn theirs(&self, node: NodeIndex, ours_ns: u64) -> u64 {
        self.clock(node).map_or(ours_ns, |clock| clock.theirs(ours_ns))
    }

    /// What is to be added to instants of `node` around `theirs_ns` so that those of all nodes are comparable, nanoseconds.
    pub fn correction(&self, node: NodeIndex, theirs_ns: u64) -> i64 {
        match self.basis() {
            // As they stand: a correction could only blur what is exact.
            Basis::OneWay => 0,
            Basis::RoundTrip => self.clock(node).map_or(0, |clock| clock.correction(theirs_ns)),
        }
    }

    /// How far a one-way delay between two nodes may be off; `None` when nothing is known.
    pub fn bound(&self, from: NodeIndex, to: NodeIndex) -> Option<Span> {
        let Self::Apart(hosts) = self else { return Some(Span::ZERO) };
        let (sender, receiver) = (hosts.get(from)?, hosts.get(to)?);
        if !sender.boot.is_empty() && sender.boot == receiver.boot {
            return Some(Span::ZERO);
        }
        let [sender, receiver] = [sender.clock?.bound(), receiver.clock?.bound()].map(Span::as_nanos);
        Some(Span::from_nanos(sender.saturating_add(receiver)))
    }

    /// The nodes whose clocks were set while they were watched.
    pub fn jumped(&self) -> Vec<NodeIndex> {
        let Self::Apart(hosts) = self else { return Vec::new() };
        let jumped =
            |(node, host): (NodeIndex, &HostClock)| host.clock.is_some_and(|clock| clock.jumped()).then_some(node);
        hosts.iter().enumerate().filter_map(jumped).collect()
    }

    fn clock(&self, node: NodeIndex) -> Option<&Clock> {
        match self {
            Self::One => None,
            Self::Apart(hosts) => hosts.get(node)?.clock.as_ref(),
        }
    }
}

/// `left − right`; instants since 1970 are below 2^63 ns for centuries.
fn difference(left: u64, right: u64) -> i64 {
    i64::try_from(i128::from(left) - i128::from(right)).unwrap_or(i64::MAX)
}

/// An instant later by `by` nanoseconds.
pub(crate) fn shifted(instant_ns: u64, by: i64) -> u64 {
    instant_ns.saturating_add_signed(by)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const START: u64 = 1_800_000_000_000_000_000;

    /// A host whose clock is `ahead` at START and gains `ppb` billionths.
    fn theirs(ours: u64, ahead: i64, ppb: i64) -> u64 {
        let gained = i128::from(difference(ours, START)) * i128::from(ppb) / 1_000_000_000;
        shifted(ours, ahead + i64::try_from(gained).unwrap())
    }

    /// Readings from `began` on, one each millisecond, whose ways there and back take these.
    fn readings(began: u64, ways: &[(u64, u64)], ahead: i64, ppb: i64) -> Vec<Reading> {
        (0..)
            .zip(ways)
            .map(|(place, (there, back))| {
                let asked_ns = began + place * 1_000_000;
                let theirs_ns = theirs(asked_ns + there, ahead, ppb);
                Reading { asked_ns, answered_ns: asked_ns + there + back, theirs_ns }
            })
            .collect()
    }

    fn host(boot: &str, clock: Option<Clock>) -> HostClock {
        HostClock { boot: boot.to_owned(), clock }
    }

    proptest! {
        #[test]
        fn the_error_is_within_the_bound_for_any_ways_offset_and_drift(
            before in prop::collection::vec((0u64..80_000_000, 0u64..80_000_000), 1..12),
            after in prop::collection::vec((0u64..80_000_000, 0u64..80_000_000), 1..12),
            ahead in -4_000_000_000_000_000i64..4_000_000_000_000_000,
            ppb in -200_000i64..200_000,
            share in 0u64..=1_000,
        ) {
            const LENGTH: u64 = 60_000_000_000;
            let first = Clock::of(&readings(START, &before, ahead, ppb)).unwrap();
            let last = Clock::of(&readings(START + LENGTH, &after, ahead, ppb)).unwrap();
            let clock = first.until(last);
            prop_assert!(!clock.jumped());
            let quickest = |ways: &[(u64, u64)]| ways.iter().map(|(there, back)| (there + back).div_ceil(2)).min().unwrap();
            let bound = clock.bound().as_nanos();
            prop_assert_eq!(bound, quickest(&before).max(quickest(&after)));
            // Between the readings; the rounding of the drift is a nanosecond at each of three places.
            let (from, to) = (clock.first.at_ns, clock.last.at_ns);
            let at = from + (to - from) / 1_000 * share;
            let error = difference(clock.theirs(at), theirs(at, ahead, ppb)).unsigned_abs();
            prop_assert!(error <= bound + 3, "{error} ns, bound {bound} ns");
            let instant = theirs(at, ahead, ppb);
            let back = difference(shifted(instant, clock.correction(instant)), at).unsigned_abs();
            // The clock's own drift over what is not known of the offset comes on top.
            prop_assert!(back <= bound + bound / 1_000 + 5, "{back} ns, bound {bound} ns");
        }
    }

    #[test]
    fn equal_ways_give_the_offset_itself() {
        let clock = Clock::of(&readings(START, &[(9_000, 9_000), (500, 500), (2_000, 2_000)], -123_456, 0)).unwrap();
        assert_eq!((clock.theirs(START), clock.bound()), (START - 123_456, Span::from_nanos(500)));
        assert_eq!(clock.correction(START), 123_456);
    }

    #[test]
    fn a_clock_that_was_set_is_told_and_not_trusted() {
        let before = Clock::of(&readings(START, &[(500, 500)], 0, 0)).unwrap();
        let after = Clock::of(&readings(START + 1_000_000_000, &[(500, 500)], 30_000_000, 0)).unwrap();
        let clock = before.until(after);
        assert!(clock.jumped());
        assert_eq!(clock.bound(), Span::from_nanos(30_000_500));
        let clocks = Clocks::of(vec![host("a", Some(clock)), host("b", Some(before))]);
        assert_eq!(clocks.jumped(), [0]);
    }

    #[test]
    fn one_boot_is_one_clock() {
        let [near, far] = [200, 90_000].map(|way| Clock::of(&readings(START, &[(way, way)], 5_000_000, 0)));
        let one = Clocks::of(vec![host("a", far), host("a", near)]);
        assert_eq!((one.basis(), one.bound(0, 1), one.correction(0, START)), (Basis::OneWay, Some(Span::ZERO), 0));
        // Both start by the better reading, and so at one instant.
        assert_eq!((one.theirs(0, START), one.theirs(1, START)), (START + 5_000_000, START + 5_000_000));
        let apart = Clocks::of(vec![host("a", far), host("a", near), host("b", far)]);
        assert_eq!((apart.basis(), apart.bound(0, 1)), (Basis::RoundTrip, Some(Span::ZERO)));
        assert_eq!(apart.bound(0, 2), Some(Span::from_nanos(90_200)));
        assert_eq!(apart.correction(2, START), -5_000_000);
        // One that was never reached has no say.
        let with_lost = Clocks::of(vec![host("", None), host("a", far), host("a", near)]);
        assert_eq!((with_lost.basis(), with_lost.bound(1, 2)), (Basis::OneWay, Some(Span::ZERO)));
        assert_eq!((with_lost.bound(0, 1), with_lost.theirs(1, START)), (None, START + 5_000_000));
        let unknown = Clocks::of(vec![host("", None), host("", None)]);
        assert_eq!((unknown.basis(), unknown.bound(0, 1)), (Basis::RoundTrip, None));
        assert_eq!((Clocks::One.basis(), Clocks::One.theirs(3, 7)), (Basis::OneWay, 7));
    }
}
