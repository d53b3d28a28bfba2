//! `longhaul bench inject`: what delays to many destinations take and cost, beside tc and tcconfig in the same run.

mod apply;
mod batch;
mod cost;
mod precision;
mod rows;
mod slices;
mod tc;
mod tcconfig;
mod update;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::conduct::{self, Wish, conduct};
use super::figures::Row;
use super::ground::Ground;
use crate::cli::input::BackendArgs;
use tcconfig::Tcset;

/// Why tc, and what stands on it, has no delays to set.
const NO_NETEM: &str = "this kernel has no netem, without which tc cannot delay";

/// Measure delays to many destinations on this machine beside tc and tcconfig and beside their targets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul bench inject            everything; with tcconfig some ten minutes
  longhaul bench inject --quick    once each and shorter
  longhaul bench inject --only apply update --json bench.json
  longhaul bench inject --only apply --tcconfig /opt/tcconfig/bin

Every figure is the median of the repetitions, with the least and the most.
Each row says what stands beside longhaul; where a peer cannot do it, the row says why.
Use a release build on a machine that does nothing else.

Exit code: 0 also when a target is missed, 2 when something could not be measured.")]
pub(super) struct InjectBenchArgs {
    /// Repetitions of each figure [default: 3, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: Option<u32>,
    /// Measurements to make [default: all]
    #[arg(long, value_name = "NAME", value_enum, num_args = 1.., value_delimiter = ',')]
    only: Vec<Measurement>,
    /// Shorter measurements, once each
    #[arg(long)]
    quick: bool,
    /// Where tcconfig's tcset is: the program or its folder [default: on PATH]
    #[arg(long, value_name = "PATH")]
    tcconfig: Option<PathBuf>,
    /// Also write everything as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Time until delays to 10, 100 and 1,000 destinations are there, beside tc -batch and tcconfig
    Apply,
    /// Round trip and TCP with 1 and with 1,000 destinations, beside tc's layout on the root (needs iperf3)
    Cost,
    /// 1,000 delays changed again and again under 10,000 packets a second, beside tc
    Update,
    /// Error of delays from 1 to 200 ms on every back-end, idle and under 1 Gbit/s (needs iperf3)
    Precision,
}

impl Measurement {
    const ALL: [Self; 4] = [Self::Apply, Self::Cost, Self::Update, Self::Precision];

    /// As the table and `--only` name it.
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Cost => "cost",
            Self::Update => "update",
            Self::Precision => "precision",
        }
    }

    fn take(self, ground: &Ground<'_>, tcset: Option<&Tcset>) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Apply => apply::take(ground, tcset),
            Self::Cost => cost::take(ground),
            Self::Update => update::take(ground),
            Self::Precision => precision::take(ground),
        }
    }
}

/// Runs `longhaul bench inject`.
pub(super) fn run(args: &InjectBenchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let tcset = Tcset::find(args.tcconfig.as_deref())?;
    let tcset = tcset.as_ref();
    let wanted = Measurement::ALL.into_iter().filter(|one| args.only.is_empty() || args.only.contains(one));
    let measurements =
        wanted.map(|one| -> conduct::Measurement<'_> { (one.name(), Box::new(move |ground| one.take(ground, tcset))) });
    let wish = Wish {
        quick: args.quick,
        repeat: args.repeat,
        json: args.json.as_deref(),
        backend: args.backend.choice(),
        peer: "BESIDE IT",
    };
    conduct(wish, measurements.collect(), out)
}
