//! What tc is told by `tc -batch`: the same objects as longhaul's, and the layout that replaces the interface's root. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::rows::Destination;
use crate::shaping::limit_for;
use crate::units::Delay;

/// The interface of a node.
pub(super) const INTERFACE: &str = "eth0";
/// The device of the detour, as longhaul calls it.
pub(super) const DEVICE: &str = "lh0";
/// The rates of every class, alike in both layouts, so that only the layouts differ.
const CLASS: &str = "htb rate 100gbit ceil 100gbit burst 1250000b cburst 1250000b quantum 60000";
/// The list of longhaul's rules, by its preference.
const LIST: &str = "protocol ip prio 19528";

/// How a detour ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detour {
    /// At a device whose other end a program reads: rules that capture packets are all there is. Where the kernel can,
    /// longhaul captures by a program instead.
    Program,
    /// At HTB and netem. Where the kernel can, a packet's class is named where it is captured; else by a second list.
    Netem {
        /// Whether it can.
        named_at_capture: bool,
    },
}

/// The objects that longhaul makes for these destinations, without the device.
pub(super) fn detour(destinations: &[Destination], detour: Detour) -> String {
    let mut text = String::new();
    let classes = classes(destinations);
    let class = |one: &Destination| format!("10:{:x}", classes.get(&one.delay).copied().unwrap_or(1) << 4);
    if let Detour::Netem { named_at_capture } = detour {
        line(&mut text, format_args!("qdisc add dev {DEVICE} root handle 10: htb"));
        for (delay, number) in &classes {
            let minor = number << 4;
            line(&mut text, format_args!("class add dev {DEVICE} parent 10: classid 10:{minor:x} {CLASS}"));
            let handle = 0x1000 + number;
            line(
                &mut text,
                format_args!("qdisc add dev {DEVICE} parent 10:{minor:x} handle {handle:x}: {}", netem(*delay)),
            );
        }
        if !named_at_capture {
            let list = format!("dev {DEVICE} parent 10: {LIST}");
            list_of(&mut text, &list, destinations, &|one| format!("flowid {}", class(one)));
        }
    }
    line(&mut text, format_args!("qdisc add dev {INTERFACE} clsact"));
    let redirect = format!("action mirred egress redirect dev {DEVICE}");
    let action = |one: &Destination| match detour {
        Detour::Netem { named_at_capture: true } => format!("action skbedit priority {} pipe {redirect}", class(one)),
        _ => redirect.clone(),
    };
    list_of(&mut text, &format!("dev {INTERFACE} egress {LIST}"), destinations, &action);
    text
}

/// A table of 256 buckets by the last byte of the destination, and the link to it.
fn list_of(text: &mut String, list: &str, destinations: &[Destination], action: &dyn Fn(&Destination) -> String) {
    line(text, format_args!("filter add {list} handle 120: u32 divisor 256"));
    let mut sorted: Vec<&Destination> = destinations.iter().collect();
    sorted.sort_by_key(|one| one.address);
    let mut nodes = [0u32; 256];
    for one in sorted {
        let bucket = one.address.octets()[3];
        let node = &mut nodes[usize::from(bucket)];
        *node += 1;
        let (address, action) = (one.address, action(one));
        let place = format_args!("handle 120:{bucket:x}:{node:x} u32 ht 120:{bucket:x}:");
        line(text, format_args!("filter add {list} {place} match ip dst {address}/32 {action}"));
    }
    let link = "u32 ht 800:: match u32 0 0 at 0 link 120: hashkey mask 0x000000ff at 16";
    line(text, format_args!("filter add {list} handle 800::10 {link}"));
}

/// One class for each different delay, numbered in order of the delays.
fn classes(destinations: &[Destination]) -> BTreeMap<Delay, usize> {
    let mut classes: BTreeMap<Delay, usize> = destinations.iter().map(|one| (one.delay, 0)).collect();
    for (number, class) in classes.values_mut().zip(1..) {
        *number = class;
    }
    classes
}

/// What stands behind the classes of the root layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// A netem each.
    Netem,
    /// Nothing: packets are sorted, not delayed.
    None,
}

