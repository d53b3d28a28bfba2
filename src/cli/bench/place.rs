//! `longhaul bench place`: how long placing takes and how good placements are, beside the parallel greedy algorithm of paper 001.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::conduct::{Begun, Wish};
use super::figures::{Relation, Row, Series, Target, Unit};
use super::ground::Effort;
use crate::cli::progress::Progress;
use crate::matrix::{ReadOptions, parse};
use crate::parameters::{Given, Parameters};
use crate::placement::files::{Files, Source};
use crate::placement::generate::{Shape, generate};
use crate::placement::{Evaluator, Placed, Problem, Setting, build, find};
use crate::shaping::BackendChoice;

/// Measure how fast and how well services are placed, beside TraDE's greedy algorithm
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul bench place            several minutes
  longhaul bench place --quick    once and shorter

TraDE's example (27 services, 9 nodes), problems by lot of the same size, and of
1,000 services on 100 nodes (applications of 25 services, nodes full to 70 or
92 %, and one graph of everything), each placed by `search` within a limit of
time; beside the first three `pga` with 4 workers, without one. The example is
also placed by `search` without a limit, until the best is proved. The best
known cost is that of much longer searches with several seeds, and of 1,000
services the least on record. Small problems are set beside the
optimum that branch and bound proves. Use a release build on a machine that does
nothing else.

