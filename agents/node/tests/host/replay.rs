//! A timeline whose worker is lost: the next one takes it up where the clock says it is.

use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::node::{Node, eventually};
use super::session::{Session, lease, send};

/// The delays that steps change between, in milliseconds: no busy machine makes one look like the other.
const NEAR: u64 = 40;
const FAR: u64 = 500;

fn now_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}

/// Orders and begins a replay of steps at these instants; when it starts.
fn begin(session: &mut Session, steps: &[(Duration, u64)], length: Option<Duration>) -> u64 {
    let step = |(at, delay_ms): &(Duration, u64)| {
        let path = json!({ "prefixes": ["10.9.0.2/32"], "impairment": { "delay": delay_ms * 1_000_000 } });
        json!({ "at": nanos(*at), "name": format!("{delay_ms}.csv"), "change": { "whole": { "paths": [path] } } })
    };
    let repeat = if length.is_some() { json!("forever") } else { json!({ "times": 1 }) };
    let pace = json!({ "length": length.map(nanos), "repeat": repeat, "until": null });
    let steps: Vec<Value> = steps.iter().map(step).collect();
    let order = json!({ "name": "day.yaml", "steps": steps, "pace": pace, "backend": "auto" });
    let answer = session.ask(&json!({ "replay": order }));
    assert!(answer.get("replaying").is_some(), "{answer}");
    let start = now_ns() + nanos(lease(300));
    let answer = session.ask(&json!({ "begin_replay": { "start_realtime_ns": start } }));
    assert_eq!(answer, json!("replay_begun"));
    start
}

fn state(session: &mut Session) -> Value {
    session.ask(&json!({ "switches": { "from": 0 } }))["switched"].clone()
}

/// Waits until the round trip shows this delay and not the other.
fn is_delayed(node: &Node, session: &mut Session, delay_ms: u64) {
    eventually(&format!("packets are delayed by {delay_ms} ms"), || {
        // It also tells the keeper that somebody is there.
        let _ = session.status();
        #[allow(clippy::cast_precision_loss)] // small
        let near = delay_ms as f64;
        node.ping().is_some_and(|time| (near..10.0 * near).contains(&time))
    });
}

/// Kills the worker and waits for another.
fn kill_worker(node: &Node) {
    let worker = node.process("lh-worker");
    send(worker, Signal::SIGKILL);
    eventually("another worker", || !node.processes("lh-worker").contains(&worker) && node.process("lh-worker") > 0);
}

#[test]
fn a_new_worker_takes_the_timeline_up_and_goes_on() {
    let node = Node::with_others(true);
    let before = node.everything();
    let mut session = Session::start(&node, lease(10000));
    let far = lease(5000);
    let start = begin(&mut session, &[(Duration::ZERO, NEAR), (far, FAR)], None);
    is_delayed(&node, &mut session, NEAR);
    let others = node.of_others();
    kill_worker(&node);
    is_delayed(&node, &mut session, NEAR);
    let taken_up = state(&mut session);
    let gap = &taken_up["gaps"][0];
    assert_eq!(gap["why"], "the worker was killed by SIGKILL", "{taken_up}");
    assert!(gap["until_ns"].as_u64() > gap["from_ns"].as_u64() && gap["from_ns"].as_u64().unwrap() > start, "{gap}");
    assert!(gap["until_ns"].as_u64().unwrap() < start + nanos(far), "this machine stood still: {gap}");
    let status = session.status();
    assert_eq!(status["differences"], json!([]));
    assert!(status["restarts"].to_string().contains("was killed by SIGKILL"), "{status}");
    let replay = &status["replay"];
    assert_eq!((&replay["name"], &replay["step"], &replay["steps"]), (&json!("day.yaml"), &json!("40.csv"), &json!(2)));
    assert_eq!((&replay["last"]["number"], &replay["next_ns"]), (&json!(1), &json!(start + nanos(far))), "{replay}");
    assert_eq!(node.of_others(), others);
    // The later step comes at its time, by the new worker.
    is_delayed(&node, &mut session, FAR);
    let state = state(&mut session);
    let stamps = state["stamps"].as_array().unwrap();
    let last = stamps.last().unwrap();
    assert_eq!((stamps.len(), &last["number"], &last["step"]), (2, &json!(2), &json!(1)), "{state}");
    assert_eq!((&last["planned_ns"], last.get("error")), (&json!(start + nanos(far)), None), "{state}");
    assert!(last["begun_ns"].as_u64() >= last["planned_ns"].as_u64(), "{state}");
    // What it has come to stays, also when it is over.
    kill_worker(&node);
    is_delayed(&node, &mut session, FAR);
    assert_eq!(session.status()["replay"]["gaps"].as_array().unwrap().len(), 2);
    assert_eq!(session.end().0, Some(0));
    node.is_clear(&before);
}

