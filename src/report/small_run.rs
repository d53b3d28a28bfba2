//! Runs for the tests of this room: a comparison made from samples in the plainest way.
#![allow(clippy::unwrap_used)]

use crate::matrix::DelayMatrix;
use crate::measure::{Comparison, DelaySummary, ErrorSummary, PathResult, RttSummary, Sample, Tolerance, Verdict};
use crate::topology::NodeName;
use crate::units::{Delay, Rtt, Span};

/// The value of the ascending `values` at rank ⌈percent·n/100⌉.
fn rank<T: Copy>(values: &[T], percent: usize) -> T {
    values[(percent * values.len()).div_ceil(100).max(1) - 1]
}

/// What `samples` say of `matrix`, judged by the larger of 5 % and 1 ms.
pub(super) fn comparison(matrix: &DelayMatrix, samples: &[Sample]) -> Comparison {
    let tolerance = Tolerance { relative: 0.05, absolute: Span::from_millis(1) };
    let paths: Vec<_> = matrix.paths().map(|path| path_result(matrix, samples, path)).collect();
    let intended = |sample: &Sample| matrix.delay(sample.from, sample.to);
    let arrived = samples.iter().filter_map(|sample| Some(sample.one_way?.deviation(intended(sample)).magnitude()));
    let mut errors: Vec<Span> = arrived.collect();
    errors.sort();
    Comparison {
        basis: crate::measure::Basis::OneWay,
        error: (!errors.is_empty()).then(|| ErrorSummary {
            p50: rank(&errors, 50),
            p99: rank(&errors, 99),
            max: rank(&errors, 100),
        }),
        sent: samples.len() as u64,
        lost: (samples.len() - errors.len()) as u64,
        verdict: if paths.iter().all(|path| path.verdict == Verdict::Pass) { Verdict::Pass } else { Verdict::Fail },
        paths,
        tolerance,
        missing: crate::measure::Missing::default(),
    }
}

fn path_result(matrix: &DelayMatrix, samples: &[Sample], (from, to): (usize, usize)) -> PathResult {
    let own: Vec<_> = samples.iter().filter(|sample| (sample.from, sample.to) == (from, to)).collect();
    let mut there: Vec<Delay> = own.iter().filter_map(|sample| sample.one_way).collect();
    let mut back: Vec<Rtt> = own.iter().filter_map(|sample| sample.rtt).collect();
    there.sort();
    back.sort();
    let one_way = (!there.is_empty()).then(|| DelaySummary {
        min: rank(&there, 0),
        p50: rank(&there, 50),
        p90: rank(&there, 90),
        p99: rank(&there, 99),
        max: rank(&there, 100),
    });
    let rtt = (!back.is_empty()).then(|| RttSummary {
        min: rank(&back, 0),
        p50: rank(&back, 50),
        p90: rank(&back, 90),
        p99: rank(&back, 99),
        max: rank(&back, 100),
    });
    let intended = matrix.delay(from, to);
    let error = one_way.map(|summary| summary.p50.deviation(intended));
    let bound = (intended.as_millis_f64() * 0.05).max(1.0);
    let good = error.is_some_and(|error| error.as_millis_f64().abs() <= bound);
    PathResult {
        from,
        to,
        intended,
        intended_median: intended,
        chance: (Span::ZERO, Span::ZERO),
        intended_rtt: matrix.round_trip(from, to),
        intended_rtt_median: matrix.round_trip(from, to),
        one_way,
        one_way_ci: None,
        clock_bound: Some(Span::ZERO),
        rtt,
        sent: u32::try_from(own.len()).unwrap(),
        lost: u32::try_from(own.len() - there.len()).unwrap(),
        error,
        verdict: if good { Verdict::Pass } else { Verdict::Fail },
    }
}

/// `n` nodes called n1, n2, …
pub(super) fn numbered(n: usize) -> Vec<NodeName> {
    (1..=n).map(NodeName::numbered).collect()
}

/// A matrix of whole milliseconds.
pub(super) fn matrix(names: &[NodeName], delays: &[u64]) -> DelayMatrix {
    DelayMatrix::new(names.to_vec(), delays.iter().map(|ms| Delay::from_millis(*ms)).collect()).unwrap()
}

/// A sample with its one-way delay and round trip in microseconds.
pub(super) fn sample((from, to): (usize, usize), seq: u32, one_way: Option<u64>, rtt: Option<u64>) -> Sample {
    let sent_ns = 1_700_000_000_000_000_000 + 1_000_000 * u64::from(seq);
    Sample { from, to, seq, sent_ns, one_way: one_way.map(Delay::from_micros), rtt: rtt.map(Rtt::from_micros) }
}

/// Three nodes, two probes a path: one probe lost on n1→n3, all lost on n3→n2, n3→n1 too slow.
pub(super) fn three_nodes() -> (Vec<NodeName>, Vec<Sample>, Comparison) {
    let names: Vec<NodeName> = ["Paris", "Oslo", "Rome, \"IT\""].map(|name| name.parse().unwrap()).into();
    let matrix = matrix(&names, &[0, 10, 20, 12, 0, 5, 20, 7, 0]);
    let samples = vec![
        sample((0, 1), 0, Some(10_041), Some(22_090)),
        sample((0, 1), 1, Some(10_052), Some(22_110)),
        sample((0, 2), 0, Some(20_033), Some(43_500)),
        sample((0, 2), 1, None, None),
        sample((1, 0), 0, Some(12_020), Some(22_070)),
        sample((1, 0), 1, Some(11_990), Some(22_080)),
        sample((1, 2), 0, Some(5_044), None),
        sample((1, 2), 1, Some(5_061), None),
        sample((2, 0), 0, Some(23_500), Some(43_600)),
        sample((2, 0), 1, Some(23_510), Some(43_610)),
        sample((2, 1), 0, None, None),
        sample((2, 1), 1, None, None),
    ];
    let comparison = comparison(&matrix, &samples);
    (names, samples, comparison)
}
