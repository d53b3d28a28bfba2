//! What paths do beyond delay, intended against measured: losses, copies and jitter with their intervals and verdicts. Pure.
//!
//! A share is shown with its 95 % interval (Wilson's) and fails where chance brings it less than once in 16,000 times: a verification
//! looks at hundreds of paths. What has too few probes is not judged, and never passes for it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sample::{Sample, Verdict};
use crate::shaping::{Expected, SeenShare};
use crate::topology::NodeIndex;
use crate::units::Span;

/// Standard deviations of a 95 % interval.
const SHOWN: f64 = 1.96;
/// Standard deviations that chance exceeds once in 16,000 times, and that number.
const JUDGED: f64 = 4.0;
const CHANCE: f64 = 16_000.0;
/// The judged interval must be narrower than this part of what is intended, to either side.
const SHARPNESS: f64 = 0.5;
/// Fewer probes judge nothing, however extreme the share.
const LEAST: u64 = 30;

/// A measured share of probes beside the intended one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShareFound {
    /// Probes that were lost, or came twice.
    pub count: u64,
    /// Of so many.
    pub of: u64,
    /// What is intended, at least.
    pub intended: f64,
    /// What is intended, at most: packets with a flipped bit may count as lost.
    pub intended_most: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// What that says.
    pub judgement: Judgement,
}

/// A measured jitter beside the intended one, both as standard deviations of single delays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct JitterFound {
    /// Of so many probes that arrived.
    pub of: u64,
    /// What is intended.
    #[serde(rename = "intended_ns")]
    pub intended: Span,
    /// What was measured.
    #[serde(rename = "measured_ns")]
    pub measured: Span,
    /// The lower end of the 95 % interval.
    #[serde(rename = "low_ns")]
    pub low: Span,
    /// Its upper end.
    #[serde(rename = "high_ns")]
    pub high: Span,
    /// What that says: too little jitter is outside; more is what the machine adds, and is shown, not judged.
    pub judgement: Judgement,
}

/// What a finding says of the intention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// As intended, as far as so many probes can tell.
    Inside,
    /// Not as intended: chance does not explain it.
    Outside,
    /// Too few probes.
    NotJudged {
        /// How many would do.
        needed: u64,
    },
}

/// What was found of one path; nothing where nothing is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeyondPath {
    /// The sender.
    pub from: NodeIndex,
    /// The receiver.
    pub to: NodeIndex,
    /// Probes that did not arrive.
    pub lost: Option<ShareFound>,
    /// Probes that came twice.
    pub doubled: Option<ShareFound>,
    /// How far delays stray.
    pub jitter: Option<JitterFound>,
}

/// What was found of all paths of which something is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beyond {
    /// Path by path, in the matrix's order.
    pub paths: Vec<BeyondPath>,
    /// All losses of paths that are to have some, together.
    pub lost: Option<ShareFound>,
    /// All copies of paths that are to have some, together.
    pub doubled: Option<ShareFound>,
}

impl Beyond {
    /// Fail when anything is outside; what is not judged does not fail.
    pub fn verdict(&self) -> Verdict {
        let paths = self.paths.iter().flat_map(|path| {
            let shares = [path.lost, path.doubled].map(|share| share.map(|share| share.judgement));
            shares.into_iter().chain([path.jitter.map(|jitter| jitter.judgement)])
        });
        let sums = [self.lost, self.doubled].map(|share| share.map(|share| share.judgement));
        let outside = paths.chain(sums).flatten().any(|judgement| judgement == Judgement::Outside);
        if outside { Verdict::Fail } else { Verdict::Pass }
    }
}

/// Judges `samples` by what each of `expected` should show; `copies` says how many probes of a path came twice.
pub fn beyond(
    expected: &BTreeMap<(NodeIndex, NodeIndex), Expected>,
    samples: &[Sample],
    copies: &BTreeMap<(NodeIndex, NodeIndex), u64>,
) -> Beyond {
    let mut by_path: BTreeMap<(NodeIndex, NodeIndex), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_path.entry((sample.from, sample.to)).or_default().push(sample);
    }
    let (mut lost, mut doubled) = (Sum::default(), Sum::default());
    let mut paths = Vec::new();
    for (path, expected) in expected {
        let Some(samples) = by_path.get(path) else { continue };
        let of = samples.len() as u64;
        let missing = samples.iter().filter(|sample| sample.one_way.is_none() && sample.rtt.is_none()).count() as u64;
        let twice = copies.get(path).copied().unwrap_or_default();
        let found = BeyondPath {
            from: path.0,
            to: path.1,
            lost: lost.add(missing, of, expected.lost),
            doubled: doubled.add(twice, of, expected.doubled),
            jitter: jitter(samples, expected),
        };
        if found.lost.is_some() || found.doubled.is_some() || found.jitter.is_some() {
            paths.push(found);
        }
    }
    Beyond { paths, lost: lost.found(), doubled: doubled.found() }
}

