//! `longhaul run` in the lab on paths that do more than delay and on delays that change while requests are under way: every single
//! request beside what the paths allow, and beside the simulation of the same trial.

use std::path::Path;

use crate::host::Host;
use crate::run::{Line, lines, number, unchanged};
use crate::user::User;

/// Of one-way delays; instances are on a and d.
const DELAYS: &str = ",a,b,c,d\na,0,200,20,30\nb,200,0,200,200\nc,20,200,0,12\nd,30,200,12,0\n";

/// b is near to a and far from d; then the other way round. Far is farther than what a busy machine makes of near: under User-Mode
/// Linux beside other work, requests took 0.2 to 1 s where paths took 10 ms.
const BEFORE: &str = ",a,b,c,d\na,0,10,20,30\nb,10,0,15,600\nc,20,15,0,12\nd,30,600,12,0\n";
const AFTER: &str = ",a,b,c,d\na,0,600,20,30\nb,600,0,15,5\nc,20,15,0,12\nd,30,5,12,0\n";

/// What an instance takes for every request, milliseconds.
const WORK: f64 = 5.0;

fn plan(topology: &str, strategies: &str, balancing: &str, timeline: &str) -> String {
    format!(
        "apiVersion: longhaul/v1\nname: tiny\nquestion: Does it run?\ntestbed: lab\nseed: 3\n\
         topologies: [{{name: four, {topology}}}]\nstrategies: [{strategies}]\n\
         balancing:\n  service: {{time: {{fixed: 5ms}}}}\n  instances: {{on: [a, d]}}\n\
         \x20 clients: {{each: 2, rate: 4/s, arrivals: fixed}}\n  qos: {{within: 200ms, atLeast: 90%, window: 2s}}\n\
         \x20 localRtt: 0.1ms\n{balancing}{timeline}crossCheck: {{requestsOk: 100%}}\n"
    )
}

/// What the requests of `node` to the instance on `to` took, of those that began at `from` and had ended by `until`, milliseconds of
/// the run.
fn latencies(requests: &[Line], (node, to): (&str, &str), (from, until): (f64, f64)) -> Vec<f64> {
    let instance = if to == "a" { "i1" } else { "i2" };
    let there = requests.iter().filter(|line| line["node"] == node && line["instance"] == instance);
    let within = there.filter(|line| {
        let sent = number(line, "intended_ms");
        sent >= from && sent + number(line, "latency_ms") <= until
    });
    within.map(|line| number(line, "latency_ms")).collect()
}

