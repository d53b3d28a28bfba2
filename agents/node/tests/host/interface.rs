//! What happens to an interface while it is impaired: down and up, another address, another name, its deletion.

use serde_json::json;

use super::node::{INTERFACE, Node, eventually};
use super::session::{Session, lease};

/// The round trip is delayed; the far end is known by then.
fn delayed(node: &Node) -> bool {
    node.ping().is_some_and(|time| time >= 30.0)
}

#[test]
fn going_down_and_coming_up_changes_nothing() {
    let node = Node::with_others(true);
    let before = node.everything();
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 2);
    let others = node.of_others();
    for _ in 0..3 {
        node.run("ip link set eth0 down && ip link set eth0 up");
        eventually("packets are delayed again", || delayed(&node));
        assert_eq!(node.of_others(), others);
    }
    assert_eq!(session.status()["differences"], json!([]));
    assert_eq!(session.end().0, Some(0));
    node.is_clear(&before);
}

#[test]
fn another_address_changes_nothing() {
    let node = Node::new(true);
    let before = node.everything();
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 2);
    let worker = node.process("lh-worker");
    node.run("ip address del 10.9.0.1/24 dev eth0 && ip address add 10.9.0.77/24 dev eth0");
    eventually("packets are delayed", || delayed(&node));
    assert_eq!(session.status()["differences"], json!([]));
    assert_eq!(node.process("lh-worker"), worker);
    assert_eq!(session.end().0, Some(0));
    node.is_clear(&before);
}

#[test]
fn a_deleted_interface_takes_everything_along_and_gets_it_back() {
    let node = Node::new(false);
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 2);
    node.run("ip link del eth0");
    eventually("our devices are gone", || !node.run("ip -o link show").contains("lh0"));
    let missing = "there is no interface `eth0` in this network namespace (it may have been removed or renamed); the row is not in place: ";
    eventually("it is told", || session.ask(&json!("status"))["failed"]["message"].to_string().contains(missing));
    node.plug_in();
    eventually("packets are delayed again", || !session.status().is_null() && delayed(&node));
    let status = session.status();
    assert_eq!(status["differences"], json!([]));
    assert!(status["restarts"].to_string().contains("eth0 was deleted or renamed"), "{status}");
    // And the other way round: deleted and made anew before anybody can look.
    node.run(&format!("ip link del {INTERFACE}"));
    node.plug_in();
    eventually("packets are delayed once more", || session.status()["differences"] == json!([]) && delayed(&node));
    session.apply(35, 1);
    assert_eq!(session.end().0, Some(0));
    let links = node.run("ip -o link show; tc qdisc show dev eth0; tc filter show dev eth0 egress");
    assert!(!links.contains("lh0") && !links.contains("clsact"), "{links}");
}

#[test]
fn a_renamed_interface_keeps_nothing_of_ours() {
    let node = Node::new(true);
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 2);
    node.run("ip link set eth0 down && ip link set eth0 name wan0 && ip link set wan0 up");
    eventually("our device is gone", || !node.run("ip -o link show").contains("lh0"));
    eventually("our rules and our hook are gone", || {
        let left = node.run("tc filter show dev wan0 egress; tc qdisc show dev wan0");
        !left.contains("pref 19528") && !left.contains("clsact")
    });
    assert!(node.ping().is_some_and(|time| time < 30.0));
    assert_eq!(session.end().0, Some(0));
}

/// An administrator who tidies up by hand must not make packets vanish.
#[test]
fn what_somebody_else_takes_away_is_put_back() {
    let node = Node::new(true);
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 2);
    node.run("ip link del lh0");
    eventually("packets are delayed again", || delayed(&node));
    assert_eq!(session.status()["differences"], json!([]));
    assert_eq!(session.end().0, Some(0));
}
