//! Quantities with units: one-way [`Delay`], round-trip [`Rtt`], signed [`Deviation`], [`Span`], [`Moment`], [`Rate`] and [`Probability`],
//! all in integers.
//!
//! One-way delay and round-trip time are different types on purpose: an addition or comparison that mixes them
//! does not compile. Everything is integer nanoseconds, so a value survives any number of conversions unchanged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::wording::excerpt;

mod moment;
mod probability;
mod rate;

pub use moment::Moment;
pub use probability::Probability;

/// Nanoseconds in a millisecond.
const NS_PER_MS: f64 = 1_000_000.0;

/// What is wrong with the text of a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text is not a number followed by a known unit.
    #[error("`{}` is not a {what}; write a number and a unit, such as {example}", excerpt(.text))]
    Syntax {
        /// What was expected, such as "delay".
        what: &'static str,
        /// The text as given.
        text: String,
        /// A text that would have been accepted.
        example: &'static str,
    },
    /// The number is negative.
    #[error("`{}` is negative; a {what} is zero or more", excerpt(.text))]
    Negative {
        /// What was expected.
        what: &'static str,
        /// The text as given.
        text: String,
    },
    /// The number does not fit.
    #[error("`{}` is too large for a {what}", excerpt(.text))]
    TooLarge {
        /// What was expected.
        what: &'static str,
        /// The text as given.
        text: String,
    },
}

/// Defines a newtype over unsigned nanoseconds with the conversions that all of them share.
macro_rules! nanoseconds {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// From whole nanoseconds.
            pub const fn from_nanos(ns: u64) -> Self {
                Self(ns)
            }

            /// From whole microseconds.
            pub const fn from_micros(us: u64) -> Self {
                Self(us * 1_000)
            }

            /// From whole milliseconds.
            pub const fn from_millis(ms: u64) -> Self {
                Self(ms * 1_000_000)
            }

            /// From milliseconds, rounded to the nearest nanosecond; `None` when negative, not finite or over 2^53 ns.
            pub fn from_millis_f64(ms: f64) -> Option<Self> {
                let ns = (ms * NS_PER_MS).round();
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                (ns.is_finite() && (0.0..9.0e15).contains(&ns)).then_some(Self(ns as u64))
            }

            /// Whole nanoseconds.
            pub const fn as_nanos(self) -> u64 {
                self.0
            }

            /// Milliseconds, for printing and plotting.
            pub fn as_millis_f64(self) -> f64 {
                self.0 as f64 / NS_PER_MS
            }

            /// As a standard duration, for waiting.
            pub const fn as_duration(self) -> std::time::Duration {
                std::time::Duration::from_nanos(self.0)
            }
        }

        impl fmt::Display for $name {
            /// The shortest exact text: `20ms`, `1.5ms`, `250us`, `2s`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format_nanos(self.0))
            }
        }

        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                parse_nanos($what, text).map(Self)
            }
        }
    };
}

nanoseconds! {
    /// A one-way delay: what a packet takes from one node to another.
    Delay, "delay"
}

nanoseconds! {
    /// A round-trip time: there and back. Never comparable with a [`Delay`].
    Rtt, "round-trip time"
}

nanoseconds! {
    /// A span of time that is neither a delay nor a round trip: an interval, a timeout, a tolerance.
    Span, "duration"
}

impl Delay {
    /// The round trip that this delay and the one of the way back add up to.
    pub const fn round_trip(self, back: Self) -> Rtt {
        Rtt(self.0 + back.0)
    }

    /// `self` (measured) minus `intended`.
    pub fn deviation(self, intended: Self) -> Deviation {
        Deviation::between(self.0, intended.0)
    }
}

impl Rtt {
    /// The explicit split of a round trip into two equal one-way delays; an odd nanosecond goes to the first.
    pub const fn split_evenly(self) -> (Delay, Delay) {
        (Delay(self.0.div_ceil(2)), Delay(self.0 / 2))
    }

    /// `self` (measured) minus `expected`.
    pub fn deviation(self, expected: Self) -> Deviation {
        Deviation::between(self.0, expected.0)
    }
}

/// A signed difference of two delays or of two round-trip times: measured minus intended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Deviation(i64);

impl Deviation {
    fn between(measured: u64, intended: u64) -> Self {
        let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        Self(signed(measured).saturating_sub(signed(intended)))
    }

    /// From signed nanoseconds.
    pub const fn from_nanos(ns: i64) -> Self {
        Self(ns)
    }

    /// Signed nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Signed milliseconds, for printing and plotting.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / NS_PER_MS
    }

    /// The distance from zero.
    pub const fn magnitude(self) -> Span {
        Span(self.0.unsigned_abs())
    }
}

/// A data rate in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(u64);

impl Rate {
    /// From bits per second.
    pub const fn from_bits_per_second(bits: u64) -> Self {
        Self(bits)
    }

    /// From gigabits (10^9 bits) per second.
    pub const fn from_gigabits(gbit: u64) -> Self {
        Self(gbit * 1_000_000_000)
    }