/// The share of the requests of b that went to d, of those that were to be sent at `from` or later and before `until`, milliseconds of
/// the run.
fn to_d(requests: &[Line], (from, until): (f64, f64)) -> f64 {
    let of_b = requests.iter().filter(|line| line["node"] == "b");
    let within = |line: &&Line| (from..until).contains(&number(line, "intended_ms"));
    let went: Vec<f64> = of_b.filter(within).map(|line| f64::from(line["instance"] == "i2")).collect();
    went.iter().sum::<f64>() / went.len() as f64
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn share(values: &[f64], which: impl Fn(f64) -> bool) -> f64 {
    values.iter().filter(|value| which(**value)).count() as f64 / values.len() as f64
}

/// The share of requests answered in time among the clients of a node, as the table of a trial has it.
fn kept(trial: &Path, node: &str) -> f64 {
    let clients = lines(&trial.join("clients.csv"));
    let sum = |column: &str| -> f64 {
        clients.iter().filter(|line| line["node"] == node).map(|line| number(line, column)).sum()
    };
    sum("good") / sum("requests")
}

/// Paths of b have jitter, those of c lose one packet in four, those between a and d do neither. All by so much that it is seen on a
/// machine that has other things to do.
#[test]
fn paths_with_jitter_and_loss_do_in_the_lab_what_they_do_in_the_simulation() {
    const IMPAIRMENTS: &str = "apiVersion: longhaul/v1\nmatrix: net.csv\npaths:\n  - {from: b, jitter: 200ms}\n\
                               \x20 - {to: b, jitter: 200ms}\n  - {from: c, loss: 25%}\n  - {to: c, loss: 25%}\n";
    for user in User::all() {
        let host = Host::look();
        user.write("net.csv", DELAYS);
        user.write("net.yaml", IMPAIRMENTS);
        let balancing = "  duration: 12s\n  warmUp: 1s\n  timeout: 2s\n";
        user.write("plan.yaml", &plan("impairments: net.yaml", "{policy: round-robin}", balancing, ""));
        user.succeed(&["run", "plan.yaml", "--output", "out"]);
        let out = user.folder().join("out");
        let trial = out.join("trials/p0-t0-r0-s0");
        let requests = lines(&trial.join("requests.csv"));
        let of = |node, to| latencies(&requests, (node, to), (1_000.0, f64::INFINITY));

        assert!(least(&of("a", "d")) >= 60.0 + WORK - 0.01, "as {}: {:?}", user.name(), of("a", "d"));

        // Twice an even draw from −200 to 200 ms: nearly half of them are below the delays alone.
        for to in ["a", "d"] {
            let jittered = of("b", to);
            let base = 400.0 + WORK;
            assert!(least(&jittered) >= WORK, "as {}: b to {to}: {jittered:?}", user.name());
            assert!(share(&jittered, |ms| ms < base) > 0.1, "as {}: b to {to}: {jittered:?}", user.name());
            assert!(share(&jittered, |ms| ms > base) > 0.1, "as {}: b to {to}: {jittered:?}", user.name());
        }

        // Request or answer is lost with a chance of 44 %, and sent again after 200 ms and more; what a busy machine makes of
        // requests on other paths it makes of these too.
        let lossy = [of("c", "a"), of("c", "d")].concat();
        let plain = [of("a", "d"), of("a", "a"), of("d", "a"), of("d", "d")].concat();
        assert!(least(&lossy) >= 24.0 + WORK - 0.01, "as {}: {lossy:?}", user.name());
        let (slow, slow_anyway) = (share(&lossy, |ms| ms > 200.0), share(&plain, |ms| ms > 200.0));
        let again = (slow - slow_anyway) / (1.0 - slow_anyway);
        assert!((0.15..0.85).contains(&again), "as {}: {slow}, {slow_anyway} without loss: {lossy:?}", user.name());
        let simulated = kept(&out.join("simulated/p0-t0-r0-s0"), "c");
        let seen = kept(&trial, "c") / kept(&trial, "a");
        assert!((0.4..0.7).contains(&simulated), "{simulated}");
        assert!((seen - simulated).abs() < 0.35, "as {}: {seen} in the lab, {simulated} in simulation", user.name());
        unchanged(&user, &host);
    }
}

/// Round robin sees both instances throughout and so tells what the paths take; the nearest tells whether proxies hear of it. The
/// second trial begins with the delays of the first one's start. Requests are judged by when delays had changed, whenever that was:
/// a machine with other things to do may take a second for it.
#[test]
fn delays_that_change_while_it_runs_are_met_by_packets_and_seen_by_proxies() {
    const STRATEGIES: &str = "{policy: round-robin}, {name: nearest, policy: proximity, parameters: {alpha: 1, nearest: true, \
                              weights: followed, interval: 50ms}}";
    for user in User::all() {
        let host = Host::look();
        user.write("net.csv", BEFORE);
        user.write("other.csv", AFTER);
        let event = "timeline:\n  - {at: 6s, do: {matrix: other.csv}}\n";
        let balancing = "  duration: 18s\n  timeout: 8s\n  probeEvery: 500ms\n";
        user.write("plan.yaml", &plan("matrix: net.csv", STRATEGIES, balancing, event));
        user.succeed(&["run", "plan.yaml", "--output", "out"]);
        let out = user.folder().join("out");
        for (strategy, nodes) in [("s0", &["a", "d"][..]), ("s1", &["a"][..])] {
            let trial = out.join(format!("trials/p0-t0-r0-{strategy}"));
            let (requests, happened) = (lines(&trial.join("requests.csv")), lines(&trial.join("events.csv")));
            let (begun, over) = {
                let begun = number(&happened[0], "at_s") * 1e3 + number(&happened[0], "late_ms");
                (begun, begun + number(&happened[0], "took_ms"))
            };
            assert!(begun >= 6_000.0 && over < 12_000.0, "as {}: {happened:?}", user.name());
            let before = (0.0, begun);
            let after = (over, f64::INFINITY);
            for (to, then, now) in [("a", 20.0, 1_200.0), ("d", 1_200.0, 10.0)] {
                if nodes.contains(&to) {
                    let old = latencies(&requests, ("b", to), before);
                    assert!(least(&old) >= then + WORK - 0.01, "as {}, {strategy}: b to {to}: {old:?}", user.name());
                }
                if strategy == "s0" {
                    let new = latencies(&requests, ("b", to), after);
                    assert!(new.len() >= 5 && least(&new) >= now + WORK - 0.01, "b to {to} after: {new:?}");
                    // What no request could have done before, however busy the machine is.
                    let nearer = now < then && least(&new) < then + WORK;
                    assert!(now > then || nearer, "as {}: b to {to} after: {new:?}", user.name());
                }
            }
            // Paths that stay what they are.
            let same = latencies(&requests, ("c", "d"), (0.0, f64::INFINITY));
            assert!(least(&same) >= 24.0 + WORK - 0.01, "as {}: {same:?}", user.name());
            // What had ended before is none of its doing: a machine that is slow to begin has lost requests by then.
            let ended = |line: &Line| number(line, "intended_ms") + number(line, "latency_ms");
            let met = requests.iter().filter(|line| ended(line) >= begun);
            let lost: Vec<_> = met.filter(|line| line["outcome"] != "ok").collect();
            assert!(lost.is_empty(), "as {}, {strategy}: {} of {}: {lost:?}", user.name(), lost.len(), requests.len());
            // The kernel's netem counts what it drops with what it was asked to lose, so that there is no number.
            let conduct = lines(&trial.join("conduct.csv"));
            let dropped =
                conduct.iter().find(|line| line["what"] == "packets_dropped").map(|line| line["value"].as_str());
            assert!(matches!(dropped, Some("" | "0.000000")), "as {}, {strategy}: {dropped:?}", user.name());
            if strategy == "s1" {
                // The nearest changes from a to d as soon as proxies have measured, which they do twice a second and takes 1.2 s.
                let (old, new) = (to_d(&requests, (0.0, begun)), to_d(&requests, (over + 3_000.0, f64::INFINITY)));
                assert!(old < 0.1 && new > 0.9, "as {}: of b to d {old} before {begun} ms, {new} after", user.name());
            }
        }
        // In no time at all but for the measuring, which takes half a second.
        let simulated = lines(&out.join("simulated/p0-t0-r0-s1/routing.csv"));
        let of_b = |instance: &str| -> f64 {
            let of = |line: &&Line| line["node"] == "b" && line["instance"] == instance;
            simulated.iter().filter(of).map(|line| number(line, "requests")).sum()
        };
        let simulated = of_b("i2") / (of_b("i1") + of_b("i2"));
        assert!((0.58..0.67).contains(&simulated), "{simulated}");
        unchanged(&user, &host);
    }
}
