//! The tables against the rules of selectors, read packet by packet; both written apart.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn entries(selectors: &[(&str, bool)], current: &State) -> State {
    let taken = selectors.iter().map(|(text, taken)| (text.parse::<Selector>().unwrap().canonical(), *taken)).collect();
    catches(&taken, current).into_iter().collect()
}

fn shown(state: &State) -> Vec<String> {
    let catch = |(key, setting): (&Key, &Setting)| match setting {
        Setting::Caught(catch) => format!("{key}: {catch:?}"),
        _ => key.to_string(),
    };
    state.iter().map(catch).collect()
}

#[test]
fn prefixes_alone_need_no_profile() {
    let state = entries(
        &[("10.0.0.0/8", true), ("10.1.0.0/16", false), ("10.1.2.3", true), ("fd00::/64", true)],
        &State::default(),
    );
    assert_eq!(
        shown(&state),
        [
            "10.1.2.3/32 in the capture program: Take",
            "10.1.0.0/16 in the capture program: Pass",
            "10.0.0.0/8 in the capture program: Take",
            "fd00::/64 in the capture program: Take",
        ]
    );
}

#[test]
fn equal_services_share_a_profile_and_idle_ones_need_none() {
    let state = entries(
        &[
            ("10.0.0.1", true),
            ("10.0.0.1 tcp:22", false),
            ("10.0.0.2", true),
            ("10.0.0.2 tcp:22", false),
            ("10.0.0.3", true),
            ("10.0.0.3 udp", true),
        ],
        &State::default(),
    );
    assert_eq!(
        shown(&state),
        [
            "all packets in profile 0 of the capture program",
            "protocol 6 port 22 in profile 0 of the capture program",
            "10.0.0.1/32 in the capture program: Ask(Profile(0))",
            "10.0.0.2/32 in the capture program: Ask(Profile(0))",
            "10.0.0.3/32 in the capture program: Take",
        ]
    );
}

#[test]
fn ranges_become_few_blocks() {
    let shown: Vec<String> = blocks(17, 5000, 5011).map(|block| block.to_string()).collect();
    assert_eq!(shown, ["protocol 17 ports 5000 to 5007", "protocol 17 ports 5008 to 5009", "protocol 17 port 5010"]);
    assert_eq!(blocks(6, 1, 65_536).count(), 16);
    assert_eq!(blocks(6, 1, 65_535).count(), 30, "the most that a range can take");
}

/// A packet to 10.0.x.y.
#[derive(Debug, Clone, Copy)]
struct Packet {
    to: Ipv4Addr,
    protocol: u8,
    /// Destination and source; only TCP and UDP have some.
    ports: Option<(u16, u16)>,
}

/// How specifically a selector means a packet, as the documentation orders it; `None` when it does not.
fn meant(selector: &Selector, packet: &Packet) -> Option<(u8, u8, u32)> {
    if !selector.prefix.contains(&IpAddr::V4(packet.to)) {
        return None;
    }
    let length = selector.prefix.prefix_len();
    match selector.service {
        Service::All => Some((length, 0, 0)),
        Service::Protocol(protocol) => (protocol.number(&selector.prefix) == packet.protocol).then_some((length, 1, 0)),
        Service::Port(transport, ports) => {
            let (to, from) = packet.ports.filter(|_| transport.number() == packet.protocol)?;
            let narrow = 65_535 - u32::from(ports.last() - ports.first());
            let single = ports.is_single();
            if ports.contains(to) {
                Some((length, if single { 5 } else { 3 }, narrow))
            } else {
                ports.contains(from).then_some((length, if single { 4 } else { 2 }, narrow))
            }
        }
    }
}

/// Whether the selectors take the packet; `None` when two of them, equally specific, disagree.
fn specified(taken: &BTreeMap<Selector, bool>, packet: &Packet) -> Option<bool> {
    let meaning = || taken.iter().filter_map(|(selector, taken)| Some((meant(selector, packet)?, *taken)));
    let Some((best, _)) = meaning().max() else { return Some(false) };
    let verdicts: BTreeSet<bool> =
        meaning().filter(|(specific, _)| *specific == best).map(|(_, taken)| taken).collect();
    (verdicts.len() == 1).then(|| verdicts.contains(&true))
}

