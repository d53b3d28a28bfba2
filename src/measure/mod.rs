//! Measuring: the probe schedule (pure), kernel-stamped probes (adapter), and the comparison with the intention (pure).

mod collect;
mod compare;
mod fake;
mod probe;
mod rank;
mod sample;
mod schedule;

pub use collect::{Collected, collect};
pub use compare::{BaseMatrix, compare, subtract_base};
pub use fake::FakeProber;
pub use probe::{Lateness, ProbeError, ProbeOrder, ProbeReport, Prober, ReceivedProbe, SentProbe, Stamps};
pub use sample::{Comparison, DelaySummary, ErrorSummary, PathResult, RttSummary, Sample, Tolerance, Verdict};
pub use schedule::{Plan, Sequence, Slot};
