//! What measuring yields: raw [`Sample`]s, and what they say of each path and of the whole.

use serde::{Deserialize, Serialize};

use super::clock::Basis;
use super::missing::Missing;
use crate::topology::NodeIndex;
use crate::units::{Delay, Deviation, Rtt, Span};

/// One probe of one path. A probe that did not arrive is a sample too: lost, not absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The sender.
    pub from: NodeIndex,
    /// The receiver.
    pub to: NodeIndex,
    /// The number of the probe on its path, from 0.
    pub seq: u32,
    /// When it was handed to the kernel, nanoseconds of the sender's real-time clock.
    pub sent_ns: u64,
    /// Kernel to kernel, there; `None` when it did not arrive.
    pub one_way: Option<Delay>,
    /// There and back; `None` when the answer did not arrive.
    pub rtt: Option<Rtt>,
}

/// The distribution of a path's one-way delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelaySummary {
    /// Smallest.
    pub min: Delay,
    /// Median.
    pub p50: Delay,
    /// 90th percentile.
    pub p90: Delay,
    /// 99th percentile.
    pub p99: Delay,
    /// Largest.
    pub max: Delay,
}

/// The distribution of a path's round-trip time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttSummary {
    /// Smallest.
    pub min: Rtt,
    /// Median.
    pub p50: Rtt,
    /// 90th percentile.
    pub p90: Rtt,
    /// 99th percentile.
    pub p99: Rtt,
    /// Largest.
    pub max: Rtt,
}

/// How far the median of a path may be from the intention: the larger of a share of the delay and a fixed span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Share of the intended delay, 0.05 for 5 %.
    pub relative: f64,
    /// Fixed part.
    pub absolute: Span,
}

/// Whether something is within tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Within tolerance.
    Pass,
    /// Outside, or nothing arrived.
    Fail,
}

/// What the samples say of one path.
#[derive(Debug, Clone, PartialEq)]
pub struct PathResult {
    /// The sender.
    pub from: NodeIndex,
    /// The receiver.
    pub to: NodeIndex,
    /// What was asked for.
    pub intended: Delay,
    /// The median that this should have: with jitter it need not be the delay.
    pub intended_median: Delay,
    /// The sum of the two intended delays of the pair.
    pub intended_rtt: Rtt,
    /// The sum of the two intended medians.
    pub intended_rtt_median: Rtt,
    /// One-way delay; `None` when no probe arrived.
    pub one_way: Option<DelaySummary>,
    /// 95 % confidence interval of the median one-way delay; `None` below 6 probes that arrived.
    pub one_way_ci: Option<(Delay, Delay)>,
    /// How far the one-way figures may be off because the two clocks are not one; `None` when that is not known.
    pub clock_bound: Option<Span>,
    /// Round trip; `None` when no answer arrived.
    pub rtt: Option<RttSummary>,
    /// Probes sent.
    pub sent: u32,
    /// Probes of which neither the arrival nor an answer was seen.
    pub lost: u32,
    /// How far chance may put the median of so many probes below and above the intended one.
    pub chance: (Span, Span),
    /// Median minus intended median: of the one-way delay or of the round trip, by the comparison's basis.
    pub error: Option<Deviation>,
    /// Whether the median is within tolerance.
    pub verdict: Verdict,
}

/// The distribution of |measured − intended| over all probes that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorSummary {
    /// Median.
    pub p50: Span,
    /// 99th percentile.
    pub p99: Span,
    /// Largest.
    pub max: Span,
}

/// Intended against measured, path by path and in sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What errors and verdicts are about.
    pub basis: Basis,
    /// Every path, in the matrix's row-major order.
    pub paths: Vec<PathResult>,
    /// Over all probes of all paths; `None` when none arrived.
    pub error: Option<ErrorSummary>,
    /// Probes sent on all paths.
    pub sent: u64,
    /// Probes lost on all paths.
    pub lost: u64,
    /// Pass when every path passes.
    pub verdict: Verdict,
    /// What it was judged by.
    pub tolerance: Tolerance,
    /// The nodes whose paths are not judged.
    pub missing: Missing,
}

impl Comparison {
    /// What a path was to take and what its median took, in milliseconds: one way, or there and back, by the basis.
    pub fn judged_ms(&self, path: &PathResult) -> (f64, Option<f64>) {
        match self.basis {
            Basis::OneWay => (path.intended.as_millis_f64(), path.one_way.map(|delay| delay.p50.as_millis_f64())),
            Basis::RoundTrip => (path.intended_rtt.as_millis_f64(), path.rtt.map(|rtt| rtt.p50.as_millis_f64())),
        }
    }

    /// What the median of a path should be, in milliseconds: with jitter or a rate it is not what the path was to take.
    pub fn expected_ms(&self, path: &PathResult) -> f64 {
        match self.basis {
            Basis::OneWay => path.intended_median.as_millis_f64(),
            Basis::RoundTrip => path.intended_rtt_median.as_millis_f64(),
        }
    }

    /// [`Comparison::expected_ms`] where it is not what the path was to take.
    pub fn shifted_ms(&self, path: &PathResult) -> Option<f64> {
        let shifted = match self.basis {
            Basis::OneWay => path.intended_median != path.intended,
            Basis::RoundTrip => path.intended_rtt_median != path.intended_rtt,
        };
        shifted.then(|| self.expected_ms(path))
    }

    /// The error of a path's median as a share of what is allowed there, by the tolerance and by chance, with its sign; `None`
    /// when nothing arrived. Beyond ±1 is outside.
    pub fn share_of_allowed(&self, path: &PathResult) -> Option<f64> {
        let error = path.error?;
        let chance = if error.as_nanos() < 0 { path.chance.0 } else { path.chance.1 };
        let relative = self.expected_ms(path) * 1e6 * self.tolerance.relative;
        let allowed = relative.max(self.tolerance.absolute.as_nanos() as f64) + chance.as_nanos() as f64;
        let share = error.magnitude().as_nanos() as f64 / allowed.max(1.0);
        Some(if error.as_nanos() < 0 { -share } else { share })
    }
}
