//! Plans small enough to know what has to come out.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Reading, solve};
use crate::experiment::outcome::Outcome;
use crate::experiment::plan::{Plan, PlanError, Trial};
use crate::matrix::ReadError;
use crate::units::Span;

const SOCIAL: &str = include_str!("../../../graphs/social-network.yaml");
const TRADE: &str = include_str!("../../../matrices/trade.csv");

fn load(text: &str) -> Result<Plan, PlanError> {
    let read = |path: &Path| -> Result<Vec<u8>, ReadError> {
        Ok(match path.to_str() {
            Some("plan.yaml") => text.as_bytes().to_vec(),
            Some("social.yaml") => SOCIAL.as_bytes().to_vec(),
            Some("trade.csv") => TRADE.as_bytes().to_vec(),
            _ => b"0,10,20\n10,0,30\n20,30,0\n".to_vec(),
        })
    };
    Plan::load(Path::new("plan.yaml"), read)
}

fn text(topology: &str, strategies: &str, placement: &str) -> String {
    format!(
        "apiVersion: longhaul/v1\nname: it\nquestion: what\ntestbed: simulation\ntopologies: [{topology}]\n\
         strategies: [{strategies}]\nplacement:\n{placement}"
    )
}

/// A clock that goes on by a millisecond each time that somebody looks.
fn clock() -> impl Fn() -> Reading + Sync {
    let looks = AtomicU64::new(0);
    move || {
        let now = Span::from_millis(looks.fetch_add(1, Ordering::Relaxed));
        Reading { elapsed: now, processor: now }
    }
}

fn run(trial: &Trial) -> Outcome {
    let (placing, policy) = trial.placing().expect("of this kind");
    solve(placing, policy, trial, &clock()).expect("a problem")
}

fn first(text: &str) -> Outcome {
    let plan = load(text).expect("a plan");
    run(&plan.trials().next().expect("one"))
}

/// GOLDEN: the specification's example begins at 180,585 KB·ms one way and at 355,866 there and back.
#[test]
fn the_social_network_begins_where_the_specification_says() {
    for (more, cost) in [
        ("  weights: {request: 1, response: 0}\n", 180_585.0),
        ("  weights: {request: 1, response: 0}\n  roundTrips: true\n", 355_866.0),
        ("", 355_866.0 / 2.0),
    ] {
        let placement = format!("  services: {{graph: social.yaml}}\n  nodes: {{cpu: 4000, memory: 16384}}\n{more}");
        let outcome = first(&text("{matrix: trade.csv}", "{policy: stay}", &placement));
        assert!((outcome.metrics["cost"] - cost).abs() < 1e-6, "{:?}", outcome.metrics);
        assert!((outcome.metrics["startCost"] - cost).abs() < 1e-6 && outcome.metrics["moves"].abs() < 1e-9);
        assert!((outcome.metrics["nodes"] - 9.0).abs() < 1e-9 && (outcome.metrics["feasible"] - 1.0).abs() < 1e-9);
    }
}

/// Five pods, two to a node: Kubernetes spreads them over three nodes that are 10, 20 and 30 ms apart.
#[test]
fn pods_are_as_far_apart_as_their_nodes() {
    let placement = "  services: {alike: {count: [5], cpu: 1000, memory: 1024}}\n\
                     \x20 nodes: {cpu: 2000, memory: 2048}\n  start: nowhere\n  sameNode: 0.5ms\n";
    let outcome = first(&text("{matrix: m.csv}", "{policy: kubernetes}", placement));
    let pairs = outcome.tables.iter().find(|table| table.name == "pairs").expect("is there");
    // Two nodes with two pods and one with one; ordered pairs: 2 + 2 within nodes, 8 and 4 and 4 between them.
    assert_eq!(pairs.rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>(), ["0.5 4", "10 8", "20 4", "30 4"]);
    assert!((outcome.metrics["latency"] - (2.0 + 80.0 + 80.0 + 120.0) / 20.0).abs() < 1e-9, "{:?}", outcome.metrics);
    assert!((outcome.metrics["cpuAllocated"] - 2.5 / 3.0).abs() < 1e-9, "{:?}", outcome.metrics);
    assert!(!outcome.metrics.contains_key("cost") && outcome.metrics["latencyMost"] > 29.0);
}

const DRAWN: &str = "  services: {generated: {services: 12, callers: 2, kilobytes: 29, cpu: 400}}\n  nodes: {slack: 1.5}\n  start: random\n";

