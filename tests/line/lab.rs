//! Two connected network namespaces with a redirect into a delay line, made without touching those of the machine.
//!
//! A test runs its own executable again inside new namespaces, as root or as an ordinary user, and that copy runs the body.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longhaul::shaping::{Impairment, Selector};
use longhaul::tc::line::{Line, LineConfig};
use longhaul::units::Delay;
use nix::sched::{CloneFlags, setns};

/// Tells the copy of the executable that it is inside.
const INSIDE: &str = "LONGHAUL_LINE_TEST_INSIDE";
/// How long anything in a test may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who runs a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// With all privileges on the machine, in a network namespace.
    Root,
    /// With none, in a user and network namespace.
    Ordinary,
}

/// Runs `body` in new namespaces as `user`; `test` is the full name of the calling test.
pub(crate) fn inside(user: User, test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let root = nix::unistd::geteuid().is_root();
    if user == User::Root && !root {
        // Past the capture of the test harness: a skip must be seen.
        let _ = writeln!(std::io::stderr(), "\nSKIP: {test}: it needs root");
        return;
    }
    let mut words = match user {
        User::Root => vec!["unshare", "--net"],
        User::Ordinary => vec!["unshare", "--map-root-user", "--net"],
    };
    if user == User::Ordinary && root {
        words.splice(..0, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    // The executable goes along as an open file: another user might not be able to reach its path.
    words.extend(["/proc/self/fd/0", "--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"]);
    let executable = File::open(std::env::current_exe().unwrap()).unwrap();
    let output = Command::new(words[0])
        .args(&words[1..])
        .env(INSIDE, "1")
        .current_dir("/")
        .stdin(executable)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {words:?}: {error}"));
    println!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} as {user:?}: {}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{test} did not run inside");
}

/// This namespace with `eth0`, `lh0` and `lh1`, and another one at the other end of `eth0`.
///
/// Packets to `10.77.0.2`, `10.77.0.3` and their like in IPv6 are redirected, those to `.4` are not.
pub(crate) struct Lab {
    far: Child,
}

impl Lab {
    /// Builds both sides.
    pub(crate) fn new() -> Self {
        let mut far = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(far.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        let lab = Self { far };
        lab.near_side();
        lab.far_side();
        lab
    }

    fn near_side(&self) {
        let far = self.far.id();
        run("ip link set lo up");
        run(&format!(
            "ip link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 netns {far} address 02:00:00:00:00:02"
        ));
        run("ip link add lh0 type veth peer name lh1");
        for device in ["lh0", "lh1"] {
            run(&format!("ip link set {device} addrgenmode none arp off up"));
        }
        run("ip link set eth0 addrgenmode none up");
        run("ip address add 10.77.0.1/24 dev eth0");
        run("ip address add fd77::1/64 dev eth0 nodad");
        run("tc qdisc add dev eth0 clsact");
        for host in 2..=4 {
            run(&format!("ip neighbour add 10.77.0.{host} lladdr 02:00:00:00:00:02 dev eth0"));
            run(&format!("ip neighbour add fd77::{host} lladdr 02:00:00:00:00:02 dev eth0"));
        }
        let redirect = "action mirred egress redirect dev lh0";
        for host in 2..=3 {
            run(&format!(
                "tc filter add dev eth0 egress protocol ip prio 10 u32 match ip dst 10.77.0.{host} {redirect}"
            ));
            run(&format!(
                "tc filter add dev eth0 egress protocol ipv6 prio 11 u32 match ip6 dst fd77::{host}/128 {redirect}"
            ));
        }
    }

    fn far_side(&self) {
        self.run_far("ip link set lo up");
        self.run_far("ip link set eth0 addrgenmode none up");
        for host in 2..=4 {
            self.run_far(&format!("ip address add 10.77.0.{host}/24 dev eth0"));
            self.run_far(&format!("ip address add fd77::{host}/64 dev eth0 nodad"));
        }
        self.run_far("ip neighbour add 10.77.0.1 lladdr 02:00:00:00:00:01 dev eth0");
        self.run_far("ip neighbour add fd77::1 lladdr 02:00:00:00:00:01 dev eth0");
    }

    /// The words that run a command on the far side.
    pub(crate) fn far_words(&self, command: &str) -> Vec<String> {
        let words = format!("nsenter --net=/proc/{}/ns/net {command}", self.far.id());
        words.split_whitespace().map(str::to_owned).collect()
    }

    /// Runs a command on the far side.
    pub(crate) fn run_far(&self, command: &str) -> String {
        run(&self.far_words(command).join(" "))
    }

    /// A socket on the far side.
    pub(crate) fn far_socket(&self, address: &str) -> UdpSocket {
        let (namespace, address) = (format!("/proc/{}/ns/net", self.far.id()), address.to_owned());
        let bind = move || {
            setns(File::open(namespace).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            UdpSocket::bind(address).unwrap()
        };
        let socket = std::thread::spawn(bind).join().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A socket on this side that sends to `to`.
    pub(crate) fn sender(to: &UdpSocket) -> UdpSocket {
        let to = to.local_addr().unwrap();
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
        socket.connect(to).unwrap();
        socket
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.far.kill();
        let _ = self.far.wait();
    }
}

/// Runs a command, which must succeed; its standard output.
pub(crate) fn run(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run `{command}`: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{command}`: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// A line with a table of prefixes and delays in milliseconds.
pub(crate) fn line(paths: &[(&str, u64)]) -> Line {
    let line = Line::start(&LineConfig::default()).unwrap();
    line.set_paths(&table(paths)).unwrap();
    line
}

/// A table of prefixes and delays in milliseconds.
pub(crate) fn table(paths: &[(&str, u64)]) -> BTreeMap<Selector, Impairment> {
    let impairment = |ms: u64| Impairment::delay(Delay::from_millis(ms));
    paths.iter().map(|(net, ms)| (net.parse().unwrap(), impairment(*ms))).collect()
}

/// Waits for something that is bound to happen.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} does not happen");
        std::thread::yield_now();
    }
}