    /// Bits per second.
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }

    /// Bytes per second, rounded down: the kernel's unit.
    pub const fn bytes_per_second(self) -> u64 {
        self.0 / 8
    }
}

/// Units of time that texts may carry, with their nanoseconds; longer names first where one ends another.
const TIME_UNITS: [(&str, u64); 6] =
    [("ns", 1), ("us", 1_000), ("µs", 1_000), ("ms", 1_000_000), ("min", 60_000_000_000), ("s", 1_000_000_000)];

fn format_nanos(ns: u64) -> String {
    let (unit, scale) = match ns {
        0 => return "0ms".to_owned(),
        _ if ns >= 1_000_000_000 => ("s", 1_000_000_000),
        _ if ns >= 1_000_000 => ("ms", 1_000_000),
        _ if ns >= 1_000 => ("us", 1_000),
        _ => ("ns", 1),
    };
    let (whole, rest) = (ns / scale, ns % scale);
    if rest == 0 {
        return format!("{whole}{unit}");
    }
    let digits = scale.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    format!("{whole}.{}{unit}", fraction.trim_end_matches('0'))
}

fn parse_nanos(what: &'static str, text: &str) -> Result<u64, UnitError> {
    let trimmed = text.trim();
    let syntax = || UnitError::Syntax { what, text: text.to_owned(), example: "20ms, 1.5s or 250us" };
    let (number, scale) = TIME_UNITS
        .iter()
        .find_map(|(unit, scale)| trimmed.strip_suffix(unit).map(|number| (number.trim_end(), *scale)))
        .ok_or_else(syntax)?;
    if let Some(positive) = number.strip_prefix('-') {
        return Err(match scaled_decimal(positive, scale) {
            Some(_) => UnitError::Negative { what, text: text.to_owned() },
            None => syntax(),
        });
    }
    let ns = scaled_decimal(number, scale).ok_or_else(syntax)?;
    u64::try_from(ns).map_err(|_| UnitError::TooLarge { what, text: text.to_owned() })
}

/// The decimal `number` times `scale`, exactly, rounded half up below one; `None` when it is not a plain decimal.
///
/// Public so that the matrix formats, where the unit stands once for the whole file, read numbers by the same rule.
pub fn scaled_decimal(number: &str, scale: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) || whole.len() > 18 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let kept = &fraction[..fraction.len().min(18)];
    let numerator: u128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let denominator = 10u128.pow(u32::try_from(kept.len()).ok()?);
    let scale = u128::from(scale);
    Some(whole * scale + (numerator * scale * 2 + denominator) / (2 * denominator))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_become_integer_nanoseconds() {
        for (text, ns) in [
            ("20ms", 20_000_000),
            ("1.5 ms", 1_500_000),
            ("250us", 250_000),
            ("250µs", 250_000),
            ("2s", 2_000_000_000),
            ("1min", 60_000_000_000),
            (".5ms", 500_000),
            ("0.0000005ms", 1),
            ("0.0000004ms", 0),
            ("7ns", 7),
        ] {
            assert_eq!(text.parse::<Delay>().map(Delay::as_nanos), Ok(ns), "{text}");
        }
    }

    #[test]
    fn wrong_texts_say_what_is_wrong() {
        for (text, message) in [
            ("20", "`20` is not a delay; write a number and a unit, such as 20ms, 1.5s or 250us"),
            ("ms", "`ms` is not a delay; write a number and a unit, such as 20ms, 1.5s or 250us"),
            ("1e3ms", "`1e3ms` is not a delay; write a number and a unit, such as 20ms, 1.5s or 250us"),
            ("-3ms", "`-3ms` is negative; a delay is zero or more"),
            ("99999999999999s", "`99999999999999s` is too large for a delay"),
        ] {
            assert_eq!(text.parse::<Delay>().map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }

    #[test]
    fn round_trips_split_without_losing_a_nanosecond() {
        let (there, back) = Rtt::from_nanos(7).split_evenly();
        assert_eq!((there.as_nanos(), back.as_nanos()), (4, 3));
    }

    #[test]
    fn deviations_are_signed() {
        let intended = Delay::from_millis(10);
        assert_eq!(Delay::from_millis(9).deviation(intended).as_nanos(), -1_000_000);
        assert_eq!(Delay::from_millis(9).deviation(intended).magnitude(), Span::from_millis(1));
    }

    proptest! {
        #[test]
        fn printed_delays_parse_back(ns in 0u64..100_000_000_000_000) {
            let delay = Delay::from_nanos(ns);
            prop_assert_eq!(delay.to_string().parse::<Delay>(), Ok(delay));
        }

        #[test]
        fn splits_add_up(ns in 0u64..1_000_000_000_000) {
            let (there, back) = Rtt::from_nanos(ns).split_evenly();
            prop_assert_eq!(there.round_trip(back), Rtt::from_nanos(ns));
        }
    }
}