#[test]
fn strategies_solve_the_same_problem_and_repetitions_another() {
    let plan = text("{matrix: m.csv}", "{policy: stay}, {name: again, policy: stay}, {policy: random}", DRAWN);
    let plan = load(&format!("{plan}repetitions: 2\n")).expect("a plan");
    let outcomes: Vec<Outcome> = plan.trials().map(|trial| run(&trial)).collect();
    let problems: Vec<f64> = outcomes.iter().map(|outcome| outcome.metrics["problem"]).collect();
    assert!(problems[..3].iter().all(|problem| (problem - problems[0]).abs() < 0.5), "{problems:?}");
    assert!((problems[0] - problems[3]).abs() > 0.5, "{problems:?}");
    assert_eq!(outcomes[0], outcomes[1]);
    assert_ne!(outcomes[0].tables, outcomes[3].tables);
    let again: Vec<Outcome> = plan.trials().map(|trial| run(&trial)).collect();
    assert_eq!(outcomes, again);
    // Everything but what the clock said is in the metrics, and nothing of it.
    assert!(outcomes.iter().all(|outcome| !outcome.metrics.contains_key("time") && outcome.clocked["time"] > 0.0));
}

#[test]
fn slack_gives_every_node_its_share_of_what_is_asked_for() {
    let outcome = first(&text("{matrix: m.csv}", "{policy: kubernetes, parameters: {anew: true}}", DRAWN));
    let nodes = outcome.tables.iter().find(|table| table.name == "nodes").expect("is there");
    let shares = nodes.numbers("cpu_share");
    // All nodes together have one and a half times what all services ask for.
    assert!((shares.iter().sum::<f64>() - 3.0 / 1.5).abs() < 0.01, "{shares:?}");
}

#[test]
fn what_is_wrong_in_a_plan_is_said_with_its_place() {
    let plan = text("{matrix: m.csv}", "{policy: stay}", DRAWN);
    let said = |from: &str, to: &str| {
        assert!(plan.contains(from), "{from}");
        load(&plan.replace(from, to)).expect_err("wrong").to_string()
    };
    for (from, to, wanted) in [
        ("policy: stay", "policy: round-robin", "plan.yaml:6:23: there is no policy `round-robin`; there are "),
        ("slack: 1.5", "slack: 0.5", "plan.yaml:9:18: slack is 0.5; it has to be from 1 to 1000000"),
        ("slack: 1.5", "slack: 2, cpu: 1", "plan.yaml:9:10: nodes have cpu and memory, or else slack"),
        ("callers: 2", "callers: none", "plan.yaml:8:49: `none` is no number of callers; write 1 to 1000, or all"),
        ("services: 12", "services: 0", "plan.yaml:8:13: services is 0; it has to be from 1 to 100000"),
        (
            "start: random",
            "start: here",
            "plan.yaml:10:10: there is no start `here`; there are spread, random and nowhere",
        ),
        ("start: random", "time: 0s", "plan.yaml:10:9: time is 0ms; it has to be from 1us to 86400s"),
        (
            "generated: {services: 12, callers: 2, kilobytes: 29, cpu: 400}",
            "alike: {count: [1, 2], cpu: 1, memory: 1}",
            "plan.yaml:8:29: count is a list of 2; it has to be one number, or one for each topology",
        ),
        ("generated: {services: 12, callers: 2, kilobytes: 29, cpu: 400}", "graph: m.csv", "m.csv:1:1: "),
        (
            "testbed: simulation",
            "testbed: lab",
            "plan.yaml:4:10: placements are computed, in no testbed; write testbed: simulation",
        ),
        (
            "placement:",
            "timeline: [{at: 1s, do: {cut: n1}}]\nplacement:",
            "plan.yaml:7:12: timeline belongs to balancing",
        ),
        ("matrix: m.csv", "matrix: m.csv, loss: 1%", "plan.yaml:5:13: jitter or loss belongs to balancing"),
    ] {
        let error = said(from, to);
        assert!(error.starts_with(wanted), "{error}\n{wanted}");
    }
}

/// A report that says nothing would show another rule's figures under the policy's name.
#[test]
fn a_program_that_was_too_large_to_be_tried_is_a_caveat() {
    let outcome = |most: u32| {
        let strategy = format!("{{policy: ilp, parameters: {{mode: group, max_variables: {most}}}}}");
        let topology = "{name: t, random: {nodes: 3, base: 2ms, addition: 1ms}, seed: 1}";
        let alike = "  services: {alike: {count: [4], cpu: 100, memory: 64}}\n  nodes: {cpu: 1000, memory: 1024}\n  start: nowhere\n";
        first(&text(topology, &strategy, alike))
    };
    assert!(outcome(12).caveats.is_empty());
    let caveats = outcome(11).caveats;
    assert!(matches!(caveats.as_slice(), [words] if words.starts_with("Some services were not placed")), "{caveats:?}");
}
