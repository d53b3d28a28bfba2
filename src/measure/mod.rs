//! Measuring: the probe schedule (pure), kernel-stamped probes (adapter), and the comparison with the intention (pure).

mod sample;

pub use sample::{Comparison, DelaySummary, ErrorSummary, PathResult, RttSummary, Sample, Tolerance, Verdict};
