//! Intended against measured: what the samples say of each path and of the whole. Pure.

use crate::matrix::DelayMatrix;
use crate::topology::NodeIndex;
use crate::units::{Delay, Deviation, Rtt, Span};

use super::clock::{Basis, Clocks};
use super::missing::Missing;
use super::rank::{median_interval, percentile};
use super::sample::{Comparison, DelaySummary, ErrorSummary, PathResult, RttSummary, Sample, Tolerance, Verdict};

/// What the median of a path's one-way delays should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Median {
    /// It.
    pub value: Delay,
    /// How far below it chance may put the median of so many probes.
    pub below: Span,
    /// How far above it.
    pub above: Span,
    /// The mean, which the median of a sum of two lies between with the sum of their medians.
    pub mean: Delay,
    /// The share of probes that should arrive.
    pub arriving: f64,
    /// How many times wider than independent ones the losses stray, as variance.
    pub bursts: f64,
}

/// Standard deviations that chance exceeds once in 16,000 times.
const CHANCE: f64 = 4.0;

impl Median {
    /// Of a path that does nothing but delay.
    pub fn of(delay: Delay) -> Self {
        Self { value: delay, below: Span::ZERO, above: Span::ZERO, mean: delay, arriving: 1.0, bursts: 1.0 }
    }

    /// Of the way there and back: the two medians together, which are the median of the sum where the distributions are
    /// symmetric. Elsewhere that lies between them and the two means together, and all between is allowed for.
    fn and_back(&self, back: &Self) -> Self {
        let (medians, means) = (self.value.round_trip(back.value), self.mean.round_trip(back.mean));
        let skew = |more: Rtt, less: Rtt| more.as_nanos().saturating_sub(less.as_nanos());
        let sum = |one: Span, other: Span, skew: u64| Span::from_nanos(one.as_nanos() + other.as_nanos() + skew);
        Self {
            value: Delay::from_nanos(medians.as_nanos()),
            below: sum(self.below, back.below, skew(medians, means)),
            above: sum(self.above, back.above, skew(means, medians)),
            mean: Delay::from_nanos(means.as_nanos()),
            arriving: self.arriving * back.arriving,
            bursts: self.bursts.max(back.bursts),
        }
    }

    /// Whether `arrived` of `sent` probes speak for the rest: half of those that should arrive did, or chance explains why not.
    fn enough(&self, arrived: usize, sent: usize) -> bool {
        let expected = sent as f64 * self.arriving;
        let chance = CHANCE * (expected * (1.0 - self.arriving) * self.bursts.max(1.0)).sqrt();
        arrived as f64 >= (expected / 2.0).min(expected - chance)
    }
}

/// Judges `samples` by `intended`, where all probes of a path should take its delay.
pub fn compare(intended: &DelayMatrix, samples: &[Sample], tolerance: Tolerance) -> Comparison {
    compare_by(&Clocks::One, intended, samples, tolerance)
}

/// As [`compare`], of nodes with these clocks: where they are not one, medians of round trips are judged, against the sum of
/// the two intended delays.
pub fn compare_by(clocks: &Clocks, intended: &DelayMatrix, samples: &[Sample], tolerance: Tolerance) -> Comparison {
    compare_medians(clocks, intended, |from, to| Median::of(intended.delay(from, to)), samples, tolerance)
}

/// Judges `samples` by what the `median` of each path should be. A path passes when the median of its one-way delays is
/// within `tolerance` of that and of what chance explains, and fails when less than half of the probes arrived that should
/// (unless chance explains that too): then the median of all is not known. Other loss is reported, not judged. A probe is lost when neither it nor its answer
/// arrived. Samples of paths that the matrix does not have are left out.
pub fn compare_medians(
    clocks: &Clocks,
    intended: &DelayMatrix,
    median: impl Fn(NodeIndex, NodeIndex) -> Median,
    samples: &[Sample],
    tolerance: Tolerance,
) -> Comparison {
    let n = intended.len();
    let mut by_path: Vec<Vec<&Sample>> = vec![Vec::new(); n * n];
    for sample in samples.iter().filter(|sample| sample.from < n && sample.to < n && sample.from != sample.to) {
        by_path[sample.from * n + sample.to].push(sample);
    }
    let paths: Vec<PathResult> = intended
        .paths()
        .map(|(from, to)| {
            let medians = (median(from, to), median(to, from));
            path_result(clocks, intended, medians, (from, to), &by_path[from * n + to], tolerance)
        })
        .collect();
    let passed = paths.iter().all(|path| path.verdict == Verdict::Pass);
    let basis = clocks.basis();
    Comparison {
        basis,
        error: error_summary(basis, n, &paths, by_path.iter().flatten().copied()),
        sent: paths.iter().map(|path| u64::from(path.sent)).sum(),
        lost: paths.iter().map(|path| u64::from(path.lost)).sum(),
        verdict: if passed { Verdict::Pass } else { Verdict::Fail },
        tolerance,
        missing: Missing::default(),
        paths,
    }
}

