//! [`Station`]: the cores of a service and the queue before them; pure.

use rand_chacha::ChaCha8Rng;

use crate::sim::Fifo;
use crate::units::{Moment, Span};
use crate::workload::ServiceTime;

/// The queue has no place left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct Full;

/// Cores that take requests in the order of their coming, with a bounded queue.
#[derive(Debug)]
pub struct Station {
    fifo: Fifo,
    time: ServiceTime,
    stream: ChaCha8Rng,
    /// The most requests at a time, waiting and served.
    places: usize,
    taken: usize,
}

impl Station {
    /// Empty; `queue` requests may wait beside those on the cores.
    pub fn new(cores: usize, queue: usize, time: ServiceTime, stream: ChaCha8Rng) -> Self {
        Self { fifo: Fifo::new(cores), time, stream, places: cores.max(1).saturating_add(queue), taken: 0 }
    }

    /// A request comes; when it will be done, and what it takes of a core: what it has `asked` for, or what is drawn. The same
    /// requests draw the same times, refused ones none.
    pub fn arrive(&mut self, now: Moment, asked: Option<Span>) -> Result<(Moment, Span), Full> {
        if self.taken >= self.places {
            return Err(Full);
        }
        self.taken += 1;
        let work = asked.unwrap_or_else(|| self.time.draw(&mut self.stream));
        Ok((self.fifo.take(now, work), work))
    }

    /// A request that had come has its answer.
    pub fn leave(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// Requests that wait or are served.
    pub fn taken(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sim::Streams;

    fn station(cores: usize, queue: usize) -> Station {
        let time = ServiceTime::Fixed(Span::from_millis(10));
        Station::new(cores, queue, time, Streams::new(1).stream("service", 0))
    }

    #[test]
    fn requests_wait_for_a_core_in_their_order() {
        let mut one = station(1, 10);
        let done = [0, 1, 2, 40].map(|ms| one.arrive(Moment::from_millis(ms), None).unwrap().0);
        assert_eq!(done, [10, 20, 30, 50].map(Moment::from_millis));
        let mut two = station(2, 10);
        let done = [0, 1, 2, 40].map(|ms| two.arrive(Moment::from_millis(ms), None).unwrap().0);
        assert_eq!(done, [10, 11, 20, 50].map(Moment::from_millis));
    }

    #[test]
    fn a_full_queue_refuses_and_forgets_those_that_it_refused() {
        let mut station = station(1, 1);
        assert!(station.arrive(Moment::START, None).is_ok() && station.arrive(Moment::START, None).is_ok());
        assert_eq!(station.arrive(Moment::START, None), Err(Full));
        station.leave();
        assert_eq!(station.arrive(Moment::from_millis(10), None).unwrap().0, Moment::from_millis(30));
        assert_eq!(station.taken(), 2);
    }
}
