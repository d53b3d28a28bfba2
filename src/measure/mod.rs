//! Measuring: the probe schedule (pure), kernel-stamped probes (adapter), and the comparison with the intention (pure).

mod beyond;
pub mod clock;
mod collect;
mod compare;
mod echo;
mod fake;
mod icmp;
mod ledger;
mod missing;
mod order;
#[doc(hidden)]
pub mod outside;
mod probe;
mod rank;
mod raw_socket;
mod sample;
mod schedule;

pub use beyond::{Beyond, BeyondPath, JitterFound, Judgement, ShareFound, beyond};
pub use clock::{Basis, Clocks};
pub use collect::{Collected, collect, collect_by};
pub use compare::{BaseMatrix, Median, compare, compare_by, compare_medians, subtract_base};
pub use echo::FRAME;
pub use fake::FakeProber;
pub use icmp::{IcmpProber, StopSignal};
pub use missing::{Missing, MissingNode};
pub use order::overtaken;
pub use probe::{
    Lateness, MAX_PROBES, MAX_RUN, ProbeError, ProbeOrder, ProbeReport, Prober, ReceivedProbe, START_MISSED, SentProbe,
    Stamps,
};
pub(crate) use rank::{median_interval, percentile};
pub use sample::{Comparison, DelaySummary, ErrorSummary, PathResult, RttSummary, Sample, Tolerance, Verdict};
pub use schedule::{Pattern, Plan, Sequence, Slot};
