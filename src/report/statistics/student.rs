//! Student's t distribution for whole degrees of freedom: its closed form (Abramowitz and Stegun 26.7.3 and 26.7.4), and the
//! quantile by halving. A crate for this one function would bring a matrix library along.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// From here on the series would be long and t is the normal distribution to five digits; the degrees are taken as these.
const MANY: usize = 100_000;

/// The probability that a t-distributed value with so many degrees of freedom is at most `t`.
pub fn cumulative(t: f64, degrees: usize) -> f64 {
    let degrees = degrees.clamp(1, MANY);
    let angle = (t.abs() / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    // The share of the distribution within ±t.
    let within = if degrees % 2 == 1 {
        if degrees == 1 { FRAC_2_PI * angle } else { FRAC_2_PI * (angle + sine * series(cosine, 1, degrees - 2)) }
    } else {
        sine * series(cosine, 0, degrees - 2)
    };
    if t < 0.0 { 0.5 - within / 2.0 } else { 0.5 + within / 2.0 }
}

/// Powers of the cosine of every second degree from `first` to `last`, each with (its degree − 1) / degree of the factor
/// before: 1 + ½ cos² + (1·3)/(2·4) cos⁴ + … for even ones, cos + ⅔ cos³ + … for odd ones.
fn series(cosine: f64, first: usize, last: usize) -> f64 {
    let mut term = if first == 1 { cosine } else { 1.0 };
    let mut sum = term;
    for degree in (first + 2..=last).step_by(2) {
        term *= cosine * cosine * (degree - 1) as f64 / degree as f64;
        sum += term;
        if term < 1e-18 {
            break;
        }
    }
    sum
}

/// What a t-distributed value with so many degrees of freedom stays below in 97.5 % of cases: the factor of a two-sided 95 %
/// interval.
pub fn quantile_975(degrees: usize) -> f64 {
    // With one degree it is tan(0.475 π) = 12.7, and it falls from there on.
    let (mut low, mut high) = (1.9, (0.475 * 2.0 * FRAC_PI_2).tan() + 1e-6);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if cumulative(middle, degrees) < 0.975 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table that every textbook has (95 %, two-sided), to its three decimals.
    #[test]
    fn quantiles_are_those_of_the_table() {
        let table = [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (6, 2.447),
            (7, 2.365),
            (8, 2.306),
            (9, 2.262),
            (10, 2.228),
            (15, 2.131),
            (20, 2.086),
            (24, 2.064),
            (29, 2.045),
            (30, 2.042),
            (60, 2.000),
            (120, 1.980),
            (1_000, 1.962),
        ];
        for (degrees, expected) in table {
            let found = quantile_975(degrees);
            assert!((found - expected).abs() <= 0.000_5, "{degrees}: {found}, not {expected}");
        }
        assert!((quantile_975(1_000_000) - 1.959_96).abs() < 1e-4);
    }

    #[test]
    fn it_is_symmetric_and_one_degree_is_cauchy() {
        for t in [-3.0f64, -0.5, 0.0, 1.0, 20.0] {
            assert!((cumulative(t, 1) - (0.5 + t.atan() / std::f64::consts::PI)).abs() < 1e-12);
            for degrees in 1..40 {
                assert!((cumulative(t, degrees) + cumulative(-t, degrees) - 1.0).abs() < 1e-12);
            }
        }
    }

    /// The density (26.7.1) by its recursion-free ratio, summed over small steps: another way to the same numbers.
    #[test]
    fn the_closed_form_is_the_area_under_the_density() {
        for degrees in [2usize, 3, 5, 8, 13, 29] {
            let v = degrees as f64;
            let density = |x: f64| (1.0 + x * x / v).powf(-(v + 1.0) / 2.0);
            let area = |high: f64| {
                let steps = 20_000;
                let step = high / f64::from(steps);
                (0..steps).map(|place| density((f64::from(place) + 0.5) * step) * step).sum::<f64>()
            };
            // Everything to the right of 0 is half; the tail beyond 4,000 is too thin to see.
            let tail = |x: f64| (x / v.sqrt()).powf(-v) / v * v.sqrt();
            let half = area(40.0) + tail(40.0);
            for t in [0.3, 1.0, 2.5] {
                let expected = 0.5 + 0.5 * area(t) / half;
                assert!((cumulative(t, degrees) - expected).abs() < 2e-5, "{degrees} {t}");
            }
        }
    }
}
