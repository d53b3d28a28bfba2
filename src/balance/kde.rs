//! How likely a latency is to be within a bound, estimated from samples: a kernel density, integrated up to the bound.
//!
//! μ = 1/n · Σ Φ((τ − xᵢ)/h) for samples xᵢ, with the standard normal distribution Φ and the bandwidth
//! h = max(hₘᵢₙ, 0.9 · min(sd, IQR/1.34) · n^(−1/5)), Silverman's rule of thumb. Paper 004 names neither kernel nor bandwidth.

use crate::units::Span;

/// The share of latencies expected `within` a bound; `None` without samples. `ascending` are the samples, in milliseconds
/// and sorted; the bandwidth is `least` at least, and exactly that where samples do not tell (a single one, all equal).
pub(super) fn success(ascending: &[f64], within: Span, least: Span) -> Option<f64> {
    if ascending.is_empty() {
        return None;
    }
    let (bound, width) = (within.as_millis_f64(), bandwidth(ascending, least.as_millis_f64()));
    let sum: f64 = ascending.iter().map(|sample| share_below(bound - sample, width)).sum();
    Some(sum / ascending.len() as f64)
}

/// The bandwidth in milliseconds.
fn bandwidth(ascending: &[f64], least: f64) -> f64 {
    let n = ascending.len() as f64;
    let mean = ascending.iter().sum::<f64>() / n;
    let squares: f64 = ascending.iter().map(|sample| (sample - mean).powi(2)).sum();
    let deviation = if ascending.len() < 2 { 0.0 } else { (squares / (n - 1.0)).sqrt() };
    let quartiles = (percentile(ascending, 0.75) - percentile(ascending, 0.25)) / 1.34;
    // Where one of both is 0 it says that half of the samples are equal, not that all are.
    let spread = match (deviation > 0.0, quartiles > 0.0) {
        (true, true) => deviation.min(quartiles),
        (true, false) => deviation,
        (false, _) => quartiles,
    };
    // Nothing times anything: few samples, or equal ones, are common, and a power is dear.
    if spread > 0.0 { (0.9 * spread * libm::pow(n, -0.2)).max(least) } else { least }
}

/// Φ(distance/width). libm's, as it is the same on every machine; a step where there is no width.
fn share_below(distance: f64, width: f64) -> f64 {
    if width > 0.0 {
        0.5 * libm::erfc(-distance / (width * std::f64::consts::SQRT_2))
    } else {
        f64::from(u8::from(distance >= 0.0))
    }
}

/// The value below which that share of the samples lies, linearly between samples; 0 without any.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn percentile(ascending: &[f64], share: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return 0.0 };
    let rank = share.clamp(0.0, 1.0) * last as f64;
    let below = rank as usize;
    let above = ascending[(below + 1).min(last)];
    ascending[below] + (above - ascending[below]) * (rank - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mu(samples: &[f64]) -> Option<f64> {
        success(samples, Span::from_millis(80), Span::from_millis(1))
    }

    #[test]
    fn estimates_are_those_of_the_known_examples() {
        let ten = [60.0, 65.0, 70.0, 75.0, 78.0, 79.0, 81.0, 85.0, 90.0, 120.0];
        let five = [70.0, 72.0, 74.0, 76.0, 78.0];
        for (samples, expected) in
            [(&ten[..], 0.56415), (&five, 0.96536), (&[80.0], 0.5), (&[50.0], 1.0), (&[40.0; 10], 1.0)]
        {
            assert!((mu(samples).expect("samples") - expected).abs() < 5e-6, "{samples:?}: {:?}", mu(samples));
        }
        assert!((bandwidth(&ten, 1.0) - 5.40316).abs() < 5e-6);
        assert!((bandwidth(&five, 1.0) - 1.94717).abs() < 5e-6);
        assert_eq!(mu(&[]), None);
    }

    #[test]
    fn samples_that_do_not_spread_have_the_least_bandwidth() {
        for samples in [&[7.0][..], &[7.0; 5]] {
            assert!((bandwidth(samples, 1.5) - 1.5).abs() < 1e-12);
        }
        // Three quarters equal: the deviation alone tells.
        assert!(bandwidth(&[7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 90.0], 1.0) > 10.0);
        let step = |samples: &[f64]| success(samples, Span::from_millis(80), Span::ZERO);
        assert_eq!([step(&[80.0]), step(&[80.5])], [Some(1.0), Some(0.0)]);
    }

    /// Against the density summed up in small steps.
    #[test]
    fn the_estimate_is_the_area_below_the_density() {
        let samples = [30.0, 31.0, 55.0, 79.0, 83.0, 101.0];
        let width = bandwidth(&samples, 1.0);
        let density = |x: f64| {
            let bell = |sample: &f64| (-((x - sample) / width).powi(2) / 2.0).exp();
            samples.iter().map(bell).sum::<f64>() / (samples.len() as f64 * width * std::f64::consts::TAU.sqrt())
        };
        let area: f64 = (-200_000..80_000).map(|step| density((f64::from(step) + 0.5) / 1000.0) / 1000.0).sum();
        assert!((mu(&samples).expect("samples") - area).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn estimates_are_probabilities_that_grow_with_the_bound(
            mut samples in prop::collection::vec(0.0f64..1e6, 1..50),
            bound in 0u64..1_000_000,
            least in 0u64..10,
        ) {
            samples.sort_by(f64::total_cmp);
            let at = |ms| success(&samples, Span::from_millis(ms), Span::from_millis(least)).expect("samples");
            prop_assert!((0.0..=1.0).contains(&at(bound)), "{}", at(bound));
            prop_assert!(at(bound) <= at(bound + 1));
        }
    }
}
