//! Nodes for tests of what goes over a network: network namespaces on one bridge, each held by a thread.
//!
//! `ip` and `tc` build them, so that they do not depend on the code under test. A process with several threads cannot
//! enter a user namespace; therefore a test runs itself again under `unshare -rn` and does its work there.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use longhaul::measure::{IcmpProber, ProbeError, ProbeOrder, ProbeReport, Prober, StopSignal};
use longhaul::units::Span;
use nix::sched::{CloneFlags, unshare};

/// Set in the process that runs inside the namespaces.
const INSIDE: &str = "LONGHAUL_TEST_INSIDE_NAMESPACES";

/// Runs `body` of the test called `test` in a user and a network namespace of its own.
pub fn in_own_namespaces(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare of util-linux is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "`{test}` failed in its namespaces");
}

/// Puts the calling process, as long as it has one thread, into a user and a network namespace of its own.
pub fn enter_own_namespaces() {
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--"])
            .args(std::env::args_os())
            .env(INSIDE, "1")
            .status();
        std::process::exit(status.expect("unshare of util-linux is installed").code().unwrap_or(1));
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own.
pub struct Node {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    pid: i32,
}

impl Node {
    fn start() -> Self {
        let (jobs, queue) = channel::<Job>();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            for job in queue {
                job();
            }
        });
        Self { jobs: Some(jobs), thread: Some(thread), pid: told.recv().unwrap() }
    }

    /// Starts `work` in the node; the function that is returned waits for its result.
    pub fn begin<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> impl FnOnce() -> T {
        let (tell, told) = channel();
        let job = Box::new(move || tell.send(work()).unwrap());
        self.jobs.as_ref().unwrap().send(job).unwrap();
        move || told.recv().expect("the work in the node panicked")
    }

    /// Runs a command in the node and returns what it prints.
    pub fn run(&self, command: &str) -> String {
        let command = command.to_owned();
        self.begin(move || run(&command))()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.jobs.take();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn ip_batch(lines: &str) {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "ip -batch:\n{lines}");
}

/// The link address of a node.
fn mac(node: usize) -> String {
    let [high, low] = u16::try_from(node + 1).unwrap().to_be_bytes();
    format!("02:09:00:00:{high:02x}:{low:02x}")
}

/// Nodes on one bridge.
pub struct Bridged {
    pub nodes: Vec<Node>,
}

/// The IPv4 address of a node.
pub fn v4(node: usize) -> IpAddr {
    let [high, low] = u16::try_from(node + 1).unwrap().to_be_bytes();
    Ipv4Addr::new(10, 9, high, low).into()
}

/// The IPv6 address of a node.
pub fn v6(node: usize) -> IpAddr {
    Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, u16::try_from(node + 1).unwrap()).into()
}

impl Bridged {
    /// Builds `count` nodes in the network namespace of the calling process.
    pub fn build(count: usize) -> Self {
        let nodes: Vec<Node> = (0..count).map(|_| Node::start()).collect();
        let bridge = "link add br0 type bridge mcast_snooping 0\nlink set br0 up\n".to_owned();
        let ports = nodes.iter().enumerate().map(|(place, node)| {
            let pid = node.pid;
            let mac = mac(place);
            format!(
                "link add v{place} type veth peer name eth0 address {mac} netns {pid}\nlink set v{place} master br0 up\n"
            )
        });
        let lines: String = std::iter::once(bridge).chain(ports).collect();
        ip_batch(&lines);
        let waits: Vec<_> = nodes.iter().enumerate().map(|(place, node)| node.begin(move || set_up(place))).collect();
        for wait in waits {
            wait();
        }
        Self { nodes }
    }

    /// Tells every node the link addresses of all others for good. The kernel's neighbour table, one for all
    /// namespaces, has room for 1,024 resolved ones, which is less than 33 nodes need; permanent ones do not count.
    pub fn introduce(&self) {
        let all = self.nodes.len();
        let waits: Vec<_> = self.nodes.iter().enumerate().map(|(me, node)| {
            let neighbours = (0..all).filter(move |peer| *peer != me).map(|peer| {
                let (v4, v6, mac) = (v4(peer), v6(peer), mac(peer));
                format!(
                    "neigh add {v4} lladdr {mac} dev eth0 nud permanent\nneigh add {v6} lladdr {mac} dev eth0 nud permanent\n"
                )
            });
            node.begin(move || ip_batch(&neighbours.collect::<String>()))
        }).collect();
        for wait in waits {
            wait();
        }
    }

    /// Runs a prober in each of the nodes `taking_part`, with a common start `ahead_ms` from now.
    pub fn measure(&self, taking_part: &[usize], order: &ProbeOrder) -> Vec<Option<ProbeReport>> {
        let mut waits: Vec<_> = (0..order.addresses.len()).map(|_| None).collect();
        for me in taking_part {
            let order = ProbeOrder { me: *me, ..order.clone() };
            waits[*me] = Some(self.nodes[*me].begin(move || probe(&order)));
        }
        waits.into_iter().map(|wait| wait.map(|wait| wait().unwrap())).collect()
    }
}

fn set_up(place: usize) {
    let (v4, v6) = (v4(place), v6(place));
    ip_batch(&format!(
        "link set lo up\naddr add {v4}/16 dev eth0\naddr add {v6}/64 dev eth0 nodad\nlink set eth0 up\n"
    ));
}

/// Runs a prober in the network namespace of the calling thread.
pub fn probe(order: &ProbeOrder) -> Result<ProbeReport, ProbeError> {
    IcmpProber::new(StopSignal::new().unwrap()).run(order)
}

/// An order for node 0 that starts soon after `nodes` nodes can have opened their sockets.
pub fn order(nodes: usize, address: fn(usize) -> IpAddr, probes: u32, interval: Span) -> ProbeOrder {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    ProbeOrder {
        run: u64::try_from(now).unwrap(),
        me: 0,
        addresses: (0..nodes).map(address).collect(),
        probes,
        warm_up: 1,
        interval,
        pattern: longhaul::measure::Pattern::Rounds,
        start_realtime_ns: u64::try_from(now).unwrap() + 200_000_000 + nodes.min(60) as u64 * 5_000_000,
        grace: Span::from_millis(400),
    }
}
