//! [`Alarms`]: waits to the accuracy of the kernel's timers. The runtime's own have ticks of a millisecond.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Mutex, PoisonError};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::Clock;
use crate::units::{Moment, Span};

/// One timer of the kernel for all who wait.
#[derive(Debug)]
pub struct Alarms {
    clock: Clock,
    timer: AsyncFd<Timer>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Earliest first; of equals the first that asked.
    heap: BinaryHeap<Reverse<(Moment, u64)>>,
    senders: std::collections::HashMap<u64, oneshot::Sender<()>>,
    asked: u64,
}

/// A timer descriptor in the form that the runtime takes.
#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarms {
    /// None is set. To be called within a runtime; [`run`](Self::run) must be running for any to go off.
    #[allow(unsafe_code)] // The runtime cannot see that a descriptor stays what it is.
    pub fn new(clock: Clock) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: the descriptor is the timer's own and stays the same until the timer is dropped, after its registration.
        let timer = unsafe { AsyncFd::register(Timer(timer)) }.map_err(|refused| refused.into_parts().1)?;
        Ok(Self { clock, timer, waiting: Mutex::default() })
    }

    /// Returns at that moment, or soon after it.
    pub async fn wait_until(&self, moment: Moment) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let number = waiting.asked;
            waiting.asked += 1;
            waiting.senders.insert(number, sender);
            waiting.heap.push(Reverse((moment, number)));
            if waiting.heap.peek().is_some_and(|Reverse((_, first))| *first == number) {
                self.set(moment);
            }
        }
        // Nobody sends when the alarms have ended: then nothing is left to wait for.
        let _ = receiver.await;
    }

    /// Wakes those whose moment has come, for ever.
    pub async fn run(&self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            ready.clear_ready();
            // Reading says that it went off: which is known.
            let _ = self.timer.get_ref().0.wait();
            self.ring();
        }
    }

    fn ring(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        while let Some(Reverse((moment, number))) = waiting.heap.peek().copied() {
            if moment > now {
                self.set(moment);
                break;
            }
            waiting.heap.pop();
            if let Some(sender) = waiting.senders.remove(&number) {
                // Who no longer waits needs no waking.
                let _ = sender.send(());
            }
        }
    }

    fn set(&self, moment: Moment) {
        // Zero would disarm it.
        let left = moment.since(self.clock.now()).max(Span::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(left.as_duration()));
        // It fails for times that are none; a span is one.
        let _ = self.timer.get_ref().0.set(expiration, TimerSetTimeFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[test]
    fn alarms_go_off_in_their_order_and_not_early() {
        let clock = Clock::start();
        let runtime = crate::serving::runtime().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        runtime.block_on(async {
            let alarms = Arc::new(Alarms::new(clock).unwrap());
            let ringing = Arc::clone(&alarms);
            tokio::spawn(async move { ringing.run().await });
            let waits = [30u64, 10, 20, 10].map(|ms| {
                let (alarms, order) = (Arc::clone(&alarms), Arc::clone(&order));
                tokio::spawn(async move {
                    alarms.wait_until(Moment::from_millis(ms)).await;
                    assert!(clock.now() >= Moment::from_millis(ms));
                    order.lock().unwrap().push(ms);
                })
            });
            for wait in waits {
                wait.await.unwrap();
            }
            alarms.wait_until(Moment::START).await;
        });
        assert_eq!(*order.lock().unwrap(), [10, 10, 20, 30]);
    }
}
