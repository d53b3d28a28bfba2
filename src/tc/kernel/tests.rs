//! The kernel adapter in network namespaces of its own: it acts by netlink, the tests look by `tc`, `ip` and `ping`.
//!
//! Each test runs its own executable again inside a new user and network namespace. Where the kernel has no netem the leaves
//! are kept in memory, so that everything around them is tested there too; under User-Mode Linux (`LONGHAUL_UML`) they are real.
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::super::contract::{Bench, row, suite, wide_row};
use super::*;
use crate::shaping::{Abilities, Ability, Backend, GilbertElliott, Jitter, Loss, Reorder, Row, RowPath, Share};
use crate::tc::{ApplyError, abilities, apply, clear, impair, sweep};
use crate::units::{Delay, Probability, Span};

const INSIDE: &str = "LONGHAUL_TC_TEST_INSIDE";

/// Runs `body` in new namespaces; `test` is the name of the calling test.
fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let name = format!("tc::kernel::tests::{test}");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{stdout}{stderr}");
    assert!(output.status.success() && stdout.contains("1 passed"), "{name}: {}", output.status);
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
        run(&format!("ip link add eth0 type veth peer name eth0 netns {}", lab.far.id()));
        run("ip link set eth0 up");
        lab.there("ip link set lo up");
        lab.there("ip link set eth0 up");
        run("ip address add 10.77.0.1/24 dev eth0");
        run("ip address add fd77::1/64 dev eth0 nodad");
        for host in 2..=4 {
            lab.there(&format!("ip address add 10.77.0.{host}/24 dev eth0"));
            lab.there(&format!("ip address add fd77::{host}/64 dev eth0 nodad"));
        }
        lab
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
    let shown = commands.map(run).join("\n");
    // The one counter that tc prints among an HTB's options.
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
struct Memory(BTreeMap<IpNet, Impairment>);

impl LinePaths for Memory {
    fn set_paths(&mut self, paths: &BTreeMap<IpNet, Impairment>) -> Result<(), String> {
        self.0.clone_from(paths);
        Ok(())
    }

    fn paths(&self) -> BTreeMap<IpNet, Impairment> {
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
    let one_step = Abilities { kernel, netem_duplicate, ..Abilities::all() };
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
        suite(&mut Bench { tc: &mut with_memory_line(), backend: Backend::Userspace, abilities: Abilities::all() });
        assert_eq!(everything(), before);
    });
}

