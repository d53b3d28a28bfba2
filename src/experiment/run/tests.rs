//! Runs of a small plan, looked at in their files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::experiment::plan::{Plan, Trial};

const PLAN: &str = "apiVersion: longhaul/v1\nname: it\nquestion: what\ntestbed: simulation\nrepetitions: 2\n\
                    topologies: [{random: {nodes: 3, base: 5ms, addition: 20ms}, seed: 1}]\n\
                    strategies: [{policy: round-robin}, {name: again, policy: round-robin}]\nbalancing:\n  duration: 20s\n\
                    \x20 qos: {within: 80ms, atLeast: 90%, window: 10s}\n\
                    \x20 service: {time: {logNormal: {mean: 5ms, cv: 0.5}}}\n  instances: {on: [n1, n2]}\n\
                    \x20 clients: {each: 1, rate: 10/s, arrivals: poisson}\n\
                    sweep: [{vary: balancing.service.time.logNormal.mean, over: [4ms, 6ms]}]\n";

fn plan(text: &str) -> Plan {
    Plan::load(Path::new("plan.yaml"), |_| Ok(text.as_bytes().to_vec())).expect("a plan")
}

fn run_all(plan: &Plan, folder: &Path, workers: usize) {
    let directory = RunDirectory::open(folder, plan, &Description::new(plan, "0"), false).expect("new");
    let trials: Vec<Trial> = plan.trials().collect();
    let ended = run(&trials, &directory, &Simulation::default(), workers, &AtomicBool::new(false), &|_, _| {});
    assert_eq!(ended.expect("runs"), Ended { run: 12, left: 0 });
}

/// Every file under `folder` with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").display().to_string();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

#[test]
fn two_runs_of_a_plan_are_the_same_bytes_however_many_work_on_them() {
    let (one, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("other"));
    let plan = plan(PLAN);
    run_all(&plan, one.path(), 1);
    run_all(&plan, other.path(), 3);
    let written = files(one.path());
    assert_eq!(written, files(other.path()));
    // 3 points × 1 topology × 2 repetitions × 2 strategies, each a record and five tables; plan twice; a matrix per point.
    assert_eq!(written.len(), 12 * 6 + 2 + 3);
}

#[test]
fn placements_are_the_same_bytes_but_for_what_the_clock_said() {
    let (one, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("other"));
    let (head, _) = PLAN.split_once("balancing:").expect("has");
    let plan = plan(&format!(
        "{}placement:\n  services: {{generated: {{services: 9, callers: 2, kilobytes: 29, cpu: 400}}}}\n  nodes: {{slack: 1.5}}\n\
         sweep: [{{vary: placement.nodes.slack, over: [1, 4]}}]\n",
        head.replace("round-robin", "random")
    ));
    run_all(&plan, one.path(), 1);
    run_all(&plan, other.path(), 3);
    let (mut written, mut again) = (files(one.path()), files(other.path()));
    let is_clock = |name: &String| name.ends_with("clock.json");
    assert_eq!(written.keys().filter(|name| is_clock(name)).count(), 12);
    assert!(written.keys().eq(again.keys()));
    written.retain(|name, _| !is_clock(name));
    again.retain(|name, _| !is_clock(name));
    assert_eq!(written, again);
    // Each trial has a record and three tables.
    assert_eq!(written.len(), 12 * 4 + 2 + 3);
    let records = RunDirectory::existing(one.path()).expect("a run").0.records().expect("readable");
    assert!(records.iter().all(|record| record.metrics["time"].is_some_and(|ms| ms > 0.0)));
}

#[test]
fn a_run_that_was_stopped_goes_on_where_it_was() {
    let (folder, whole) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("other"));
    let plan = plan(PLAN);
    run_all(&plan, whole.path(), 1);
    let description = Description::new(&plan, "0");
    let directory = RunDirectory::open(folder.path(), &plan, &description, false).expect("new");
    let trials: Vec<Trial> = plan.trials().collect();
    let stop = AtomicBool::new(false);
    let after_one = |_: &Trial, _: &_| stop.store(true, Ordering::Relaxed);
    let ended = run(&trials, &directory, &Simulation::default(), 1, &stop, &after_one).expect("runs");
    assert_eq!(ended, Ended { run: 1, left: 11 });
    let again = RunDirectory::open(folder.path(), &plan, &description, true).expect("the same plan");
    let left: Vec<Trial> = plan.trials().filter(|trial| !again.has(trial.id)).collect();
    assert_eq!(left.len(), 11);
    run(&left, &again, &Simulation::default(), 2, &AtomicBool::new(false), &|_, _| {}).expect("runs");
    assert_eq!(files(folder.path()), files(whole.path()));
    let records = again.records().expect("readable");
    assert_eq!(records.len(), 12);
    let table = again.table(&records[0], "instances").expect("is there");
    assert_eq!(table.texts("instance"), ["i1", "i2"]);
}

#[test]
fn a_directory_is_not_taken_for_what_it_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, other) = (plan(PLAN), plan(&PLAN.replace("seed: 1", "seed: 2")));
    let open = |plan: &Plan, resume| {
        let opened = RunDirectory::open(folder.path(), plan, &Description::new(plan, "0"), resume);
        opened.map(|_| ()).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "F"))
    };
    assert_eq!(open(&plan, false), Ok(()));
    let unasked = "F holds a run already; add --resume to go on with it";
    assert_eq!(open(&plan, false), Err(unasked.to_owned()));
    assert_eq!(open(&plan, true), Ok(()));
    let differs = "F holds a run of another plan, or of another version of it; name a new directory with --output";
    assert_eq!(open(&other, true), Err(differs.to_owned()));
    fs::remove_file(folder.path().join("plan.json")).expect("was there");
    let taken = "F is there already and is no run; name a new directory with --output";
    assert_eq!(open(&plan, true), Err(taken.to_owned()));
}

#[test]
fn what_paths_do_beyond_delay_is_kept_and_has_to_be_the_same_to_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let lossy = |loss: &str| plan(&PLAN.replace("seed: 1}]", &format!("seed: 1, loss: {loss}}}]")));
    let open =
        |plan: &Plan, resume| RunDirectory::open(folder.path(), plan, &Description::new(plan, "0"), resume).map(|_| ());
    open(&lossy("1%"), false).expect("new");
    let written = files(folder.path());
    let impairments = String::from_utf8(written["impairments/p0-t0.csv"].clone()).expect("text");
    assert!(impairments.starts_with("from,to,impairment\n") && impairments.contains(" loss 1%\n"), "{impairments}");
    let understood = String::from_utf8(written["plan.json"].clone()).expect("text");
    assert!(understood.contains("loss on 6 paths"), "{understood}");
    open(&lossy("1%"), true).expect("the same");
    assert!(matches!(open(&lossy("2%"), true), Err(DirectoryError::OtherPlan(_))));
    assert!(matches!(open(&plan(PLAN), true), Err(DirectoryError::OtherPlan(_))));
}
