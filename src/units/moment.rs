//! [`Moment`]: a point on a run's own clock, and the arithmetic between moments and spans.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::{Delay, Rtt, Span};

/// A point in time of a run: nanoseconds since its start. A simulation's clock jumps from event to event, a live run's is the
/// machine's monotonic clock; what decides by it cannot tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// The start of the run.
    pub const START: Self = Self(0);

    /// So many nanoseconds after the start.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// So many milliseconds after the start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the start, for printing and plotting.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// What passed from `earlier` until now; nothing, if that is yet to come.
    pub const fn since(self, earlier: Self) -> Span {
        Span::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Moment {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_nanos()))
    }
}

impl AddAssign<Span> for Moment {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span::from_nanos(self.0).fmt(f)
    }
}

impl Span {
    /// From whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_millis(seconds * 1_000)
    }

    /// Seconds, for printing and plotting.
    pub fn as_secs_f64(self) -> f64 {
        self.as_nanos() as f64 / 1e9
    }

    /// What is left after `other` of it; nothing, if that is longer.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(other.as_nanos()))
    }
}

impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::from_nanos(self.as_nanos().saturating_add(other.as_nanos()))
    }
}

/// How long a packet is on its way: a part of what a request takes.
impl From<Delay> for Span {
    fn from(delay: Delay) -> Self {
        Self::from_nanos(delay.as_nanos())
    }
}

/// How long there and back takes: a part of what a request takes.
impl From<Rtt> for Span {
    fn from(rtt: Rtt) -> Self {
        Self::from_nanos(rtt.as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_move_moments_and_lie_between_them() {
        let start = Moment::from_millis(5);
        let later = start + Span::from_millis(7);
        assert_eq!(later, Moment::from_millis(12));
        assert_eq!(later.since(start), Span::from_millis(7));
        assert_eq!(start.since(later), Span::ZERO);
        assert_eq!(Moment::from_nanos(u64::MAX) + Span::from_secs(1), Moment::from_nanos(u64::MAX));
        assert_eq!(later.to_string(), "12ms");
    }
}
