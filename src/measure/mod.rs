//! Measuring: the probe schedule (pure), kernel-stamped probes (adapter), and the comparison with the intention (pure).

mod compare;
mod rank;
mod sample;
mod schedule;

pub use compare::{BaseMatrix, compare, subtract_base};
pub use sample::{Comparison, DelaySummary, ErrorSummary, PathResult, RttSummary, Sample, Tolerance, Verdict};
pub use schedule::{Plan, Sequence, Slot};
