//! Which path a packet meets, worked out by trying every selector: the oracle for kernel rules and for the line's table.
#![allow(clippy::unwrap_used)]

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;

use crate::shaping::{
    Abilities, Ability, Backend, Impairment, Pattern, PortRange, Portion, Protocol, Row, RowPath, Selector, Service,
    Side, State, Transport, desired,
};
use crate::units::Delay;

/// A packet, as far as selectors look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    pub(super) destination: IpAddr,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
    /// IPv4 options.
    options: bool,
    /// An IPv4 fragment: whether it is a later one.
    fragment: Option<bool>,
}

impl Probe {
    /// The packet from its IP header on.
    pub(super) fn packet(&self) -> Vec<u8> {
        let mut bytes = match self.destination {
            IpAddr::V4(to) => {
                let mut bytes = vec![0x45, 0, 0, 0, 7, 7, 0x40, 0, 64, self.protocol, 0, 0, 10, 9, 9, 9];
                bytes.extend(to.octets());
                match self.fragment {
                    None => {}
                    Some(false) => bytes[6] = 0x20,
                    Some(true) => (bytes[6], bytes[7]) = (0x20, 9),
                }
                if self.options {
                    bytes[0] = 0x46;
                    bytes.extend([1, 1, 1, 0]);
                }
                bytes
            }
            IpAddr::V6(to) => {
                let mut bytes = vec![0x60, 1, 2, 3, 0, 24, self.protocol, 64];
                bytes.extend([0xfd; 16]);
                bytes.extend(to.octets());
                bytes
            }
        };
        bytes.extend(self.source_port.to_be_bytes());
        bytes.extend(self.destination_port.to_be_bytes());
        bytes.extend([0x5a; 20]);
        bytes
    }

    /// The Ethernet frame around it.
    pub(super) fn frame(&self) -> Vec<u8> {
        let kind = if self.destination.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
        [&[2; 12][..], &kind, &self.packet()].concat()
    }

    /// How well a selector fits, the least being the best; `None` when it does not.
    fn fit(&self, selector: &Selector) -> Option<(Reverse<u8>, u8, u16)> {
        let of_protocol = |wanted: Protocol| {
            let number = match (wanted, self.destination.is_ipv4()) {
                (Protocol::Tcp, _) => 6,
                (Protocol::Udp, _) => 17,
                (Protocol::Icmp, true) => 1,
                (Protocol::Icmp, false) => 58,
                (Protocol::Number(number), _) => number,
            };
            number == self.protocol
        };
        let (level, width) = match selector.service {
            Service::All => (9, 0),
            Service::Protocol(protocol) if of_protocol(protocol) => (8, 0),
            Service::Port(transport, ports) => {
                let protocol = if transport == Transport::Tcp { Protocol::Tcp } else { Protocol::Udp };
                let hidden = self.destination.is_ipv4() && (self.options || self.fragment == Some(true));
                let level = match [self.destination_port, self.source_port]
                    .map(|port| (ports.first()..=ports.last()).contains(&port))
                {
                    _ if hidden || !of_protocol(protocol) => return None,
                    [true, _] => 1,
                    [_, true] => 2,
                    _ => return None,
                };
                (if ports.first() == ports.last() { level } else { level + 4 }, ports.last() - ports.first())
            }
            Service::Protocol(_) => return None,
        };
        selector.prefix.contains(&self.destination).then_some((Reverse(selector.prefix.prefix_len()), level, width))
    }

    /// Whether a rule for `pattern` holds for it.
    pub(super) fn fits(&self, pattern: &Pattern) -> bool {
        let hidden = self.destination.is_ipv4() && (self.options || self.fragment == Some(true));
        let port = |side: Side| if side == Side::Source { self.source_port } else { self.destination_port };
        let of = |transport: Transport| !hidden && self.protocol == if transport == Transport::Tcp { 6 } else { 17 };
        let carries = match pattern.portion {
            Portion::All => true,
            Portion::Protocol(number) => number == self.protocol,
            Portion::Port(side, transport, wanted) => of(transport) && port(side) == wanted,
            Portion::Ports(side, transport, block) => of(transport) && port(side) & block.mask() == block.first(),
        };
        carries && pattern.prefix.contains(&self.destination)
    }

