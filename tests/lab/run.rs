//! `longhaul run` with `testbed: lab`: what the files of a run say, looked at by other means than the run's own.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{Host, eventually, pause, processes_of};
use crate::user::{User, describe};

/// A line of a CSV file by the names of its columns.
pub(super) type Line = BTreeMap<String, String>;

const MATRIX: &str = ",a,b,c,d\na,0,10,20,30\nb,10,0,15,25\nc,20,15,0,12\nd,30,25,12,0\n";

fn plan(duration: &str, lines: &str) -> String {
    format!(
        "apiVersion: longhaul/v1\nname: tiny\nquestion: Does it run?\ntestbed: lab\nseed: 3\n\
         topologies: [{{name: four, matrix: net.csv}}]\nstrategies: [{{policy: round-robin}}]\n\
         balancing:\n  duration: {duration}\n  service: {{time: {{fixed: 5ms}}}}\n  instances: {{on: [a, d]}}\n\
         \x20 clients: {{each: 2, rate: 10/s, arrivals: fixed}}\n  qos: {{within: 80ms, atLeast: 90%, window: 2s}}\n\
         \x20 localRtt: 0.1ms\n{lines}"
    )
}

/// Nothing of a run is left: no program, no namespace, no link.
pub(super) fn unchanged(user: &User, before: &Host) {
    let folder = user.folder().to_owned();
    eventually("no program of the run is left", || processes_of(&folder).is_empty());
    assert_eq!(&Host::look(), before, "as {}", user.name());
}

/// The lines of a CSV file by the names of their columns.
pub(super) fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let line = |row: csv::StringRecord| names.iter().cloned().zip(row.iter().map(str::to_owned)).collect();
    reader.records().map(|row| line(row.unwrap())).collect()
}

