//! Leases, detached rows, and who shares an interface with whom.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::node::{Node, ROLES, eventually};
use super::session::{Session, lease, row};

const ALIVE: &str = r#"{"alive":true}"#;

#[test]
fn a_row_lasts_as_long_as_its_session_is_heard_of() {
    let node = Node::with_others(false);
    let (before, others) = (node.everything(), node.of_others());
    let mut session = Session::start(&node, lease(1000));
    session.apply(40, 3);
    let end = Instant::now() + 3 * lease(1000);
    while Instant::now() < end {
        session.say(ALIVE);
        // Its answer paces this loop.
        assert!(session.ask(&json!("status"))["status"]["differences"] == json!([]));
        assert_eq!(node.of_others(), others, "what others have made stays as it is");
    }
    assert!(node.ping().unwrap() >= 40.0);
    let silent = Instant::now();
    assert_eq!(session.next(), None, "it is silent now, and so the keeper ends it");
    assert!(silent.elapsed() >= Duration::from_millis(500), "{:?}", silent.elapsed());
    let (code, told) = session.wait();
    assert_eq!((code, told.as_str()), (Some(2), "error: the session was silent for longer than its lease\n"));
    node.is_clear(&before);
}

#[test]
fn a_stopped_front_counts_as_gone() {
    let node = Node::new(true);
    let before = node.everything();
    let mut session = Session::start(&node, lease(500));
    session.apply(40, 3);
    session.signal(Signal::SIGSTOP);
    node.is_clear(&before);
    session.signal(Signal::SIGCONT);
    assert_eq!(session.end().0, Some(2));
}

#[test]
fn what_is_detached_stays_its_time_and_no_longer() {
    let node = Node::new(false);
    let before = node.everything();
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 2);
    let time = lease(2000);
    let detached = json!({ "seconds": time.as_secs() });
    assert_eq!(session.ask(&json!({ "detach": detached })), json!({ "detached": detached }));
    let ended = Instant::now();
    assert_eq!(session.end().0, Some(0));
    assert!(node.ping().unwrap() >= 30.0, "nobody is there, and the row is");
    eventually("it is gone", || node.processes("lh-keeper").is_empty());
    assert!(ended.elapsed() + Duration::from_millis(100) >= time, "{:?}", ended.elapsed());
    node.is_clear(&before);
}

#[test]
fn a_later_session_finds_what_was_detached_and_can_clear_it() {
    let node = Node::new(true);
    let before = node.everything();
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 2);
    session.ask(&json!({ "detach": { "seconds": 3600 } }));
    assert_eq!(session.end().0, Some(0));
    let mut later = Session::start(&node, lease(10000));
    let status = later.status();
    assert_eq!(status["row"]["paths"].as_array().unwrap().len(), 2, "{status}");
    assert!(later.ask(&json!("clear")).get("cleared").is_some());
    assert_eq!(later.end().0, Some(0));
    node.is_clear(&before);
}

#[test]
fn another_testbed_is_refused_and_told_who_holds_the_interface() {
    let node = Node::new(false);
    let mut holder = Session::start(&node, lease(10000));
    holder.apply(30, 1);
    let everything = node.everything();
    let mut other = Session::of(node.agent(&["session", "--interface", "eth0", "--testbed", "other"]));
    for request in [json!("ready"), row(5, 1), json!("clear"), json!({ "detach": { "seconds": 5 } })] {
        let answer = other.ask(&request);
        let message = answer["failed"]["message"].as_str().unwrap_or_default();
        let keeper = format!("(keeper process {}, 1 session)", node.process("lh-keeper"));
        let user = if nix::unistd::Uid::effective().is_root() { "root" } else { "" };
        for part in
            ["eth0 of this network namespace is held by testbed `test` of user", user, &keeper, "longhaul panic"]
        {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    assert_eq!(other.end().0, Some(2));
    assert_eq!(node.everything(), everything, "the refused one touched nothing");
    holder.end();
}

#[test]
fn sessions_of_one_testbed_share_and_the_last_one_clears() {
    let node = Node::with_others(true);
    let before = node.everything();
    let mut sessions = [Session::start(&node, lease(10000)), Session::start(&node, lease(10000))];
    // Both ask at once, many times: one row or the other, never a mixture.
    for round in 0..10 {
        for (place, session) in (0u64..).zip(&mut sessions) {
            session.send(&row(20 + place, 20 + place * 10 + round));
        }
    }
    for session in &sessions {
        for _ in 0..10 {
            assert!(session.next().unwrap()["response"].get("applied").is_some());
        }
    }
    let [mut one, mut two] = sessions;
    let status = one.status();
    let delays: Vec<u64> = status["row"]["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| path["impairment"]["delay"].as_u64().unwrap() / 1_000_000)
        .collect();
    assert_eq!(status["differences"], json!([]));
    assert!(matches!((delays[0], delays.len()), (20, 29) | (21, 39)), "{delays:?}");
    assert!(delays.iter().all(|delay| *delay == delays[0]), "{delays:?}");
    let rules = node.run("tc filter show dev eth0 egress pref 19528 | grep -c Redirect");
    assert_eq!(rules.trim(), delays.len().to_string());
    assert_eq!(one.end().0, Some(0));
    assert_eq!(two.status()["differences"], json!([]), "the other one still wants it");
    assert_eq!(two.end().0, Some(0));
    node.is_clear(&before);
}

#[test]
fn nothing_of_the_starter_is_kept_open_and_nothing_is_written() {
    let node = Node::new(true);
    let before = node.everything();
    // A run directory that is full, and one that cannot be written: a keeper needs neither.
    for folder in ["mount -t tmpfs -o size=4k full /run && ! yes > /run/fill", "mount -t tmpfs -o ro none /run"] {
        let agent = env!("CARGO_BIN_EXE_longhaul-agent");
        let line = format!(
            "{folder} && export XDG_RUNTIME_DIR=/run LONGHAUL_RUNTIME_DIR=/run/longhaul && \
             exec {agent} session --interface eth0 --testbed test"
        );
        let mut session = Session::of(node.enter(&["unshare", "--mount", "sh", "-c", &line]));
        session.apply(30, 2);
        assert!(node.ping().unwrap() >= 30.0);
        session.ask(&json!({ "detach": { "seconds": 3600 } }));
        // The ends of the pipes are read: a keeper that held them would keep this waiting.
        assert_eq!(session.end().0, Some(0));
        for role in ROLES {
            let pid = node.process(role);
            let target = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
            assert_eq!(target, std::path::Path::new("/"));
        }
        let mut later = Session::start(&node, lease(10000));
        later.ask(&json!("clear"));
        later.end();
        node.is_clear(&before);
    }
}
