//! [`Arrivals`]: when the requests of a client come. Pure: drawn from a stream that is given.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};

use crate::sim::unit_interval;
use crate::units::Span;
use crate::wording::excerpt;

/// How many requests a client sends, as the time between two in the mean; written `10/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pace(Span);

/// A text that is no pace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a pace of requests; write a number from 0.001 to 1000000 and /s, such as 10/s", excerpt(.0))]
pub struct PaceError(String);

impl Pace {
    /// The mean time between two requests.
    pub const fn interval(self) -> Span {
        self.0
    }

    /// Requests in a second, for computing with shares of it.
    pub fn per_second(self) -> f64 {
        1e9 / self.0.as_nanos() as f64
    }
}

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        let number = text.trim().strip_suffix("/s").and_then(|number| number.trim_end().parse::<f64>().ok());
        let per_second = number.filter(|number| (0.001..=1e6).contains(number));
        let interval = per_second.and_then(|number| Span::from_millis_f64(1_000.0 / number));
        interval.map(Self).ok_or_else(|| PaceError(text.to_owned()))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // To the millionth: 3/s is 333,333,333 ns and still reads as 3.
        let rounded = (self.per_second() * 1e6).round() / 1e6;
        write!(f, "{rounded}/s")
    }
}

impl Serialize for Pace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// When the requests of a client come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Arrivals {
    /// At even distances, from a random point of the first on.
    Fixed,
    /// Independent of each other: exponential distances.
    Poisson,
}

impl Arrivals {
    /// How long after a client's start its first request comes.
    pub fn first(self, pace: Pace, dice: &mut ChaCha8Rng) -> Span {
        match self {
            Self::Fixed => scaled(pace, unit_interval(dice)),
            Self::Poisson => self.next(pace, dice),
        }
    }

    /// How long after a request the next one comes.
    pub fn next(self, pace: Pace, dice: &mut ChaCha8Rng) -> Span {
        match self {
            Self::Fixed => pace.interval(),
            Self::Poisson => scaled(pace, -(1.0 - unit_interval(dice)).ln()),
        }
    }
}

fn scaled(pace: Pace, factor: f64) -> Span {
    Span::from_millis_f64(pace.interval().as_millis_f64() * factor).unwrap_or(pace.interval())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Streams;

    #[test]
    fn paces_are_read_and_written() {
        for (text, interval) in [("10/s", 100_000_000), ("3 /s", 333_333_333), ("0.5/s", 2_000_000_000)] {
            let pace: Pace = text.parse().expect("a pace");
            assert_eq!(pace.interval().as_nanos(), interval);
            assert_eq!(pace.to_string(), text.replace(' ', ""));
        }
        for text in ["10", "0/s", "-1/s", "nan/s", "2000000/s"] {
            let refusal = format!(
                "`{text}` is not a pace of requests; write a number from 0.001 to 1000000 and /s, such as 10/s"
            );
            assert_eq!(text.parse::<Pace>().map_err(|error| error.to_string()), Err(refusal));
        }
    }

    /// The count of Poisson arrivals has the variance of its mean, that of fixed ones almost none.
    #[test]
    fn both_come_at_the_pace_and_only_one_is_irregular() {
        let pace: Pace = "100/s".parse().expect("a pace");
        for (arrivals, least, most) in [(Arrivals::Fixed, 0.0, 0.01), (Arrivals::Poisson, 0.8, 1.2)] {
            let counts: Vec<f64> = (0..2_000)
                .map(|client| {
                    let mut dice = Streams::new(1).stream("client", client);
                    let (mut at, mut count) = (arrivals.first(pace, &mut dice), 0.0);
                    while at < Span::from_secs(1) {
                        count += 1.0;
                        at = at + arrivals.next(pace, &mut dice);
                    }
                    count
                })
                .collect();
            let mean = counts.iter().sum::<f64>() / 2e3;
            let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 2e3;
            assert!((mean - 100.0).abs() < 1.0, "{arrivals:?}: {mean}");
            assert!((least..=most).contains(&(variance / mean)), "{arrivals:?}: {variance}");
        }
    }
}
