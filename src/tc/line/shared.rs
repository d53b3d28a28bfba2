//! What the line's owner and its thread share: orders one way, counters the other.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::capture::Sockets;
use super::error::LineError;
use super::paths::Paths;
use crate::shaping::{Impairment, Selector};

/// What a line has done so far, and what it was permitted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineCounters {
    /// Packets taken from the capture interface.
    pub captured: u64,
    /// Packets given to the real interface.
    pub emitted: u64,
    /// Packets held now.
    pub held: u64,
    /// Packets of `captured` to which no path applies; they are emitted at once.
    pub unmatched: u64,
    /// Packets emitted more than a millisecond after their time.
    pub late: u64,
    /// Packets of `captured` that vanished as their paths demand.
    pub lost: u64,
    /// Copies made as paths demand.
    pub duplicated: u64,
    /// Packets of `captured` lost because the memory for held packets, or the queue of a path with a rate, was full.
    pub dropped_memory: u64,
    /// Packets of `captured` lost because the real interface did not take them.
    pub dropped_emit: u64,
    /// Packets lost before they were captured, because the receive buffer was full.
    pub dropped_capture: u64,
    /// Packets lost because they cannot be captured with their offloads, such as segments inside a tunnel.
    pub dropped_unsupported: u64,
    /// The niceness of the line's thread: −20 where that is permitted, 0 otherwise.
    pub niceness: i32,
    /// The sum of the receive buffers in bytes, as the kernel counts.
    pub receive_buffer: usize,
    /// Into how many sockets the receive buffer had to be split.
    pub receive_sockets: usize,
    /// The last error that cost a packet or ended the line.
    pub failure: Option<String>,
}

impl LineCounters {
    /// All packets lost that should not have been, and those that a rate had no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped_memory + self.dropped_emit + self.dropped_capture + self.dropped_unsupported
    }
}

/// The numbers behind [`LineCounters`].
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) captured: AtomicU64,
    pub(super) emitted: AtomicU64,
    pub(super) held: AtomicU64,
    pub(super) unmatched: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) doubled: AtomicU64,
    pub(super) dropped_memory: AtomicU64,
    pub(super) dropped_emit: AtomicU64,
    pub(super) dropped_unsupported: AtomicU64,
    pub(super) niceness: AtomicI32,
    dropped_capture: AtomicU64,
}

/// Adds to one of the [`Numbers`].
pub(super) fn add(number: &AtomicU64, count: u64) {
    if count > 0 {
        number.fetch_add(count, Ordering::Relaxed);
    }
}

/// Orders that the thread has not carried out yet, and what became of earlier ones.
#[derive(Debug, Default)]
struct Orders {
    table: Option<Paths>,
    stop: bool,
    /// How many tables were ordered, and how many put in.
    ordered: u64,
    done: u64,
    /// Why the thread has ended.
    ended: Option<String>,
}

/// An order for the thread.
#[derive(Debug)]
pub(super) enum Order {
    /// Put in another table, then call [`Shared::done`].
    Replace(Paths),
    /// Emit everything and end.
    Stop,
}

/// Both sides of the line.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) numbers: Numbers,
    orders: Mutex<Orders>,
    done: Condvar,
    wake: EventFd,
    failure: Mutex<Option<String>>,
    paths: Mutex<BTreeMap<Selector, Impairment>>,
    sockets: Arc<Sockets>,
    receive_buffer: usize,
}

impl Shared {
    /// For a line that captures with `sockets`, whose buffers add up to `receive_buffer`.
    pub(super) fn new(sockets: Arc<Sockets>, receive_buffer: usize) -> io::Result<Self> {
        Ok(Self {
            numbers: Numbers::default(),
            orders: Mutex::default(),
            done: Condvar::new(),
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            failure: Mutex::default(),
            paths: Mutex::default(),
            sockets,
            receive_buffer,
        })
    }

    /// Becomes readable with an order.
    pub(super) fn wake(&self) -> &EventFd {
        &self.wake
    }

    /// Has the thread put in another table; returns when it has.
    pub(super) fn replace(&self, paths: &BTreeMap<Selector, Impairment>) -> Result<(), LineError> {
        let table = Paths::new(paths);
        let mut current = lock(&self.paths);
        let mut orders = lock(&self.orders);
        orders.table = Some(table);
        orders.ordered += 1;
        let mine = orders.ordered;
        // The counter of the event would have to overflow for this to fail.
        let _ = self.wake.write(1);
        while orders.done < mine && orders.ended.is_none() {
            orders = self.done.wait(orders).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(reason) = &orders.ended {
            return Err(LineError::Stopped { reason: reason.clone() });
        }
        current.clone_from(paths);
        Ok(())
    }

    /// The table that is in.
    pub(super) fn paths(&self) -> BTreeMap<Selector, Impairment> {
        lock(&self.paths).clone()
    }

    /// Has the thread end.
    pub(super) fn stop(&self) {
        lock(&self.orders).stop = true;
        let _ = self.wake.write(1);
    }

    /// The next order, for the thread.
    pub(super) fn order(&self) -> Option<Order> {
        // Emptied first: an order that comes in between wakes the thread once more.
        let _ = self.wake.read();
        let mut orders = lock(&self.orders);
        if orders.stop {
            return Some(Order::Stop);
        }
        orders.table.take().map(Order::Replace)
    }

    /// The table ordered last is in.
    pub(super) fn done(&self) {
        let mut orders = lock(&self.orders);
        if orders.table.is_none() {
            orders.done = orders.ordered;
        }
        self.done.notify_all();
    }

    /// The thread ends.
    pub(super) fn end(&self, reason: String) {
        lock(&self.orders).ended = Some(reason);
        self.done.notify_all();
    }

    /// Keeps the last error.
    pub(super) fn fail(&self, failure: String) {
        *lock(&self.failure) = Some(failure);
    }

    /// A copy of all counters.
    pub(super) fn counters(&self) -> LineCounters {
        let numbers = &self.numbers;
        add(&numbers.dropped_capture, self.sockets.drops());
        // First, and ordered: when nothing is held, all that was held is counted as emitted or dropped.
        let held = numbers.held.load(Ordering::Acquire);
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        LineCounters {
            captured: read(&numbers.captured),
            emitted: read(&numbers.emitted),
            held,
            unmatched: read(&numbers.unmatched),
            late: read(&numbers.late),
            lost: read(&numbers.lost),
            duplicated: read(&numbers.doubled),
            dropped_memory: read(&numbers.dropped_memory),
            dropped_emit: read(&numbers.dropped_emit),
            dropped_capture: read(&numbers.dropped_capture),
            dropped_unsupported: read(&numbers.dropped_unsupported),
            niceness: numbers.niceness.load(Ordering::Relaxed),
            receive_buffer: self.receive_buffer,
            receive_sockets: self.sockets.len(),
            failure: lock(&self.failure).clone(),
        }
    }
}

/// A lock whose last holder panicked still guards plain values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
