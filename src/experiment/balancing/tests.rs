//! Worlds small enough to know what has to come out.

use std::path::Path;

use super::{Simulated, simulate};
use crate::experiment::plan::{Plan, TrialId};
use crate::experiment::subject::Subject;

/// A plan on two nodes 10 ms apart, with `balancing` and `rest` put in.
pub(super) fn plan(balancing: &str, rest: &str) -> Plan {
    plan_on("matrix: m.csv", balancing, rest)
}

/// The same on another topology.
pub(super) fn plan_on(topology: &str, balancing: &str, rest: &str) -> Plan {
    let text = format!(
        "apiVersion: longhaul/v1\nname: it\nquestion: what\ntestbed: simulation\ntopologies: [{{{topology}}}]\n\
         strategies: [{{policy: round-robin}}]\nbalancing:\n  duration: 20s\n  qos: {{within: 80ms, atLeast: 90%, window: 10s}}\n\
         {balancing}{rest}"
    );
    let read = |path: &Path| {
        Ok(match path.to_str() {
            Some("plan.yaml") => text.clone().into_bytes(),
            Some("bursts.yaml") => BURSTS.as_bytes().to_vec(),
            _ => b"0,10\n10,0\n".to_vec(),
        })
    };
    Plan::load(Path::new("plan.yaml"), read).expect("a plan")
}

fn run(plan: &Plan) -> Simulated {
    let trial = plan.trials().next().expect("one");
    let (balancing, policy) = trial.balancing().expect("of this kind");
    simulate(balancing, policy, &trial)
}

/// Answers of n2 to n1 are lost in bursts, everything else arrives.
const BURSTS: &str = "apiVersion: longhaul/v1\nmatrix: m.csv\npaths:\n\
                      \x20 - {from: n2, to: n1, bursts: {toBad: 10%, toGood: 50%, badLoss: 100%}}\n";

const STEADY: &str = "  service: {time: {fixed: 5ms}}\n  instances: {on: [n1, n2]}\n\
                      \x20 clients: {each: 1, rate: 10/s, arrivals: fixed}\n";

#[test]
fn a_quiet_world_answers_after_the_way_and_the_work() {
    let simulated = run(&plan(STEADY, ""));
    let metrics = &simulated.outcome.metrics;
    assert!((metrics["requestsOk"] - 1.0).abs() < 1e-12);
    assert!((metrics["jain"] - 1.0).abs() < 1e-3);
    // Half of the requests go to the own node (0.5 + 5 ms), half to the other (20 + 5 ms).
    assert!((metrics["p50"] - 5.5).abs() < 1e-9, "{metrics:?}");
    // Unless they meet one that came just before.
    assert!((25.0..=30.0).contains(&metrics["p90"]), "{metrics:?}");
    // 2 clients, 200 requests each, round robin.
    let instances: Vec<&str> = simulated.outcome.tables[2].texts("requests");
    assert_eq!(instances, ["200", "200"]);
}

/// The first request of each pair goes the round trip twice, and then only those that find no connection free.
#[test]
fn a_connection_costs_a_round_trip_and_is_kept() {
    let ran = |more: &str, seconds| {
        let mut plan = plan(&format!("{STEADY}{more}"), "");
        let Subject::Balancing(balancing) = &mut plan.points[0].subject else { panic!("of this kind") };
        balancing.duration = crate::units::Span::from_secs(seconds);
        let simulated = run(&plan);
        (simulated.outcome.metrics["p99"], simulated.events)
    };
    let (opened, ready) = ("  connections: opened\n", "  connections: ready\n");
    // 20 requests, of which two are the first to the other node: 20 + 20 + 5 ms, and up to 5 ms behind another one.
    let (p99, _) = ran(opened, 1);
    assert!((45.0..=50.0).contains(&p99), "{p99}");
    let (p99, events) = ran(ready, 1);
    assert!((25.0..=30.0).contains(&p99), "{p99}");
    assert_eq!(ran("", 1), (p99, events));
    // Four pairs: an event for each that opens, and no further one.
    assert_eq!(ran(opened, 1).1, events + 4);
    assert_eq!(ran(opened, 19).1, ran(ready, 19).1 + 4);
}

#[test]
fn one_plan_gives_the_same_to_the_last_digit_each_time() {
    let text =
        STEADY.replace("fixed: 5ms", "logNormal: {mean: 5ms, cv: 0.5}").replace("arrivals: fixed", "arrivals: poisson");
    let plan = plan(&text, "");
    assert_eq!(run(&plan), run(&plan));
}

/// Poisson arrivals, exponential work, one core, load 0.8: the mean stay is 1 / (μ − λ) = 25 ms; the median of an
/// exponential stay is ln 2 times that.
#[test]
fn an_instance_is_the_queue_that_theory_knows() {
    let text = "  service: {time: {exponential: 5ms}}\n  instances: {on: [n1]}\n\
                \x20 clients: {each: 80, rate: 1/s, arrivals: poisson}\n";
    let mut plan = plan(text, "");
    let Subject::Balancing(balancing) = &mut plan.points[0].subject else { panic!("of this kind") };
    balancing.duration = crate::units::Span::from_secs(1_000);
    let outcome = run(&plan).outcome;
    let median: f64 = outcome.tables[2].numbers("processing_p50_ms")[0];
    assert!((median - 25.0 * std::f64::consts::LN_2).abs() < 2.0, "{median}");
}

