//! [`Clock`]: moments of a live run.

use std::time::Instant;

use crate::units::Moment;

/// Counts from when it was made, by the machine's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How far it is.
    pub fn now(self) -> Moment {
        Moment::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The instant of a moment.
    pub fn instant(self, moment: Moment) -> Instant {
        self.0 + std::time::Duration::from_nanos(moment.as_nanos())
    }
}
