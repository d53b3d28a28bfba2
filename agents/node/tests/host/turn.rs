//! Whose turn it is to change the node: one session's at a time, for as long as that session lives.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::node::{Node, eventually};
use super::session::{Session, lease, send};

fn reserve(by: &str) -> Value {
    json!({ "reserve": { "by": by } })
}

/// What the keeper says of the one whose turn it is; `None` when it has become the asker's.
fn taken_by(session: &mut Session, by: &str) -> Option<String> {
    let answer = session.ask(&reserve(by));
    (answer != "reserved").then(|| answer["taken"]["by"].as_str().unwrap().to_owned())
}

#[test]
fn a_turn_keeps_all_others_from_changing_the_node_and_ends_when_it_is_given_back() {
    let node = Node::new(true);
    let before = node.everything();
    let (mut one, mut other) = (Session::start(&node, lease(10000)), Session::start(&node, lease(10000)));
    other.apply(30, 1);
    assert_eq!(taken_by(&mut one, "Ann\u{1b}[2J"), None);
    assert_eq!(taken_by(&mut one, "Ann\u{1b}[2J"), None, "its own turn it may take again");
    // Nothing that a terminal obeys comes back.
    assert_eq!(taken_by(&mut other, "Bob").as_deref(), Some("Ann\\u{1b}[2J"));
    let during = node.everything();
    for request in [json!("clear"), json!({"apply": {"row": {"paths": []}, "backend": "auto"}}), json!("stop_replay")] {
        let refusal = other.ask(&request)["failed"]["message"].as_str().unwrap().to_owned();
        assert!(refusal.starts_with("it is being changed by Ann\\u{1b}[2J since 2"), "{refusal}");
    }
    assert_eq!(node.everything(), during, "what was refused was not done");
    assert!(other.ask(&json!("status"))["status"].is_object(), "looking is everybody's");
    assert_eq!(other.ask(&json!("release")), "released");
    assert!(taken_by(&mut other, "Bob").is_some(), "nobody ends the turn of another");
    assert_eq!(one.ask(&json!("release")), "released");
    assert_eq!(taken_by(&mut other, "Bob"), None);
    assert_eq!(other.ask(&json!("clear"))["cleared"]["operations"].as_u64().map(|count| count > 0), Some(true));
    node.is_clear(&before);
}

#[test]
fn a_turn_ends_with_its_session_however_that_ends() {
    let node = Node::new(true);
    let mut other = Session::start(&node, lease(10000));
    let mut ended = Session::start(&node, lease(10000));
    assert_eq!(taken_by(&mut ended, "one that ends"), None);
    assert_eq!(ended.end().0, Some(0));
    assert_eq!(taken_by(&mut other, "x"), None);
    assert_eq!(other.ask(&json!("release")), "released");

    let mut killed = Session::start(&node, lease(10000));
    assert_eq!(taken_by(&mut killed, "one that is killed"), None);
    send(killed.pid(), Signal::SIGKILL);
    eventually("the turn of a killed front is free", || taken_by(&mut other, "x").is_none());
    assert_eq!(other.ask(&json!("release")), "released");

    let mut silent = Session::start(&node, lease(300));
    assert_eq!(taken_by(&mut silent, "one that falls silent"), None);
    send(silent.pid(), Signal::SIGSTOP);
    eventually("the turn of a silent front is free", || taken_by(&mut other, "x").is_none());
    send(silent.pid(), Signal::SIGCONT);
}
