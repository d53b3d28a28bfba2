//! The capture program judged by the kernel itself, which runs it on single packets, and by a model written apart.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::shaping::{Abilities, Ability, Backend, Key, Setting, State, Verdict, desired};
use crate::tc::abilities;
use crate::tc::oracle::{any_probe, any_row};

/// `TC_ACT_REDIRECT`: taken. `TCX_NEXT` is −1.
const TAKEN: i32 = 7;
const PASSED: i32 = -1;

/// A capture that is attached nowhere, where this user may load programs; else names the test that is left out.
fn capture(test: &str) -> Option<Capture> {
    match abilities::probe().tcx {
        Ability::Present => Some(Capture::new().unwrap()),
        Ability::Missing { why, .. } => {
            assert!(
                !nix::unistd::geteuid().is_root() || !why.contains("not permitted"),
                "root may not load programs: {why}"
            );
            let _ = writeln!(std::io::stderr(), "\nSKIP: {test}: {why}");
            None
        }
    }
}

/// A packet to be made.
#[derive(Debug, Clone)]
struct Packet {
    to: IpAddr,
    protocol: u8,
    ports: [u16; 2],
    /// The `ICMPv6` type, in place of the ports.
    kind: u8,
    hop_limit: u8,
    fragment: u16,
    options: usize,
}

impl Packet {
    fn to(to: &str) -> Self {
        let to = to.parse().unwrap();
        Self { to, protocol: 17, ports: [40_000, 9], kind: 128, hop_limit: 64, fragment: 0, options: 0 }
    }

    /// An Ethernet frame.
    fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0x02; 12];
        match self.to {
            IpAddr::V4(to) => {
                frame.extend([0x08, 0x00]);
                let words = 5 + u8::try_from(self.options).unwrap();
                frame.extend([0x40 | words, 0, 0, 60, 0, 1]);
                frame.extend(self.fragment.to_be_bytes());
                frame.extend([self.hop_limit, self.protocol, 0, 0, 192, 0, 2, 1]);
                frame.extend(to.octets());
                frame.extend(vec![1; 4 * self.options]);
            }
            IpAddr::V6(to) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, self.protocol, self.hop_limit]);
                frame.extend([0x20; 16]);
                frame.extend(to.octets());
            }
        }
        if self.protocol == 58 {
            frame.extend([self.kind, 0, 0, 0]);
        } else {
            frame.extend(self.ports.map(u16::to_be_bytes).concat());
        }
        frame.extend([0; 16]);
        frame
    }

    fn discovers_neighbours(&self) -> bool {
        self.to.is_ipv6() && self.protocol == 58 && self.hop_limit == 255 && (133..=137).contains(&self.kind)
    }

    /// The ports, as far as the packet has some.
    fn ports(&self) -> Option<[u16; 2]> {
        let known_place = self.to.is_ipv6() || self.fragment.trailing_zeros() >= 13 && self.options == 0;
        (known_place && [6, 17].contains(&self.protocol)).then_some(self.ports)
    }
}

fn verdict(program: &OwnedFd, packet: &Packet) -> i32 {
    syscall::try_out(program.as_fd(), &packet.frame(), 1).unwrap().0
}

