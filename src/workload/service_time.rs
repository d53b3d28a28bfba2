//! [`ServiceTime`]: how long a request keeps a core busy. Pure: drawn from a stream that is given.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::sim::unit_interval;
use crate::units::{Span, UnitError};
use crate::wording::excerpt;

/// The longest mean that a text may give.
const MAX_MEAN: Span = Span::from_secs(60);

/// How long a request keeps a core busy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ServiceTime {
    /// Always the same.
    Fixed(Span),
    /// Logarithms are normal; of the times themselves, mean and coefficient of variation (deviation / mean).
    LogNormal {
        /// The mean of the times, not of their logarithms.
        mean: Span,
        /// Their standard deviation as a part of the mean.
        cv: f64,
    },
    /// Exponential with this mean.
    Exponential(Span),
}

/// What is wrong with the text of a service time.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ServiceTimeError {
    /// It has another form.
    #[error(
        "`{}` is no service time; write 5ms, lognormal:5.5ms:0.35 (mean and coefficient of variation) or exponential:5ms",
        excerpt(.0)
    )]
    Form(String),
    /// A time that is none.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// Too long.
    #[error("a service time of {0} on average is too long; at most 60s")]
    Long(Span),
    /// A variation that is none.
    #[error("`{}` is no coefficient of variation; write a number from 0 to 10", excerpt(.0))]
    Variation(String),
}

impl FromStr for ServiceTime {
    type Err = ServiceTimeError;

    /// `5ms`, `lognormal:MEAN:CV` or `exponential:MEAN`.
    fn from_str(text: &str) -> Result<Self, ServiceTimeError> {
        let parts: Vec<&str> = text.split(':').collect();
        let time = match parts.as_slice() {
            [fixed] | ["fixed", fixed] => Self::Fixed(fixed.parse()?),
            ["lognormal", mean, cv] => {
                let parsed = cv.parse().ok().filter(|cv| (0.0..=10.0).contains(cv));
                let cv = parsed.ok_or_else(|| ServiceTimeError::Variation((*cv).to_owned()))?;
                Self::LogNormal { mean: mean.parse()?, cv }
            }
            ["exponential", mean] => Self::Exponential(mean.parse()?),
            _ => return Err(ServiceTimeError::Form(text.to_owned())),
        };
        if time.mean() > MAX_MEAN { Err(ServiceTimeError::Long(time.mean())) } else { Ok(time) }
    }
}

impl fmt::Display for ServiceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(span) => span.fmt(f),
            Self::LogNormal { mean, cv } => write!(f, "lognormal:{mean}:{cv}"),
            Self::Exponential(mean) => write!(f, "exponential:{mean}"),
        }
    }
}

impl ServiceTime {
    /// The mean.
    pub const fn mean(self) -> Span {
        match self {
            Self::Fixed(mean) | Self::LogNormal { mean, .. } | Self::Exponential(mean) => mean,
        }
    }

    /// The time of the next request.
    pub fn draw(self, dice: &mut ChaCha8Rng) -> Span {
        let factor = match self {
            Self::Fixed(time) => return time,
            // With σ² = ln(1 + cv²) and μ = ln(mean) − σ²/2 the mean is right.
            Self::LogNormal { cv, .. } => {
                let variance = (cv * cv).ln_1p();
                (standard_normal(dice) * variance.sqrt() - variance / 2.0).exp()
            }
            Self::Exponential(_) => -(1.0 - unit_interval(dice)).ln(),
        };
        Span::from_millis_f64(self.mean().as_millis_f64() * factor).unwrap_or(self.mean())
    }
}

/// A draw from N(0, 1), by the Box–Muller transform: spelled out so that it never changes with a library's version.
fn standard_normal(dice: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - unit_interval(dice), unit_interval(dice));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Streams;

    #[test]
    fn texts_are_read_and_printed() {
        for text in ["5ms", "250us", "lognormal:5.5ms:0.35", "exponential:1s"] {
            assert_eq!(text.parse::<ServiceTime>().map(|time| time.to_string()), Ok(text.to_owned()));
        }
        for (text, message) in [
            ("5", "`5` is not a duration; write a number and a unit, such as 20ms, 1.5s or 250us"),
            ("lognormal:5ms:-1", "`-1` is no coefficient of variation; write a number from 0 to 10"),
            ("lognormal:5ms:nan", "`nan` is no coefficient of variation; write a number from 0 to 10"),
            ("2min", "a service time of 120s on average is too long; at most 60s"),
            (
                "gamma:1:2",
                "`gamma:1:2` is no service time; write 5ms, lognormal:5.5ms:0.35 (mean and coefficient of variation) or \
                 exponential:5ms",
            ),
        ] {
            assert_eq!(text.parse::<ServiceTime>().map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }

    /// Mean and coefficient of variation of many draws, which have a standard error of cv / √n.
    #[test]
    fn drawn_times_have_the_mean_and_the_variation_asked_for() {
        let mean = Span::from_micros(5_500);
        for (model, cv) in [
            (ServiceTime::Fixed(mean), 0.0),
            (ServiceTime::LogNormal { mean, cv: 0.35 }, 0.35),
            (ServiceTime::Exponential(mean), 1.0),
        ] {
            let mut dice = Streams::new(4).stream("service", 0);
            let draws: Vec<f64> = (0..100_000).map(|_| model.draw(&mut dice).as_millis_f64()).collect();
            let average = draws.iter().sum::<f64>() / 1e5;
            let variance = draws.iter().map(|draw| (draw - average).powi(2)).sum::<f64>() / 1e5;
            assert!((average - 5.5).abs() < 5.5 * 0.015, "{model:?}: {average}");
            assert!((variance.sqrt() / average - cv).abs() < 0.02, "{model:?}: {variance}");
        }
    }
}
