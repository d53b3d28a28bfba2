//! The port [`Prober`]: what a node is asked to probe, and what it saw.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::topology::NodeIndex;
use crate::units::{Delay, Span};

use super::schedule::{Pattern, Plan};

/// The longest that a measurement may take, with its grace.
pub const MAX_RUN: Span = Span::from_millis(24 * 3_600_000);

/// The most probes that one node sends in a measurement, with the warm-up: what fits in the memory of a small agent.
pub const MAX_PROBES: u64 = 4_000_000;

/// What one node has to do in a measurement. Every node gets the same order but for `me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeOrder {
    /// Names the measurement; probes of another one are ignored. Choose it at random.
    pub run: u64,
    /// The node that this order is for.
    pub me: NodeIndex,
    /// Where each node answers, by its index.
    pub addresses: Vec<IpAddr>,
    /// Counted probes per path.
    pub probes: u32,
    /// Probes per path that go out first and are not counted.
    pub warm_up: u32,
    /// Between two probes of a path.
    pub interval: Span,
    /// In which order the pairs are probed.
    #[serde(default)]
    pub pattern: Pattern,
    /// When the schedule starts, nanoseconds since 1970 by the real-time clock. Must lie far enough ahead for
    /// every node to open its sockets before.
    pub start_realtime_ns: u64,
    /// How long to wait for late answers after the last round; the run ends before when nothing is missing.
    pub grace: Span,
}

impl ProbeOrder {
    /// The schedule that this order is part of.
    pub fn plan(&self) -> Plan {
        Plan {
            nodes: self.addresses.len(),
            probes: self.probes,
            warm_up: self.warm_up,
            interval: self.interval,
            pattern: self.pattern,
        }
    }

    /// A grace that lets the last answers arrive where no path takes longer than `longest`: there, back and half a
    /// second.
    pub fn grace_for(longest: Delay) -> Span {
        const SPARE: Span = Span::from_millis(500);
        Span::from_nanos(longest.as_nanos().saturating_mul(2).saturating_add(SPARE.as_nanos()))
    }
}

/// A counted probe that the node sent. On the wire `[to, seq, tx_ns, rx_ns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(NodeIndex, u32, u64, Option<u64>)", into = "(NodeIndex, u32, u64, Option<u64>)")]
pub struct SentProbe {
    /// The receiver.
    pub to: NodeIndex,
    /// The number of the probe on its path, from 0.
    pub seq: u32,
    /// When it was handed to the kernel's queue, nanoseconds of the real-time clock.
    pub tx_ns: u64,
    /// When its answer arrived; `None` when none did.
    pub rx_ns: Option<u64>,
}

/// A counted probe of a peer that arrived at the node. On the wire `[from, seq, rx_ns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(NodeIndex, u32, u64)", into = "(NodeIndex, u32, u64)")]
pub struct ReceivedProbe {
    /// The sender.
    pub from: NodeIndex,
    /// The number of the probe on its path, from 0.
    pub seq: u32,
    /// When it arrived, nanoseconds of the real-time clock.
    pub rx_ns: u64,
}

impl From<(NodeIndex, u32, u64, Option<u64>)> for SentProbe {
    fn from((to, seq, tx_ns, rx_ns): (NodeIndex, u32, u64, Option<u64>)) -> Self {
        Self { to, seq, tx_ns, rx_ns }
    }
}

impl From<SentProbe> for (NodeIndex, u32, u64, Option<u64>) {
    fn from(probe: SentProbe) -> Self {
        (probe.to, probe.seq, probe.tx_ns, probe.rx_ns)
    }
}

impl From<(NodeIndex, u32, u64)> for ReceivedProbe {
    fn from((from, seq, rx_ns): (NodeIndex, u32, u64)) -> Self {
        Self { from, seq, rx_ns }
    }
}

impl From<ReceivedProbe> for (NodeIndex, u32, u64) {
    fn from(probe: ReceivedProbe) -> Self {
        (probe.from, probe.seq, probe.rx_ns)
    }
}

/// Who took the instants at which probes were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stamps {
    /// The kernel, for every probe, in front of the queue (`TX_SCHED`).
    Kernel,
    /// The prober itself, just before the send call: for the [`ProbeReport::user_stamped`] probes, or for all when
    /// not one kernel stamp came.
    User,
}