/// Redirects to the loopback interface: the verdict counts, nothing is sent.
fn load(capture: &Capture) -> OwnedFd {
    capture.load(1).unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[test]
fn the_instructions_are_these() {
    let parts = Parts { four: 3, six: 4, services: 5, device: 6 };
    let instructions = assembler::tests::hex(&program::assemble(&parts).unwrap());
    let golden: Vec<&str> = include_str!("program.hex").lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(instructions, golden, "\n{}", instructions.join("\n"));
}

#[test]
fn the_longest_prefix_decides_and_the_rest_passes() {
    let Some(capture) = capture("the_longest_prefix_decides_and_the_rest_passes") else { return };
    let program = load(&capture);
    assert_eq!(verdict(&program, &Packet::to("10.1.2.3")), PASSED, "empty tables");
    for (prefix, catch) in [
        ("10.1.0.0/16", Catch::Take),
        ("10.1.2.0/24", Catch::Pass),
        ("10.1.2.3/32", Catch::Take),
        ("fd00::/64", Catch::Take),
        ("fd00::7/128", Catch::Pass),
    ] {
        capture.set_prefix(&net(prefix), Some(catch)).unwrap();
    }
    for (to, expected) in [
        ("10.1.2.3", TAKEN),
        ("10.1.2.4", PASSED),
        ("10.1.3.4", TAKEN),
        ("10.2.3.4", PASSED),
        ("fd00::1", TAKEN),
        ("fd00::7", PASSED),
        ("fd00:0:0:1::7", PASSED),
    ] {
        assert_eq!(verdict(&program, &Packet::to(to)), expected, "{to}");
    }
    capture.set_prefix(&net("10.1.2.3/32"), None).unwrap();
    assert_eq!(verdict(&program, &Packet::to("10.1.2.3")), PASSED);
}

#[test]
fn neighbour_discovery_arp_and_stumps_pass() {
    let Some(capture) = capture("neighbour_discovery_arp_and_stumps_pass") else { return };
    let program = load(&capture);
    capture.set_prefix(&net("::/0"), Some(Catch::Take)).unwrap();
    capture.set_prefix(&net("0.0.0.0/0"), Some(Catch::Take)).unwrap();
    for kind in 0..=u8::MAX {
        let packet = Packet { protocol: 58, kind, hop_limit: 255, ..Packet::to("fd00::2") };
        assert_eq!(verdict(&program, &packet) == PASSED, (133..=137).contains(&kind), "type {kind}");
        let forged = Packet { hop_limit: 64, ..packet };
        assert_eq!(verdict(&program, &forged), TAKEN, "type {kind} from elsewhere");
    }
    let frame = Packet::to("10.0.0.1").frame();
    let of_type = |kind: [u8; 2]| [&frame[..12], &kind, &frame[14..]].concat();
    let run = |frame: &[u8]| syscall::try_out(program.as_fd(), frame, 1).unwrap().0;
    assert_eq!(run(&of_type([0x08, 0x00])), TAKEN);
    for kind in [[0x08, 0x06], [0x81, 0x00], [0x88, 0xcc]] {
        assert_eq!(run(&of_type(kind)), PASSED, "{kind:?}");
    }
    assert_eq!(run(&frame[..14 + 20]), TAKEN, "an IPv4 header and nothing else");
    let bare = Packet { protocol: 58, hop_limit: 255, ..Packet::to("fd00::2") };
    assert_eq!(run(&bare.frame()[..14 + 40]), TAKEN, "an IPv6 header that announces ICMPv6, and nothing else");
}

#[test]
fn what_is_written_is_read_back() {
    let Some(capture) = capture("what_is_written_is_read_back") else { return };
    let prefixes: BTreeMap<IpNet, Catch> = [
        ("0.0.0.0/0", Catch::Pass),
        ("10.0.0.0/8", Catch::Take),
        ("10.0.0.1/32", Catch::Ask(Profile::nth(0))),
        ("::/0", Catch::Take),
        ("fd00::/61", Catch::Ask(Profile::nth(77))),
    ]
    .map(|(prefix, catch)| (net(prefix), catch))
    .into();
    let services: BTreeMap<(Profile, Block), Verdicts> = [
        (0, Block::Any, 0, true),
        (0, Block::Protocol(6), 1, false),
        (77, Block::Ports { protocol: 6, first: 22, bits: 16 }, 2, true),
        (77, Block::Ports { protocol: 17, first: 0x8000, bits: 1 }, 0x1234_5678, false),
    ]
    .map(|(profile, block, rank, taken)| {
        let to = Verdict { rank, taken };
        ((Profile::nth(profile), block), Verdicts { to, from: Verdict { rank: rank + 1, taken: !taken } })
    })
    .into();
    for (prefix, catch) in &prefixes {
        capture.set_prefix(prefix, Some(*catch)).unwrap();
    }
    for ((profile, block), verdicts) in &services {
        capture.set_service(*profile, *block, Some(*verdicts)).unwrap();
    }
    assert_eq!(capture.prefixes().unwrap().into_iter().collect::<BTreeMap<_, _>>(), prefixes);
    let read = || -> BTreeMap<_, _> {
        capture.services().unwrap().into_iter().map(|(profile, block, verdicts)| ((profile, block), verdicts)).collect()
    };
    assert_eq!(read(), services);
    for (profile, block) in services.keys() {
        capture.set_service(*profile, *block, None).unwrap();
    }
    assert!(read().is_empty());
    let error = capture.set_prefix(&net("1.2.3.4/32"), None).unwrap_err().to_string();
    assert_eq!(error, "set 1.2.3.4/32 in the capture program's table: No such file or directory");
}

/// What the tables say of a packet, by looking at every entry.
fn model(prefixes: &BTreeMap<IpNet, Catch>, services: &BTreeMap<(Profile, Block), Verdicts>, packet: &Packet) -> i32 {
    let longest = prefixes.iter().filter(|(net, _)| net.contains(&packet.to)).max_by_key(|(net, _)| net.prefix_len());
    let profile = match longest {
        _ if packet.discovers_neighbours() => return PASSED,
        None | Some((_, Catch::Pass)) => return PASSED,
        Some((_, Catch::Take)) => return TAKEN,
        Some((_, Catch::Ask(profile))) => *profile,
    };
    let specific = |block: &Block, port: Option<u16>| match (*block, port) {
        (Block::Any, _) => Some(0),
        (Block::Protocol(protocol), _) if protocol == packet.protocol => Some(1),
        (Block::Ports { protocol, first, bits }, Some(port)) if protocol == packet.protocol => {
            (port.checked_shr(16 - u32::from(bits)) == first.checked_shr(16 - u32::from(bits))).then_some(1 + bits)
        }
        _ => None,
    };
    let of_port = |port: Option<u16>| {
        let all = services.iter().filter(|((of, _), _)| *of == profile);
        let best = all.filter_map(|((_, block), verdicts)| Some((specific(block, port)?, *verdicts)));
        best.max_by_key(|(specific, _)| *specific).map(|(_, verdicts)| verdicts)
    };
    let verdict = match packet.ports() {
        None => of_port(None).map(|verdicts| verdicts.to),
        Some([from, to]) => match (of_port(Some(from)), of_port(Some(to))) {
            (Some(from), Some(to)) => Some(from.from.max(to.to)),
            _ => None,
        },
    };
    if verdict.is_some_and(|verdict| verdict.taken) { TAKEN } else { PASSED }
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let to = prop_oneof![
        (0u8..4, 0u8..4).prop_map(|(net, host)| IpAddr::from([10, 0, net, host])),
        (0u16..4, 0u16..4).prop_map(|(net, host)| IpAddr::from([0xfd00, 0, 0, net, 0, 0, 0, host])),
    ];
    let port = prop_oneof![Just(22u16), Just(23), 5000u16..5012, any::<u16>()];
    let fragment = prop_oneof![4 => Just(0u16), 1 => Just(0x2000), 1 => 1u16..0x1fff];
    (
        to,
        prop::sample::select(vec![6u8, 17, 1, 58, 132]),
        [port.clone(), port],
        120u8..140,
        prop::sample::select(vec![64u8, 255]),
        fragment,
        0usize..3,
    )
        .prop_map(|(to, protocol, ports, kind, hop_limit, fragment, options)| Packet {
            to,
            protocol,
            ports,
            kind,
            hop_limit,
            fragment,
            options,
        })
}

type AnyTables = (BTreeMap<IpNet, Catch>, BTreeMap<(Profile, Block), Verdicts>);

fn any_tables() -> impl Strategy<Value = AnyTables> {
    let four = (0u8..4, 0u8..4, 20u8..=32)
        .prop_map(|(net, host, bits)| IpNet::new([10, 0, net, host].into(), bits).unwrap().trunc());
    let six = (0u16..4, 0u16..4, 60u8..=128)
        .prop_map(|(net, host, bits)| IpNet::new([0xfd00, 0, 0, net, 0, 0, 0, host].into(), bits).unwrap().trunc());
    let catch = prop_oneof![Just(Catch::Pass), Just(Catch::Take), (0u32..3).prop_map(|n| Catch::Ask(Profile::nth(n)))];
    let ports = (prop::sample::select(vec![6u8, 17]), prop_oneof![Just(22u16), 5000u16..5012, any::<u16>()], 1u8..=16)
        .prop_map(|(protocol, port, bits)| {
            let first = u16::try_from(u32::from(port) >> (16 - bits) << (16 - bits)).unwrap();
            Block::Ports { protocol, first, bits }
        });
    let block = prop_oneof![
        2 => Just(Block::Any),
        2 => prop::sample::select(vec![1u8, 6, 17, 58]).prop_map(Block::Protocol),
        3 => ports,
    ];
    let verdict = || (0u32..1 << 31, any::<bool>()).prop_map(|(rank, taken)| Verdict { rank, taken });
    let verdicts = (verdict(), verdict()).prop_map(|(to, from)| Verdicts { to, from });
    (
        prop::collection::btree_map(prop_oneof![four, six], catch, 0..12),
        prop::collection::btree_map(((0u32..3).prop_map(Profile::nth), block), verdicts, 0..16),
    )
}

/// Whatever the tables hold and the packet is, the kernel's answer is the model's.
#[test]
fn the_program_does_what_the_tables_say() {
    if capture("the_program_does_what_the_tables_say").is_none() {
        return;
    }
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) });
    let strategy = (any_tables(), prop::collection::vec(any_packet(), 20));
    let checked = runner.run(&strategy, |((prefixes, services), packets)| {
        let capture = Capture::new().unwrap();
        let program = load(&capture);
        for (prefix, catch) in &prefixes {
            capture.set_prefix(prefix, Some(*catch)).unwrap();
        }
        for ((profile, block), verdicts) in &services {
            capture.set_service(*profile, *block, Some(*verdicts)).unwrap();
        }
        for packet in &packets {
            prop_assert_eq!(verdict(&program, packet), model(&prefixes, &services, packet), "{:?}", packet);
        }
        Ok(())
    });
    checked.unwrap();
}

