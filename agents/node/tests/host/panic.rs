//! `panic`: the way out, whatever state things are in.

use nix::sys::signal::Signal;
use serde_json::json;

use super::node::{Node, ROLES, describe, eventually};
use super::session::{Session, lease, send};

const NOTHING: &str = "nothing of longhaul is left in this network namespace\n";

fn panic(node: &Node, words: &[&str], code: i32) -> String {
    let output = node.agent(&[&["panic"], words].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", describe(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_keeper_is_ended_with_all_that_it_did() {
    let node = Node::with_others(true);
    let before = node.everything();
    assert_eq!(panic(&node, &[], 0), NOTHING);
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 3);
    let (keeper, during) = (node.process("lh-keeper"), node.everything());
    let would = panic(&node, &["--dry-run"], 0);
    let held = format!("the keeper of eth0 (process {keeper}, testbed `test` of user ");
    assert!(would.starts_with(&format!("would end: {held}")), "{would}");
    assert!(would.ends_with("would remove: IPv4 filters of eth0\nwould remove: lh0\n"), "{would}");
    assert_eq!(node.everything(), during, "a dry run changes nothing");
    let did = panic(&node, &[], 0);
    assert!(did.starts_with(&format!("ended: {held}")) && did.ends_with(NOTHING), "{did}");
    node.is_clear(&before);
    let (code, told) = session.end();
    assert_eq!((code, told.as_str()), (Some(2), "error: the keeper was told to end by `longhaul panic`\n"));
    assert_eq!(panic(&node, &[], 0), NOTHING);
}

#[test]
fn processes_that_do_not_answer_are_killed() {
    let node = Node::new(true);
    let before = node.everything();
    let mut session = Session::start(&node, std::time::Duration::from_secs(3600));
    session.apply(30, 3);
    let pids = ROLES.map(|role| node.process(role));
    for pid in pids {
        send(pid, Signal::SIGSTOP);
    }
    let did = panic(&node, &[], 0);
    assert!(did.starts_with("killed: the keeper of eth0, which did not answer (processes "), "{did}");
    assert!(did.contains("removed: IPv4 filters of eth0\nremoved: clsact of eth0\nremoved: lh0\n"), "{did}");
    node.is_clear(&before);
    assert_eq!(session.end().0, Some(2));
}

#[test]
fn half_made_states_go_and_what_is_of_others_stays() {
    let node = Node::new(false);
    let before = node.everything();
    let list = "tc qdisc add dev eth0 clsact; tc filter add dev eth0 egress protocol ip pref 19528 handle 120: u32 divisor 256";
    for (made, removed) in [
        ("ip link add lh0 type ifb", "removed: lh0\n"),
        ("ip link add lh0 type veth peer name lh1", "removed: lh0\n"),
        ("ip link add lh0 type ifb; ip link set lh0 alias longhaul:gone0:clsact", "removed: lh0\n"),
    ] {
        node.run(made);
        assert_eq!(panic(&node, &[], 0), format!("{removed}{NOTHING}"), "{made}");
        assert_eq!(node.everything(), before, "{made}");
    }
    // Rules whose device is gone: packets to their destinations would be lost.
    node.run(list);
    assert_eq!(panic(&node, &[], 0), format!("removed: IPv4 filters of eth0\n{NOTHING}"));
    node.run("tc qdisc del dev eth0 clsact");
    assert_eq!(node.everything(), before);
    for foreign in [
        "ip link add lh0 type bridge",
        "ip link add lh0 type ifb; ip link set lh0 up",
        "ip link add lh0 type ifb; ip link set lh0 alias theirs",
    ] {
        node.run(foreign);
        let with_it = node.everything();
        assert_eq!(panic(&node, &[], 0), NOTHING, "{foreign}");
        assert_eq!(node.everything(), with_it, "{foreign}");
        node.run("ip link del lh0");
    }
}

#[test]
fn a_rule_of_somebody_else_among_ours_stays_alone() {
    let node = Node::new(true);
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 40);
    node.run("tc filter add dev eth0 egress protocol ip pref 19528 u32 match ip dst 10.88.0.1 flowid 1:1");
    for role in ["lh-guardian", "lh-worker", "lh-keeper"] {
        send(node.process(role), Signal::SIGSTOP);
    }
    let did = panic(&node, &[], 0);
    assert!(
        did.contains("left alone, not ours: a u32 filter with handle 80000800 at preference 19528 of eth0\n"),
        "{did}"
    );
    let left = node.run("tc filter show dev eth0 egress pref 19528");
    assert!(left.contains("0a580001") || left.contains("match 0a580001/ffffffff"), "{left}");
    assert!(!left.contains("mirred"), "{left}");
    assert!(!node.run("ip -o link show").contains("lh0"));
    session.end();
}

#[test]
fn without_privileges_it_says_so() {
    let node = Node::new(true);
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 1);
    session.ask(&json!({ "detach": { "seconds": 3600 } }));
    session.end();
    let pids = ROLES.map(|role| node.process(role));
    for (signal, pid) in [Signal::SIGSTOP, Signal::SIGKILL].into_iter().flat_map(|signal| pids.map(|pid| (signal, pid)))
    {
        send(pid, signal);
    }
    eventually("all are dead", || ROLES.iter().all(|role| node.processes(role).is_empty()));
    let agent = env!("CARGO_BIN_EXE_longhaul-agent");
    let weak = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", agent, "panic"];
    let output = node.enter(&weak).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
    assert!(printed.contains("still there: lh0: Operation not permitted"), "{printed}");
    assert!(node.run("ip -o link show").contains("lh0"));
    // All four were killed at once, which nothing can follow but the next start: it finds the leftovers and removes them.
    let mut next = Session::start(&node, lease(10000));
    assert_eq!(next.status()["differences"], json!([]));
    assert!(!node.run("ip -o link show").contains("lh0"));
    next.end();
}
