//! What is refused, with the reason and before anything is touched; and how little privilege is kept.

use serde_json::json;

use super::node::{Node, ROLES};
use super::session::{Session, lease, row};

fn refusal(node: &Node, interface: &str) -> String {
    let mut session = Session::of(node.agent(&["session", "--interface", interface, "--testbed", "test"]));
    let answer = session.ask(&row(30, 2));
    session.end();
    answer["failed"]["message"].as_str().unwrap_or_else(|| panic!("not refused: {answer}")).to_owned()
}

#[test]
fn an_interface_that_is_not_understood_is_left_alone() {
    let node = Node::new(false);
    for (set, unset, interface, message) in [
        (
            "true",
            "true",
            "lo",
            "`lo` cannot be impaired: it is the loopback interface, by which no packet leaves this host",
        ),
        (
            "true",
            "true",
            "nope0",
            "there is no interface `nope0` in this network namespace (it may have been removed or renamed)",
        ),
        (
            "ip link set eth0 down",
            "ip link set eth0 up",
            "eth0",
            "`eth0` cannot be impaired: it is down; set it up (`ip link set eth0 up`) or name another",
        ),
        (
            "tc qdisc add dev eth0 ingress",
            "tc qdisc del dev eth0 ingress",
            "eth0",
            "the hook of eth0 holds an ingress qdisc, which keeps clsact out, which is not ours; remove it first",
        ),
        (
            "tc qdisc add dev eth0 clsact && tc filter add dev eth0 egress protocol ip pref 19528 u32 match ip dst 10.0.0.1 classid 1:1",
            "tc qdisc del dev eth0 clsact",
            "eth0",
            "the egress hook of eth0 holds a u32 filter at preference 19528 with handle 80000800, which is not ours; remove it first",
        ),
        (
            "ip link add lh0 type bridge",
            "ip link del lh0",
            "eth0",
            "`lh0` exists and is not ours (alias None); rename or delete it",
        ),
        (
            "ip link add lh1 type ifb",
            "ip link del lh1",
            "eth0",
            "`lh1` exists and is not ours (alias None); rename or delete it",
        ),
    ] {
        let before = node.everything();
        node.run(set);
        let with_it = node.everything();
        assert_eq!(refusal(&node, interface), message, "{set}");
        assert_eq!(node.everything(), with_it, "{set}");
        node.run(unset);
        if set.contains("ip link set eth0 down") {
            // The carrier comes back in its own time.
            super::node::eventually("eth0 is up again", || node.everything() == before);
        }
        assert_eq!(node.everything(), before, "{unset}");
    }
}

#[test]
fn ports_of_a_bridge_can_be_impaired() {
    let node = Node::new(true);
    node.run("ip link add br0 type bridge && ip link set br0 up && ip link set eth0 master br0");
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 1);
    assert_eq!(session.end().0, Some(0));
}

#[test]
fn only_what_is_needed_is_kept() {
    let node = Node::new(false);
    let mut session = Session::start(&node, lease(10000));
    session.apply(30, 1);
    // CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_NICE, CAP_PERFMON, CAP_BPF.
    let useful = 1u64 << 12 | 1 << 13 | 1 << 23 | 1 << 38 | 1 << 39;
    for role in ROLES {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.process(role))).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let set = |name: &str| u64::from_str_radix(&field(name), 16).unwrap();
        for name in ["CapPrm:", "CapEff:"] {
            assert_eq!(set(name) & !useful, 0, "{role} {name}");
            assert_eq!(set(name) & 0x3000, 0x3000, "{role} {name}");
        }
        for name in ["CapInh:", "CapBnd:", "CapAmb:"] {
            assert_eq!(set(name), 0, "{role} {name}");
        }
        assert_eq!(field("NoNewPrivs:"), "1", "{role}");
    }
    session.end();
}

#[test]
fn a_missing_capability_is_named_with_the_cure() {
    let node = Node::new(true);
    let before = node.everything();
    let agent = env!("CARGO_BIN_EXE_longhaul-agent");
    for (dropped, name) in
        [("net_raw", "CAP_NET_RAW (to probe"), ("net_admin", "CAP_NET_ADMIN (to set up traffic control)")]
    {
        let (bounding, inherited) = (format!("--bounding-set=-{dropped}"), format!("--inh-caps=-{dropped}"));
        let words = ["setpriv", &bounding, &inherited, agent, "session", "--interface", "eth0", "--testbed", "test"];
        let mut session = Session::of(node.enter(&words));
        for request in [json!("ready"), row(30, 1)] {
            let answer = session.ask(&request);
            let message = answer["failed"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert!(message.contains(&format!("longhaul-agent lacks {name}")), "{message}");
            assert!(message.contains("setcap cap_net_admin,cap_net_raw,cap_sys_nice+ep /"), "{message}");
        }
        assert_eq!(session.end().0, Some(2));
        node.is_clear(&before);
    }
}

#[test]
fn a_request_without_end_is_refused_and_a_row_of_ten_thousand_is_not() {
    let node = Node::new(true);
    let before = node.everything();
    let mut session = Session::start(&node, lease(10000));
    let compare = json!({ "compare": row(5, 10_000)["apply"] });
    let compared = session.ask(&compare)["compared"].clone();
    assert_eq!(compared["destinations"]["added"], 10_000, "{}", compared["reason"]);
    session.say(&"x".repeat(65 * 1024 * 1024));
    assert_eq!(session.next(), None, "there is nothing more to say");
    let (code, told) = session.wait();
    assert_eq!(code, Some(2), "{told}");
    assert_eq!(told, "error: a request is longer than 64 MiB, which is more than any row takes\n");
    node.is_clear(&before);
}