/// Puts a wanted state's tables in.
fn fill(capture: &Capture, state: &State) {
    for (key, setting) in state.iter() {
        match (key, setting) {
            (Key::Caught(caught), Setting::Caught(catch)) => capture.set_prefix(caught.prefix(), Some(*catch)).unwrap(),
            (Key::Service(profile, block), Setting::Service(verdicts)) => {
                capture.set_service(*profile, *block, Some(*verdicts)).unwrap();
            }
            _ => {}
        }
    }
}

/// From a row to the kernel's verdict on single packets, against trying every selector.
#[test]
fn packets_meet_what_the_oracle_says() {
    if capture("packets_meet_what_the_oracle_says").is_none() {
        return;
    }
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) });
    let strategy = (any_row(), prop::collection::vec(any_probe(), 40));
    let checked = runner.run(&strategy, |(row, probes)| {
        let state = desired(&row, Backend::Userspace, &Abilities::all(), &State::default()).unwrap();
        let capture = Capture::new().unwrap();
        fill(&capture, &state);
        let program = load(&capture);
        for probe in &probes {
            let verdict = syscall::try_out(program.as_fd(), &probe.frame(), 1).unwrap().0;
            prop_assert_eq!(verdict == TAKEN, probe.meets(&row).is_some(), "{:?}", probe);
        }
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn a_refused_program_says_why() {
    let Some(capture) = capture("a_refused_program_says_why") else { return };
    let parts = Parts { four: capture.tables.four.descriptor(), six: 1_000_000, services: 1_000_000, device: 1 };
    let refused = syscall::load(&program::assemble(&parts).unwrap(), name("longhaul"), LICENSE).unwrap_err();
    assert_eq!(refused.errno, Errno::EBADF);
    assert!(last_lines(&refused.log).contains("fd 1000000 is not pointing to valid bpf_map"), "{}", refused.log);
    let mut code = assembler::Assembler::default();
    code.load(assembler::Width::Word, assembler::Register::R0, assembler::Register::R5, 0);
    code.exit();
    let refused = syscall::load(&code.finish().unwrap(), name("longhaul"), LICENSE).unwrap_err();
    assert!(last_lines(&refused.log).contains("R5 !read_ok"), "{}", refused.log);
}

/// Prints what the program costs a packet; the bound is loose.
#[test]
fn a_verdict_takes_well_below_a_microsecond() {
    let Some(capture) = capture("a_verdict_takes_well_below_a_microsecond") else { return };
    let program = load(&capture);
    let cost = |what: &str, packet: &Packet| {
        let nanoseconds = syscall::try_out(program.as_fd(), &packet.frame(), 100_000).unwrap().1;
        println!("{what}: {nanoseconds} ns");
        assert!(nanoseconds < 100_000, "{what}: {nanoseconds} ns");
    };
    for count in [1u32, 1_000, 10_000] {
        for host in 0..count {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + host);
            capture.set_prefix(&IpNet::from(IpAddr::V4(address)), Some(Catch::Take)).unwrap();
            let address = std::net::Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(host));
            capture.set_prefix(&IpNet::from(IpAddr::V6(address)), Some(Catch::Take)).unwrap();
        }
        cost(&format!("{count} destinations, IPv4, taken"), &Packet::to("10.0.0.0"));
        cost(&format!("{count} destinations, IPv4, passed"), &Packet::to("192.0.2.1"));
        cost(&format!("{count} destinations, IPv6, taken"), &Packet::to("fd00::"));
        cost(&format!("{count} destinations, IPv6, passed"), &Packet::to("2001:db8::1"));
    }
}

#[test]
fn tables_of_any_size_are_read_whole() {
    let Some(capture) = capture("tables_of_any_size_are_read_whole") else { return };
    let prefix = |n: u32, bits: u8| IpNet::new(IpAddr::from((0x0a00_0000 | n << 8).to_be_bytes()), bits).unwrap();
    let mut expected = BTreeMap::new();
    assert_eq!(capture.prefixes().unwrap(), []);
    // As many as are read at once, one fewer and one more, and more than twice as many; short prefixes around long ones.
    for (count, at) in [(1_023, 0), (1_024, 1_023), (1_025, 1_024), (2_048, 1_025), (2_500, 2_048)] {
        for n in at..count {
            let (prefix, catch) = if n % 5 == 0 { (prefix(n, 24), Catch::Pass) } else { (prefix(n, 32), Catch::Take) };
            capture.set_prefix(&prefix, Some(catch)).unwrap();
            expected.insert(prefix, catch);
        }
        let read = capture.prefixes().unwrap();
        assert_eq!(read.len(), expected.len());
        assert_eq!(read.into_iter().collect::<BTreeMap<_, _>>(), expected);
    }
}