/// HTB on the interface's root with a class, a leaf and a rule for each destination, the rules in one list.
pub(super) fn root(destinations: &[Destination], leaves: Leaves) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("qdisc add dev {INTERFACE} root handle 1: htb"));
    for (number, one) in (1..).zip(destinations) {
        line(&mut text, format_args!("class add dev {INTERFACE} parent 1: classid 1:{number:x} {CLASS}"));
        if leaves == Leaves::Netem {
            line(&mut text, format_args!("qdisc add {} {}", leaf(number), netem(one.delay)));
        }
        let rule = format_args!(
            "filter add dev {INTERFACE} parent 1: protocol ip prio 1 u32 match ip dst {}/32 flowid 1:{number:x}",
            one.address
        );
        line(&mut text, rule);
    }
    text
}

/// New delays for the netems of the root layout.
pub(super) fn change(destinations: &[Destination]) -> String {
    let mut text = String::new();
    for (number, one) in (1..).zip(destinations) {
        line(&mut text, format_args!("qdisc change {} {}", leaf(number), netem(one.delay)));
    }
    text
}

/// New delays by taking the root away and building it anew.
pub(super) fn rebuild(destinations: &[Destination]) -> String {
    format!("qdisc del dev {INTERFACE} root\n{}", root(destinations, Leaves::Netem))
}

fn leaf(number: usize) -> String {
    format!("dev {INTERFACE} parent 1:{number:x} handle {:x}:", 0x1000 + number)
}