/// How much later than scheduled probes were sent. It is noise of the pacing, not of the measured delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lateness {
    /// Median.
    pub p50: Span,
    /// 99th percentile.
    pub p99: Span,
    /// Largest.
    pub max: Span,
}

/// What one node saw in a measurement. Warm-up probes are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The node's own probes, by receiver and number. Every planned probe is here, also one that could not be sent.
    pub sent: Vec<SentProbe>,
    /// The peers' probes that arrived, in order of arrival, each once.
    pub received: Vec<ReceivedProbe>,
    /// Who took the sending instants.
    pub stamps: Stamps,
    /// Probes that were answered although no kernel stamp came for them.
    pub user_stamped: u32,
    /// Copies of probes and answers that had arrived before.
    pub duplicates: u32,
    /// Probes that the kernel refused to send.
    pub refused: u32,
    /// What it said to the first of them.
    pub first_refusal: Option<String>,
    /// How late the probes were sent; `None` when there were none.
    pub lateness: Option<Lateness>,
}

/// How the words of [`ProbeError::StartMissed`] begin: with them the asker recognizes what another attempt can cure.
pub const START_MISSED: &str = "the common start was missed";

/// Why a node could not take part in a measurement.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The order is for a node that has no address in it.
    #[error("the order is for node {me} of only {nodes}")]
    UnknownNode {
        /// The node that the order is for, from 0.
        me: NodeIndex,
        /// How many addresses there are.
        nodes: usize,
    },
    /// The schedule takes longer than [`MAX_RUN`].
    #[error("the schedule takes {duration}; at most {MAX_RUN} is allowed")]
    TooLong {
        /// The schedule with its grace.
        duration: Span,
    },
    /// The node would send more than [`MAX_PROBES`].
    #[error("the order asks for {probes} probes from one node; at most {MAX_PROBES} are allowed")]
    TooMany {
        /// With the warm-up.
        probes: u64,
    },
    /// The sockets were open only after the common start.
    #[error("{START_MISSED} by {late}; set it further ahead")]
    StartMissed {
        /// By how much.
        late: Span,
    },
    /// A socket could not be opened or set up.
    #[error("cannot {operation} for {family} probes: {source}")]
    Socket {
        /// What was tried.
        operation: &'static str,
        /// `ICMP` or `ICMPv6`.
        family: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Waiting failed.
    #[error("cannot wait for probes: {0}")]
    Wait(std::io::Error),
    /// Somebody stopped the run.
    #[error("the measurement was stopped")]
    Stopped,
}

/// Sends the probes of one node by the schedule and records what arrives there.
pub trait Prober {
    /// Carries out `order` in the network namespace of the calling thread; returns when everything that is expected
    /// has arrived, or the grace has passed.
    fn run(&mut self, order: &ProbeOrder) -> Result<ProbeReport, ProbeError>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_grace_covers_the_longest_round_trip() {
        assert_eq!(ProbeOrder::grace_for(Delay::from_millis(150)), Span::from_millis(800));
        assert_eq!(ProbeOrder::grace_for(Delay::from_nanos(u64::MAX)), Span::from_nanos(u64::MAX));
    }

    #[test]
    fn reports_are_compact_json_and_read_back() {
        let report = ProbeReport {
            sent: vec![SentProbe { to: 1, seq: 0, tx_ns: 1_000, rx_ns: Some(2_000) }],
            received: vec![ReceivedProbe { from: 1, seq: 0, rx_ns: 1_500 }],
            stamps: Stamps::Kernel,
            user_stamped: 0,
            duplicates: 0,
            refused: 0,
            first_refusal: None,
            lateness: None,
        };
        let text = serde_json::to_string(&report).unwrap();
        insta::assert_snapshot!(text, @r#"{"sent":[[1,0,1000,2000]],"received":[[1,0,1500]],"stamps":"kernel","user_stamped":0,"duplicates":0,"refused":0,"first_refusal":null,"lateness":null}"#);
        assert_eq!(serde_json::from_str::<ProbeReport>(&text).unwrap(), report);
    }
}
