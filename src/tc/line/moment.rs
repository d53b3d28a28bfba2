//! Pure: points in time of the line. Time is always an argument; nothing in here reads a clock.

use crate::units::{Delay, Span};

/// A point in time on the monotonic clock, in nanoseconds since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Moment(u64);

impl Moment {
    /// The earliest point in time: before everything else.
    pub(super) const START: Self = Self(0);

    /// The latest point in time: after everything else.
    pub(super) const END: Self = Self(u64::MAX);

    /// From nanoseconds of the monotonic clock.
    pub(super) const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds of the monotonic clock.
    pub(super) const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The point in time `delay` later.
    pub(super) const fn after(self, delay: Delay) -> Self {
        Self(self.0.saturating_add(delay.as_nanos()))
    }

    /// The point in time `span` later.
    pub(super) const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_nanos()))
    }

    /// How much later this is than `earlier`; zero when it is not later.
    pub(super) const fn since(self, earlier: Self) -> Span {
        Span::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
