//! A host for one test: a network namespace with an interface to another one, as other tools see it.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The interface that faces the other node.
pub(crate) const INTERFACE: &str = "eth0";

/// The processes of ours that a host may have, by their names.
pub(crate) const ROLES: [&str; 3] = ["lh-keeper", "lh-worker", "lh-guardian"];

/// A network namespace, held by a process that waits; and one behind it, at the other end of its cable.
pub(crate) struct Node {
    holder: Child,
    far: Child,
    ordinary: bool,
}

impl Node {
    /// A bare one. `ordinary` makes it in a user namespace, as an ordinary user would have to.
    pub(crate) fn new(ordinary: bool) -> Self {
        let root = nix::unistd::Uid::effective().is_root();
        let ordinary = ordinary || !root;
        let flags: &[&str] = if ordinary { &["--user", "--map-root-user", "--net"] } else { &["--net"] };
        let holder = wait_in(Command::new("unshare").args(flags), None);
        let node = Self { holder, far: Command::new("true").spawn().unwrap(), ordinary };
        let mut far = node.enter(&["unshare", "--net", "cat"]);
        let far = wait_in(&mut far, Some(node.holder.id()));
        let mut node = node;
        node.far.wait().unwrap();
        node.far = far;
        node.run("ip link set lo up");
        node.there("ip link set lo up");
        node.plug_in();
        node
    }

    /// One whose interface others use: a root qdisc with a class and a filter, filters on the clsact hook.
    pub(crate) fn with_others(ordinary: bool) -> Self {
        let node = Self::new(ordinary);
        node.run("tc qdisc add dev eth0 root handle 1: htb default 0");
        node.run("tc class add dev eth0 parent 1: classid 1:10 htb rate 1gbit");
        node.run("tc filter add dev eth0 parent 1: protocol ip pref 5 u32 match ip dst 10.5.0.0/16 flowid 1:10");
        node.run("tc qdisc add dev eth0 clsact");
        node.run("tc filter add dev eth0 egress protocol ip pref 7 u32 match ip dst 10.88.0.1 action mirred egress redirect dev lo");
        node.run("tc filter add dev eth0 ingress protocol all pref 9 u32 match u32 0 0 at 0 classid 1:1");
        node
    }

    /// Makes the interface, with the other node at its end.
    pub(crate) fn plug_in(&self) {
        self.run(&format!(
            "ip link add eth0 type veth peer name eth0 netns {} && ip address add 10.9.0.1/24 dev eth0 && ip link set eth0 up",
            self.far.id()
        ));
        self.there("ip address add 10.9.0.2/24 dev eth0 && ip link set eth0 up");
        eventually("the cable is plugged in", || self.run("ip -o link show eth0").contains("state UP"));
    }

    /// A command inside, ready to start.
    pub(crate) fn enter(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net"]);
        if self.ordinary {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").args(words);
        command
    }

    /// The program under test inside, ready to start.
    pub(crate) fn agent(&self, words: &[&str]) -> Command {
        self.enter(&[&[env!("CARGO_BIN_EXE_longhaul-agent")], words].concat())
    }

    /// Runs a shell's line inside, which must succeed; what it printed.
    pub(crate) fn run(&self, line: &str) -> String {
        succeed(line, &mut self.enter(&["sh", "-c", line]))
    }

    /// Runs a shell's line on the other node.
    pub(crate) fn there(&self, line: &str) -> String {
        let net = format!("--net=/proc/{}/ns/net", self.far.id());
        succeed(line, &mut self.enter(&["nsenter", &net, "sh", "-c", line]))
    }

    /// Everything that a look from outside shows, without counters.
    pub(crate) fn everything(&self) -> String {
        let shown = self.run(
            "ip -j link show; tc -j qdisc show; tc -j class show dev eth0; tc -j filter show dev eth0 egress; \
             tc -j filter show dev eth0 ingress; tc -j filter show dev eth0 root",
        );
        without_counter(&shown)
    }

    /// What others have on the interface: what must be the same whatever we do. Our own filters are left out by their
    /// preferences.
    pub(crate) fn of_others(&self) -> String {
        let shown = self.run(
            "tc -j qdisc show dev eth0; tc -j class show dev eth0; tc filter show dev eth0 egress pref 7; \
             tc -j filter show dev eth0 ingress; tc -j filter show dev eth0 root",
        );
        without_counter(&shown)
    }

    /// The round trip to the other node in milliseconds; `None` when there is no answer.
    pub(crate) fn ping(&self) -> Option<f64> {
        let printed = self.enter(&["ping", "-n", "-c", "1", "-W", "1", "10.9.0.2"]).output().unwrap();
        let text = String::from_utf8_lossy(&printed.stdout).into_owned();
        text.split_once("time=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
    }

    /// The processes inside that bear this name.
    pub(crate) fn processes(&self, name: &str) -> Vec<i32> {
        let own = fs::read_link(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let pids =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let bears = |pid: &i32| {
            let named = fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
            // A dead process that nobody has waited for has no namespace any more.
            named && fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|net| net == own)
        };
        pids.filter(bears).collect()
    }

    /// The one process inside that bears this name; waits for it.
    pub(crate) fn process(&self, name: &str) -> i32 {
        eventually(&format!("one {name}"), || self.processes(name).len() == 1);
        self.processes(name)[0]
    }

    /// Waits until no process of ours is inside and everything is as it was.
    pub(crate) fn is_clear(&self, before: &str) {
        eventually("no process of ours", || ROLES.iter().all(|role| self.processes(role).is_empty()));
        assert_eq!(self.everything(), before);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in [&mut self.far, &mut self.holder] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The one counter that tc prints among an HTB's options.
fn without_counter(shown: &str) -> String {
    let mut parts = shown.split("\"direct_packets_stat\":");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let _ = write!(text, "{}", part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    text
}

/// Starts `cat` by a command that makes namespaces, and waits until they are made.
fn wait_in(command: &mut Command, other_than: Option<u32>) -> Child {
    if other_than.is_none() {
        command.arg("cat");
    }
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let net = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let outside = [Some(std::process::id()), other_than].map(|pid| pid.and_then(net));
    eventually("a network namespace", || {
        net(child.id()).is_some_and(|net| !outside.contains(&Some(net)))
            && fs::read_to_string(format!("/proc/{}/comm", child.id())).is_ok_and(|comm| comm.trim() == "cat")
    });
    child
}

fn succeed(line: &str, command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", describe(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything about how a program ended, for an assertion's message.
pub(crate) fn describe(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n--- stdout\n{}\n--- stderr\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Waits until `condition` holds; fails after twenty seconds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "after twenty seconds still not: {what}");
        std::thread::yield_now();
    }
}
