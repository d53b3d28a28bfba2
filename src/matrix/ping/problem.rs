//! [`PingProblem`]: what is wrong with the logs of ping.

use crate::topology::NodeName;

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum PingProblem {
    /// No word on how to split round trips.
    #[error(
        "holds round-trip times, and a delay matrix holds one-way delays; \
         add `--split-rtt halves` to give each way half of them"
    )]
    SplitNeeded,
    /// A line that neither program prints.
    #[error(
        "`{0}` is no line of ping, fping or hping in English; give the output of `ping`, `fping -c N` or `fping -C N` as it is"
    )]
    Line(String),
    /// A reply before the line that says who is pinged.
    #[error("a reply stands before any `PING …` line; keep the whole output of ping")]
    NoHeader,
    /// A reply without its time.
    #[error("the reply has no `time=`; ping with at least 16 bytes of data")]
    NoTime,
    /// Nothing in it.
    #[error("has no output of ping or fping; give the log of a finished run")]
    Empty,
    /// No reply, or only a summary.
    #[error(
        "no single round trip to `{0}` is in the log; if all probes were lost leave the file out, \
         if only min/avg/max are there run ping without -q, or fping with -C N"
    )]
    NoReply(String),
    /// A log of several targets as the log of one pair.
    #[error("`{0}` is a second target in the log of one pair; give the file as NAME=FILE")]
    TwoTargets(String),
    /// A target that is no node.
    #[error("target `{0}` is no node; add a line `NAME,{0}` to the list of addresses (`--addresses FILE`)")]
    Stranger(String),
    /// Two measurements of one pair.
    #[error("`{from}` to `{to}` was measured already; keep one of the two logs")]
    PairTwice {
        /// Who pinged.
        from: NodeName,
        /// Who was pinged.
        to: NodeName,
    },
    /// A pair without any measurement.
    #[error("no log measures between `{from}` and `{to}`; add one as `{from},{to}=FILE`")]
    NotMeasured {
        /// One of the two.
        from: NodeName,
        /// The other.
        to: NodeName,
    },
}