/// Several paths' shares together.
#[derive(Default)]
struct Sum {
    count: u64,
    of: u64,
    least: f64,
    most: f64,
    /// Of the variance, in probes.
    inflated: f64,
}

impl Sum {
    /// Adds a path that is to have such a share, and says what was found of it.
    fn add(&mut self, count: u64, of: u64, intended: SeenShare) -> Option<ShareFound> {
        if intended.most <= 0.0 || of == 0 {
            return None;
        }
        self.count += count;
        self.of += of;
        self.least += intended.least * of as f64;
        self.most += intended.most * of as f64;
        self.inflated += intended.inflation * of as f64;
        Some(share(count, of, intended))
    }

    fn found(&self) -> Option<ShareFound> {
        let of = self.of as f64;
        let (least, most) = (self.least / of, self.most / of);
        (self.of > 0).then(|| share(self.count, self.of, SeenShare { least, most, inflation: self.inflated / of }))
    }
}

fn share(count: u64, of: u64, intended: SeenShare) -> ShareFound {
    let (low, high) = wilson(count, of, intended.inflation, SHOWN);
    let needed = probes_needed(intended);
    let judgement = if is_beyond_chance(count, of, intended) {
        Judgement::Outside
    } else if of < needed {
        Judgement::NotJudged { needed }
    } else {
        Judgement::Inside
    };
    ShareFound { count, of, intended: intended.least, intended_most: intended.most, low, high, judgement }
}

/// Whether chance brings a share so far from what is intended less than once in [`CHANCE`] times: by Chernoff's bound, which holds for
/// any number of probes, while Wilson's interval promises more than it keeps of a few; two of ten probes are lost once in 62 times
/// where 2 % are intended.
fn is_beyond_chance(count: u64, of: u64, intended: SeenShare) -> bool {
    let (probes, share) = (of as f64 / intended.inflation.max(1.0), count as f64 / of as f64);
    let expected = share.clamp(intended.least.min(intended.most), intended.most);
    probes * divergence(share, expected) > CHANCE.ln()
}

/// Kullback and Leibler's divergence of a share from what is expected: of so many probes, chance brings that share or less likely ones
/// to its side with a chance of no more than exp(−probes × divergence).
fn divergence(seen: f64, expected: f64) -> f64 {
    let part = |seen: f64, expected: f64| if seen > 0.0 { seen * (seen / expected).ln() } else { 0.0 };
    part(seen, expected) + part(1.0 - seen, 1.0 - expected)
}

/// Wilson's interval of a share, for draws that stray more than independent ones.
fn wilson(count: u64, of: u64, inflation: f64, deviations: f64) -> (f64, f64) {
    let (probes, share) = (of as f64 / inflation.max(1.0), count as f64 / of as f64);
    let square = deviations * deviations;
    let middle = (share + square / (2.0 * probes)) / (1.0 + square / probes);
    let reach = deviations * (share * (1.0 - share) / probes + square / (4.0 * probes * probes)).sqrt()
        / (1.0 + square / probes);
    ((middle - reach).max(0.0), (middle + reach).min(1.0))
}

/// How many probes make the judged interval as narrow as it must be, and tell half of the share from all of it.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // above zero, and a float saturates
fn probes_needed(intended: SeenShare) -> u64 {
    let share = f64::midpoint(intended.least, intended.most);
    let reach = JUDGED / SHARPNESS;
    let narrow = reach * reach * (1.0 - share) / share;
    let told = CHANCE.ln() / divergence(share / 2.0, share);
    let needed = narrow.max(told) * intended.inflation.max(1.0);
    (needed.ceil() as u64).max(LEAST)
}