impl Tolerance {
    /// Whether a path of the `intended` delay may be `error` off.
    pub fn allows(&self, intended: Delay, error: Span) -> bool {
        let relative = intended.as_nanos() as f64 * self.relative;
        error <= self.absolute || error.as_nanos() as f64 <= relative
    }

    /// Whether a pair of the `intended` round trip may be `error` off.
    pub fn allows_rtt(&self, intended: Rtt, error: Span) -> bool {
        let relative = intended.as_nanos() as f64 * self.relative;
        error <= self.absolute || error.as_nanos() as f64 <= relative
    }
}

fn path_result(
    clocks: &Clocks,
    matrix: &DelayMatrix,
    (there, back): (Median, Median),
    (from, to): (NodeIndex, NodeIndex),
    samples: &[&Sample],
    tolerance: Tolerance,
) -> PathResult {
    let intended = matrix.delay(from, to);
    let one_way = ascending(samples.iter().filter_map(|sample| sample.one_way));
    let rtt = ascending(samples.iter().filter_map(|sample| sample.rtt));
    let (summary, round_trips) = (delay_summary(&one_way), rtt_summary(&rtt));
    let intended_rtt = matrix.round_trip(from, to);
    let both = there.and_back(&back);
    let (error, arrived, median) = match clocks.basis() {
        Basis::OneWay => (summary.map(|summary| summary.p50.deviation(there.value)), one_way.len(), &there),
        Basis::RoundTrip => {
            (round_trips.map(|summary| summary.p50.deviation(there.value.round_trip(back.value))), rtt.len(), &both)
        }
    };
    let beyond_chance = |error: Deviation| {
        let chance = if error.as_nanos() < 0 { median.below } else { median.above };
        Span::from_nanos(error.magnitude().as_nanos().saturating_sub(chance.as_nanos()))
    };
    let allows = |error: Span| match clocks.basis() {
        Basis::OneWay => tolerance.allows(there.value, error),
        Basis::RoundTrip => tolerance.allows_rtt(there.value.round_trip(back.value), error),
    };
    let enough = median.enough(arrived, samples.len());
    // A path that is to lose everything, or lost its few probes by chance, has no delay to be judged.
    let within = enough && error.map_or(!samples.is_empty(), |error| allows(beyond_chance(error)));
    let lost = samples.iter().filter(|sample| sample.one_way.is_none() && sample.rtt.is_none()).count();
    PathResult {
        from,
        to,
        intended,
        intended_median: there.value,
        intended_rtt,
        intended_rtt_median: there.value.round_trip(back.value),
        one_way: summary,
        one_way_ci: median_interval(&one_way),
        clock_bound: clocks.bound(from, to),
        rtt: round_trips,
        sent: count(samples.len()),
        lost: count(lost),
        chance: (median.below, median.above),
        error,
        verdict: if within { Verdict::Pass } else { Verdict::Fail },
    }
}

fn error_summary<'a>(
    basis: Basis,
    nodes: usize,
    paths: &[PathResult],
    samples: impl Iterator<Item = &'a Sample>,
) -> Option<ErrorSummary> {
    let mut medians = vec![(Delay::ZERO, Rtt::ZERO); nodes * nodes];
    for path in paths {
        medians[path.from * nodes + path.to] = (path.intended_median, path.intended_rtt_median);
    }
    let error = |sample: &Sample| {
        let (one_way, rtt) = medians[sample.from * nodes + sample.to];
        match basis {
            Basis::OneWay => Some(sample.one_way?.deviation(one_way)),
            Basis::RoundTrip => Some(sample.rtt?.deviation(rtt)),
        }
    };
    let errors = ascending(samples.filter_map(error).map(Deviation::magnitude));
    Some(ErrorSummary { p50: percentile(&errors, 50)?, p99: percentile(&errors, 99)?, max: *errors.last()? })
}

