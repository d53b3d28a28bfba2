//! [`Schedule`]: when which client sends; pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;

use crate::sim::{Streams, unit_interval};
use crate::units::{Moment, Span};
use crate::wording::excerpt;

/// Requests per second; more than none, at most a million.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Pace(f64);

/// What is no pace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no number of requests per second; write a number above 0 and up to 1000000, such as 10/s", excerpt(.0))]
pub struct PaceError(String);

impl Pace {
    /// Requests per second.
    pub const fn per_second(self) -> f64 {
        self.0
    }

    /// Between two requests on average.
    fn interval_ns(self) -> f64 {
        1e9 / self.0
    }
}

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        let number = text.trim();
        let number = number.strip_suffix("/s").unwrap_or(number).trim_end();
        let parsed = number.parse().ok().filter(|pace| (1e-6..=1e6).contains(pace));
        parsed.map(Self).ok_or_else(|| PaceError(text.to_owned()))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// How a client's requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// At even distances; the clients take turns.
    Fixed,
    /// With exponential distances, independent of each other.
    Poisson,
}

/// A request to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// When.
    pub at: Moment,
    /// By whom, from 0.
    pub client: u32,
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
    sent: u64,
    /// Nanoseconds, with their parts, so that rounding never adds up.
    at: f64,
}

impl Schedule {
    /// Requests that are to be expected in all.
    pub fn expected(&self) -> f64 {
        f64::from(self.clients) * self.pace.per_second() * self.duration.as_secs_f64()
    }

    /// All requests in the order of their moments.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let schedule = *self;
        let streams = Streams::new(self.seed);
        let mut clients: Vec<Client> = (0..u64::from(self.clients))
            .map(|client| Client { stream: streams.stream("client", client), sent: 0, at: 0.0 })
            .collect();
        let mut heap: BinaryHeap<Reverse<Slot>> =
            (0..self.clients).map(|client| Reverse(schedule.next(client, &mut clients[client as usize]))).collect();
        std::iter::from_fn(move || {
            let Reverse(slot) = heap.pop()?;
            heap.push(Reverse(schedule.next(slot.client, &mut clients[slot.client as usize])));
            (slot.at < Moment::START + schedule.duration).then_some(slot)
        })
    }

    fn next(&self, number: u32, client: &mut Client) -> Slot {
        let interval = self.pace.interval_ns();
        match self.arrivals {
            Arrivals::Fixed => {
                let turn = interval * f64::from(number) / f64::from(self.clients);
                client.at = turn + interval * client.sent as f64;
            }
            Arrivals::Poisson => client.at -= (1.0 - unit_interval(&mut client.stream)).ln() * interval,
        }
        client.sent += 1;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is positive, and saturates.
        Slot { at: Moment::from_nanos(client.at as u64), client: number }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn schedule(arrivals: Arrivals, clients: u32, pace: &str) -> Schedule {
        Schedule { clients, pace: pace.parse().unwrap(), arrivals, duration: Span::from_secs(100), seed: 5 }
    }

    #[test]
    fn fixed_arrivals_are_even_and_clients_take_turns() {
        let slots: Vec<Slot> = schedule(Arrivals::Fixed, 4, "10/s").slots().take(6).collect();
        let expected = [(0, 0), (25, 1), (50, 2), (75, 3), (100, 0), (125, 1)];
        assert_eq!(slots, expected.map(|(ms, client)| Slot { at: Moment::from_millis(ms), client }));
        assert_eq!(schedule(Arrivals::Fixed, 4, "10/s").slots().count(), 4_000);
        // A third of a second has no end in nanoseconds; after a hundred of them it is still on time.
        let third = schedule(Arrivals::Fixed, 1, "3/s").slots().nth(299).unwrap();
        assert_eq!(third.at.as_nanos(), 99_666_666_666);
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_their_kind_and_repeat() {
        let schedule = schedule(Arrivals::Poisson, 20, "50/s");
        let slots: Vec<Slot> = schedule.slots().collect();
        assert!(slots.windows(2).all(|pair| pair[0].at <= pair[1].at));
        assert!((slots.len() as f64 - 100_000.0).abs() < 1_500.0, "{}", slots.len());
        // Gaps of one client: mean and deviation are equal.
        let own: Vec<f64> = slots.iter().filter(|slot| slot.client == 3).map(|slot| slot.at.as_secs_f64()).collect();
        let gaps: Vec<f64> = own.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((mean - 0.02).abs() < 0.001 && (deviation / mean - 1.0).abs() < 0.06, "{mean} {deviation}");
        assert_eq!(schedule.slots().take(500).collect::<Vec<_>>(), slots[..500]);
        let other = Schedule { seed: 6, ..schedule };
        assert_ne!(other.slots().next(), Some(slots[0]));
    }

    #[test]
    fn paces_are_read() {
        for (text, pace) in [("10/s", 10.0), ("0.5", 0.5), (" 3 /s", 3.0)] {
            assert!((text.parse::<Pace>().unwrap().per_second() - pace).abs() < 1e-12);
        }
        for text in ["0", "-1/s", "ten", "nan", "inf", "2e6/s", ""] {
            assert!(text.parse::<Pace>().is_err(), "{text}");
        }
    }
}
