//! `longhaul bench lab`: every number that a lab promises, measured on this machine beside the plain kernel path.

mod accuracy;
mod lateness;
mod life;
mod mesh;
mod packets;
mod rest;
mod tcp;
mod unmatched;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::conduct::{self, Wish, conduct};
use super::figures::Row;
use super::ground::Ground;
use crate::cli::input::BackendArgs;

/// Measure a lab on this machine beside the plain kernel path and beside its targets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul bench lab            everything, in less than three minutes
  longhaul bench lab --quick    once each and shorter, in less than 40 seconds
  longhaul bench lab --only accuracy mesh --json bench.json
  longhaul bench lab --only tcp --repeat 10 --backend userspace

Every figure is the median of the repetitions, with the least and the most.
The plain kernel path is a bridge and veth pairs of the same lab without delays.
Use a release build on a machine that does nothing else.

Exit code: 0 also when a target is missed, 2 when something could not be measured.")]
pub(super) struct LabBenchArgs {
    /// Repetitions of each figure [default: 3, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: Option<u32>,
    /// Measurements to make [default: all]
    #[arg(long, value_name = "NAME", value_enum, num_args = 1.., value_delimiter = ',')]
    only: Vec<Measurement>,
    /// Shorter measurements, once each
    #[arg(long)]
    quick: bool,
    /// Also write everything as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Error of the delay on all paths of an idle lab of 9 nodes, on every back-end of this kernel
    Accuracy,
    /// A lab of 50 nodes up and down
    Life,
    /// A full-mesh measurement of 30 nodes
    Mesh,
    /// Memory and processor time of agents at rest
    Rest,
    /// TCP through a path of 10 ms (needs iperf3)
    Tcp,
    /// Small packets through a path of 10 ms
    Packets,
    /// Traffic to a destination without delay while others have one (needs iperf3)
    Unmatched,
}

impl Measurement {
    const ALL: [Self; 7] =
        [Self::Accuracy, Self::Life, Self::Mesh, Self::Rest, Self::Tcp, Self::Packets, Self::Unmatched];

    /// As the table and `--only` name it.
    fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Life => "life",
            Self::Mesh => "mesh",
            Self::Rest => "rest",
            Self::Tcp => "tcp",
            Self::Packets => "packets",
            Self::Unmatched => "unmatched",
        }
    }

    fn take(self, ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Accuracy => accuracy::take(ground),
            Self::Life => life::take(ground),
            Self::Mesh => mesh::take(ground),
            Self::Rest => rest::take(ground),
            Self::Tcp => tcp::take(ground),
            Self::Packets => packets::take(ground),
            Self::Unmatched => unmatched::take(ground),
        }
    }
}

/// Runs `longhaul bench lab`.
pub(super) fn run(args: &LabBenchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let wanted = Measurement::ALL.into_iter().filter(|one| args.only.is_empty() || args.only.contains(one));
    let measurements =
        wanted.map(|one| -> conduct::Measurement<'_> { (one.name(), Box::new(move |ground| one.take(ground))) });
    let wish = Wish {
        quick: args.quick,
        repeat: args.repeat,
        json: args.json.as_deref(),
        backend: args.backend.choice(),
        peer: "PLAIN KERNEL PATH",
    };
    conduct(wish, measurements.collect(), out)
}
