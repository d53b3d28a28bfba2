//! How long a full-mesh measurement takes, and what the prober itself adds.

use std::time::{Duration, Instant};

use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::{BenchLab, Ground, micros, uniform, varied};
use crate::matrix::DelayMatrix;
use crate::measure::{Sample, Tolerance, compare};
use crate::units::{Delay, Span};

const NAME: &str = "mesh";

/// How many nodes there are.
const NODES: usize = 30;
/// Probes per path.
const PROBES: u32 = 10;
/// Between two probes of a path.
const INTERVAL: Span = Span::from_millis(5);

/// One repetition.
#[derive(Debug, Clone, Copy)]
struct Meshes {
    /// With delays, without the longest round trip among them.
    delayed: Duration,
    /// Without delays.
    bare: Duration,
    /// Median one-way time of a probe on bare paths.
    noise: Span,
    /// Probes that were lost, with and without delays.
    lost: [u64; 2],
}

/// Measures meshes with and without delays.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let mut meshes = Vec::new();
    let mut lab = ground.lab(NAME, varied(NODES)?)?;
    let nothing = uniform(NODES, Delay::ZERO)?;
    let intended = lab.matrix().clone();
    for _ in ground.repetitions("a full mesh of 30 nodes") {
        let (bare, samples) = timed(&mut lab)?;
        let (noise, lost_bare) = judge(&nothing, &samples);
        lab.apply()?;
        let (delayed, samples) = timed(&mut lab)?;
        let (_, lost) = judge(&intended, &samples);
        lab.clear()?;
        let delayed = delayed.saturating_sub(longest_round_trip(&intended));
        meshes.push(Meshes { delayed, bare, noise: noise.unwrap_or(Span::ZERO), lost: [lost, lost_bare] });
    }
    lab.stop()?;
    Ok(summarise(&meshes))
}

fn timed(lab: &mut BenchLab) -> anyhow::Result<(Duration, Vec<Sample>)> {
    let clock = Instant::now();
    let samples = lab.probe(PROBES, INTERVAL)?;
    Ok((clock.elapsed(), samples))
}

/// The median error and the loss.
fn judge(intended: &DelayMatrix, samples: &[Sample]) -> (Option<Span>, u64) {
    let comparison = compare(intended, samples, Tolerance { relative: 0.0, absolute: Span::ZERO });
    (comparison.error.map(|error| error.p50), comparison.lost)
}

/// What the delays themselves add: the last answer cannot come before.
fn longest_round_trip(matrix: &DelayMatrix) -> Duration {
    let trips = matrix.paths().map(|(from, to)| matrix.round_trip(from, to));
    trips.max().map_or(Duration::ZERO, crate::units::Rtt::as_duration)
}

fn summarise(meshes: &[Meshes]) -> Vec<Row> {
    let seconds =
        |pick: fn(&Meshes) -> Duration| Series::new(Unit::Seconds, meshes.iter().map(|one| pick(one).as_secs_f64()));
    let lost = |at: usize| Series::new(Unit::Packets, meshes.iter().map(|one| one.lost[at] as f64));
    let what = format!("{NODES} nodes × {PROBES} probes every {INTERVAL}");
    vec![
        Row::new(NAME, format!("{what}, less the delays"), seconds(|one| one.delayed))
            .beside(Relation::Difference, seconds(|one| one.bare))
            .reaching(Target::at_most(3.0)),
        Row::new(NAME, "lost probes", lost(0)).beside(Relation::Difference, lost(1)).reaching(Target::at_most(0.0)),
        Row::new(
            NAME,
            "prober's own noise: bare one-way p50",
            Series::new(Unit::Micros, meshes.iter().map(|one| micros(one.noise))),
        )
        .reaching(Target::at_most(20.0)),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::bench::figures::Verdict;

    #[test]
    fn the_longest_round_trip_is_that_of_the_worst_pair() {
        let delays = |from: usize, to: usize| Delay::from_millis(if from < to { 40 } else { 3 });
        let matrix = crate::cli::bench::ground::matrix_of(3, delays).unwrap();
        assert_eq!(longest_round_trip(&matrix), Duration::from_millis(43));
    }

    #[test]
    fn meshes_become_rows() {
        let mesh = |noise| Meshes {
            delayed: Duration::from_millis(1_800),
            bare: Duration::from_millis(1_700),
            noise: Span::from_micros(noise),
            lost: [1, 0],
        };
        let rows = summarise(&[mesh(10), mesh(30), mesh(21)]);
        let verdicts: Vec<Verdict> = rows.iter().map(Row::verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::NotMet, Verdict::NotMet]);
        assert!((rows[0].compared().unwrap() - 0.1).abs() < 1e-9);
    }
}
