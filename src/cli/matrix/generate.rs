//! `longhaul matrix generate`: matrices from formulas, from city lists and from lists of pairs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::SplitRtt;
use super::files::Target;
use crate::matrix::generate::{Cities, Random, Regions, parse_cities, parse_pairs};
use crate::matrix::{DelayMatrix, read_bytes};
use crate::units::{Delay, Rtt};

/// Make a matrix; the same parameters and seed always give the same file
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix generate random --nodes 9 --base 5ms --addition 50ms --seed 7
  longhaul matrix generate regions --regions 4 --nodes 20 --output regions.csv
  longhaul matrix generate cities matrices/cities/europe-30.csv
  longhaul matrix generate pairs cloud-rtts.csv --split-rtt halves

The `# source:` line of the file is the command that makes it again.")]
pub(super) struct GenerateArgs {
    #[command(subcommand)]
    generator: Generator,
}

#[derive(Debug, Clone, Subcommand)]
enum Generator {
    Random(RandomArgs),
    Regions(RegionsArgs),
    Cities(CitiesArgs),
    Pairs(PairsArgs),
}

/// Make random delays that grow with the distance of the node numbers, as in the TraDE experiments
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each path has floor((base + U(0, addition) · |i − j| / n) · U(0.5, 1.5)) whole milliseconds.
The presets of the paper are (base, addition) = (5, 20) light, (5, 50) mid and (5, 100) heavy.

Example:
  longhaul matrix generate random --nodes 20 --addition 100ms --seed 3")]
struct RandomArgs {
    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 9)]
    nodes: usize,
    /// Delay that every path has
    #[arg(long, value_name = "DELAY", default_value = "5ms")]
    base: Delay,
    /// Most that the distance adds
    #[arg(long, value_name = "DELAY", default_value = "50ms")]
    addition: Delay,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    target: Target,
}

/// Put regions on a line, each with the same number of nodes
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Delays are one-way. The defaults give 0.7 ms within a region, then 3, 5, 7, 9 … ms
to the regions farther along the line.

Example:
  longhaul matrix generate regions --regions 3 --nodes 5 --adjacent 10ms")]
struct RegionsArgs {
    /// Number of regions
    #[arg(long, value_name = "N", default_value_t = 4)]
    regions: usize,
    /// Number of nodes in each region
    #[arg(long, value_name = "N", default_value_t = 20)]
    nodes: usize,
    /// One-way delay between two nodes of a region
    #[arg(long, value_name = "DELAY", default_value = "0.7ms")]
    within: Delay,
    /// One-way delay between neighbouring regions
    #[arg(long, value_name = "DELAY", default_value = "3ms")]
    adjacent: Delay,
    /// Delay that each further region adds
    #[arg(long, value_name = "DELAY", default_value = "2ms")]
    step: Delay,
    #[command(flatten)]
    target: Target,
}

/// Take a list of cities; round trips grow with the great circle between them
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The list is CSV, one `name,latitude,longitude` line a city, in decimal degrees.
Each pair has RTT = max(floor, base + per-km · distance + N(0, noise)),
rounded to 0.01 ms, half of it each way.

Example:
  longhaul matrix generate cities matrices/cities/europe-30.csv --noise 2ms")]
struct CitiesArgs {
    /// List of cities: a CSV file
    #[arg(value_name = "CITIES")]
    cities: PathBuf,
    /// Round trip at no distance
    #[arg(long, value_name = "RTT", default_value = "3.956ms")]
    base: Rtt,
    /// Round trip that each kilometre adds
    #[arg(long, value_name = "RTT", default_value = "19.83us")]
    per_km: Rtt,
    /// Shortest round trip
    #[arg(long, value_name = "RTT", default_value = "1ms")]
    floor: Rtt,
    /// Standard deviation of the noise on the round trip
    #[arg(long, value_name = "RTT", default_value = "0ms")]
    noise: Rtt,
    /// Seed of the noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    target: Target,
}

/// Take a list of known pairs; the others go the shortest way over them
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The list is CSV, one `from,to,there` or `from,to,there,back` line a pair,
with the `#` lines of a matrix.

Example:
  longhaul matrix generate pairs cloud-rtts.csv --split-rtt halves")]
struct PairsArgs {
    /// List of pairs: a CSV file
    #[arg(value_name = "PAIRS")]
    pairs: PathBuf,
    #[command(flatten)]
    split: SplitRtt,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: GenerateArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (matrix, target) = match args.generator {
        Generator::Random(args) => (random(&args)?, args.target),
        Generator::Regions(args) => (regions(&args)?, args.target),
        Generator::Cities(args) => (cities(&args)?, args.target),
        Generator::Pairs(args) => (pairs(&args)?, args.target),
    };
    target.write(&matrix, out)?;
    Ok(ExitCode::SUCCESS)
}

fn random(args: &RandomArgs) -> anyhow::Result<DelayMatrix> {
    let &RandomArgs { nodes, base, addition, seed, .. } = args;
    let matrix = Random { nodes, base, addition, seed }.generate()?;
    let command = format!("random --nodes {nodes} --base {base} --addition {addition} --seed {seed}");
    Ok(with_source(matrix, &command))
}

fn regions(args: &RegionsArgs) -> anyhow::Result<DelayMatrix> {
    let &RegionsArgs { regions, nodes, within, adjacent, step, .. } = args;
    let matrix = Regions { regions, nodes_each: nodes, within, adjacent, step }.generate()?;
    let command =
        format!("regions --regions {regions} --nodes {nodes} --within {within} --adjacent {adjacent} --step {step}");
    Ok(with_source(matrix, &command))
}

fn cities(args: &CitiesArgs) -> anyhow::Result<DelayMatrix> {
    let &CitiesArgs { base, per_km, floor, noise, seed, .. } = args;
    let list = parse_cities(&args.cities.display().to_string(), &read_bytes(&args.cities)?)?;
    let mut matrix = Cities { cities: &list, base, per_km, floor, noise, seed }.generate()?;
    matrix.metadata.comments.push(format!(
        "a model, not a measurement: each way is half of the round trip {base} + {per_km} for each km of great circle"
    ));
    let mut command = format!("cities {} --base {base} --per-km {per_km} --floor {floor}", quoted(&args.cities));
    if noise > Rtt::ZERO {
        command = format!("{command} --noise {noise} --seed {seed}");
    }
    Ok(with_source(matrix, &command))
}

fn pairs(args: &PairsArgs) -> anyhow::Result<DelayMatrix> {
    let name = args.pairs.display().to_string();
    let list = parse_pairs(&name, &read_bytes(&args.pairs)?, args.split.options())?;
    let mut matrix = list.generate()?;
    if let Some(source) = matrix.metadata.source.take() {
        matrix.metadata.comments.insert(0, format!("values: {source}"));
    }
    let command = format!("pairs {}{}", quoted(&args.pairs), args.split.as_flag());
    Ok(with_source(matrix, &command))
}

fn with_source(mut matrix: DelayMatrix, command: &str) -> DelayMatrix {
    matrix.metadata.source = Some(format!("longhaul matrix generate {command}"));
    matrix
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
