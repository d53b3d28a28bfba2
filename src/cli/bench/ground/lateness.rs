//! How late this machine wakes a thread that waits for a time: what no delay line in user space can be better than.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::measure::percentile;
use crate::tc::line::hurry;
use crate::units::Span;

/// How often the thread is to wake.
const PERIOD: Duration = Duration::from_millis(1);

/// A thread that sleeps again and again, with the priority of a delay line's own thread.
pub(in crate::cli::bench) struct LatenessMeter {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Span>>,
}

/// The distribution of lateness over all wake-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::bench) struct Lateness {
    /// Median.
    pub(in crate::cli::bench) p50: Span,
    /// 99th percentile.
    pub(in crate::cli::bench) p99: Span,
    /// Largest.
    pub(in crate::cli::bench) max: Span,
}

impl LatenessMeter {
    /// Starts the thread.
    pub(in crate::cli::bench) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || watch(&stop)
        });
        Self { stop, thread }
    }

    /// Ends it; `None` when it did not wake even once.
    pub(in crate::cli::bench) fn stop(self) -> Option<Lateness> {
        self.stop.store(true, Ordering::Relaxed);
        summary(self.thread.join().ok()?)
    }
}

fn watch(stop: &AtomicBool) -> Vec<Span> {
    // As the line's own thread does it, and refused where it is refused to that.
    hurry();
    let mut late = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + PERIOD;
        std::thread::sleep(PERIOD);
        let nanos = Instant::now().saturating_duration_since(due).as_nanos();
        late.push(Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
    }
    late
}

fn summary(mut late: Vec<Span>) -> Option<Lateness> {
    late.sort_unstable();
    Some(Lateness { p50: percentile(&late, 50)?, p99: percentile(&late, 99)?, max: *late.last()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn percentiles_are_by_rank() {
        let late = (1..=200).rev().map(Span::from_micros).collect();
        let expected = |p50, p99, max| Lateness {
            p50: Span::from_micros(p50),
            p99: Span::from_micros(p99),
            max: Span::from_micros(max),
        };
        assert_eq!(summary(late), Some(expected(100, 198, 200)));
        assert_eq!(summary(vec![Span::from_micros(7)]), Some(expected(7, 7, 7)));
        assert_eq!(summary(Vec::new()), None);
    }
}