#[test]
fn switches_that_a_hanging_worker_missed_are_stamped() {
    let node = Node::new(true);
    let mut session = Session::start(&node, lease(500));
    let step = lease(100);
    let start = begin(&mut session, &[(Duration::ZERO, NEAR), (step, FAR)], Some(2 * step));
    eventually("the first switch", || session.status()["replay"]["last"]["number"].as_u64() >= Some(1));
    send(node.process("lh-worker"), Signal::SIGSTOP);
    let mut taken_up = Value::Null;
    eventually("the replay is taken up, and goes on", || {
        taken_up = state(&mut session);
        let made = |stamp: &&Value| stamp["error"].is_null();
        taken_up["gaps"][0]["until_ns"].is_u64()
            && taken_up["stamps"].as_array().unwrap().iter().filter(made).count() > 3
    });
    let gap = &taken_up["gaps"][0];
    assert!(gap["why"].to_string().contains("did not answer within its lease"), "{gap}");
    let (from, until) = (gap["from_ns"].as_u64().unwrap(), gap["until_ns"].as_u64().unwrap());
    assert!(until - from >= nanos(lease(100)), "{gap}");
    let stamps = taken_up["stamps"].as_array().unwrap();
    let numbers: Vec<u64> = stamps.iter().map(|stamp| stamp["number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let (missed, made): (Vec<_>, Vec<_>) =
        stamps.iter().partition(|stamp| stamp["error"].to_string().contains("left out: the worker was replaced"));
    assert!(!missed.is_empty(), "{taken_up}");
    for stamp in stamps {
        let (number, planned) = (stamp["number"].as_u64().unwrap(), stamp["planned_ns"].as_u64().unwrap());
        assert_eq!(planned, start + (number - 1) * nanos(step));
        assert_eq!(stamp["step"], (number - 1) % 2);
    }
    // All that were due in the gap are there, the last of them made at its end.
    assert!(missed.iter().all(|stamp| (from..until).contains(&stamp["planned_ns"].as_u64().unwrap())), "{taken_up}");
    assert!(missed.last().unwrap()["number"].as_u64() < made[0]["number"].as_u64(), "{taken_up}");
    assert!(numbers[0] == 1 || stamps[0]["planned_ns"].as_u64().unwrap() - from <= nanos(step), "{taken_up}");
    assert_eq!(session.end().0, Some(0));
}

#[test]
fn a_stopped_timeline_is_not_taken_up_again_but_its_row_is() {
    let node = Node::new(true);
    let mut session = Session::start(&node, lease(10000));
    begin(&mut session, &[(Duration::ZERO, NEAR), (lease(1000), FAR)], Some(lease(100_000)));
    is_delayed(&node, &mut session, FAR);
    let stopped = session.ask(&json!("stop_replay"));
    assert_eq!(stopped["switched"]["phase"], "stopped", "{stopped}");
    kill_worker(&node);
    is_delayed(&node, &mut session, FAR);
    let status = session.status();
    assert_eq!((&status["differences"], status.get("replay")), (&json!([]), None), "{status}");
    assert_eq!(state(&mut session)["phase"], "none");
    // What was there before a timeline that has yet to begin is put back as well, and the timeline waits.
    session.apply(NEAR, 1);
    let start = begin(&mut session, &[(lease(100_000), FAR)], None);
    kill_worker(&node);
    is_delayed(&node, &mut session, NEAR);
    let replay = session.status()["replay"].clone();
    assert_eq!(
        (&replay["last"], &replay["next_ns"]),
        (&Value::Null, &json!(start + nanos(lease(100_000)))),
        "{replay}"
    );
    assert_eq!(session.end().0, Some(0));
}
