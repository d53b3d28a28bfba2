//! Numbers that stand for many: mean with a confidence interval, quantiles for boxes. Values in, values out.

mod paired;
mod student;

pub use paired::{Cells, interval_words};
pub use student::{cumulative, quantile_975};

/// A mean and how exactly it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with n − 1 below; 0 for a single value.
    pub sd: f64,
    /// Half of the 95 % confidence interval of the mean by Student's t; `None` for a single value, which says nothing of
    /// how much values differ.
    pub half: Option<f64>,
}

impl Estimate {
    /// From values that are independent of each other; `None` where there are none. Values that are not finite are left out.
    pub fn of(values: &[f64]) -> Option<Self> {
        let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        if n == 1 {
            return Some(Self { n, mean, sd: 0.0, half: None });
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let sd = (squares / (n - 1) as f64).sqrt();
        let half = quantile_975(n - 1) * sd / (n as f64).sqrt();
        Some(Self { n, mean, sd, half: Some(half) })
    }

    /// The ends of the interval; both are the mean where there is none.
    pub fn ends(&self) -> (f64, f64) {
        let half = self.half.unwrap_or(0.0);
        (self.mean - half, self.mean + half)
    }
}

/// The five numbers of a box, of ascending values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Five {
    /// The smallest.
    pub low: f64,
    /// A quarter of the values lies below.
    pub lower: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters.
    pub upper: f64,
    /// The largest.
    pub high: f64,
}

impl Five {
    /// Of any values; `None` where there are none. Values that are not finite are left out.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let at = |share| quantile(&values, share);
        Some(Self { low: at(0.0)?, lower: at(0.25)?, median: at(0.5)?, upper: at(0.75)?, high: at(1.0)? })
    }
}

/// A quantile of ascending values, linear between them (Hyndman and Fan's definition 7, as R and `NumPy` take it unless told).
pub fn quantile(ascending: &[f64], share: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and the last place
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    Some(ascending[below] + (place - below as f64) * (ascending[above] - ascending[below]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first ten of Student's sleep data (1908, drug 2 minus drug 1): mean 1.58, sd 1.23, interval 0.7001 to 2.4599.
    #[test]
    fn the_sleep_data_have_the_interval_that_books_print() {
        let gains = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let estimate = Estimate::of(&gains).expect("ten values");
        assert!((estimate.mean - 1.58).abs() < 1e-12 && (estimate.sd - 1.229_995).abs() < 1e-6, "{estimate:?}");
        let (low, high) = estimate.ends();
        assert!((low - 0.700_114).abs() < 1e-5 && (high - 2.459_886).abs() < 1e-5, "{low} {high}");
    }

    #[test]
    fn a_single_value_has_no_interval_and_none_is_nothing() {
        assert_eq!(Estimate::of(&[3.0]), Some(Estimate { n: 1, mean: 3.0, sd: 0.0, half: None }));
        assert_eq!(Estimate::of(&[f64::NAN, 3.0]).map(|estimate| estimate.n), Some(1));
        assert_eq!((Estimate::of(&[]), Five::of(&[f64::INFINITY])), (None, None));
    }

    /// R: quantile(c(1, 2, 4, 8, 16, 32)) is 1, 2.5, 6, 14, 32.
    #[test]
    fn boxes_have_the_quartiles_that_r_gives() {
        let five = Five::of(&[32.0, 1.0, 4.0, 2.0, 16.0, 8.0]).expect("six values");
        assert_eq!(five, Five { low: 1.0, lower: 2.5, median: 6.0, upper: 14.0, high: 32.0 });
    }

    proptest! {
        #[test]
        fn quantiles_grow_with_the_share(mut values in prop::collection::vec(-1e6f64..1e6, 1..40), a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            values.sort_by(f64::total_cmp);
            let (low, high) = (quantile(&values, a.min(b)), quantile(&values, a.max(b)));
            prop_assert!(low <= high && low >= Some(values[0]) && high <= values.last().copied());
        }

        #[test]
        fn moving_all_values_moves_the_interval(values in prop::collection::vec(-100f64..100.0, 2..30), by in -1e3f64..1e3) {
            let moved: Vec<f64> = values.iter().map(|value| value + by).collect();
            let (one, other) = (Estimate::of(&values).expect("some"), Estimate::of(&moved).expect("some"));
            prop_assert!((one.mean + by - other.mean).abs() < 1e-8);
            prop_assert!((one.half.expect("two") - other.half.expect("two")).abs() < 1e-8);
        }
    }
}
