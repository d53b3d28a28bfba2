//! [`quality`]: the share of good requests over sliding windows; pure.

use serde::Serialize;

use crate::balance::Qos;
use crate::units::Moment;

/// How well a client was served.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// The share of good requests over all of the run.
    pub share: f64,
    /// The least share of a window.
    pub worst_window: f64,
    /// The share of windows that had at least what is asked.
    pub windows_kept: f64,
}

/// Judges a client's requests, `(when it was to leave, whether it was good)` in the order of time. A window ends with each
/// request that lies at least a window behind the first; if none does, all requests are one window. `None` without requests.
pub fn quality(requests: &[(Moment, bool)], qos: &Qos) -> Option<Quality> {
    let (first, last) = (requests.first()?.0, requests.last()?.0);
    let full = first + qos.window;
    let good = |requests: &[(Moment, bool)]| requests.iter().filter(|(_, good)| *good).count();
    let share = good(requests) as f64 / requests.len() as f64;
    if last < full {
        let kept = if share >= qos.at_least { 1.0 } else { 0.0 };
        return Some(Quality { share, worst_window: share, windows_kept: kept });
    }
    let (mut begin, mut inside, mut worst) = (0, 0, f64::INFINITY);
    let (mut windows, mut kept) = (0u64, 0u64);
    for (end, (at, is_good)) in requests.iter().enumerate() {
        inside += usize::from(*is_good);
        // What left exactly a window ago is out.
        while requests[begin].0 + qos.window <= *at {
            inside -= usize::from(requests[begin].1);
            begin += 1;
        }
        if *at >= full {
            let share = inside as f64 / (end + 1 - begin) as f64;
            worst = worst.min(share);
            windows += 1;
            kept += u64::from(share >= qos.at_least);
        }
    }
    Some(Quality { share, worst_window: worst, windows_kept: kept as f64 / windows as f64 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::*;
    use crate::units::Span;
    use proptest::prelude::*;

    const QOS: Qos = Qos { within: Span::from_millis(80), at_least: 0.9, window: Span::from_secs(10) };

    fn at(seconds: u64, good: bool) -> (Moment, bool) {
        (Moment::from_millis(seconds * 1_000), good)
    }

    #[test]
    fn a_short_run_is_one_window() {
        let quality = quality(&[at(0, true), at(1, false)], &QOS).unwrap();
        assert_eq!(quality, Quality { share: 0.5, worst_window: 0.5, windows_kept: 0.0 });
        assert_eq!(super::quality(&[], &QOS), None);
    }

    #[test]
    fn a_bad_spell_shows_in_the_worst_window_and_not_in_the_whole() {
        let requests: Vec<_> = (0..100).map(|second| at(second, !(50..55).contains(&second))).collect();
        let quality = quality(&requests, &QOS).unwrap();
        assert_eq!((quality.share, quality.worst_window), (0.95, 0.5));
        // Ten seconds up to and with 50 to 63 have two bad ones or more, of the 90 windows.
        assert!((quality.windows_kept - 78.0 / 90.0).abs() < 1e-12, "{}", quality.windows_kept);
    }

    proptest! {
        #[test]
        fn windows_are_what_counting_says(gaps in prop::collection::vec((0u64..4_000, any::<bool>()), 1..60)) {
            let mut now = 0;
            let requests: Vec<_> = gaps.iter().map(|(gap, good)| { now += gap; (Moment::from_millis(now), *good) }).collect();
            let quality = quality(&requests, &QOS).unwrap();
            let shares: Vec<f64> = requests.iter().enumerate()
                .filter(|(_, (end, _))| end.since(requests[0].0) >= QOS.window)
                .map(|(place, (end, _))| {
                    let inside: Vec<_> = requests[..=place].iter().filter(|(at, _)| end.since(*at) < QOS.window).collect();
                    inside.iter().filter(|(_, good)| *good).count() as f64 / inside.len() as f64
                }).collect();
            if !shares.is_empty() {
                prop_assert_eq!(quality.worst_window, shares.iter().copied().fold(f64::INFINITY, f64::min));
            }
        }
    }
}