fn netem(delay: Delay) -> String {
    format!("netem delay {}us limit {}", delay.as_nanos() as f64 / 1e3, limit_for(delay))
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::{Command, Stdio};

    use serde_json::Value;

    use super::*;
    use crate::cli::bench::inject::rows::{self, Shape, destinations};
    use crate::shaping::{Ability, Backend};
    use crate::tc::{KernelTc, abilities, impair};
    use crate::units::Span;

    fn few() -> Vec<Destination> {
        let one = |host, millis| Destination { address: [10, 77, 0, host].into(), delay: Delay::from_millis(millis) };
        vec![one(2, 20), one(3, 10), one(17, 20)]
    }

    #[test]
    fn the_root_layout_has_a_class_a_netem_and_a_rule_for_each() {
        insta::assert_snapshot!(root(&few()[..1], Leaves::Netem), @r"
        qdisc add dev eth0 root handle 1: htb
        class add dev eth0 parent 1: classid 1:1 htb rate 100gbit ceil 100gbit burst 1250000b cburst 1250000b quantum 60000
        qdisc add dev eth0 parent 1:1 handle 1001: netem delay 20000us limit 100000
        filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 10.77.0.2/32 flowid 1:1
        ");
        assert!(!root(&few(), Leaves::None).contains("netem"));
        insta::assert_snapshot!(change(&few()), @r"
        qdisc change dev eth0 parent 1:1 handle 1001: netem delay 20000us limit 100000
        qdisc change dev eth0 parent 1:2 handle 1002: netem delay 10000us limit 100000
        qdisc change dev eth0 parent 1:3 handle 1003: netem delay 20000us limit 100000
        ");
        let rebuilt = rebuild(&few());
        assert_eq!(rebuilt.strip_prefix("qdisc del dev eth0 root\n"), Some(root(&few(), Leaves::Netem).as_str()));
    }

    #[test]
    fn the_detour_shares_classes_and_hashes_rules() {
        insta::assert_snapshot!(detour(&few(), Detour::Program), @r"
        qdisc add dev eth0 clsact
        filter add dev eth0 egress protocol ip prio 19528 handle 120: u32 divisor 256
        filter add dev eth0 egress protocol ip prio 19528 handle 120:2:1 u32 ht 120:2: match ip dst 10.77.0.2/32 action mirred egress redirect dev lh0
        filter add dev eth0 egress protocol ip prio 19528 handle 120:3:1 u32 ht 120:3: match ip dst 10.77.0.3/32 action mirred egress redirect dev lh0
        filter add dev eth0 egress protocol ip prio 19528 handle 120:11:1 u32 ht 120:11: match ip dst 10.77.0.17/32 action mirred egress redirect dev lh0
        filter add dev eth0 egress protocol ip prio 19528 handle 800::10 u32 ht 800:: match u32 0 0 at 0 link 120: hashkey mask 0x000000ff at 16
        ");
        insta::assert_snapshot!(detour(&few(), Detour::Netem { named_at_capture: true }), @r"
        qdisc add dev lh0 root handle 10: htb
        class add dev lh0 parent 10: classid 10:10 htb rate 100gbit ceil 100gbit burst 1250000b cburst 1250000b quantum 60000
        qdisc add dev lh0 parent 10:10 handle 1001: netem delay 10000us limit 100000
        class add dev lh0 parent 10: classid 10:20 htb rate 100gbit ceil 100gbit burst 1250000b cburst 1250000b quantum 60000
        qdisc add dev lh0 parent 10:20 handle 1002: netem delay 20000us limit 100000
        qdisc add dev eth0 clsact
        filter add dev eth0 egress protocol ip prio 19528 handle 120: u32 divisor 256
        filter add dev eth0 egress protocol ip prio 19528 handle 120:2:1 u32 ht 120:2: match ip dst 10.77.0.2/32 action skbedit priority 10:20 pipe action mirred egress redirect dev lh0
        filter add dev eth0 egress protocol ip prio 19528 handle 120:3:1 u32 ht 120:3: match ip dst 10.77.0.3/32 action skbedit priority 10:10 pipe action mirred egress redirect dev lh0
        filter add dev eth0 egress protocol ip prio 19528 handle 120:11:1 u32 ht 120:11: match ip dst 10.77.0.17/32 action skbedit priority 10:20 pipe action mirred egress redirect dev lh0
        filter add dev eth0 egress protocol ip prio 19528 handle 800::10 u32 ht 800:: match u32 0 0 at 0 link 120: hashkey mask 0x000000ff at 16
        ");
        let twice = detour(&few(), Detour::Netem { named_at_capture: false });
        assert_eq!(twice.matches("u32 divisor 256").count(), 2);
        assert!(twice.contains("filter add dev lh0 parent 10: protocol ip prio 19528 handle 120:11:1 u32 ht 120:11: match ip dst 10.77.0.17/32 flowid 10:20\n"), "{twice}");
    }

    const INSIDE: &str = "LONGHAUL_BATCH_TEST_INSIDE";

    /// Runs `body` in a network namespace of its own that has an `eth0`.
    fn inside(test: &str, body: impl FnOnce()) {
        if std::env::var_os(INSIDE).is_some() {
            run("ip link add eth0 type veth peer name far", "");
            run("ip link set eth0 up", "");
            return body();
        }
        let name = format!("cli::bench::inject::batch::tests::{test}");
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

    /// Runs a command with `input`; what it printed.
    fn run(command: &str, input: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{command}: {}\n{input}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// All qdiscs, classes and rules of our making, as tc shows them, in an order of their own, without counters.
    fn shown() -> Vec<Value> {
        let mut all = Vec::new();
        for command in [
            "tc -j qdisc show dev lh0",
            "tc -j filter show dev lh0",
            "tc -j qdisc show dev eth0",
            "tc -j filter show dev eth0 egress",
        ] {
            let text = run(command, "");
            // Where there is nothing it prints nothing.
            let text = if text.trim().is_empty() { "[]" } else { &text };
            let Value::Array(objects) = serde_json::from_str(text).unwrap() else { panic!("{command}: {text}") };
            all.extend(objects.into_iter().map(without_numbers));
        }
        // tc has no JSON for these.
        all.extend(run("tc -d class show dev lh0", "").lines().map(Value::from));
        all.sort_by_key(Value::to_string);
        all
    }

    /// Without what the kernel counts up, the numbers of actions and of the device and packets; and without a rule's place
    /// within its bucket, whose rules exclude each other here.
    fn without_numbers(mut value: Value) -> Value {
        match &mut value {
            Value::Object(fields) => {
                for name in ["index", "ref", "bind", "direct_packets_stat", "to_dev_index", "order"] {
                    fields.remove(name);
                }
                if let Some(Value::String(handle)) = fields.get_mut("fh") {
                    handle.truncate(handle.rfind(':').unwrap_or(handle.len()));
                }
                fields.values_mut().for_each(|field| *field = without_numbers(field.take()));
            }
            Value::Array(list) => list.iter_mut().for_each(|one| *one = without_numbers(one.take())),
            _ => {}
        }
        value
    }

    /// tc's detour is the same as longhaul's, object by object: where there is netem the whole, else what captures.
    #[test]
    fn the_detour_is_what_longhaul_makes() {
        inside("the_detour_is_what_longhaul_makes", || {
            let mut abilities = abilities::probe();
            let netem = abilities.netem.is_present();
            assert!(netem || std::env::var_os("LONGHAUL_UML").is_none(), "no netem under User-Mode Linux");
            // Captured by rules, whatever else this kernel could do.
            abilities.tcx = Ability::missing("rules are compared", "");
            let mut ways = vec![(Backend::Userspace, Detour::Program)];
            if netem {
                ways.push((Backend::Netem, Detour::Netem { named_at_capture: true }));
                ways.push((Backend::Netem, Detour::Netem { named_at_capture: false }));
            }
            for (backend, way) in ways {
                let shape = Shape { destinations: 300, delays: 20 };
                let all = destinations([10, 77, 0, 2].into(), shape, Span::ZERO);
                if way == (Detour::Netem { named_at_capture: false }) {
                    abilities.skbedit =
                        abilities.namespace.clone().and_then(|| crate::shaping::Ability::missing("", ""));
                }
                let mut tc = KernelTc::open("eth0").unwrap();
                impair(&mut tc, &rows::row(&all), backend, &abilities).unwrap();
                let ours = shown();
                crate::tc::clear(&mut tc).unwrap();
                let device = if backend == Backend::Netem { "ifb" } else { "veth" };
                run(&format!("ip link add lh0 type {device}"), "");
                run("ip link set lh0 up", "");
                run("tc -batch -", &detour(&all, way));
                let theirs = shown();
                assert!(ours.len() > 300, "{}", ours.len());
                for (our, their) in ours.iter().zip(&theirs) {
                    assert_eq!(our, their);
                }
                assert_eq!(ours.len(), theirs.len());
                run("ip link del lh0", "");
                run("tc qdisc del dev eth0 clsact", "");
            }
        });
    }

    /// A rule of the root layout leads to a class whose netem has the delay.
    #[test]
    fn the_root_layout_is_what_it_says() {
        inside("the_root_layout_is_what_it_says", || {
            let netem = abilities::probe().netem.is_present();
            assert!(netem || std::env::var_os("LONGHAUL_UML").is_none(), "no netem under User-Mode Linux");
            run("tc -batch -", &root(&few(), if netem { Leaves::Netem } else { Leaves::None }));
            let filters = run("tc filter show dev eth0", "");
            for (number, one) in (1..).zip(few()) {
                let address = format!("match {:08x}/ffffffff at 16", one.address.to_bits());
                let lines: Vec<&str> = filters.lines().collect();
                let at = lines.iter().position(|line| line.contains(&address)).unwrap();
                assert!(lines[at - 1].contains(&format!("flowid 1:{number} ")), "{filters}");
            }
            if netem {
                run("tc -batch -", &change(&[few(), few()].concat()[1..4]));
                let qdiscs = run("tc qdisc show dev eth0", "");
                let delays: Vec<&str> = ["1001", "1002", "1003"]
                    .iter()
                    .map(|handle| {
                        let line =
                            qdiscs.lines().find(|line| line.starts_with(&format!("qdisc netem {handle}:"))).unwrap();
                        line.split("delay ").nth(1).unwrap()
                    })
                    .collect();
                assert_eq!(delays, ["10ms", "20ms", "20ms"]);
                run("tc -batch -", &rebuild(&few()));
                assert_eq!(run("tc qdisc show dev eth0", "").matches("netem").count(), 3);
            }
        });
    }
}
