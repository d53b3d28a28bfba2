//! [`Schedule`]: when which client sends; pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_chacha::ChaCha8Rng;

use crate::sim::Streams;
use crate::units::{Moment, Span};
use crate::workload::{Arrivals, Pace};

/// A request to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// When.
    pub at: Moment,
    /// By whom, from 0.
    pub client: u32,
    /// What it asks an instance to take for it, where that is fixed beforehand too.
    pub work: Option<Span>,
}

/// When which client sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// How many clients there are.
    pub clients: u32,
    /// What each of them sends.
    pub pace: Pace,
    /// How.
    pub arrivals: Arrivals,
    /// For how long.
    pub duration: Span,
    /// Where the dice start.
    pub seed: u64,
}

/// One client on its way through time.
struct Client {
    stream: ChaCha8Rng,
    next: Slot,
}

impl Schedule {
    /// Requests that are to be expected in all.
    pub fn expected(&self) -> f64 {
        f64::from(self.clients) * self.pace.per_second() * self.duration.as_secs_f64()
    }

    /// All requests in the order of their moments.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let Self { clients, pace, arrivals, duration, seed } = *self;
        let streams = Streams::new(seed);
        let mut clients: Vec<Client> = (0..clients)
            .map(|client| {
                let mut stream = streams.stream("client", u64::from(client));
                let at = Moment::START + arrivals.first(pace, &mut stream);
                Client { stream, next: Slot { at, client, work: None } }
            })
            .collect();
        let mut heap: BinaryHeap<Reverse<Slot>> = clients.iter().map(|client| Reverse(client.next)).collect();
        std::iter::from_fn(move || {
            let Reverse(slot) = heap.pop()?;
            let client = &mut clients[slot.client as usize];
            client.next.at += arrivals.next(pace, &mut client.stream);
            heap.push(Reverse(client.next));
            (slot.at < Moment::START + duration).then_some(slot)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn schedule(arrivals: Arrivals) -> Schedule {
        Schedule { clients: 20, pace: "50/s".parse().unwrap(), arrivals, duration: Span::from_secs(100), seed: 5 }
    }

    #[test]
    fn all_clients_send_at_their_pace_in_the_order_of_time() {
        for arrivals in [Arrivals::Fixed, Arrivals::Poisson] {
            let slots: Vec<Slot> = schedule(arrivals).slots().collect();
            assert!(slots.windows(2).all(|pair| pair[0].at <= pair[1].at));
            assert!(slots.last().unwrap().at < Moment::from_millis(100_000));
            assert!((slots.len() as f64 - 100_000.0).abs() < 1_500.0, "{}", slots.len());
            let own = slots.iter().filter(|slot| slot.client == 3).count();
            assert!((4_700..5_300).contains(&own), "{own}");
        }
    }

    #[test]
    fn fixed_arrivals_of_a_client_are_even_and_clients_do_not_send_together() {
        let slots: Vec<Slot> = schedule(Arrivals::Fixed).slots().collect();
        let own: Vec<Moment> = slots.iter().filter(|slot| slot.client == 3).map(|slot| slot.at).collect();
        assert!(own.windows(2).all(|pair| pair[1].since(pair[0]) == Span::from_millis(20)));
        let firsts: std::collections::BTreeSet<Moment> = slots[..20].iter().map(|slot| slot.at).collect();
        assert_eq!(firsts.len(), 20);
    }

    #[test]
    fn schedules_repeat_with_their_seed() {
        let schedule = schedule(Arrivals::Poisson);
        let slots = |schedule: Schedule| schedule.slots().take(500).collect::<Vec<_>>();
        assert_eq!(slots(schedule), slots(schedule));
        assert_ne!(slots(schedule), slots(Schedule { seed: 6, ..schedule }));
    }
}
