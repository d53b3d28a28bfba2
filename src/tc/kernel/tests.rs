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

#[test]
fn what_others_have_made_stays_as_it_is() {
    inside("what_others_have_made_stays_as_it_is", || {
        let _lab = Lab::new();
        run("tc qdisc add dev eth0 root handle 1: htb default 0");
        run("tc class add dev eth0 parent 1: classid 1:10 htb rate 1gbit");
        run("tc filter add dev eth0 parent 1: protocol ip pref 5 u32 match ip dst 10.5.0.0/16 flowid 1:10");
        run("tc qdisc add dev eth0 clsact");
        run(
            "tc filter add dev eth0 egress protocol ip pref 7 u32 match ip dst 10.88.0.1 action mirred egress redirect dev lo",
        );
        run("tc filter add dev eth0 ingress protocol all pref 9 u32 match u32 0 0 at 0 classid 1:1");
        let before = everything();
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            assert_ne!(everything(), before);
            impair(tc, &row(&[("10.77.0.2/32", 10)]), backend, &two_steps()).unwrap();
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            clear(tc).unwrap();
            assert_eq!(everything(), before, "{backend}");
            // And the tables are free again for the next time.
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            clear(tc).unwrap();
        });
    });
}

/// Puts a new adapter in the place of one that was killed.
fn restart(tc: &mut Leafless) {
    let next = Leafless { leaves: tc.leaves.take(), ..Leafless::open() };
    std::mem::forget(std::mem::replace(tc, next));
}

#[test]
fn dropping_the_adapter_of_a_line_removes_its_rules() {
    inside("dropping_the_adapter_of_a_line_removes_its_rules", || {
        let _lab = Lab::new();
        let before = everything();
        let mut tc = KernelTc::open("eth0").unwrap();
        impair(&mut tc, &some_row(), Backend::Userspace, &two_steps()).unwrap();
        drop(tc);
        assert_eq!(everything(), before);
    });
}

#[test]
fn sweeping_takes_away_what_clearing_refuses() {
    inside_with_filters("sweeping_takes_away_what_clearing_refuses", || {
        let _lab = Lab::new();
        let before = everything();
        sweep("eth0").unwrap();
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            run("tc filter add dev eth0 egress protocol ip pref 19528 u32 match ip dst 10.88.0.1 flowid 1:1");
            clear(tc).unwrap_err();
            sweep("eth0").unwrap();
            assert_eq!(everything(), before, "{backend}");

            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            sweep("eth0").unwrap();
            assert_eq!(everything(), before, "{backend}");
        });
        sweep("no-such-interface").unwrap();
        assert_eq!(everything(), before);
    });
}

#[test]
fn our_hook_goes_unless_others_have_come_to_use_it() {
    inside_with_filters("our_hook_goes_unless_others_have_come_to_use_it", || {
        let _lab = Lab::new();
        let before = everything();
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            // Another process takes over, as after a restart of the agent.
            restart(tc);
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            restart(tc);
            clear(tc).unwrap();
            assert_eq!(everything(), before, "{backend}");

            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            run("tc filter add dev eth0 ingress protocol ip pref 9 u32 match ip dst 10.88.0.1 classid 1:1");
            clear(tc).unwrap();
            assert!(run("tc filter show dev eth0 ingress").contains("pref 9"), "{backend}");
            assert_eq!(run("tc filter show dev eth0 egress"), "", "{backend}");
            run("tc qdisc delete dev eth0 clsact");
            assert_eq!(everything(), before, "{backend}");
        });
    });
}

#[test]
fn a_failure_in_the_middle_restores_the_former_state() {
    inside("a_failure_in_the_middle_restores_the_former_state", || {
        let _lab = Lab::new();
        let after = row(&[("10.77.0.2/32", 12), ("10.77.0.9/32", 30), ("10.1.0.0/16", 5)]);
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            let state = tc.current().unwrap();
            for count in 0.. {
                tc.fail_after = Some(count);
                match impair(tc, &after, backend, &two_steps()) {
                    Ok(_) => break,
                    Err(ApplyError::Undone(cause)) => assert!(cause.to_string().contains("as the test demands")),
                    Err(other) => panic!("{backend}, after {count}: {other}"),
                }
                assert_eq!(tc.current().unwrap(), state, "{backend}, after {count}");
            }
            clear(tc).unwrap();
        });
    });
}

#[test]
fn the_kernels_own_words_are_in_the_error() {
    inside_with_filters("the_kernels_own_words_are_in_the_error", || {
        let _lab = Lab::new();
        let before = everything();
        let wrong = [Operation::Add(Key::Device(DeviceKind::Ifb), Setting::Present), Operation::Delete(Key::Root)];
        let mut tc = with_memory_line();
        let error = tc.execute(&wrong).unwrap_err().to_string();
        assert_eq!(error, "delete the HTB root on lh0: Invalid argument (Invalid handle)");
        clear(&mut tc).unwrap();
        assert_eq!(everything(), before);
    });
}

/// Renames an interface, which older kernels allow only while it is down.
fn rename(from: &str, to: &str) {
    run(&format!("ip link set {from} down"));
    run(&format!("ip link set {from} name {to} up"));
}

#[test]
fn an_interface_that_vanishes_is_named() {
    inside("an_interface_that_vanishes_is_named", || {
        let lab = Lab::new();
        let message = "there is no interface `eth0` in this network namespace (it may have been removed or renamed)";
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            rename("eth0", "wan0");
            let error = impair(tc, &row(&[("10.9.9.9/32", 3)]), backend, &two_steps()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            clear(tc).unwrap();
            assert!(!run("ip -o link").contains("lh0"));
            // Its rules went with our device where nobody could find them: they are gone when it is back.
            rename("wan0", "eth0");
            clear(tc).unwrap();
            assert_eq!(run("tc filter show dev eth0 egress"), "");
        });
        rename("eth0", "wan0");
        let error = KernelTc::open("eth0").err().unwrap().to_string();
        assert_eq!(error, message);
        drop(lab);
    });
}

#[test]
fn what_is_in_the_way_is_named() {
    inside_with_filters("what_is_in_the_way_is_named", || {
        let _lab = Lab::new();
        let mut tc = with_memory_line();
        let mut refusal = |set: &str, unset: &str| {
            run(set);
            let error = impair(&mut tc, &some_row(), Backend::Userspace, &two_steps()).unwrap_err().to_string();
            run(unset);
            error
        };
        assert_eq!(
            refusal("tc qdisc add dev eth0 ingress", "tc qdisc del dev eth0 ingress"),
            "the hook of eth0 holds an ingress qdisc, which keeps clsact out, which is not ours; remove it first; \
             everything is as it was before"
        );
        assert_eq!(
            refusal("ip link add lh0 type bridge", "ip link del lh0"),
            "cannot read the state of traffic control: `lh0` exists and is not ours (alias None); rename or delete it"
        );
        run("ip link add lh0 type ifb");
        assert_eq!(
            refusal("ip link set lh0 alias longhaul:eth7", "ip link del lh0"),
            "cannot read the state of traffic control: `lh0` serves interface `eth7` already; one interface of a network \
             namespace can be impaired at a time"
        );
        run("tc qdisc add dev eth0 clsact");
        assert_eq!(
            refusal(
                "tc filter add dev eth0 egress protocol ip pref 19528 u32 match ip dst 10.0.0.1 classid 1:1",
                "tc qdisc del dev eth0 clsact"
            ),
            "cannot read the state of traffic control: the egress hook of eth0 holds a u32 filter at preference 19528 with \
             handle 80000800, which is not ours; remove it first"
        );
    });
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