fn delay_summary(ascending: &[Delay]) -> Option<DelaySummary> {
    Some(DelaySummary {
        min: *ascending.first()?,
        p50: percentile(ascending, 50)?,
        p90: percentile(ascending, 90)?,
        p99: percentile(ascending, 99)?,
        max: *ascending.last()?,
    })
}

fn rtt_summary(ascending: &[Rtt]) -> Option<RttSummary> {
    Some(RttSummary {
        min: *ascending.first()?,
        p50: percentile(ascending, 50)?,
        p90: percentile(ascending, 90)?,
        p99: percentile(ascending, 99)?,
        max: *ascending.last()?,
    })
}

fn ascending<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What each path takes without impairment: the medians of a measurement made before any was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseMatrix {
    nodes: usize,
    medians: Vec<(Option<Delay>, Option<Rtt>)>,
}

impl BaseMatrix {
    /// The base of `nodes` nodes from the samples of the un-impaired measurement. Paths without samples have no base.
    pub fn of(nodes: usize, samples: &[Sample]) -> Self {
        let mut by_path: Vec<(Vec<Delay>, Vec<Rtt>)> = vec![(Vec::new(), Vec::new()); nodes * nodes];
        for sample in samples.iter().filter(|sample| sample.from < nodes && sample.to < nodes) {
            let (one_way, rtt) = &mut by_path[sample.from * nodes + sample.to];
            one_way.extend(sample.one_way);
            rtt.extend(sample.rtt);
        }
        let median = |(one_way, rtt): (Vec<Delay>, Vec<Rtt>)| {
            (percentile(&ascending(one_way.into_iter()), 50), percentile(&ascending(rtt.into_iter()), 50))
        };
        Self { nodes, medians: by_path.into_iter().map(median).collect() }
    }

    /// The median one-way delay of a path; `None` when nothing of it was measured.
    pub fn one_way(&self, from: NodeIndex, to: NodeIndex) -> Option<Delay> {
        self.entry(from, to).0
    }

    /// The median round trip of a path; `None` when nothing of it was measured.
    pub fn rtt(&self, from: NodeIndex, to: NodeIndex) -> Option<Rtt> {
        self.entry(from, to).1
    }

    fn entry(&self, from: NodeIndex, to: NodeIndex) -> (Option<Delay>, Option<Rtt>) {
        let known = from < self.nodes && to < self.nodes;
        if known { self.medians[from * self.nodes + to] } else { (None, None) }
    }
}