#[test]
fn the_netem_back_end_keeps_the_contract() {
    inside("the_netem_back_end_keeps_the_contract", || {
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

/// Both back-ends as far as this kernel goes.
fn both(mut body: impl FnMut(&mut Leafless, Backend)) {
    for backend in [Backend::Netem, Backend::Userspace] {
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
    inside("sweeping_takes_away_what_clearing_refuses", || {
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
    inside("our_hook_goes_unless_others_have_come_to_use_it", || {
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
    inside("the_kernels_own_words_are_in_the_error", || {
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
    inside("what_is_in_the_way_is_named", || {
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

/// The rule that a packet meets is the one that the tables say, whatever the layout.
#[test]
fn packets_meet_the_rule_of_the_longest_prefix() {
    inside("packets_meet_the_rule_of_the_longest_prefix", || {
        let _lab = Lab::new();
        run("ip route add default via 10.77.0.2");
        run("ip -6 route add default via fd77::2");
        // The neighbours are known beforehand: a packet that waits for them is not counted yet when the test looks.
        fastest_ping("10.77.0.2");
        fastest_ping("fd77::2");
        let crowd: Vec<String> = (0..20).map(|n| format!("10.1.{n}.9/32")).collect();
        let mut paths: Vec<(&str, u64)> = crowd.iter().map(|text| (text.as_str(), 5)).collect();
        paths.extend([
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.3.0/24", 3),
            ("8.0.0.0/5", 4),
            ("fd01::/64", 6),
            ("fd01::7/128", 6),
        ]);
        let mut tc = with_memory_line();
        impair(&mut tc, &row(&paths), Backend::Userspace, &two_steps()).unwrap();
        for (to, rule) in [
            ("10.1.3.9", "0a010309/ffffffff at 16"),
            ("10.1.3.10", "0a010300/ffffff00 at 16"),
            ("10.1.30.9", "0a010000/ffff0000 at 16"),
            ("10.2.3.9", "0a000000/ff000000 at 16"),
            ("11.2.3.9", "08000000/f8000000 at 16"),
            ("fd01::8", "00000000/ffffffff at 28"),
            ("fd01::7", "00000007/ffffffff at 36"),
        ] {
            let hits = |listing: &str| -> Vec<(String, String)> {
                let blocks = listing.split("filter protocol").filter(|block| block.contains("mirred"));
                blocks
                    .map(|block| {
                        let sent = block.lines().find(|line| line.contains("Sent ")).unwrap();
                        let last_key = block.lines().rfind(|line| line.contains("match ")).unwrap();
                        (last_key.to_owned(), sent.to_owned())
                    })
                    .collect()
            };
            let before = hits(&run("tc -s filter show dev eth0 egress"));
            let _ = Command::new("ping").args(["-c", "1", "-W", "0.01", to]).output().unwrap();
            let after = hits(&run("tc -s filter show dev eth0 egress"));
            let met: Vec<&String> =
                before.iter().zip(&after).filter(|(one, two)| one != two).map(|(one, _)| &one.0).collect();
            assert!(met.len() == 1 && met[0].contains(rule), "{to} met {met:?}");
        }
    });
}

/// A path that swallows everything must not swallow Neighbour Discovery.
#[test]
fn neighbours_are_found_on_an_impaired_path() {
    inside("neighbours_are_found_on_an_impaired_path", || {
        let lab = Lab::new();
        let mut tc = with_memory_line();
        // The line in memory does not emit: what is captured is lost.
        impair(&mut tc, &row(&[("fd77::/16", 10), ("fe80::/10", 10)]), Backend::Userspace, &two_steps()).unwrap();
        lab.there("ip -6 neigh flush dev eth0");
        // The far side asks who fd77::1 is; the answer is unicast from here, to a captured prefix.
        let ping = ["--net=/proc/".to_owned() + &lab.far.id().to_string() + "/ns/net"];
        let output = Command::new("nsenter")
            .args(ping)
            .args(["ping", "-6", "-c", "2", "-i", "0.2", "-W", "1", "fd77::1"])
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("100% packet loss"));
        let neighbours = lab.there("ip -6 neigh show to fd77::1");
        assert!(neighbours.contains("lladdr") && !neighbours.contains("FAILED"), "{neighbours}");
    });
}

/// The chosen back-end of this kernel delays what it should, and nothing else.
#[test]
fn pings_take_as_long_as_asked() {
    inside("pings_take_as_long_as_asked", || {
        let _lab = Lab::new();
        let abilities = abilities::probe();
        for backend in [Backend::Netem, Backend::Userspace] {
            if backend == Backend::Netem && !abilities.netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            for abilities in ways() {
                let mut tc = KernelTc::open("eth0").unwrap();
                impair(&mut tc, &some_row(), backend, &abilities).unwrap();
                let ranges = [("10.77.0.2", 20.0..60.0), ("fd77::2", 20.0..60.0), ("10.77.0.3", 60.0..200.0)];
                for (to, range) in ranges.into_iter().chain([("10.77.0.4", 0.0..20.0), ("fd77::3", 0.0..20.0)]) {
                    let found = fastest_ping(to);
                    assert!(range.contains(&found), "{to} by {backend}: {found} ms is not in {range:?}");
                }
                impair(&mut tc, &row(&[("10.77.0.2/32", 80)]), backend, &abilities).unwrap();
                let found = fastest_ping("10.77.0.2");
                assert!((80.0..300.0).contains(&found), "{found}");
                assert!(fastest_ping("10.77.0.3") < 60.0);
                clear(&mut tc).unwrap();
                assert!(fastest_ping("10.77.0.2") < 20.0);
            }
        }
    });
}

/// Frames beyond the usual length, in one piece, and pings beyond even that, in fragments.
#[test]
fn long_packets_pass() {
    inside("long_packets_pass", || {
        let lab = Lab::new();
        run("ip link set eth0 mtu 9000");
        lab.there("ip link set eth0 mtu 9000");
        for backend in [Backend::Netem, Backend::Userspace] {
            let abilities = abilities::probe();
            if backend == Backend::Netem && !abilities.netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            let mut tc = KernelTc::open("eth0").unwrap();
            impair(&mut tc, &some_row(), backend, &abilities).unwrap();
            for size in [1_472, 8_900, 20_000, 60_000] {
                let report = run(&format!("ping -n -c 3 -i 0.05 -W 5 -s {size} 10.77.0.2"));
                assert!(report.contains(" 0% packet loss"), "{size} bytes by {backend}: {report}");
            }
            clear(&mut tc).unwrap();
        }
    });
}

/// Delays change, destinations come and go, classes split and merge: no packet to one that stays is lost.
#[test]
fn changes_lose_no_packet() {
    inside("changes_lose_no_packet", || {
        let _lab = Lab::new();
        let abilities = abilities::probe();
        for backend in [Backend::Netem, Backend::Userspace] {
            if backend == Backend::Netem && !abilities.netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            for abilities in ways() {
                let mut tc = KernelTc::open("eth0").unwrap();
                let rows = [
                    row(&[("10.77.0.2/32", 20), ("10.77.0.3/32", 20)]),
                    row(&[("10.77.0.2/32", 30), ("10.77.0.3/32", 20), ("fd77::2/128", 5)]),
                    row(&[("10.77.0.2/32", 10)]),
                    row(&[("10.77.0.0/24", 40), ("10.77.0.2/32", 10)]),
                    wide_row(300, 300, 1),
                ];
                let with_target = |row: &Row| {
                    let mut row = row.clone();
                    if row.paths.len() > 100 {
                        row.paths.extend(rows[0].paths.iter().cloned());
                    }
                    row
                };
                impair(&mut tc, &rows[0], backend, &abilities).unwrap();
                let ping = Command::new("ping")
                    .args("-q -n -c 600 -i 0.002 -W 5 10.77.0.2".split(' '))
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                for row in rows.iter().cycle().take(25) {
                    impair(&mut tc, &with_target(row), backend, &abilities).unwrap();
                }
                let report = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
                assert!(report.contains(" 0% packet loss"), "{backend}: {report}");
                clear(&mut tc).unwrap();
            }
        }
    });
}

/// What a series of pings saw: answers, duplicates, and the smallest, mean and greatest round trip in milliseconds.
#[derive(Debug)]
struct Pings {
    received: f64,
    duplicates: f64,
    times: Vec<f64>,
}

fn pings(words: &str) -> Pings {
    let report = run(&format!("ping -q -n -i 0.002 -W 1 {words} 10.77.0.2"));
    let before = |mark: &str| {
        let number = report.split(mark).next().filter(|head| head.len() < report.len());
        number.map_or(0.0, |head| head.rsplit([' ', '+']).next().unwrap().parse().unwrap())
    };
    let times = report.split("min/avg/max/mdev = ").nth(1).unwrap();
    let times = times.split(['/', ' ']).take(3).map(|time| time.parse().unwrap()).collect();
    Pings { received: before(" received"), duplicates: before(" duplicates"), times }
}

fn percent(text: &str) -> Probability {
    text.parse().unwrap()
}

/// The same impairments mean the same to pings on both back-ends. Shares lie within five standard deviations.
#[test]
fn every_impairment_shows_in_pings() {
    inside("every_impairment_shows_in_pings", || {
        let _lab = Lab::new();
        let base = Impairment::delay(Delay::from_millis(5));
        let [to_bad, to_good, bad_loss, good_loss] = ["10%", "30%", "100%", "0%"].map(percent);
        let chain = GilbertElliott { to_bad, to_good, bad_loss, good_loss };
        for backend in [Backend::Netem, Backend::Userspace] {
            let abilities = ways().pop().unwrap();
            if backend == Backend::Netem && !abilities::probe().netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            let mut tc = KernelTc::open("eth0").unwrap();
            let mut see = |impairment: Impairment, words: &str| {
                let path = RowPath { prefixes: vec!["10.77.0.2/32".parse().unwrap()], impairment };
                impair(&mut tc, &Row { paths: vec![path] }, backend, &abilities).unwrap();
                pings(words)
            };
            let random = see(Impairment { loss: Loss::Random(Share::of(percent("30%"))), ..base }, "-c 500");
            assert!((299.0..401.0).contains(&random.received), "{backend}: {random:?}");
            let lossy = Impairment { loss: Loss::Random(Share::of(percent("30%"))), ..Impairment::default() };
            let alone = see(lossy, "-c 500");
            assert!((299.0..401.0).contains(&alone.received), "{backend}, without a delay: {alone:?}");
            let bursts = see(Impairment { loss: Loss::Gilbert(chain), ..base }, "-c 500");
            assert!((290.0..460.0).contains(&bursts.received), "{backend}: {bursts:?}");
            let double = see(Impairment { duplicate: Share::of(percent("50%")), ..base }, "-c 500");
            assert!((194.0..306.0).contains(&double.duplicates), "{backend}: {double:?}");
            let corrupt = see(Impairment { corrupt: Share::of(percent("50%")), ..base }, "-c 500");
            assert!((190.0..380.0).contains(&corrupt.received), "{backend}: {corrupt:?}");
            let jitter = Jitter { span: Span::from_millis(20), ..Jitter::default() };
            let strayed = see(Impairment { jitter, ..Impairment::delay(Delay::from_millis(40)) }, "-c 200");
            assert!(strayed.times[0] >= 20.0 && strayed.times[2] - strayed.times[0] > 20.0, "{backend}: {strayed:?}");
            let reorder = Some(Reorder { share: Share::of(percent("100%")), gap: 5 });
            let ahead = see(Impairment { reorder, ..Impairment::delay(Delay::from_millis(50)) }, "-c 100");
            assert!(ahead.times[0] < 30.0 && ahead.times[1] > 30.0, "{backend}: {ahead:?}");
            // 1,000 bytes take 8 ms; of twenty sent at once the last waits for all the others.
            let slow = see(Impairment { rate: Some("1mbit".parse().unwrap()), ..base }, "-c 20 -l 20 -s 958");
            assert!(slow.received > 19.5 && slow.times[0] > 13.0 && slow.times[2] > 150.0, "{backend}: {slow:?}");
            clear(&mut tc).unwrap();
        }
    });
}

/// Prints what destinations cost a packet to somewhere else; the bound is loose.
#[test]
fn a_thousand_destinations_cost_a_packet_little() {
    inside("a_thousand_destinations_cost_a_packet_little", || {
        let _lab = Lab::new();
        let mut tc = with_memory_line();
        let mut best = [f64::INFINITY; 3];
        for _ in 0..3 {
            for (best, count) in best.iter_mut().zip([0, 1, 1_000]) {
                impair(&mut tc, &wide_row(count, 1, 10), Backend::Userspace, &two_steps()).unwrap();
                let report = run("ping -f -q -n -c 3000 -W 5 10.77.0.4");
                let average = report.split("min/avg/max/mdev = ").nth(1).unwrap().split('/').nth(1).unwrap();
                *best = best.min(average.parse::<f64>().unwrap() * 1_000.0);
            }
        }
        println!("round trip with 0, 1 and 1,000 destinations: {best:.1?} us");
        assert!(best[2] < best[0] + 100.0, "{best:?}");
    });
}

/// Prints how long a thousand destinations take; the bounds are loose.
#[test]
fn a_thousand_destinations_are_quick() {
    inside("a_thousand_destinations_are_quick", || {
        let _lab = Lab::new();
        let timed = |what: &str, body: &mut dyn FnMut() -> usize| {
            let start = Instant::now();
            let operations = body();
            println!("{what}: {operations} operations, {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
            assert!(start.elapsed() < Duration::from_secs(20));
            operations
        };
        both(|tc, backend| {
            let rows = [wide_row(1_000, 1_000, 10), wide_row(1_000, 1_000, 40), wide_row(1_000, 50, 10)];
            timed(&format!("{backend}: apply"), &mut || {
                impair(tc, &rows[0], backend, &two_steps()).unwrap().operations
            });
            let again = timed(&format!("{backend}: again"), &mut || {
                impair(tc, &rows[0], backend, &two_steps()).unwrap().operations
            });
            assert_eq!(again, 0);
            timed(&format!("{backend}: change all"), &mut || {
                impair(tc, &rows[1], backend, &two_steps()).unwrap().operations
            });
            timed(&format!("{backend}: clear"), &mut || clear(tc).unwrap().operations);
            timed(&format!("{backend}: apply, 50 delays"), &mut || {
                impair(tc, &rows[2], backend, &two_steps()).unwrap().operations
            });
            timed(&format!("{backend}: clear"), &mut || apply(tc, &State::default()).unwrap().operations);
        });
    });
}
