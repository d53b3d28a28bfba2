//! The queue of events: what happens next, and when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::units::{Moment, Span};

/// Events to come. The clock stands at the moment of the last one taken.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Planned<E>>,
    now: Moment,
    planned: u64,
    taken: u64,
}

/// An event with its moment and its place among those of the same moment.
#[derive(Debug)]
struct Planned<E> {
    at: Moment,
    place: u64,
    event: E,
}

impl<E> Queue<E> {
    /// Nothing to come; the clock at the start.
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), now: Moment::START, planned: 0, taken: 0 }
    }

    /// The moment of the last event taken.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// How many events have been taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Plans an event; for a moment that has passed it comes next.
    pub fn at(&mut self, at: Moment, event: E) {
        let place = self.planned;
        self.planned += 1;
        self.heap.push(Planned { at: at.max(self.now), place, event });
    }

    /// Plans an event so long from now.
    pub fn after(&mut self, span: Span, event: E) {
        self.at(self.now + span, event);
    }

    /// The next event, unless it lies after `end`; the clock goes to its moment.
    pub fn next_until(&mut self, end: Moment) -> Option<(Moment, E)> {
        if self.heap.peek().is_none_or(|next| next.at > end) {
            return None;
        }
        let Planned { at, event, .. } = self.heap.pop()?;
        self.now = at;
        self.taken += 1;
        Some((at, event))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// The heap gives out its greatest first: the earliest, and of those the one planned first.
impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.place).cmp(&(self.at, self.place))
    }
}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E> Eq for Planned<E> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const END: Moment = Moment::from_nanos(u64::MAX);

    #[test]
    fn what_is_planned_for_the_past_comes_next() {
        let mut queue = Queue::new();
        queue.at(Moment::from_millis(5), "later");
        assert_eq!(queue.next_until(END), Some((Moment::from_millis(5), "later")));
        queue.after(Span::from_millis(1), "after");
        queue.at(Moment::from_millis(2), "late");
        assert_eq!(queue.next_until(END), Some((Moment::from_millis(5), "late")));
        assert_eq!(queue.next_until(Moment::from_millis(5)), None);
        assert_eq!(queue.next_until(END), Some((Moment::from_millis(6), "after")));
        assert_eq!(queue.taken(), 3);
    }

    proptest! {
        /// A stable sort by moment is the same order.
        #[test]
        fn events_come_by_moment_then_by_planning(moments in prop::collection::vec(0u64..20, 0..200)) {
            let mut queue = Queue::new();
            for (place, moment) in moments.iter().enumerate() {
                queue.at(Moment::from_nanos(*moment), place);
            }
            let mut expected: Vec<(Moment, usize)> =
                moments.iter().enumerate().map(|(place, moment)| (Moment::from_nanos(*moment), place)).collect();
            expected.sort_by_key(|(moment, _)| *moment);
            let came: Vec<_> = std::iter::from_fn(|| queue.next_until(END)).collect();
            prop_assert_eq!(came, expected);
        }
    }
}