/// Whether the program takes the packet: what it does, with the tables as they are.
fn taken_by(state: &State, packet: &Packet) -> bool {
    let prefixes = state.iter().filter_map(|(key, setting)| match (key, setting) {
        (Key::Caught(caught), Setting::Caught(catch)) => Some((*caught.prefix(), *catch)),
        _ => None,
    });
    let covering = prefixes.filter(|(prefix, _)| prefix.contains(&IpAddr::V4(packet.to)));
    let profile = match covering.max_by_key(|(prefix, _)| prefix.prefix_len()) {
        None | Some((_, Catch::Pass)) => return false,
        Some((_, Catch::Take)) => return true,
        Some((_, Catch::Ask(profile))) => profile,
    };
    let look_up = |port: Option<u16>| {
        let length = |block: &Block| match (*block, port) {
            (Block::Any, _) => Some(0),
            (Block::Protocol(protocol), _) => (protocol == packet.protocol).then_some(1),
            (Block::Ports { protocol, first, bits }, Some(port)) => {
                let same = u32::from(first) >> (16 - bits) == u32::from(port) >> (16 - bits);
                (protocol == packet.protocol && same).then_some(1 + bits)
            }
            (Block::Ports { .. }, None) => None,
        };
        let rules = state.iter().filter_map(|(key, setting)| match (key, setting) {
            (Key::Service(of, block), Setting::Service(verdicts)) if *of == profile => {
                Some((length(block)?, *verdicts))
            }
            _ => None,
        });
        rules.max_by_key(|(length, _)| *length).unwrap().1
    };
    match packet.ports {
        None => look_up(None).to.taken,
        Some((to, from)) => look_up(Some(to)).to.max(look_up(Some(from)).from).taken,
    }
}

fn any_selectors() -> impl Strategy<Value = BTreeMap<Selector, bool>> {
    let prefix = (0u8..2, 0u8..2, 28u8..=32)
        .prop_map(|(net, host, bits)| IpNet::new(Ipv4Addr::new(10, 0, net, host).into(), bits).unwrap());
    let port = || prop_oneof![Just(1u16), 20u16..26, Just(65_535)];
    let ports = (prop::sample::select(vec!["tcp", "udp"]), port(), port())
        .prop_map(|(name, a, b)| format!("{name}:{}-{}", a.min(b), a.max(b)));
    let service = prop_oneof![
        2 => Just("all".to_owned()),
        1 => Just("tcp".to_owned()),
        1 => Just("icmp".to_owned()),
        4 => ports,
    ];
    let selector = (prefix, service)
        .prop_map(|(prefix, service)| Selector { prefix, service: service.parse().unwrap() }.canonical());
    prop::collection::btree_map(selector, any::<bool>(), 0..8)
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let port = || prop_oneof![Just(1u16), 19u16..27, Just(65_535), any::<u16>()];
    let ports = prop::option::weighted(0.9, (port(), port()));
    (0u8..2, 0u8..4, prop::sample::select(vec![6u8, 17, 1, 47]), ports).prop_map(|(net, host, protocol, ports)| {
        Packet { to: Ipv4Addr::new(10, 0, net, host), protocol, ports: ports.filter(|_| [6, 17].contains(&protocol)) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_tables_say_what_the_selectors_say(taken in any_selectors(), packets in prop::collection::vec(any_packet(), 30)) {
        let state: State = catches(&taken, &State::default()).into_iter().collect();
        for packet in &packets {
            if let Some(specified) = specified(&taken, packet) {
                prop_assert_eq!(taken_by(&state, packet), specified, "{:?} {:?}", packet, shown(&state));
            }
        }
    }

    /// After every single operation a packet that is taken before and after is taken, and one that passes passes.
    #[test]
    fn no_packet_sees_a_half_done_change(
        before in any_selectors(),
        after in any_selectors(),
        packets in prop::collection::vec(any_packet(), 30),
    ) {
        let mut state: State = catches(&before, &State::default()).into_iter().collect();
        let wanted: State = catches(&after, &state).into_iter().collect();
        let [from, to] = [&state, &wanted].map(|state| packets.iter().map(|packet| taken_by(state, packet)).collect::<Vec<_>>());
        for operation in crate::shaping::diff(&state.clone(), &wanted) {
            match operation.setting() {
                Some(setting) => state.insert(*operation.key(), *setting),
                None => state.remove(operation.key()),
            };
            for (packet, (from, to)) in packets.iter().zip(from.iter().zip(&to)) {
                if from == to {
                    prop_assert_eq!(taken_by(&state, packet), *to, "{:?} after {}", packet, operation);
                }
            }
        }
        prop_assert_eq!(&state, &wanted);
        let again: State = catches(&after, &state).into_iter().collect();
        prop_assert_eq!(again, wanted);
    }
}
