//! [`ServiceTime`]: how long requests take; pure.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

use crate::units::{Span, UnitError};
use crate::wording::excerpt;

/// The longest mean.
const MAX_MEAN: Span = Span::from_secs(60);

/// What requests take of a core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ServiceTime {
    /// All the same.
    Fixed(Span),
    /// Log-normal, by what the times themselves have, not their logarithms.
    LogNormal {
        /// The mean of the times.
        mean: Span,
        /// Their standard deviation, as a share of their mean.
        cv: f64,
    },
}

/// What is wrong with the text of a service time.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ServiceTimeError {
    /// It has another form.
    #[error("`{}` is no service time; write 5ms, or lognormal:5.5ms:0.35 for a mean and its coefficient of variation", excerpt(.0))]
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

    /// `5ms`, or `lognormal:MEAN:CV`.
    fn from_str(text: &str) -> Result<Self, ServiceTimeError> {
        let parts: Vec<&str> = text.split(':').collect();
        let time = match parts.as_slice() {
            [fixed] | ["fixed", fixed] => Self::Fixed(fixed.parse()?),
            ["lognormal", mean, cv] => {
                let parsed = cv.parse().ok().filter(|cv| (0.0..=10.0).contains(cv));
                let cv = parsed.ok_or_else(|| ServiceTimeError::Variation((*cv).to_owned()))?;
                Self::LogNormal { mean: mean.parse()?, cv }
            }
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
        }
    }
}

impl ServiceTime {
    /// What a request takes on average.
    pub const fn mean(&self) -> Span {
        match self {
            Self::Fixed(span) | Self::LogNormal { mean: span, .. } => *span,
        }
    }

    /// The next request's.
    pub fn draw(&self, stream: &mut ChaCha8Rng) -> Span {
        match self {
            Self::Fixed(span) => *span,
            Self::LogNormal { mean, cv } => {
                // Only a mean of zero has none: nothing takes nothing.
                LogNormal::from_mean_cv(mean.as_millis_f64(), *cv)
                    .ok()
                    .and_then(|times| Span::from_millis_f64(times.sample(stream)))
                    .unwrap_or(*mean)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sim::Streams;

    #[test]
    fn texts_are_read_and_printed() {
        for text in ["5ms", "250us", "lognormal:5.5ms:0.35"] {
            assert_eq!(text.parse::<ServiceTime>().unwrap().to_string(), text);
        }
        for (text, message) in [
            ("5", "`5` is not a duration; write a number and a unit, such as 20ms, 1.5s or 250us"),
            ("lognormal:5ms:-1", "`-1` is no coefficient of variation; write a number from 0 to 10"),
            ("lognormal:5ms:nan", "`nan` is no coefficient of variation; write a number from 0 to 10"),
            ("2min", "a service time of 120s on average is too long; at most 60s"),
            (
                "gamma:1:2",
                "`gamma:1:2` is no service time; write 5ms, or lognormal:5.5ms:0.35 for a mean and its coefficient of variation",
            ),
        ] {
            assert_eq!(text.parse::<ServiceTime>().map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }

    /// Mean and deviation are those of the times; their logarithms have others.
    #[test]
    fn drawn_times_have_the_mean_and_the_variation() {
        let time: ServiceTime = "lognormal:5.5ms:0.35".parse().unwrap();
        let mut stream = Streams::new(3).stream("service", 0);
        let times: Vec<f64> = (0..200_000).map(|_| time.draw(&mut stream).as_millis_f64()).collect();
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / times.len() as f64;
        assert!((mean - 5.5).abs() < 0.02, "{mean}");
        assert!((variance.sqrt() / mean - 0.35).abs() < 0.005, "{}", variance.sqrt() / mean);
        let mut again = Streams::new(3).stream("service", 0);
        assert!(times.iter().take(100).all(|first| (time.draw(&mut again).as_millis_f64() - first).abs() < 1e-9));
    }
}
