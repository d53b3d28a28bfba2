//! Pure: which packets are held, until when, and in which order they leave.
//!
//! Packets leave in the order of their due times, and those of one path in the order of their capture stamps, whatever
//! the order in which they were offered: several capture queues are merged in here. A table can be replaced while
//! packets are held; those keep their due time, and no later packet that would have met the same path overtakes them. On paths with
//! jitter or reordering packets do overtake each other; what becomes of them is decided by their [`Lane`].

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::fate::{Fate, Lane};
use super::frame::Flow;
use super::moment::Moment;
use super::paths::{PathIndex, Paths};
use crate::shaping::{Damage, Impairment};
use crate::units::Delay;

/// What is held: copied, damaged and weighed here, otherwise left alone.
pub(super) trait Cargo: Sized {
    /// Its length on the line, in bytes.
    fn length(&self) -> usize;

    /// Another one like it.
    fn copy(&self) -> Self;

    /// It with one bit flipped; `None` when nobody would take it then.
    fn damaged(self, damage: Damage) -> Option<Self>;
}

/// A packet that was captured.
#[derive(Debug)]
pub(super) struct Arrival<T> {
    /// When the kernel saw it.
    pub(super) stamp: Moment,
    /// What decides its path; `None` when it is no IP packet.
    pub(super) flow: Option<Flow>,
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
    /// Its place in the queue of its lane.
    _place: Option<Arc<()>>,
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
    /// No path means it, or it is to be left alone: it leaves at once.
    Unmatched,
    /// The memory is used up, or the queue of its path: it is gone.
    Dropped,
    /// It is gone, as its path demands.
    Lost,
    /// It is held, and so is a copy of it.
    Doubled,
}

/// The packets that are held, and the table that says for how long.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    paths: Paths,
    /// Dice and bottlenecks, one per distinct impairment that needs them.
    lanes: Vec<Lane>,
    /// Per path: its lane.
    lane_of: Vec<Option<usize>>,
    /// Starts the dice that have no seed.
    chance: u64,
    /// Per path: no packet offered from now on leaves before this.
    floors: Vec<Moment>,
    /// Per path: the latest due time so far.
    latest: Vec<Moment>,
    heap: BinaryHeap<Held<T>>,
    sequence: u64,
    bytes: usize,
    memory: usize,
}

impl<T: Cargo> Schedule<T> {
    /// An empty schedule that holds at most `memory` bytes; `chance` starts the dice that have no seed.
    pub(super) fn new(memory: usize, chance: u64) -> Self {
        Self {
            paths: Paths::default(),
            lanes: Vec::new(),
            lane_of: Vec::new(),
            chance,
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
        let path = arrival.flow.and_then(|flow| self.paths.lookup(&flow));
        let Some(path) = path else {
            let due = arrival.stamp;
            self.hold(arrival, due, None);
            return Offered::Unmatched;
        };
        if let Some(lane) = self.lane_of[path] {
            return self.roll(arrival, path, lane);
        }
        let due = self.in_order(path, arrival.stamp.after(self.paths.delay(path)));
        self.hold(arrival, due, None);
        Offered::Held
    }

    /// Not before what an earlier table has promised to older packets.
    fn in_order(&mut self, path: PathIndex, due: Moment) -> Moment {
        let due = due.max(self.floors[path]);
        self.latest[path] = self.latest[path].max(due);
        due
    }

    /// Takes a packet in as the dice fall.
    fn roll(&mut self, arrival: Arrival<T>, path: PathIndex, lane: usize) -> Offered {
        let (fate, copy) = self.lanes[lane].decide(arrival.stamp, arrival.packet.length());
        let room = self.bytes + 2 * arrival.size <= self.memory;
        let double = copy.filter(|_| room).and_then(|fate| {
            let copy = Arrival { packet: arrival.packet.copy(), ..arrival };
            (self.take(copy, path, fate) == Offered::Held).then_some(())
        });
        match (self.take(arrival, path, fate), double) {
            (Offered::Held, Some(())) => Offered::Doubled,
            // One of the two is there.
            (_, Some(())) => Offered::Held,
            (offered, None) => offered,
        }
    }

    fn take(&mut self, arrival: Arrival<T>, path: PathIndex, fate: Fate) -> Offered {
        let Fate::Leaves { due, damage, place } = fate else {
            return if fate == Fate::Lost { Offered::Lost } else { Offered::Dropped };
        };
        let packet = match damage {
            Some(damage) => arrival.packet.damaged(damage),
            None => Some(arrival.packet),
        };
        let Some(packet) = packet else { return Offered::Lost };
        let due = self.in_order(path, due);
        self.hold(Arrival { packet, ..arrival }, due, Some(place));
        Offered::Held
    }

    fn hold(&mut self, arrival: Arrival<T>, due: Moment, place: Option<Arc<()>>) {
        let Arrival { stamp, size, packet, .. } = arrival;
        self.bytes += size;
        self.sequence += 1;
        self.heap.push(Held { due, stamp, sequence: self.sequence, _place: place, size, packet });
    }

    /// Replaces the table. Packets that are held keep their due time.
    pub(super) fn replace(&mut self, paths: Paths) {
        let mut floors = vec![Moment::START; paths.len()];
        for (old, new) in paths.inherited(&self.paths) {
            floors[new] = floors[new].max(self.latest[old]).max(self.floors[old]);
        }
        self.latest = vec![Moment::START; floors.len()];
        self.floors = floors;
        self.paths = paths;
        self.set_lanes();
    }

    /// Lanes for the table that is in; a lane whose impairment stays goes on where it is.
    fn set_lanes(&mut self) {
        let mut before = std::mem::take(&mut self.lanes);
        let mut places: HashMap<Impairment, usize> = HashMap::new();
        self.lane_of = (0..self.paths.len())
            .map(|path| {
                let impairment = self.paths.impairment(path).filter(Impairment::has_memory)?;
                Some(*places.entry(impairment).or_insert_with(|| {
                    let kept = before.iter().position(|lane| *lane.impairment() == impairment);
                    self.chance = self.chance.wrapping_add(1);
                    self.lanes.push(match kept {
                        Some(place) => before.swap_remove(place),
                        None => Lane::new(impairment, self.chance),
                    });
                    self.lanes.len() - 1
                }))
            })
            .collect();
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
