//! Pure: which packets are held, until when, and in which order they leave.
//!
//! Packets leave in the order of their due times, and those of one path in the order of their capture stamps, whatever
//! the order in which they were offered: several capture queues are merged in here. A table can be replaced while
//! packets are held; those keep their due time, and no later packet of an overlapping prefix overtakes them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::IpAddr;

use super::moment::Moment;
use super::paths::Paths;
use crate::units::Delay;

/// A packet that was captured.
#[derive(Debug)]
pub(super) struct Arrival<T> {
    /// When the kernel saw it.
    pub(super) stamp: Moment,
    /// Where it goes; `None` when it is no IP packet.
    pub(super) destination: Option<IpAddr>,
    /// What it occupies while it is held, in bytes.
    pub(super) size: usize,
    /// The packet itself.
    pub(super) packet: T,
}

/// A packet and when it is to leave.
#[derive(Debug)]
pub(super) struct Held<T> {
    /// When it is to leave, never before its stamp plus the delay of its path.
    pub(super) due: Moment,
    stamp: Moment,
    sequence: u64,
    /// What it occupies, in bytes.
    pub(super) size: usize,
    /// The packet itself.
    pub(super) packet: T,
}

/// What became of an offered packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// It is held for the delay of its path.
    Held,
    /// No prefix holds its destination: it leaves at once.
    Unmatched,
    /// The memory is used up: it is gone.
    Dropped,
}

/// The packets that are held, and the table that says for how long.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    paths: Paths,
    /// Per path: no packet offered from now on leaves before this.
    floors: Vec<Moment>,
    /// Per path: the latest due time so far.
    latest: Vec<Moment>,
    heap: BinaryHeap<Held<T>>,
    sequence: u64,
    bytes: usize,
    memory: usize,
}

impl<T> Schedule<T> {
    /// An empty schedule that holds at most `memory` bytes.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            paths: Paths::default(),
            floors: Vec::new(),
            latest: Vec::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            bytes: 0,
            memory,
        }
    }

    /// Takes a packet in.
    pub(super) fn offer(&mut self, arrival: Arrival<T>) -> Offered {
        if self.bytes + arrival.size > self.memory {
            return Offered::Dropped;
        }
        let path = arrival.destination.and_then(|address| self.paths.lookup(address));
        let (due, offered) = match path {
            Some(path) => {
                let due = arrival.stamp.after(self.paths.delay(path)).max(self.floors[path]);
                self.latest[path] = self.latest[path].max(due);
                (due, Offered::Held)
            }
            None => (arrival.stamp, Offered::Unmatched),
        };
        self.bytes += arrival.size;
        self.sequence += 1;
        let (stamp, sequence) = (arrival.stamp, self.sequence);
        self.heap.push(Held { due, stamp, sequence, size: arrival.size, packet: arrival.packet });
        offered
    }

    /// Replaces the table. Packets that are held keep their due time.
    pub(super) fn replace(&mut self, paths: Paths) {
        let floors: Vec<Moment> = (0..paths.len())
            .map(|path| {
                let before = self.paths.overlapping(&paths, path).map(|old| self.latest[old].max(self.floors[old]));
                before.max().unwrap_or(Moment::START)
            })
            .collect();
        self.latest = vec![Moment::START; floors.len()];
        self.floors = floors;
        self.paths = paths;
    }

    /// When the next packet is to leave; `None` when none is held.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.heap.peek().map(|held| held.due)
    }

    /// The next packet whose time has come. Packets that were captured after `complete` have to wait, because older
    /// ones may not have been offered yet.
    pub(super) fn pop_due(&mut self, now: Moment, complete: Moment) -> Option<Held<T>> {
        let next = self.heap.peek()?;
        if next.due > now || next.stamp > complete {
            return None;
        }
        let held = self.heap.pop()?;
        self.bytes -= held.size;
        Some(held)
    }

    /// How many packets are held.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The shortest delay of the table; `None` when it is empty.
    pub(super) fn shortest_delay(&self) -> Option<Delay> {
        self.paths.shortest()
    }

    /// Gives memory back that a burst has needed.
    pub(super) fn shrink(&mut self) {
        if self.heap.capacity() > 1024 && self.heap.len() < self.heap.capacity() / 8 {
            self.heap.shrink_to(self.heap.len() * 2);
        }
    }
}

impl<T> Held<T> {
    fn key(&self) -> (Moment, Moment, u64) {
        (self.due, self.stamp, self.sequence)
    }
}

/// Reversed, because the heap of the standard library hands out the greatest first.
impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Held<T> {}

#[cfg(test)]
mod tests;
