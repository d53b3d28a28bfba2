//! This side's time line: the real-time clock as it was at the start, running on with the monotonic one, so that nobody who
//! sets the clock meanwhile moves an instant.

use std::time::{Instant, SystemTime};

/// A time line, the same for all its copies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline {
    began: Instant,
    began_ns: u64,
}

impl Timeline {
    /// One that begins now.
    pub(super) fn start() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// Now, in nanoseconds since 1970.
    pub(super) fn now_ns(self) -> u64 {
        self.began_ns.saturating_add(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
