//! Processes that are stopped, which is how those that hang look, and those that are told to end all at once.

use nix::sys::signal::Signal;
use serde_json::json;

use super::node::{Node, ROLES, eventually};
use super::session::{Session, lease, send};

#[test]
fn a_stopped_worker_is_replaced_and_the_row_is_there_again() {
    let node = Node::new(false);
    let before = node.everything();
    let mut session = Session::start(&node, lease(1000));
    session.apply(30, 3);
    let worker = node.process("lh-worker");
    send(worker, Signal::SIGSTOP);
    // Whoever asks meanwhile is told. Asking is also what keeps the session's lease.
    let mut told = Vec::new();
    eventually("another worker", || {
        told.push(session.ask(&json!("status")));
        node.processes("lh-worker").iter().any(|pid| *pid != worker)
    });
    let failure = "eth0: the worker was replaced: it did not answer within its lease while this was under way";
    assert!(told.iter().any(|answer| answer["failed"]["message"] == failure), "{told:?}");
    eventually("the row is there again", || session.status()["differences"] == json!([]));
    let status = session.status();
    assert_eq!(status["row"]["paths"].as_array().unwrap().len(), 3, "{status}");
    let restarts = status["restarts"].as_array().unwrap();
    assert!(restarts.len() == 1 && restarts[0].as_str().unwrap().ends_with("did not answer within its lease"));
    assert!(node.ping().unwrap() >= 30.0);
    assert_eq!(session.end().0, Some(0));
    node.is_clear(&before);
}

#[test]
fn a_stopped_keeper_is_ended_by_its_guardian_and_the_node_is_clear() {
    let node = Node::with_others(true);
    let before = node.everything();
    let mut session = Session::start(&node, lease(1000));
    session.apply(30, 3);
    send(node.process("lh-keeper"), Signal::SIGSTOP);
    session.send(&json!("status"));
    let answer = session.next().unwrap();
    let message = "the keeper of eth0 has ended, and what it had applied is removed";
    assert_eq!(answer["response"]["failed"]["message"], message);
    assert_eq!(session.end(), (Some(2), format!("error: {message}\n")));
    node.is_clear(&before);
}

#[test]
fn a_stopped_guardian_is_replaced() {
    let node = Node::new(true);
    let before = node.everything();
    let mut session = Session::start(&node, lease(1000));
    session.apply(30, 3);
    let guardian = node.process("lh-guardian");
    send(guardian, Signal::SIGSTOP);
    eventually("another guardian", || {
        session.status();
        node.processes("lh-guardian").iter().any(|pid| *pid != guardian)
    });
    // The new one knows the worker, and does what it is for.
    send(node.process("lh-keeper"), Signal::SIGKILL);
    assert_eq!(session.next(), None);
    assert_eq!(session.wait().0, Some(2));
    node.is_clear(&before);
}

/// What a service manager does to a group, and an administrator to everything of a name.
#[test]
fn all_of_them_told_to_end_leave_nothing() {
    let node = Node::with_others(false);
    let before = node.everything();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut session = Session::start(&node, lease(10000));
        session.apply(30, 3);
        let pids = ROLES.map(|role| node.process(role));
        for pid in pids {
            send(pid, signal);
        }
        assert_eq!(session.next(), None);
        assert_eq!(session.wait().0, Some(2));
        node.is_clear(&before);
    }
}
