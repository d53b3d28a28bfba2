//! The kernel adapter in network namespaces of its own: it acts by netlink, the tests look by `tc`, `ip` and `ping`.
//!
//! Each test runs its own executable again inside a new user and network namespace. Where the kernel has no netem the leaves
//! are kept in memory, so that everything around them is tested there too; under User-Mode Linux (`LONGHAUL_UML`) they are real.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::super::contract::{Bench, row, suite, wide_row};
use super::*;
use crate::shaping::{Abilities, Ability, Backend, GilbertElliott, Jitter, Loss, Reorder, Row, RowPath, Share};
use crate::tc::{ApplyError, abilities, clear, impair, sweep};
use crate::units::{Delay, Probability, Span};

mod failures;
mod others;
mod packets;
mod program;
mod scale;
mod services;

/// Set inside the namespaces of a test, to the kind of capture that it is about.
const INSIDE: &str = "LONGHAUL_TC_TEST_INSIDE";
/// The kind that works in any user namespace.
const BY_FILTERS: &str = "filters";
/// The kind that takes the first user namespace.
const BY_PROGRAM: &str = "program";

/// Runs `body` in new namespaces; `test` is the name of the calling test. Runs it again for the capture by a BPF program where
/// this user may load one.
fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    run_inside(test, BY_FILTERS, &["--map-root-user", "--net"]);
    match abilities::probe().tcx {
        Ability::Present => run_inside(test, BY_PROGRAM, &["--net"]),
        // That kernel is older than such programs, and is there for other tests.
        Ability::Missing { .. } if std::env::var_os("LONGHAUL_UML").is_some() => {}
        Ability::Missing { why, .. } => {
            let _ = writeln!(std::io::stderr(), "\nSKIP: {test}, with capture by a BPF program: {why}");
        }
    }
}

/// As [`inside`], for what has nothing to do with the capture by a BPF program.
fn inside_with_filters(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
    } else {
        run_inside(test, BY_FILTERS, &["--map-root-user", "--net"]);
    }
}

/// Whether the test is about the capture by a BPF program.
fn by_program() -> bool {
    std::env::var_os(INSIDE).is_some_and(|kind| kind == BY_PROGRAM)
}

fn run_inside(test: &str, kind: &str, namespaces: &[&str]) {
    let name = format!("tc::kernel::tests::{test}");
    let output = Command::new("unshare")
        .args(namespaces)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, kind)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{stdout}{stderr}");
    assert!(output.status.success() && stdout.contains("1 passed"), "{name}, {kind}: {}", output.status);
}

/// `eth0` here, `eth0` in another namespace, addresses on both.
struct Lab {
    far: Child,
}

