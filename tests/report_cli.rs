//! `longhaul run` and `longhaul report` as a user calls them: files, exit codes, what is said.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

const PLAN: &str = "apiVersion: longhaul/v1\nname: small\nquestion: Is it so?\ntestbed: simulation\nrepetitions: 2\n\
                    topologies: [{random: {nodes: 3, base: 5ms, addition: 20ms}, seed: 1}]\n\
                    strategies: [{policy: round-robin}]\nbalancing:\n  duration: 20s\n\
                    \x20 qos: {within: 80ms, atLeast: 90%, window: 5s}\n\
                    \x20 service: {time: {fixed: 5ms}}\n  instances: {on: [n1, n2]}\n\
                    \x20 clients: {each: 1, rate: 10/s, arrivals: poisson}\n\
                    claims: [{says: none is lost, metric: failures, of: round-robin, between: [0, 0.001]},\n\
                    \x20 {says: all are, metric: failures, of: round-robin, between: [0.9, 1]}]\n";

fn longhaul(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longhaul")).args(words).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

#[test]
fn a_run_has_its_report_which_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plan.yaml"), PLAN).unwrap();
    let output = longhaul(folder.path(), &["run", "plan.yaml", "--output", "kept"]);
    assert!(output.status.success(), "{}", said(&output));
    let read = |file: &str| std::fs::read(folder.path().join(file)).unwrap();
    let first = read("kept/report.html");
    // A claim that does not hold is no failure of the report.
    let output = longhaul(folder.path(), &["report", "kept", "--output", "elsewhere"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for words in ["✓ held: none is lost", "✗ not held: all are", "elsewhere/report.html"] {
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    }
    assert!(first == read("elsewhere/report.html"), "made again, it differs");
    assert_eq!(read("kept/figures/clients.png"), read("elsewhere/figures/clients.png"));
}

#[test]
fn what_is_no_run_has_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let output = longhaul(folder.path(), &["report", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("nowhere/plan.json"), "{}", said(&output));
    std::fs::create_dir(folder.path().join("other")).unwrap();
    std::fs::write(folder.path().join("other/plan.json"), "{}").unwrap();
    let output = longhaul(folder.path(), &["report", "other"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("not what longhaul writes there"), "{}", said(&output));
}
