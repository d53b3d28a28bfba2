//! `longhaul place`: which node each service should run on.

mod answer;
mod picture;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::matrix::SplitRtt;
use crate::parameters::{Given, Parameters};
use crate::placement::files::{Files, Source};
use crate::placement::problem::Weights;
use crate::placement::{Cost, Objective, Overload, POLICIES, Policy, Problem, Setting, explain, find, start};
use crate::report::plot::png;
use crate::units::Span;

use answer::Answer;

/// Say which node each service should run on, from traffic, measured delays and capacities
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul place -t edges.csv -d measured.csv -n nodes.yaml -s services.yaml
  longhaul place -t e.csv -d m.csv -n n.yaml -s s.yaml -f now.yaml --explain
  longhaul place -t e.csv -d m.csv -n n.yaml -s s.yaml --plot placement.svg
  longhaul place --list

A placement costs, over all edges, bytes there times the delay there plus bytes
back times the delay back, each half, in KB times ms. Capacities hold;
--overload-price lets them be bought.

Exit code: 0 when every service fits, 1 when something does not (the output says
what is missing), 2 when the input is wrong.")]
pub(super) struct PlaceArgs {
    /// Traffic between services: CSV with from,to,request,response (bytes) or from,to,stress
    #[arg(long, short, value_name = "FILE", required_unless_present = "list")]
    traffic: Option<PathBuf>,
    /// One-way delays: a matrix in any format that is read
    #[arg(long, short, value_name = "MATRIX", required_unless_present = "list")]
    delays: Option<PathBuf>,
    #[command(flatten)]
    split: SplitRtt,
    /// Nodes with their capacities and what others use of them
    #[arg(long, short, value_name = "FILE", required_unless_present = "list")]
    nodes: Option<PathBuf>,
    /// Services with what they ask for and where they may run
    #[arg(long, short, value_name = "FILE", required_unless_present = "list")]
    services: Option<PathBuf>,
    /// Where services run now; what moves is counted from there
    #[arg(long, short, value_name = "FILE")]
    from: Option<PathBuf>,
    /// How to place; --list lists them
    #[arg(long, value_name = "NAME", default_value = "search")]
    policy: String,
    /// Set a parameter of the policy, as in --set effort=500
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// List the policies with their parameters and end
    #[arg(long)]
    list: bool,
    /// Most services that may move
    #[arg(long, value_name = "COUNT", requires = "from")]
    max_moves: Option<usize>,
    /// What a move costs, in KB times ms; services then move only for more
    #[arg(long, value_name = "COST", default_value_t = 0.0, requires = "from")]
    move_price: f64,
    /// Let capacities be exceeded, for so much for each core or GiB that is missing (TraDE's penalty)
    #[arg(long, value_name = "COST")]
    overload_price: Option<f64>,
    /// What requests and responses count
    #[arg(long, value_name = "NUMBER,NUMBER", default_value = "0.5,0.5")]
    weights: String,
    /// Stop after so long with the best so far; without it the policy's parameters alone decide
    #[arg(long, value_name = "TIME")]
    within: Option<Span>,
    /// Where random numbers begin; the same seed gives the same placement
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Say for every service that stays why it does
    #[arg(long)]
    explain: bool,
    /// Write the placement, as --from reads it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw the placement; the file's ending, .svg or .png, says the format
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `longhaul place`.
pub(super) fn run(args: &PlaceArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    if args.list {
        list(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let policy = policy(&args.policy)?;
    let parameters = Parameters::new(policy.name, policy.parameters, &given(&args.set)?)?;
    let problem = problem(args)?;
    let setting = Setting { parameters: parameters.clone(), stream: ChaCha8Rng::seed_from_u64(args.seed) };
    let begun = Instant::now();
    let limit = args.within.map(|within| begun + Duration::from_nanos(within.as_nanos()));
    let placed = crate::placement::build(policy, setting)
        .place(&problem, &|| limit.is_some_and(|limit| Instant::now() >= limit));
    let took = begun.elapsed();
    let answer = Answer { policy, parameters, problem: &problem, begin: start(&problem), placed, took };
    if let Some(path) = &args.output {
        std::fs::write(path, answer.file()).with_context(|| format!("write {}", path.display()))?;
    }
    if let Some(path) = &args.plot {
        draw(path, &picture::svg(&answer))?;
    }
    if args.json {
        writeln!(out, "{:#}", answer.document(args.explain))?;
    } else {
        out.write_all(answer.text(args.explain).as_bytes())?;
    }
    let fits = explain::is_allowed(&problem, &answer.placed.placement);
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn policy(name: &str) -> anyhow::Result<&'static Policy> {
    find(name).with_context(|| {
        let names: Vec<&str> = POLICIES.iter().map(|policy| policy.name).collect();
        format!("there is no policy `{}`; there are {}", crate::wording::excerpt(name), names.join(", "))
    })
}

fn given(set: &[String]) -> anyhow::Result<Given> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').with_context(|| format!("--set {text}: write NAME=VALUE"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    set.iter().map(pair).collect()
}

/// The problem of the files.
fn problem(args: &PlaceArgs) -> anyhow::Result<Problem> {
    let (Some(traffic), Some(delays), Some(nodes), Some(services)) =
        (&args.traffic, &args.delays, &args.nodes, &args.services)
    else {
        anyhow::bail!("--traffic, --delays, --nodes and --services are needed");
    };
    let matrix = args.split.load(delays)?;
    let paths = [Some(traffic), Some(nodes), Some(services), args.from.as_ref()];
    let mut texts = Vec::new();
    for path in paths.into_iter().flatten() {
        texts.push((path.display().to_string(), bytes(path)?));
    }
    let source = |place: usize| texts.get(place).map(|(name, bytes)| Source { name, bytes });
    let (Some(traffic), Some(nodes), Some(services)) = (source(0), source(1), source(2)) else {
        anyhow::bail!("three files are needed");
    };
    let mut draft = Files { traffic, nodes, services, current: source(3) }.draft(&matrix)?;
    draft.weights = weights(&args.weights)?;
    draft.objective = Objective {
        overload: args.overload_price.map_or(Overload::Forbidden, |price| Overload::Priced(Cost::from_kb_ms(price))),
        move_price: Cost::from_kb_ms(args.move_price),
        max_moves: args.max_moves,
    };
    Ok(Problem::new(draft)?)
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

fn weights(text: &str) -> anyhow::Result<Weights> {
    let wrong = || format!("--weights {text}: write two numbers from 0 on, as in 0.5,0.5");
    let (request, response) = text.split_once(',').with_context(wrong)?;
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| (0.0..1e6).contains(number));
    Ok(Weights { request: number(request).with_context(wrong)?, response: number(response).with_context(wrong)? })
}

fn draw(path: &Path, svg: &str) -> anyhow::Result<()> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let bytes = match ending.as_deref() {
        Some("svg") => svg.as_bytes().to_vec(),
        Some("png") => png(svg, 2.0)?,
        _ => anyhow::bail!("--plot {}: name a file that ends in .svg or .png", path.display()),
    };
    std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

fn list(out: &mut dyn Write) -> anyhow::Result<()> {
    let columns = super::terminal::columns(std::io::stdout()).unwrap_or(100);
    for policy in POLICIES {
        writeln!(out, "{}", super::terminal::hanging(&format!("{}: ", policy.name), policy.what, 2, columns))?;
        for one in policy.parameters {
            let words = format!("{}; {}, default {}", one.what, one.wanted(), one.default);
            writeln!(out, "{}", super::terminal::hanging(&format!("    {}: ", one.name), &words, 8, columns))?;
        }
    }
    Ok(())
}
