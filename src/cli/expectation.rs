//! What a measurement of impaired paths should show, and the judgement of what it did show.

use std::collections::BTreeMap;

use crate::matrix::DelayMatrix;
use crate::measure::{Beyond, Comparison, FRAME, Median, Missing, Sample, Tolerance, Verdict, beyond, compare_medians};
use crate::shaping::{Expected, Impairment};
use crate::testbed::Measured;
use crate::topology::NodeIndex;
use crate::units::{Delay, Span};

/// Standard deviations that chance exceeds once in 16,000 times.
const CHANCE: f64 = 4.0;

/// What an IPv6 header has more than one of IPv4, in bytes.
const IPV6_MORE: usize = 20;

/// What every path should show.
#[derive(Debug, Default)]
pub(super) struct Expectation {
    /// Of paths with dice or a bottleneck; the median of the others is their delay.
    medians: BTreeMap<(NodeIndex, NodeIndex), Median>,
    beyond: BTreeMap<(NodeIndex, NodeIndex), Expected>,
    /// Paths whose rate is too low for the probes' pace.
    crowded: usize,
}

/// The probes of a measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probes {
    /// How many on each path.
    pub(super) count: u32,
    /// Between two of a path.
    pub(super) interval: Span,
    /// Whether over IPv6.
    pub(super) ipv6: bool,
}

impl Expectation {
    /// Of paths that do what `pings` says to the probes.
    pub(super) fn of(matrix: &DelayMatrix, pings: impl Fn(NodeIndex, NodeIndex) -> Impairment, probes: Probes) -> Self {
        let length = FRAME + if probes.ipv6 { IPV6_MORE } else { 0 };
        let mut all = Self::default();
        for path in matrix.paths() {
            let impairment = pings(path.0, path.1);
            if !impairment.has_memory() && impairment.delay == matrix.delay(path.0, path.1) {
                continue;
            }
            let expected = impairment.expected(length);
            let arriving = 1.0 - expected.lost.most;
            let count = f64::from(probes.count) * arriving;
            let (value, (low, high)) = impairment.expected_median(length, count, CHANCE);
            let apart = |one: Delay, other: Delay| Span::from_nanos(one.as_nanos().saturating_sub(other.as_nanos()));
            let median = Median {
                value,
                below: apart(value, low),
                above: apart(high, value),
                mean: expected.mean,
                arriving,
                bursts: expected.lost.inflation,
            };
            all.medians.insert(path, median);
            all.beyond.insert(path, expected);
            // A path carries its own probes and the answers to those of the way back.
            let needed = impairment.rate.map(|rate| 2.0 * length as f64 * 8e9 / rate.bits_per_second().max(1) as f64);
            all.crowded += usize::from(needed.is_some_and(|needed| needed > probes.interval.as_nanos() as f64));
        }
        all
    }

    /// The judgement of `samples`, which may have the base subtracted.
    pub(super) fn judge(
        &self,
        matrix: &DelayMatrix,
        samples: &[Sample],
        measured: &Measured,
        tolerance: Tolerance,
    ) -> (Comparison, Beyond) {
        let plain = |from, to| Median::of(matrix.delay(from, to));
        let median = |from, to| self.medians.get(&(from, to)).copied().unwrap_or_else(|| plain(from, to));
        let mut comparison = compare_medians(&measured.clocks, matrix, median, samples, tolerance);
        let missing = Missing::of(measured.missing.clone());
        // What a missing node would have counted is neither lost nor doubled.
        let judged = self.beyond.iter().filter(|((from, to), _)| !missing.concerns(*from, *to));
        let judged = judged.map(|(path, expected)| (*path, *expected)).collect();
        comparison = comparison.without(missing);
        let beyond = beyond(&judged, samples, &measured.collected.copies);
        if beyond.verdict() == Verdict::Fail {
            comparison.verdict = Verdict::Fail;
        }
        (comparison, beyond)
    }

    /// What a reader of the figures must know, in words.
    pub(super) fn notes(&self, comparison: &Comparison) -> Vec<String> {
        let judged = |path: &&crate::measure::PathResult| path.intended != path.intended_median;
        let shifted = comparison.paths.iter().filter(judged).count();
        let chance = |median: &Median| median.below.max(median.above);
        let (mut wide, mut widest) = (0, Span::ZERO);
        for median in self.medians.values().filter(|median| !comparison.tolerance.allows(median.value, chance(median)))
        {
            (wide, widest) = (wide + 1, widest.max(chance(median)));
        }
        let mut notes = Vec::new();
        if shifted > 0 {
            notes.push(format!(
                "note: {shifted} paths are judged by the median that their impairment has, which is not their delay"
            ));
        }
        if wide > 0 {
            notes.push(format!(
                "note: so few probes leave the medians of {wide} paths with jitter up to {} to chance, which is allowed \
                 for; more probes judge them better",
                in_microseconds(widest)
            ));
        }
        notes.extend(self.crowding());
        notes
    }

    /// Whether probes measure themselves too, where a rate is low.
    pub(super) fn crowding(&self) -> Option<String> {
        (self.crowded > 0).then(|| {
            format!(
                "note: on {} paths probes come faster than the rate lets them through and wait for each other; a longer \
                 --interval measures the path alone",
                self.crowded
            )
        })
    }
}

fn in_microseconds(span: Span) -> Span {
    Span::from_micros(span.as_nanos() / 1_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::measure::{Clocks, Collected};
    use crate::shaping::{Distribution, Jitter};
    use crate::topology::NodeName;

    #[test]
    fn chance_is_allowed_for_and_told() {
        let names = vec![NodeName::numbered(1), NodeName::numbered(2)];
        let delay = Delay::from_millis(50);
        let matrix = DelayMatrix::new(names, vec![Delay::ZERO, delay, delay, Delay::ZERO]).unwrap();
        let jitter = Jitter { span: Span::from_millis(10), distribution: Distribution::Pareto, ..Jitter::default() };
        let impairment = Impairment { jitter, rate: Some("100kbit".parse().unwrap()), ..Impairment::delay(delay) };
        let notes = |count| {
            let probes = Probes { count, interval: Span::from_millis(8), ipv6: false };
            let expectation = Expectation::of(&matrix, |_, _| impairment, probes);
            let collected =
                Collected { samples: Vec::new(), duplicates: 0, copies: BTreeMap::new(), backwards: 0, unexpected: 0 };
            let nothing = Measured { collected, reports: Vec::new(), clocks: Clocks::One, missing: BTreeMap::new() };
            let tolerance = Tolerance { relative: 0.05, absolute: Span::from_millis(1) };
            expectation.notes(&expectation.judge(&matrix, &[], &nothing, tolerance).0)
        };
        assert!(notes(10)[1].contains("medians of 2 paths with jitter"), "{:?}", notes(10));
        assert_eq!(
            notes(10_000),
            [
                "note: 2 paths are judged by the median that their impairment has, which is not their delay",
                "note: on 2 paths probes come faster than the rate lets them through and wait for each other; a longer \
                 --interval measures the path alone",
            ]
        );
    }
}