fn jitter(samples: &[&Sample], expected: &Expected) -> Option<JitterFound> {
    let delays: Vec<f64> = samples.iter().filter_map(|sample| Some(sample.one_way?.as_nanos() as f64)).collect();
    if expected.deviation == Span::ZERO || delays.len() < 2 {
        return None;
    }
    let count = delays.len() as f64;
    let mean = delays.iter().sum::<f64>() / count;
    let measured = (delays.iter().map(|delay| (delay - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    // The spread of a standard deviation follows from the fourth moment of what is intended.
    let spread = ((expected.kurtosis - 1.0).max(0.1) / (4.0 * count)).sqrt();
    let end = |deviations: f64| span(measured * (deviations * spread).exp());
    let needed = jitter_needed(expected.kurtosis);
    let judgement = if narrower(measured, expected, count) {
        Judgement::Outside
    } else if (delays.len() as u64) < needed {
        Judgement::NotJudged { needed }
    } else {
        Judgement::Inside
    };
    Some(JitterFound {
        of: delays.len() as u64,
        intended: expected.deviation,
        measured: span(measured),
        low: end(-SHOWN),
        high: end(SHOWN),
        judgement,
    })
}

/// Whether chance does not explain so small a deviation. The third root of a variance is nearly normal also of a few delays
/// (Wilson and Hilferty), where its logarithm is not: a handful may lie close together by chance and is never narrower.
fn narrower(measured: f64, expected: &Expected, count: f64) -> bool {
    // The variance of a sample's variance, in units of its square.
    let relative = (expected.kurtosis - (count - 3.0) / (count - 1.0)).max(0.1) / count;
    let least = (1.0 - relative / 9.0 - JUDGED * relative.sqrt() / 3.0).max(0.0).powi(3);
    let intended = expected.deviation.as_nanos() as f64;
    measured * measured < least * intended * intended
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // above zero, and a float saturates
fn jitter_needed(kurtosis: f64) -> u64 {
    let reach = JUDGED / SHARPNESS;
    ((reach * reach * (kurtosis - 1.0).max(0.1) / 4.0).ceil() as u64).max(LEAST)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative, and delays end at minutes
fn span(ns: f64) -> Span {
    Span::from_nanos(ns.round() as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::{Distribution, GilbertElliott, Impairment, Jitter, Loss, Share};
    use crate::units::{Delay, Rtt};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn independent(share: f64) -> SeenShare {
        SeenShare { least: share, most: share, inflation: 1.0 }
    }

    /// Every count there may be, with its chance; and half of a share is told from all of it.
    #[test]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Few probes.
    fn chance_alone_is_outside_less_than_once_in_8000_times() {
        for (of, probability) in [(5u64, 0.001), (10, 0.02), (10, 0.3), (30, 0.1), (100, 0.5), (400, 0.02), (300, 0.7)]
        {
            let (mut chance, mut outside, mut seen) = (libm::pow(1.0 - probability, of as f64), 0.0, false);
            for count in 0..=of {
                if is_beyond_chance(count, of, independent(probability)) {
                    (outside, seen) = (outside + chance, true);
                }
                chance *= (of - count) as f64 / (count + 1) as f64 * probability / (1.0 - probability);
            }
            assert!(seen && outside < 1.0 / 8_000.0, "{outside} of {of} probes at {probability}");
        }
        for share in [0.001, 0.05, 0.1, 0.3, 0.5, 0.9] {
            let needed = probes_needed(independent(share)) + 1;
            assert!(is_beyond_chance((needed as f64 * share / 2.0) as u64, needed, independent(share)), "{share}");
        }
        assert!(!is_beyond_chance(2, 10, independent(0.02)) && is_beyond_chance(5, 10, independent(0.02)));
        assert!(is_beyond_chance(1, 10, independent(0.0)) && !is_beyond_chance(0, 10, independent(0.0)));
    }

    #[test]
    fn intervals_are_wilsons() {
        // By the closed form of 81 of 263, as printed in textbooks: 0.2553 to 0.3662.
        let (low, high) = wilson(81, 263, 1.0, 1.96);
        assert!((low - 0.2553).abs() < 1e-4 && (high - 0.3662).abs() < 1e-4, "{low} {high}");
        let (low, high) = wilson(0, 10, 1.0, 1.96);
        assert!(low.abs() < 1e-12 && (high - 0.2775).abs() < 1e-4, "{low} {high}");
        let (wide_low, wide_high) = wilson(100, 1_000, 4.0, 1.96);
        let (same_low, same_high) = wilson(25, 250, 1.0, 1.96);
        assert!((wide_low - same_low).abs() < 1e-12 && (wide_high - same_high).abs() < 1e-12);
    }

    #[test]
    fn too_few_probes_judge_nothing_and_many_do() {
        assert_eq!(share(1, 10, independent(0.05)).judgement, Judgement::NotJudged { needed: 1_216 });
        assert_eq!(share(97, 2_000, independent(0.05)).judgement, Judgement::Inside);
        assert_eq!(share(0, 2_000, independent(0.05)).judgement, Judgement::Outside);
        assert_eq!(share(30, 30, independent(0.05)).judgement, Judgement::Outside, "few probes may tell enough");
        assert_eq!(share(29, 29, independent(1.0)).judgement, Judgement::NotJudged { needed: 30 });
        assert_eq!(share(40, 40, independent(1.0)).judgement, Judgement::Inside);
        let damaged = SeenShare { least: 0.0, most: 0.1, inflation: 1.0 };
        for lost in [0, 50, 100] {
            assert_eq!(share(lost, 2_000, damaged).judgement, Judgement::Inside, "{lost}");
        }
        assert_eq!(share(400, 2_000, damaged).judgement, Judgement::Outside);
    }

    /// Samples of a path whose fates `lost` and `delay` decide, one after the other.
    fn samples(count: u32, mut delay: impl FnMut() -> Option<f64>) -> Vec<Sample> {
        let sample = |seq| {
            let one_way = delay().map(|ms| Delay::from_millis_f64(ms).unwrap());
            let rtt = one_way.map(|delay| Rtt::from_nanos(delay.as_nanos() * 2));
            Sample { from: 0, to: 1, seq, sent_ns: 0, one_way, rtt }
        };
        (0..count).map(sample).collect()
    }

    fn judged(impairment: &Impairment, samples: &[Sample]) -> Beyond {
        beyond(&[((0, 1), impairment.expected(74))].into(), samples, &BTreeMap::new())
    }

    #[test]
    fn what_is_as_intended_passes_and_what_is_not_fails() {
        let mut dice = ChaCha8Rng::seed_from_u64(3);
        let uniform = Jitter { span: Span::from_millis(5), distribution: Distribution::Uniform, ..Jitter::default() };
        let lossy = Impairment {
            loss: Loss::Random(Share::of("20%".parse().unwrap())),
            jitter: uniform,
            ..Impairment::delay(Delay::from_millis(50))
        };
        let mut run = |loss: f64, width: f64| {
            let all =
                samples(1_000, || (dice.random::<f64>() >= loss).then(|| 50.0 + width * (dice.random::<f64>() - 0.5)));
            judged(&lossy, &all)
        };
        let good = run(0.2, 10.0);
        assert_eq!(good.verdict(), Verdict::Pass, "{good:?}");
        assert_eq!(good.lost.unwrap().judgement, Judgement::Inside);
        assert_eq!(good.paths[0].jitter.unwrap().judgement, Judgement::Inside);
        assert_eq!(run(0.0, 10.0).verdict(), Verdict::Fail, "no loss at all");
        assert_eq!(run(0.2, 0.1).verdict(), Verdict::Fail, "no jitter at all");
        assert_eq!(run(0.2, 14.0).verdict(), Verdict::Pass, "a machine's own jitter comes on top");
        assert_eq!(run(0.4, 10.0).verdict(), Verdict::Fail);
    }

    /// What has the intended jitter is called narrower as seldom as promised, also of very few probes.
    #[test]
    fn few_delays_may_lie_close_together() {
        let mut dice = ChaCha8Rng::seed_from_u64(9);
        let delay = Impairment::delay(Delay::from_millis(50));
        for distribution in [Distribution::Uniform, Distribution::Normal] {
            let jitter = Jitter { span: Span::from_millis(5), distribution, ..Jitter::default() };
            let mut stray = || match distribution {
                Distribution::Uniform => 10.0 * (dice.random::<f64>() - 0.5),
                _ => 5.0 * ((0..12).map(|_| dice.random::<f64>()).sum::<f64>() - 6.0),
            };
            for count in [2, 3, 10, 40] {
                let verdicts = (0..2_000)
                    .map(|_| judged(&Impairment { jitter, ..delay }, &samples(count, || Some(50.0 + stray()))));
                let narrower = verdicts.filter(|beyond| beyond.verdict() == Verdict::Fail).count();
                assert!(narrower <= 3, "{narrower} of 2,000 runs of {count} delays, {distribution:?}");
            }
        }
    }

    /// Bursts stray more than single losses; the interval takes that in, and so is left as seldom.
    #[test]
    fn intervals_of_bursts_hold() {
        let [to_bad, to_good, bad_loss, good_loss] = ["1%", "10%", "100%", "0%"].map(|text| text.parse().unwrap());
        let chain = GilbertElliott { to_bad, to_good, bad_loss, good_loss };
        let bursty = Impairment { loss: Loss::Gilbert(chain), ..Impairment::delay(Delay::from_millis(1)) };
        let share = bursty.expected_loss();
        let mut dice = ChaCha8Rng::seed_from_u64(5);
        let mut missed = 0;
        for _ in 0..400 {
            let mut bad = dice.random::<f64>() < share;
            let all = samples(1_000, || {
                let lost = bad;
                bad = if bad { dice.random::<f64>() >= 0.1 } else { dice.random::<f64>() < 0.01 };
                (!lost).then_some(1.0)
            });
            let found = judged(&bursty, &all).lost.unwrap();
            assert_ne!(found.judgement, Judgement::Outside);
            missed += u32::from(found.low > share || found.high < share);
        }
        // 5 % of 400, and five standard deviations of that count.
        assert!(missed < 42, "{missed} of 400 intervals miss the share");
    }

    #[test]
    fn nothing_asked_nothing_found() {
        let plain = Impairment::delay(Delay::from_millis(1));
        assert_eq!(judged(&plain, &samples(10, || Some(1.0))), Beyond::default());
    }
}