/// The samples less the base of their paths, not below zero. A path without a base stays as it is.
pub fn subtract_base(samples: &[Sample], base: &BaseMatrix) -> Vec<Sample> {
    let less = |value: u64, base: u64| value.saturating_sub(base);
    samples
        .iter()
        .map(|sample| {
            let one_way_base = base.one_way(sample.from, sample.to).unwrap_or_default().as_nanos();
            let rtt_base = base.rtt(sample.from, sample.to).unwrap_or_default().as_nanos();
            Sample {
                one_way: sample.one_way.map(|delay| Delay::from_nanos(less(delay.as_nanos(), one_way_base))),
                rtt: sample.rtt.map(|rtt| Rtt::from_nanos(less(rtt.as_nanos(), rtt_base))),
                ..*sample
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::topology::NodeName;
    use proptest::prelude::*;

    const TOLERANCE: Tolerance = Tolerance { relative: 0.05, absolute: Span::from_millis(1) };

    fn matrix(n: usize, delay: impl Fn(usize, usize) -> u64) -> DelayMatrix {
        let names = (1..=n).map(NodeName::numbered).collect();
        let delay = |place| if place / n == place % n { 0 } else { delay(place / n, place % n) };
        DelayMatrix::new(names, (0..n * n).map(|place| Delay::from_nanos(delay(place))).collect()).unwrap()
    }

    fn sample(from: usize, to: usize, seq: u32, one_way: Option<u64>, rtt: Option<u64>) -> Sample {
        Sample { from, to, seq, sent_ns: 1, one_way: one_way.map(Delay::from_nanos), rtt: rtt.map(Rtt::from_nanos) }
    }

    fn both_ways(one_way: &[u64]) -> Vec<Sample> {
        let of = |from, to| {
            (0..).zip(one_way).map(move |(seq, ns)| sample(from, to, seq, Some(*ns), Some(ns * 2))).collect::<Vec<_>>()
        };
        [of(0, 1), of(1, 0)].concat()
    }

    #[test]
    fn one_probe_is_every_percentile_and_has_no_interval() {
        let result = compare(&matrix(2, |_, _| 20_000_000), &both_ways(&[20_300_000]), TOLERANCE);
        let path = &result.paths[0];
        let delay = Delay::from_nanos(20_300_000);
        assert_eq!(path.one_way, Some(DelaySummary { min: delay, p50: delay, p90: delay, p99: delay, max: delay }));
        assert_eq!(path.one_way_ci, None);
        assert_eq!(path.error, Some(Deviation::from_nanos(300_000)));
        assert_eq!(path.intended_rtt, Rtt::from_millis(40));
        assert_eq!(result.verdict, Verdict::Pass);
    }

    #[test]
    fn all_lost_is_a_failure_without_numbers() {
        let samples = [sample(0, 1, 0, None, None), sample(0, 1, 1, None, None)];
        let result = compare(&matrix(2, |_, _| 0), &samples, TOLERANCE);
        let path = &result.paths[0];
        assert_eq!((path.sent, path.lost, path.one_way, path.rtt, path.error), (2, 2, None, None, None));
        assert_eq!((path.verdict, result.paths[1].verdict), (Verdict::Fail, Verdict::Fail));
        assert_eq!((result.sent, result.lost, result.error), (2, 2, None));
        assert_eq!(result.verdict, Verdict::Fail);
    }

    #[test]
    fn a_few_survivors_do_not_speak_for_the_lost() {
        let verdict = |arrived: usize| {
            let mut samples = both_ways(&[20_000_000; 10]);
            for sample in samples.iter_mut().filter(|sample| sample.seq as usize >= arrived) {
                (sample.one_way, sample.rtt) = (None, None);
            }
            compare(&matrix(2, |_, _| 20_000_000), &samples, TOLERANCE).verdict
        };
        assert_eq!((verdict(5), verdict(4)), (Verdict::Pass, Verdict::Fail));
    }

    #[test]
    fn medians_are_judged_by_what_is_intended_and_by_chance() {
        let ms = Span::from_millis;
        let verdict = |below, above, arriving| {
            let median = Median { below, above, arriving, ..Median::of(Delay::from_millis(15)) };
            let samples = both_ways(&[20_000_000; 10]);
            compare_medians(&Clocks::One, &matrix(2, |_, _| 20_000_000), |_, _| median, &samples, TOLERANCE).verdict
        };
        assert_eq!(verdict(ms(0), ms(0), 1.0), Verdict::Fail);
        assert_eq!(verdict(ms(0), ms(4), 1.0), Verdict::Pass);
        assert_eq!(verdict(ms(9), ms(0), 1.0), Verdict::Fail, "the other side's chance");
        let lost: Vec<Sample> =
            both_ways(&[1; 10]).into_iter().map(|one| Sample { one_way: None, rtt: None, ..one }).collect();
        let median = |arriving| Median { arriving, ..Median::of(Delay::from_millis(20)) };
        let none = |arriving| {
            compare_medians(&Clocks::One, &matrix(2, |_, _| 0), |_, _| median(arriving), &lost, TOLERANCE).verdict
        };
        assert_eq!((none(0.0), none(0.5), none(0.9)), (Verdict::Pass, Verdict::Pass, Verdict::Fail));
        assert!(!median(0.5).enough(16, 100) && median(0.5).enough(30, 100), "half, and four deviations of five");
        assert!(Median { bursts: 9.0, ..median(0.5) }.enough(0, 30) && !median(0.5).enough(0, 30), "bursts");
    }

    #[test]
    fn an_answered_probe_was_not_lost() {
        let samples = [sample(0, 1, 0, None, Some(5)), sample(0, 1, 1, Some(3), None)];
        let path = &compare(&matrix(2, |_, _| 3), &samples, TOLERANCE).paths[0];
        assert_eq!((path.sent, path.lost), (2, 0));
    }

    #[test]
    fn tolerance_is_the_larger_of_share_and_span() {
        let allows =
            |intended_ms, error_us| TOLERANCE.allows(Delay::from_millis(intended_ms), Span::from_micros(error_us));
        assert!(allows(0, 1_000) && !allows(0, 1_001));
        assert!(allows(100, 5_000) && !allows(100, 5_001));
    }

    #[test]
    fn one_path_out_of_tolerance_fails_the_whole() {
        let mut samples = both_ways(&[10_000_000; 10]);
        for sample in samples.iter_mut().filter(|sample| sample.from == 1) {
            sample.one_way = Some(Delay::from_micros(11_001));
        }
        let result = compare(&matrix(2, |_, _| 10_000_000), &samples, TOLERANCE);
        assert_eq!(result.paths.iter().map(|path| path.verdict).collect::<Vec<_>>(), [Verdict::Pass, Verdict::Fail]);
        assert_eq!(result.verdict, Verdict::Fail);
        assert_eq!(result.error.unwrap().max, Span::from_micros(1_001));
    }

    #[test]
    fn intervals_are_the_second_smallest_and_second_largest_of_ten() {
        let delays: Vec<u64> = (1..=10).rev().map(|ms| ms * 1_000_000).collect();
        let path = &compare(&matrix(2, |_, _| 5_000_000), &both_ways(&delays), TOLERANCE).paths[0];
        assert_eq!(path.one_way_ci, Some((Delay::from_millis(2), Delay::from_millis(9))));
    }

    #[test]
    fn the_base_is_taken_off_only_where_there_is_one() {
        let base = BaseMatrix::of(2, &[sample(0, 1, 0, Some(10), Some(30)), sample(0, 1, 1, Some(12), None)]);
        let samples =
            [sample(0, 1, 0, Some(100), Some(200)), sample(0, 1, 1, Some(5), None), sample(1, 0, 0, Some(7), Some(9))];
        let less = subtract_base(&samples, &base);
        let expected =
            [sample(0, 1, 0, Some(90), Some(170)), sample(0, 1, 1, Some(0), None), sample(1, 0, 0, Some(7), Some(9))];
        assert_eq!(less, expected);
    }

    proptest! {
        #[test]
        fn results_agree_with_brute_force(
            raw in prop::collection::vec((0usize..3, 0usize..3, prop::option::of(0u64..40_000_000), prop::option::of(0u64..80_000_000)), 0..80)
        ) {
            let matrix = matrix(3, |from, to| (from * 10 + to) as u64 * 1_000_000);
            let samples: Vec<Sample> = raw.iter().map(|(from, to, one_way, rtt)| sample(*from, *to, 0, *one_way, *rtt)).collect();
            let result = compare(&matrix, &samples, TOLERANCE);
            prop_assert_eq!(result.paths.len(), 6);
            for path in &result.paths {
                let own: Vec<_> = raw.iter().filter(|raw| raw.0 == path.from && raw.1 == path.to).collect();
                prop_assert_eq!(path.sent as usize, own.len());
                prop_assert_eq!(path.lost as usize, own.iter().filter(|raw| raw.2.is_none() && raw.3.is_none()).count());
                let mut delays: Vec<u64> = own.iter().filter_map(|raw| raw.2).collect();
                delays.sort_unstable();
                let median = delays.get(delays.len().saturating_sub(1) / 2).copied();
                prop_assert_eq!(path.one_way.map(|one_way| one_way.p50.as_nanos()), median);
                let allowed = (path.intended.as_nanos() / 20).max(1_000_000);
                let pass = median.is_some_and(|median| median.abs_diff(path.intended.as_nanos()) <= allowed)
                    && delays.len() >= own.len() - delays.len();
                prop_assert_eq!(path.verdict == Verdict::Pass, pass);
            }
            let worst = raw.iter().filter(|raw| raw.0 != raw.1).filter_map(|raw| {
                raw.2.map(|one_way| one_way.abs_diff((raw.0 * 10 + raw.1) as u64 * 1_000_000))
            }).max();
            prop_assert_eq!(result.error.map(|error| error.max.as_nanos()), worst);
        }
    }
}