impl Lab {
    fn new() -> Self {
        let far = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lab = Self { far };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let theirs = || std::fs::read_link(format!("/proc/{}/ns/net", lab.far.id())).ok();
        let start = Instant::now();
        while theirs().is_none_or(|theirs| theirs == own) {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        run("ip link set lo up");
        lab.there("ip link set lo up");
        lab.connect();
        lab
    }

    /// Makes both interfaces, with their addresses.
    fn connect(&self) {
        run(&format!("ip link add eth0 type veth peer name eth0 netns {}", self.far.id()));
        run("ip link set eth0 up");
        self.there("ip link set eth0 up");
        run("ip address add 10.77.0.1/24 dev eth0");
        run("ip address add fd77::1/64 dev eth0 nodad");
        for host in 2..=4 {
            self.there(&format!("ip address add 10.77.0.{host}/24 dev eth0"));
            self.there(&format!("ip address add fd77::{host}/64 dev eth0 nodad"));
        }
    }

    fn there(&self, command: &str) -> String {
        run(&format!("nsenter --net=/proc/{}/ns/net {command}", self.far.id()))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.far.kill();
        let _ = self.far.wait();
    }
}

/// Runs a command, which must succeed; its standard output.
fn run(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run `{command}`: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{command}`: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// Everything that a look from outside shows: links, qdiscs, classes, filters.
fn everything() -> String {
    let commands = [
        "ip -j link show",
        "tc -j qdisc show",
        "tc -j class show dev eth0",
        "tc -j filter show dev eth0 egress",
        "tc -j filter show dev eth0 ingress",
        "tc -j filter show dev eth0 root",
    ];
    uncounted(&commands.map(run).join("\n"))
}

/// Without the one counter that tc prints among an HTB's options.
fn uncounted(shown: &str) -> String {
    let mut parts = shown.split("\"direct_packets_stat\":");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

/// The fastest of some pings in milliseconds; none may be lost.
fn fastest_ping(to: &str) -> f64 {
    let report = run(&format!("ping -q -n -c 10 -i 0.02 -W 5 {to}"));
    assert!(report.contains(" 0% packet loss"), "{report}");
    let times = report.split("min/avg/max/mdev = ").nth(1).unwrap();
    times.split('/').next().unwrap().parse().unwrap()
}

/// A delay line in memory.
#[derive(Default)]
struct Memory(BTreeMap<Selector, Impairment>);

impl LinePaths for Memory {
    fn set_paths(&mut self, paths: &BTreeMap<Selector, Impairment>) -> Result<(), String> {
        self.0.clone_from(paths);
        Ok(())
    }

    fn paths(&self) -> BTreeMap<Selector, Impairment> {
        self.0.clone()
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

/// The kernel with a delay line in memory.
fn with_memory_line() -> KernelTc {
    KernelTc::open_with_line("eth0", Box::new(|_, _| Ok(Box::new(Memory::default())))).unwrap()
}

/// A kernel whose leaves are in memory, if it has no netem.
struct Leafless {
    kernel: KernelTc,
    leaves: Option<State>,
    executed: Arc<Mutex<usize>>,
    fail_after: Option<usize>,
}

impl Leafless {
    fn open() -> Self {
        let netem = abilities::probe().netem.is_present();
        assert!(netem || std::env::var_os("LONGHAUL_UML").is_none(), "no netem under User-Mode Linux");
        let leaves = (!netem).then(State::default);
        Self { kernel: with_memory_line(), leaves, executed: Arc::default(), fail_after: None }
    }
}

impl TrafficControl for Leafless {
    fn current(&mut self) -> Result<State, TcError> {
        let mut state = self.kernel.current()?;
        if let Some(leaves) = &self.leaves
            && state.contains(&Key::Root)
        {
            state.extend(leaves.iter().map(|(key, setting)| (*key, *setting)));
        }
        Ok(state)
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<(), TcError> {
        *self.executed.lock().unwrap() += operations.len();
        if let Some(count) = self.fail_after.take().filter(|count| *count < operations.len()) {
            self.execute(&operations[..count])?;
            return Err(TcError::Conflict {
                operation: operations[count].to_string(),
                why: "as the test demands".to_owned(),
            });
        }
        let Some(leaves) = &mut self.leaves else { return self.kernel.execute(operations) };
        for operation in operations {
            match operation {
                Operation::Add(key @ Key::Leaf(_), setting) | Operation::Change(key @ Key::Leaf(_), setting) => {
                    leaves.insert(*key, *setting);
                }
                Operation::Delete(key @ Key::Leaf(_)) => {
                    leaves.remove(key);
                }
                _ => {}
            }
        }
        let rest = operations.iter().filter(|operation| !matches!(operation.key(), Key::Leaf(_)));
        self.kernel.execute(&rest.copied().collect::<Vec<_>>())
    }
}

/// The ways in which this kernel can classify.
fn ways() -> Vec<Abilities> {
    let Abilities { kernel, netem_duplicate, skbedit, .. } = abilities::probe();
    let tcx = if by_program() { Ability::Present } else { Ability::missing("test", "none") };
    let one_step = Abilities { kernel, netem_duplicate, tcx, ..Abilities::all() };
    let mut ways = vec![Abilities { skbedit: Ability::missing("test", "none"), ..one_step.clone() }];
    if skbedit.is_present() {
        ways.push(one_step);
    } else {
        assert!(std::env::var_os("LONGHAUL_UML").is_none(), "no skbedit under User-Mode Linux");
    }
    ways
}

#[test]
fn the_user_space_back_end_keeps_the_contract() {
    inside("the_user_space_back_end_keeps_the_contract", || {
        let _lab = Lab::new();
        let before = everything();
        suite(&mut Bench { tc: &mut with_memory_line(), backend: Backend::Userspace, abilities: two_steps() });
        assert_eq!(everything(), before);
    });
}

#[test]
fn the_netem_back_end_keeps_the_contract() {
    inside_with_filters("the_netem_back_end_keeps_the_contract", || {
        let _lab = Lab::new();
        let before = everything();
        for abilities in ways() {
            suite(&mut Bench { tc: &mut Leafless::open(), backend: Backend::Netem, abilities });
            assert_eq!(everything(), before);
        }
    });
}

fn some_row() -> Row {
    row(&[("10.77.0.2/32", 20), ("fd77::2/128", 20), ("10.77.0.3/32", 60), ("10.99.0.0/16", 5)])
}

/// The back-ends that the capture in question is for.
fn backends() -> &'static [Backend] {
    if by_program() { &[Backend::Userspace] } else { &[Backend::Netem, Backend::Userspace] }
}

/// All back-ends as far as this kernel goes.
fn both(mut body: impl FnMut(&mut Leafless, Backend)) {
    for backend in backends().iter().copied() {
        body(&mut Leafless::open(), backend);
    }
}

fn two_steps() -> Abilities {
    ways().remove(0)
}

/// Puts a new adapter in the place of one that was killed.
fn restart(tc: &mut Leafless) {
    let next = Leafless { leaves: tc.leaves.take(), ..Leafless::open() };
    std::mem::forget(std::mem::replace(tc, next));
}

#[test]
fn the_back_end_can_change_under_way() {
    inside("the_back_end_can_change_under_way", || {
        let _lab = Lab::new();
        let before = everything();
        let mut tc = Leafless::open();
        for backend in [Backend::Netem, Backend::Userspace, Backend::Netem, Backend::Userspace] {
            impair(&mut tc, &wide_row(30, 7, 10), backend, &two_steps()).unwrap();
        }
        clear(&mut tc).unwrap();
        assert_eq!(everything(), before);
    });
}