/// Sharing a core: the mean stay of M/G/1-PS is the same as of M/M/1, whatever the work's distribution; all are answered.
#[test]
fn shared_cores_answer_everything_too() {
    let text = STEADY.replace("{fixed: 5ms}}", "{fixed: 5ms}, discipline: sharing}").replace("each: 1", "each: 8");
    let metrics = run(&plan(&text, "")).outcome.metrics;
    assert!((metrics["failures"]).abs() < 1e-12, "{metrics:?}");
    assert!((metrics["requestsOk"] - 1.0).abs() < 1e-12, "{metrics:?}");
}

#[test]
fn events_happen_and_count() {
    let timeline = |events: &str| format!("timeline:\n{events}");
    let failures = |rest: &str| run(&plan(STEADY, &timeline(rest))).outcome.metrics["failures"];
    // Round robin never sends to a removed instance; one request at most was on its way.
    assert!(failures("  - {at: 10s, do: {remove: i2}}\n") < 0.006);
    // A node that is cut off: its client reaches its own instance half of the time, the other client reaches only its own.
    let cut = failures("  - {at: 10s, do: {cut: n2}}\n");
    assert!((cut - 0.25).abs() < 0.01, "{cut}");
    let back = failures("  - {at: 10s, do: {cut: n2}}\n  - {at: 15s, do: {rejoin: n2}}\n");
    assert!((back - 0.125).abs() < 0.01, "{back}");
    // 1 client on each of 2 nodes for 20 s; 5 more on one of them from 10 s on, until 15 s.
    let joined =
        "  - {at: 10s, do: {join: {nodes: 1, each: 5}}}\n  - {at: 15s, do: {leave: {on: [n1, n2], each: 5}}}\n";
    let requests: f64 = run(&plan(STEADY, &timeline(joined))).outcome.tables[0].numbers("requests").iter().sum();
    assert!((440.0..=660.0).contains(&requests), "{requests}");
}

#[test]
fn strategies_meet_the_same_requests_and_repetitions_do_not() {
    let text = STEADY.replace("arrivals: fixed", "arrivals: poisson");
    let mut plan = plan(&text, "");
    plan.repetitions = 2;
    let again = plan.points[0].strategies[0].clone();
    plan.points[0].strategies.push(again);
    let seconds: Vec<_> = plan
        .trials()
        .map(|trial| {
            let (balancing, policy) = trial.balancing().expect("of this kind");
            (trial.id, simulate(balancing, policy, &trial).outcome.tables[1].clone())
        })
        .collect();
    let id = |repetition, strategy| TrialId { point: 0, topology: 0, repetition, strategy };
    let of = |wanted: TrialId| &seconds.iter().find(|(id, _)| *id == wanted).expect("was run").1;
    assert_eq!(of(id(0, 0)).rows, of(id(0, 1)).rows);
    assert_ne!(of(id(0, 0)).rows, of(id(1, 0)).rows);
}

/// Every request of n1, to the instance on n2 alone.
const AWAY: &str = "  service: {time: {fixed: 5ms}}\n  instances: {on: [n2]}\n  timeout: 10s\n\
                    \x20 clients: {each: 1, rate: 10/s, arrivals: poisson}\n";

fn long(mut plan: Plan) -> std::collections::BTreeMap<String, f64> {
    let Subject::Balancing(balancing) = &mut plan.points[0].subject else { panic!("of this kind") };
    balancing.duration = crate::units::Span::from_secs(2_000);
    run(&plan).outcome.metrics
}

/// Half of the requests are those of n2 itself, which lose nothing; `share` of the others come through at once.
fn assert_good(metrics: &std::collections::BTreeMap<String, f64>, share: f64) {
    assert!((metrics["requestsOk"] - (0.5 + 0.5 * share)).abs() < 0.01, "{metrics:?}");
    assert!(metrics["failures"] < 1e-3, "{metrics:?}");
}

#[test]
fn what_is_lost_is_sent_again_after_the_round_trip_and_200_ms() {
    for (discipline, most) in [("", 255.0), (", discipline: sharing", 260.0)] {
        let text = AWAY.replace("{fixed: 5ms}", &format!("{{fixed: 5ms}}{discipline}"));
        let metrics = long(plan_on("matrix: m.csv, loss: 20%", &text, ""));
        // Neither the request nor its answer is lost.
        assert_good(&metrics, 0.64);
        // One of both is lost once, which takes 20 + 200 ms beside 20 + 5 ms and what it waits for the core.
        assert!((245.0..=most).contains(&metrics["p90"]), "{metrics:?}");
    }
}

#[test]
fn bursts_of_an_impairment_file_lose_by_their_stationary_share() {
    // 10 % into a burst, 50 % out of it: 1 / 6 of the answers.
    assert_good(&long(plan_on("impairments: bursts.yaml", AWAY, "")), 5.0 / 6.0);
}

#[test]
fn what_always_loses_fails_after_the_timeout() {
    let metrics = run(&plan_on("matrix: m.csv, loss: 100%", AWAY, "")).outcome.metrics;
    assert!((metrics["failures"] - 0.5).abs() < 0.05, "{metrics:?}");
}

#[test]
fn jitter_strays_both_ways_and_repeats() {
    let plan = plan_on("matrix: m.csv, jitter: 5ms", AWAY, "");
    let (one, again) = (run(&plan), run(&plan));
    assert_eq!(one, again);
    let metrics = &one.outcome.metrics;
    // The longest way is 15 ms there and back, and the other node's request may be in front.
    assert!((25.5..=40.0).contains(&metrics["p99"]), "{metrics:?}");
    let mut other = plan.clone();
    other.seed += 1;
    assert_ne!(run(&other), one);
    assert!(!metrics.contains_key("regret"), "the oracle knows no jitter");
}
