//! Arguments that several subcommands share: the matrix to read, the back-end to use.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::matrix::MatrixSource;
use crate::intended::{Intended, SideFiles};
use crate::matrix::DelayMatrix;
use crate::measure::Tolerance;
use crate::shaping::{BackendChoice, ChoiceError};
use crate::testbed::MeasureOptions;
use crate::testbed::lab::addressing;
use crate::topology::Node;
use crate::units::Span;

/// The matrix of a command that applies it, with what its paths do beyond delay.
#[derive(Debug, Clone, Args)]
pub(super) struct MatrixInput {
    #[command(flatten)]
    source: MatrixSource,
    /// Table of jitters like the matrix, cells such as 2ms
    #[arg(long, value_name = "FILE")]
    jitter: Option<PathBuf>,
    /// Table of losses like the matrix, cells such as 0.5%
    #[arg(long, value_name = "FILE")]
    loss: Option<PathBuf>,
    /// Table of rates like the matrix, cells such as 10mbit
    #[arg(long, value_name = "FILE")]
    rate: Option<PathBuf>,
}

impl MatrixInput {
    /// Reads everything.
    pub(super) fn intended(&self) -> anyhow::Result<Intended> {
        let (jitter, loss, rate) = (self.jitter.clone(), self.loss.clone(), self.rate.clone());
        self.source.intended(&SideFiles { jitter, loss, rate })
    }

    /// What a lab or a run made of this matrix is called.
    pub(super) fn stem(&self) -> String {
        self.source.stem()
    }

    /// Where the matrix comes from, for records.
    pub(super) fn place(&self) -> String {
        self.source.place()
    }
}

/// Which delay element the agents use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendName {
    /// Netem where the kernel has it, userspace elsewhere
    Auto,
    /// The kernel's own network emulator
    Netem,
    /// A delay line in user space, for kernels without netem
    Userspace,
}

/// The back-end option.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct BackendArgs {
    /// What delays the packets
    #[arg(long, value_enum, default_value_t = BackendName::Auto)]
    backend: BackendName,
}

impl BackendArgs {
    /// As the shaping room names it.
    pub(super) fn choice(self) -> BackendChoice {
        match self.backend {
            BackendName::Auto => BackendChoice::Auto,
            BackendName::Netem => BackendChoice::Netem,
            BackendName::Userspace => BackendChoice::Userspace,
        }
    }
}

/// The back-end option of commands that apply a matrix.
#[derive(Debug, Clone, Args)]
pub(super) struct NodeBackendArgs {
    #[command(flatten)]
    all: BackendArgs,
    /// Another delay element for one node; may be given several times
    #[arg(long, value_name = "NODE=BACKEND")]
    node_backend: Vec<NodeBackend>,
}

/// `n2=userspace`.
#[derive(Debug, Clone)]
struct NodeBackend {
    node: String,
    choice: BackendChoice,
}

impl FromStr for NodeBackend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, backend) = text.rsplit_once('=').ok_or("write NODE=BACKEND, such as n2=userspace")?;
        let choice = backend.parse().map_err(|error: ChoiceError| error.to_string())?;
        Ok(Self { node: node.to_owned(), choice })
    }
}

impl NodeBackendArgs {
    /// The choice of each node.
    pub(super) fn choices(&self, nodes: &[Node]) -> anyhow::Result<Vec<BackendChoice>> {
        let mut choices = vec![self.all.choice(); nodes.len()];
        for exception in &self.node_backend {
            let node = addressing::find(nodes, &exception.node)
                .with_context(|| format!("--node-backend: there is no node `{}`", exception.node))?;
            choices[node] = exception.choice;
        }
        Ok(choices)
    }
}

/// Between two probes of a path: thirty nodes by ten probes then take 2.4 s.
const DEFAULT_INTERVAL: Span = Span::from_millis(8);

/// How to probe.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct ProbeArgs {
    /// Number of probes per path
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    probes: u32,
    /// Time between two probes of a path [default: 8ms; verify takes longer where the machine cannot keep up]
    #[arg(long, value_name = "DURATION", value_parser = parse_interval)]
    interval: Option<Span>,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Probe over IPv6 instead of IPv4
    #[arg(long)]
    ipv6: bool,
}

fn parse_interval(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: crate::units::UnitError| error.to_string())?;
    let allowed = Span::from_micros(100)..=Span::from_millis(60_000);
    if allowed.contains(&span) { Ok(span) } else { Err(format!("{span} is not between 100us and 60s")) }
}

impl ProbeArgs {
    /// As the testbed wants them, for measuring `matrix`.
    pub(super) fn options(&self, matrix: &DelayMatrix) -> MeasureOptions {
        MeasureOptions {
            probes: self.probes,
            warm_up: 1,
            interval: self.interval.unwrap_or(DEFAULT_INTERVAL),
            grace: MeasureOptions::grace_for(matrix),
            ipv6: self.ipv6,
            // Never 0, and different from seed to seed; two labs never share a network, so it need not be unique.
            run: self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 2,
        }
    }

    pub(super) fn probes(&self) -> u32 {
        self.probes
    }

    /// Whether the user insists on an interval.
    pub(super) fn interval_is_given(&self) -> bool {
        self.interval.is_some()
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }
}

/// A tolerance as it is written: `5%`, `1ms` or `5%,1ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ToleranceText(pub(super) Tolerance);

impl FromStr for ToleranceText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut tolerance = Tolerance { relative: 0.0, absolute: Span::ZERO };
        for part in text.split(',').map(str::trim) {
            match part.strip_suffix('%') {
                Some(share) => tolerance.relative = parse_share(share.trim()).ok_or_else(|| wrong(part))?,
                None => tolerance.absolute = part.parse().map_err(|_| wrong(part))?,
            }
        }
        Ok(Self(tolerance))
    }
}

fn parse_share(text: &str) -> Option<f64> {
    let share: f64 = text.parse().ok()?;
    (share.is_finite() && (0.0..=1_000.0).contains(&share)).then_some(share / 100.0)
}

fn wrong(part: &str) -> String {
    format!("`{part}` is neither a share nor a duration; write for example 5%, 1ms or 5%,1ms (the larger counts)")
}

impl fmt::Display for ToleranceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the larger of {} % and {} on the median", self.0.relative * 100.0, self.0.absolute)
    }
}