pub(super) fn number(line: &Line, name: &str) -> f64 {
    line[name].parse().unwrap_or_else(|_| panic!("{name} of {line:?}"))
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_plan_runs_with_real_processes_and_its_files_say_what_the_network_is() {
    for user in User::all() {
        let host = Host::look();
        user.write("net.csv", MATRIX);
        // Time is stretched twofold, and all is told in plan time.
        let bounds = "crossCheck: {requestsOk: 100%, p50: 1s}\ntimeScale: 0.5\n";
        user.write("plan.yaml", &plan("2s", bounds));
        let said = user.succeed(&["run", "plan.yaml", "--output", "out"]);
        assert!(said.contains("2 of 2 means within their bounds"), "as {}: {said}", user.name());
        let out = user.folder().join("out");
        let requests = lines(&out.join("trials/p0-t0-r0-s0/requests.csv"));
        // 4 nodes × 2 clients × 10/s × 2 s.
        assert_eq!(requests.len(), 160, "as {}", user.name());
        assert!(requests.iter().all(|line| line["outcome"] == "ok"), "as {}: {requests:?}", user.name());
        let node_of = |instance: &str| if instance == "i1" { "a" } else { "d" };
        for (from, to, rtt) in [("a", "d", 60.0), ("b", "a", 20.0), ("b", "d", 50.0), ("c", "d", 24.0)] {
            let of = |line: &&Line| line["node"] == from && node_of(&line["instance"]) == to;
            let latencies: Vec<f64> = requests.iter().filter(of).map(|line| number(line, "latency_ms")).collect();
            assert!(latencies.len() >= 15, "{from} to {to}: {}", latencies.len());
            let least = latencies.iter().copied().fold(f64::INFINITY, f64::min);
            // No request is faster than light and work; most are not much slower.
            assert!(least >= rtt + 5.0 - 0.01, "as {}: {from} to {to}: {least}", user.name());
            let middle = median(latencies);
            assert!(middle < rtt + 5.0 + 500.0, "as {}: {from} to {to}: {middle}", user.name());
        }
        let counted: f64 =
            lines(&out.join("trials/p0-t0-r0-s0/clients.csv")).iter().map(|one| number(one, "requests")).sum();
        assert!((counted - 160.0).abs() < 0.5);
        let measured = std::fs::read_to_string(out.join("matrices/measured-p0-t0.csv")).unwrap();
        let from_a: Vec<f64> = measured
            .lines()
            .find(|line| line.starts_with("a,"))
            .unwrap()
            .split(',')
            .skip(1)
            .map(|cell| cell.parse().unwrap())
            .collect();
        for (seen, meant) in from_a.iter().zip([0.0, 10.0, 20.0, 30.0]) {
            assert!((seen - meant).abs() < 20.0, "as {}: {measured}", user.name());
        }
        assert!(out.join("simulated/p0-t0-r0-s0/trial.json").exists());
        let page = std::fs::read_to_string(out.join("report.html")).unwrap();
        assert!(page.contains("Lab beside simulation"));
        assert!(!out.join("work").exists(), "the programs' files are gone");
        // A finished run has nothing left to do.
        let again = user.succeed(&["run", "plan.yaml", "--output", "out", "--resume"]);
        assert!(again.contains("0 trials run"), "{again}");
        unchanged(&user, &host);
    }
}

/// Requests are judged by when things happened, whenever that was: a machine with other things to do may take a second for it.
#[test]
fn instances_fail_and_come_and_nodes_are_cut_while_it_runs() {
    for user in User::all() {
        let host = Host::look();
        user.write("net.csv", MATRIX);
        let events = "timeline:\n  - {at: 1s, do: {fail: i2}}\n  - {at: 1500ms, do: {add: c}}\n  - {at: 1600ms, do: {cut: b}}\n\
                      \x20 - {at: 1700ms, do: {join: {on: [a], each: 1}}}\n";
        user.write("plan.yaml", &plan("8s", &format!("{}{events}", "  timeout: 400ms\n")));
        user.succeed(&["run", "plan.yaml", "--output", "out"]);
        let trial = user.folder().join("out/trials/p0-t0-r0-s0");
        let (requests, happened) = (lines(&trial.join("requests.csv")), lines(&trial.join("events.csv")));
        assert_eq!(happened.len(), 4);
        let begun = |event: usize| number(&happened[event], "at_s") * 1e3 + number(&happened[event], "late_ms");
        let over = |event: usize| begun(event) + number(&happened[event], "took_ms");
        assert!(over(3) < 5_000.0, "as {}: {happened:?}", user.name());
        let of = |node: &str, from: f64, to: f64| -> Vec<_> {
            let within = |line: &&Line| line["node"] == node && (from..to).contains(&number(line, "intended_ms"));
            requests.iter().filter(within).collect()
        };
        let ok = |line: &Line| line["outcome"] == "ok";
        let (failed, added, cut) = (0, 1, 2);
        assert!(of("a", 0.0, begun(failed)).iter().any(|line| line["instance"] == "i2"), "as {}", user.name());
        let on_failed = of("a", over(failed), f64::INFINITY).into_iter().filter(|line| line["instance"] == "i2");
        assert!(on_failed.clone().all(|line| !ok(line)), "as {}: it has failed", user.name());
        // Balancers have a second to hear of it, and of what came.
        let told = 1_000.0;
        assert!(on_failed.clone().all(|line| number(line, "intended_ms") < over(failed) + told), "as {}", user.name());
        let on_added = |line: &&Line| line["instance"] == "i3";
        let ended = |line: &Line| number(line, "intended_ms") + number(line, "latency_ms");
        assert!(requests.iter().filter(on_added).all(|line| ended(line) > begun(added)), "as {}", user.name());
        assert!(
            of("a", over(added) + told, f64::INFINITY).into_iter().any(|line| on_added(&line) && ok(line)),
            "as {}",
            user.name()
        );
        // b reaches nobody: there is no instance on it.
        let lost = of("b", over(cut), f64::INFINITY);
        assert!(lost.len() >= 10 && lost.into_iter().all(|line| !ok(line)), "as {}", user.name());
        assert_eq!(requests.iter().map(|line| &line["client"]).collect::<std::collections::BTreeSet<_>>().len(), 9);
        unchanged(&user, &host);
    }
}

/// However a run ends, nothing of it is left, and what is there is enough to go on.
#[test]
fn a_run_that_is_stopped_leaves_nothing_running_and_can_go_on() {
    for user in User::all() {
        for signal in [Signal::SIGINT, Signal::SIGKILL] {
            let host = Host::look();
            user.write("net.csv", MATRIX);
            user.write("plan.yaml", &plan("60s", ""));
            let out = format!("out-{signal}");
            let mut command = user.command(&["run", "plan.yaml", "--output", &out]);
            let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let folder = user.folder().join(&out);
            // Requests are under way when proxies have been told that the service is open.
            let open = || {
                std::fs::read_to_string(folder.join("work/instances.yaml"))
                    .is_ok_and(|text| text.contains(r#""service":"service""#))
            };
            let begun = Instant::now();
            while !open() {
                assert!(begun.elapsed() < Duration::from_secs(60), "it does not begin");
                pause();
            }
            kill(Pid::from_raw(i32::try_from(run.id()).unwrap()), signal).unwrap();
            let ended = run.wait_with_output().unwrap();
            if signal == Signal::SIGINT {
                assert_eq!(ended.status.code(), Some(1), "as {}: {}", user.name(), describe(&ended));
                let said = String::from_utf8_lossy(&ended.stdout);
                assert!(said.contains("1 trials left"), "{said}");
                assert!(!folder.join("work").exists());
            } else {
                assert_eq!(ended.status.signal(), Some(9));
            }
            unchanged(&user, &host);
            assert!(!folder.join("trials/p0-t0-r0-s0/trial.json").exists());
            let other = user.fail(&["run", "plan.yaml", "--output", &out], 2);
            assert!(other.contains("add --resume"), "{other}");
        }
    }
}