    /// What the packet meets; `None` when it is left alone.
    pub(super) fn meets(&self, row: &Row) -> Option<Impairment> {
        let paths =
            row.paths.iter().flat_map(|path| path.selectors.iter().map(|selector| (selector, Some(path.impairment))));
        let all = paths.chain(row.exclusions.iter().map(|selector| (selector, None)));
        let fitting = all.filter_map(|(selector, outcome)| Some((self.fit(selector)?, outcome)));
        fitting.min_by_key(|(fit, _)| *fit)?.1
    }
}

/// Addresses with few distinct bits, so that prefixes hold them often.
fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        3 => (0u32..4, 0u32..4, 0u32..3).prop_map(|(a, b, c)| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | a << 16 | b << 8 | c))),
        2 => (0u128..4, 0u128..3, 0u128..3)
            .prop_map(|(a, b, c)| IpAddr::V6(Ipv6Addr::from(0xfd00 << 112 | a << 70 | b << 40 | c))),
    ]
}

fn any_port() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 20u16..30, 1 => 1u16..]
}

pub(super) fn any_probe() -> impl Strategy<Value = Probe> {
    let protocol = prop_oneof![3 => Just(6), 3 => Just(17), 1 => Just(1), 1 => Just(58), 1 => any::<u8>()];
    let odd = (prop::bool::weighted(0.1), prop::option::weighted(0.2, any::<bool>()));
    (any_address(), protocol, any_port(), any_port(), odd).prop_map(
        |(destination, protocol, source_port, destination_port, (options, fragment))| Probe {
            destination,
            protocol,
            source_port,
            destination_port,
            options,
            fragment,
        },
    )
}

fn any_service() -> impl Strategy<Value = Service> {
    let ports =
        (any_port(), 0u16..8).prop_map(|(first, more)| PortRange::new(first, first.saturating_add(more)).unwrap());
    let single = any_port().prop_map(|port| PortRange::new(port, port).unwrap());
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
    prop_oneof![
        4 => Just(Service::All),
        2 => prop_oneof![Just("tcp"), Just("udp"), Just("icmp"), Just("58"), Just("47")].prop_map(|text| text.parse().unwrap()),
        4 => (transport, prop_oneof![ports, single]).prop_map(|(transport, ports)| Service::Port(transport, ports)),
    ]
}

fn any_selector() -> impl Strategy<Value = Selector> {
    let length = prop_oneof![2 => Just(32u8), 1 => Just(24), 1 => Just(16), 1 => 0u8..=32];
    (any_address(), length, any_service()).prop_map(|(address, length, service)| {
        let length = if address.is_ipv4() { length } else { length * 4 };
        Selector { prefix: IpNet::new(address, length).unwrap(), service }.canonical()
    })
}

/// Rows that make sense, with exclusions; some have a crowd that fills a bucket.
pub(super) fn any_row() -> impl Strategy<Value = Row> {
    let crowd = prop::option::weighted(0.3, (0u32..4, 10u32..30));
    let paths = prop::collection::vec((any_selector(), 0u64..6), 0..24);
    (paths, crowd).prop_map(|(selectors, crowd)| {
        let mut row = Row::default();
        for (selector, ms) in selectors {
            match ms {
                0 => row.exclusions.push(selector),
                _ => row
                    .paths
                    .push(RowPath { selectors: vec![selector], impairment: Impairment::delay(Delay::from_millis(ms)) }),
            }
        }
        for host in crowd.into_iter().flat_map(|(net, count)| (0..count).map(move |host| (net, host))) {
            let prefix = IpNet::from(IpAddr::V4(Ipv4Addr::from(0x0a00_0001 | host.0 << 16 | host.1 << 8)));
            row.paths.push(RowPath::to(&[prefix], Impairment::delay(Delay::from_millis(9))));
        }
        if makes_sense(&row) {
            return row;
        }
        let mut sound = Row::default();
        for path in row.paths {
            sound.paths.push(path);
            if !makes_sense(&sound) {
                sound.paths.pop();
            }
        }
        for exclusion in row.exclusions {
            sound.exclusions.push(exclusion);
            if !makes_sense(&sound) {
                sound.exclusions.pop();
            }
        }
        sound
    })
}

fn makes_sense(row: &Row) -> bool {
    desired(row, Backend::Userspace, &without_tcx(), &State::default()).is_ok()
}

/// All abilities but the one to capture by a BPF program.
pub(super) fn without_tcx() -> Abilities {
    Abilities { tcx: Ability::missing("no", "none"), ..Abilities::all() }
}
