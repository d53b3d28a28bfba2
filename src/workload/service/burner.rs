//! Cores of real work: threads that compute until they have used as much processor time as a request takes.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use nix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

use crate::units::Span;

/// Threads that take work from one queue.
#[derive(Debug)]
pub(super) struct Burner {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<(Span, oneshot::Sender<()>)>,
    over: bool,
}

impl Burner {
    /// As many threads as `cores`.
    pub(super) fn start(cores: usize) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        for _ in 0..cores.max(1) {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name("core".to_owned()).spawn(move || work(&queue))?;
        }
        Ok(Self { queue })
    }

    /// Returns when the work is done; nobody else's work overtakes it.
    pub(super) async fn burn(&self, work: Span) {
        let (sender, receiver) = oneshot::channel();
        self.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner).waiting.push_back((work, sender));
        self.queue.wake.notify_one();
        // A thread that is gone has no answer: the service is ending.
        let _ = receiver.await;
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        self.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.queue.wake.notify_all();
    }
}

fn work(queue: &Queue) {
    loop {
        let mut jobs = queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let (span, sender) = loop {
            if jobs.over {
                return;
            }
            match jobs.waiting.pop_front() {
                Some(job) => break job,
                None => jobs = queue.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(jobs);
        compute(span);
        // Who no longer waits needs no answer.
        let _ = sender.send(());
    }
}

/// Uses that much processor time of this thread.
fn compute(span: Span) {
    let start = used();
    let mut number = 1u64;
    while used().saturating_sub(start) < span {
        for _ in 0..500 {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// Processor time of this thread.
fn used() -> Span {
    // Every Linux has this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Span::ZERO, |time| {
        let part = |value: i64| u64::try_from(value).unwrap_or(0);
        Span::from_nanos(part(time.tv_sec()) * 1_000_000_000 + part(time.tv_nsec()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computing_uses_the_time_that_it_is_told() {
        let start = used();
        compute(Span::from_millis(20));
        let spent = used().saturating_sub(start);
        assert!((Span::from_millis(20)..Span::from_millis(60)).contains(&spent), "{spent}");
    }
}