Exit code: 0 also when a target is missed, 2 when something could not be measured.")]
pub(super) struct PlaceBenchArgs {
    /// Repetitions of each figure, each with a seed of its own [default: 7, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: Option<u32>,
    /// Shorter measurements, once
    #[arg(long)]
    quick: bool,
    /// Also write everything as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A size that is measured.
#[derive(Debug, Clone, Copy)]
struct Size {
    name: &'static str,
    /// When the search is stopped: a little before its target, as it looks at the clock only now and then.
    limit: Duration,
    /// Its target.
    target_ms: f64,
    /// By how many percent it may be above the best known, if that is a target.
    worse: Option<f64>,
    /// Whether the greedy algorithm is run beside it.
    peer: bool,
    /// The least cost on record, in KB·ms, where the problem is always the same.
    record: Option<f64>,
}

const EXAMPLE: Size = Size {
    name: "TraDE's example",
    limit: Duration::from_micros(750),
    target_ms: 1.0,
    worse: None,
    peer: true,
    record: None,
};
const SMALL: Size = Size { name: "27 x 9 by lot", ..EXAMPLE };
/// The records are of some hundreds of runs of a second and more.
const LARGE: Size = Size {
    name: "1,000 x 100",
    limit: Duration::from_millis(950),
    target_ms: 1000.0,
    worse: Some(2.0),
    peer: true,
    record: Some(5_252.5),
};
const TIGHT: Size = Size { name: "1,000 x 100, tight", peer: false, record: Some(7_773.0), ..LARGE };
const ONE_GRAPH: Size = Size { name: "1,000 x 100, one graph", peer: false, record: Some(528_420.0), ..LARGE };

const LARGE_SHAPE: Shape = Shape { services: 1000, nodes: 100, application: 25, edges: 1.3, fill: 0.7 };
const TIGHT_SHAPE: Shape = Shape { fill: 0.92, ..LARGE_SHAPE };
const ONE_GRAPH_SHAPE: Shape = Shape { application: 1000, edges: 2.0, ..LARGE_SHAPE };

/// Runs `longhaul bench place`.
pub(super) fn run(args: &PlaceBenchArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let begun = Begun::now(args.json.as_deref())?;
    let progress = Progress::new();
    let effort = Effort::new(args.quick, args.repeat.or((!args.quick).then_some(7)));
    let longer = if args.quick { 1 } else { 4 };
    let mut rows = Vec::new();
    progress.say("TraDE's example");
    let example = example()?;
    rows.push(mapper(&example, effort.repeat)?);
    rows.extend(sized(EXAMPLE, effort.repeat, 1, |_| Ok(example.clone()))?);
    rows.extend(proved(&example, effort.repeat)?);
    progress.say("27 services on 9 nodes");
    rows.extend(sized(SMALL, effort.repeat, 1, |seed| by_lot(27, 9, 1.3, seed))?);
    progress.say("small problems and their optimum");
    rows.push(optimality(if args.quick { 8 } else { 40 })?);
    progress.say("1,000 services on 100 nodes");
    for (size, shape) in [(LARGE, LARGE_SHAPE), (TIGHT, TIGHT_SHAPE), (ONE_GRAPH, ONE_GRAPH_SHAPE)] {
        rows.extend(sized(size, effort.repeat, 4 * longer, |_| shaped(shape, 1))?);
    }
    progress.finish();
    let (quick, repeat, json) = (args.quick, Some(effort.repeat), args.json.as_deref());
    let wish = Wish { quick, repeat, json, backend: BackendChoice::Auto, peer: "PGA" };
    begun.conclude(wish, effort, "none".to_owned(), &rows, false, out)
}

/// The social network on Table I, one core of each node free, everything where the example has it.
fn example() -> anyhow::Result<Problem> {
    let source = |name, text: &'static str| Source { name, bytes: text.as_bytes() };
    let files = Files {
        traffic: source("edges.csv", include_str!("../../../placements/social-network/edges.csv")),
        nodes: source("nodes.yaml", include_str!("../../../placements/social-network/nodes.yaml")),
        services: source("services.yaml", include_str!("../../../placements/social-network/services.yaml")),
        current: Some(source("current.yaml", include_str!("../../../placements/social-network/current.yaml"))),
    };
    let matrix = parse("trade.csv", include_str!("../../../matrices/trade.csv").as_bytes(), ReadOptions::default())?;
    Ok(Problem::new(files.draft(&matrix)?)?)
}

/// A problem of applications of 25 services.
fn by_lot(services: usize, nodes: usize, edges: f64, seed: u64) -> anyhow::Result<Problem> {
    shaped(Shape { services, nodes, application: 25, edges, fill: 0.7 }, seed)
}

fn shaped(shape: Shape, seed: u64) -> anyhow::Result<Problem> {
    Ok(Problem::new(generate(shape, &mut ChaCha8Rng::seed_from_u64(seed)))?)
}

/// Time and quality at a size: each repetition has its own seed, and its own problem where `problem` makes one.
fn sized(
    size: Size,
    repeat: u32,
    longer: u64,
    problem: impl Fn(u64) -> anyhow::Result<Problem>,
) -> anyhow::Result<Vec<Row>> {
    let (mut times, mut worse) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    let mut known: Option<(Problem, f64)> = None;
    for seed in 1..=u64::from(repeat) {
        let problem = problem(seed)?;
        let (ours, took) = placed(&problem, "search", &[("effort", "1000000")], seed, Some(size.limit))?;
        let theirs = if size.peer { Some(placed(&problem, "pga", &[], seed, None)?) } else { None };
        let costs = (cost(&problem, &ours), theirs.as_ref().map(|(theirs, _)| cost(&problem, theirs)));
        let best = match known.take().filter(|(before, _)| *before == problem) {
            Some((_, best)) => best,
            None => best_known(&problem, longer)?,
        };
        let best = best.min(size.record.unwrap_or(f64::INFINITY)).min(costs.0).min(costs.1.unwrap_or(f64::INFINITY));
        let above = |cost: f64| if best > 0.0 { (cost / best - 1.0) * 100.0 } else { 100.0 * f64::from(cost > 0.0) };
        times.0.push(took.as_secs_f64() * 1000.0);
        times.1.extend(theirs.map(|(_, took)| took.as_secs_f64() * 1000.0));
        worse.0.push(above(costs.0));
        worse.1.extend(costs.1.map(above));
        known = Some((problem, best));
    }
    let time = |values| Series::new(Unit::Millis, values);
    let percent = |values| Series::new(Unit::Percent, values);
    let quality = Row::new(size.name, "cost above the best known", percent(worse.0));
    let quality = quality.beside(Relation::Difference, percent(worse.1));
    Ok(vec![
        Row::new(size.name, "time", time(times.0))
            .beside(Relation::Speedup, time(times.1))
            .reaching(Target::at_most(size.target_ms)),
        match size.worse {
            Some(worse) => quality.reaching(Target::at_most(worse)),
            None => quality,
        },
    ])
}

/// What paper 001 has its time of: the greedy algorithm.
fn mapper(example: &Problem, repeat: u32) -> anyhow::Result<Row> {
    let mut times = Vec::new();
    for seed in 1..=u64::from(repeat) {
        times.push(placed(example, "pga", &[], seed, None)?.1.as_secs_f64() * 1000.0);
    }
    let times = Series::new(Unit::Millis, times);
    Ok(Row::new(EXAMPLE.name, "time of TraDE's mapper", times).reaching(Target::at_most(EXAMPLE.target_ms)))
}

/// How long the search takes without a limit, until it has proved that nothing is better, and how far from that it ends.
fn proved(example: &Problem, repeat: u32) -> anyhow::Result<[Row; 2]> {
    let (exact, _) = placed(example, "exact", &[], 1, None)?;
    anyhow::ensure!(exact.proven, "the best placement of the example is not proved");
    let (mut times, mut above) = (Vec::new(), Vec::new());
    for seed in 1..=u64::from(repeat) {
        let (found, took) = placed(example, "search", &[], seed, None)?;
        times.push(took.as_secs_f64() * 1000.0);
        above.push((cost(example, &found) / cost(example, &exact) - 1.0) * 100.0);
    }
    let time = Row::new(EXAMPLE.name, "time without a limit", Series::new(Unit::Millis, times));
    let above = Row::new(EXAMPLE.name, "cost above the optimum without a limit", Series::new(Unit::Percent, above));
    Ok([time, above.reaching(Target::at_most(1.0))])
}

/// The cost that searches of so many times the usual effort come to, each with a seed of its own.
fn best_known(problem: &Problem, longer: u64) -> anyhow::Result<f64> {
    let (effort, kicks) = ((100 * longer).to_string(), (2000 * longer).to_string());
    let mut best = f64::INFINITY;
    for seed in [101, 102, 103] {
        let (found, _) = placed(problem, "search", &[("effort", &effort), ("kicks", &kicks)], seed, None)?;
        best = best.min(cost(problem, &found));
    }
    Ok(best)
}

/// How far the search is from the optimum at most, on small problems that branch and bound closes.
fn optimality(count: u64) -> anyhow::Result<Row> {
    let (mut closed, mut worst) = (0, 0.0f64);
    for seed in 1..=count {
        let (services, nodes) = ([(6, 4), (9, 4), (12, 5), (15, 5)])[usize::try_from(seed % 4)?];
        let problem = by_lot(services, nodes, 1.5, seed)?;
        let (exact, _) = placed(&problem, "exact", &[("steps", "3000000")], seed, None)?;
        if exact.proven {
            closed += 1;
            let (found, _) = placed(&problem, "search", &[], seed, None)?;
            let (optimum, found) = (cost(&problem, &exact), cost(&problem, &found));
            worst =
                worst.max(if optimum > 0.0 { (found / optimum - 1.0) * 100.0 } else { 100.0 * f64::from(found > 0.0) });
        }
    }
    let series = if closed > 0 { Series::new(Unit::Percent, [worst]) } else { None };
    let what = format!("most above the optimum, {closed} proved of {count}");
    Ok(Row::new("up to 15 x 5", what, series).reaching(Target::at_most(1.0)))
}

fn cost(problem: &Problem, placed: &Placed) -> f64 {
    let rank = Evaluator::new(problem, placed.placement.clone()).rank();
    if rank.is_allowed() { rank.cost.as_kb_ms() } else { f64::INFINITY }
}

fn placed(
    problem: &Problem,
    name: &str,
    given: &[(&str, &str)],
    seed: u64,
    limit: Option<Duration>,
) -> anyhow::Result<(Placed, Duration)> {
    let policy = find(name).ok_or_else(|| anyhow::anyhow!("there is no policy `{name}`"))?;
    let given: Given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let parameters = Parameters::new(policy.name, policy.parameters, &given)?;
    let mut placer = build(policy, Setting { parameters, stream: ChaCha8Rng::seed_from_u64(seed) });
    let begun = Instant::now();
    let found = placer.place(problem, &|| limit.is_some_and(|limit| begun.elapsed() >= limit));
    Ok((found, begun.elapsed()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A record is of one problem: where another is generated it says nothing, and has to be found anew.
    #[test]
    fn the_records_are_of_these_problems() {
        let sums = [LARGE_SHAPE, TIGHT_SHAPE, ONE_GRAPH_SHAPE].map(|shape| {
            let draft = generate(shape, &mut ChaCha8Rng::seed_from_u64(1));
            let sent: u64 = draft.edges.iter().map(|edge| edge.request + edge.response).sum();
            let far: u64 = draft.delays.iter().map(|delay| delay.as_nanos()).sum();
            let room: u64 = draft.hosts.iter().flat_map(|host| &host.capacity).sum();
            (sent, far, room)
        });
        let large = (375_358_500, 203_045_039_358, 389_600);
        assert_eq!(sums, [large, (large.0, large.1, 296_400), (588_560_041, 235_445_640_126, 389_600)]);
    }
}
