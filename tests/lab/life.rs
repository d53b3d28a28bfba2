//! A lab's life: up, names, pings, apply, status, measure, clear, down.

use serde_json::Value;

use super::host::{Host, output, processes_of};
use super::user::User;

/// Three nodes; n1→n3 is far, n3→n2 is not impaired.
const MATRIX: &str = "0,100,200\n50,0,150\n250,0,0\n";

/// Round-trip times that `ping` reports, in milliseconds.
fn ping(user: &User, from: &str, to: &str, family: &str) -> Vec<f64> {
    let printed = user.succeed(&["lab", "exec", from, "--", "ping", family, "-c", "3", "-i", "0.2", to]);
    let times = printed.lines().filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse().ok());
    times.collect()
}

/// Asserts that a ping took the sum of the two delays, and not much more.
fn assert_ping(user: &User, (from, to): (&str, &str), expected: f64) {
    for family in ["-4", "-6"] {
        let times = ping(user, from, to, family);
        assert_eq!(times.len(), 3, "as {}: ping {family} {from} → {to}: {times:?}", user.name());
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        let fine = best >= expected && best < expected + 45.0;
        assert!(fine, "as {}: ping {family} {from} → {to} took {times:?} ms instead of {expected}", user.name());
    }
}

#[test]
fn a_lab_lives_and_leaves_nothing() {
    for user in User::all() {
        let before = Host::look();
        user.write("net.csv", MATRIX);
        let printed = user.succeed(&["lab", "up", "net.csv", "--detach"]);
        assert!(printed.starts_with("lab `net` is up: 3 nodes, back-end "), "{printed}");
        assert!(user.succeed(&["lab", "list"]).contains("net.csv"));
        assert_ping(&user, ("n1", "n2"), 150.0);
        assert_ping(&user, ("n1", "n3"), 450.0);
        assert_ping(&user, ("n2", "n3"), 150.0);
        let inside = user.succeed(&["lab", "exec", "n1", "--", "ip", "-o", "link", "show"]);
        assert!(inside.contains("eth0@") && !inside.contains("docker"), "{inside}");
        assert_eq!(user.run(&["lab", "exec", "n1", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
        assert_eq!(Host::look(), before, "as {}: a running lab shows on the host", user.name());
        user.succeed(&["lab", "down"]);
        assert_eq!(user.succeed(&["lab", "list"]), "no lab is running\n");
        assert_eq!(Host::look(), before, "as {}", user.name());
        assert!(processes_of(user.folder()).is_empty());
    }
}

#[test]
fn delays_are_applied_changed_and_cleared() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.write("turned.csv", ",n3,n1,n2\nn3,0,250,0\nn1,200,0,100\nn2,150,50,0\n");
        user.write("other.csv", "0,25,25\n25,0,25\n25,25,0\n");
        user.write("named.csv", ",a,b,c\na,0,5,5\nb,5,0,5\nc,5,5,0\n");
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        let again = user.succeed(&["apply", "net.csv"]);
        assert!(again.starts_with("applied to lab `net`: 0 writes"), "{again}");
        let measured =
            user.succeed(&["measure", "--tolerance", "0%,45ms", "--csv", "measured.csv", "--json", "measured.json"]);
        assert!(measured.contains("PASS"), "{measured}");
        user.succeed(&["matrix", "check", "measured.csv"]);
        user.succeed(&["apply", "other.csv"]);
        assert_ping(&user, ("n1", "n3"), 50.0);
        assert_eq!(differences(&user), 0);
        let refused = user.fail(&["apply", "named.csv"], 2);
        assert!(refused.contains("named.csv is for other nodes: lab `net` has `n1`, which it has not"), "{refused}");
        user.succeed(&["clear"]);
        let times = ping(&user, "n1", "n3", "-4");
        assert!(times.iter().all(|time| *time < 45.0), "after clear: {times:?}");
        let leftover = user.succeed(&["lab", "exec", "n1", "--", "tc", "qdisc", "show"]);
        assert!(!leftover.contains("clsact") && !leftover.contains("lh0"), "{leftover}");
        user.succeed(&["lab", "down", "net"]);
    }
}

fn differences(user: &User) -> usize {
    let status: Value = serde_json::from_str(&user.succeed(&["status", "--json"])).unwrap();
    let nodes = status["nodes"].as_object().unwrap();
    assert_eq!(nodes.len(), 3);
    nodes.values().map(|node| node["differences"].as_array().unwrap().len()).sum()
}

#[test]
fn names_that_are_taken_or_missing_are_told() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        let taken = user.fail(&["lab", "up", "net.csv", "--detach"], 2);
        assert!(taken.contains("a lab named `net` is running already"), "{taken}");
        let unknown = user.fail(&["lab", "exec", "n9", "--", "true"], 2);
        assert!(unknown.contains("lab `net` has no node `n9`; it has n1, n2, n3"), "{unknown}");
        let missing = user.fail(&["lab", "exec", "n1", "--", "no-such-program"], 127);
        assert!(missing.contains("run `no-such-program` in node n1: No such file"), "{missing}");
        let other = user.fail(&["status", "--name", "x"], 2);
        assert!(other.contains("no lab named `x` is running; running: net"), "{other}");
        user.succeed(&["lab", "down", "--all"]);
        let none = user.fail(&["status"], 2);
        assert!(none.contains("no lab is running"), "{none}");
        let bad = user.fail(&["lab", "up", "net.csv", "--name", "../x"], 2);
        assert!(bad.contains("`../x` cannot name a lab"), "{bad}");
    }
}

#[test]
fn the_root_qdisc_of_a_node_is_never_touched() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        let root = |user: &User| {
            let all = user.succeed(&["lab", "exec", "n1", "--", "tc", "qdisc", "show", "dev", "eth0", "root"]);
            all.trim().to_owned()
        };
        let with = root(&user);
        user.succeed(&["clear"]);
        assert_eq!(root(&user), with, "as {}", user.name());
        user.succeed(&["lab", "down"]);
    }
}

#[test]
fn a_refusal_of_user_namespaces_names_the_setting() {
    let host = output("cat", &["/proc/sys/user/max_user_namespaces"]);
    assert_ne!(host.trim(), "0", "this test needs user namespaces");
    let user = User::all().pop().unwrap();
    let program = user.folder().join("longhaul");
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && export LONGHAUL_RUNTIME_DIR=$(mktemp -d) && cd {} && exec setpriv --bounding-set -all --inh-caps -all {} lab up net.csv",
        user.folder().display(),
        program.display()
    );
    user.write("net.csv", MATRIX);
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", &script])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("user.max_user_namespaces is 0; as root: sysctl -w user.max_user_namespaces=10000"),
        "{text}"
    );
}
