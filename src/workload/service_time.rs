//! [`ServiceTime`]: how long a request keeps a core busy. Pure: drawn from a stream that is given.

use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::sim::unit_interval;
use crate::units::Span;

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
