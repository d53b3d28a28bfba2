//! Pure: where an Ethernet frame goes, and what it carries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
/// Two addresses of six bytes.
const ETHERTYPE_OFFSET: usize = 12;
const VLAN_TAG: usize = 4;
const FRAGMENT_OFFSET: u16 = 0x1fff;
const WORDS_WITHOUT_OPTIONS: u8 = 5;

/// What of a packet decides which path it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    /// Where it goes.
    pub(super) destination: IpAddr,
    /// What its IP header says that it carries.
    pub(super) protocol: u8,
    /// The 32 bits where TCP and UDP have their ports, whatever the protocol, if they are where they can be looked for: right behind
    /// an IPv4 header without options, unless the packet is a later fragment, or right behind an IPv6 header.
    pub(super) ports: Option<Ports>,
}

/// The ports of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    /// Where it comes from.
    pub(super) source: u16,
    /// Where it goes.
    pub(super) destination: u16,
}

/// The flow of the IP packet in an Ethernet frame, with or without one VLAN tag; `None` for everything else, such as ARP, or a
/// frame that is too short.
pub(super) fn flow(frame: &[u8]) -> Option<Flow> {
    let outer = ethertype(frame, ETHERTYPE_OFFSET)?;
    let (kind, packet) = match outer {
        ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => {
            (ethertype(frame, ETHERTYPE_OFFSET + VLAN_TAG)?, frame.get(ETHERTYPE_OFFSET + VLAN_TAG + 2..)?)
        }
        kind => (kind, frame.get(ETHERTYPE_OFFSET + 2..)?),
    };
    let first = packet.first()?;
    match (kind, first >> 4) {
        (ETHERTYPE_IPV4, 4) => {
            let destination = IpAddr::V4(Ipv4Addr::from(field::<4>(packet, 16)?));
            let fragment = u16::from_be_bytes(field(packet, 6)?) & FRAGMENT_OFFSET;
            let there = first & 0x0f == WORDS_WITHOUT_OPTIONS && fragment == 0;
            Some(Flow { destination, protocol: packet[9], ports: ports(packet, 20).filter(|_| there) })
        }
        (ETHERTYPE_IPV6, 6) => {
            let destination = IpAddr::V6(Ipv6Addr::from(field::<16>(packet, 24)?));
            Some(Flow { destination, protocol: packet[6], ports: ports(packet, 40) })
        }
        _ => None,
    }
}

fn ports(packet: &[u8], offset: usize) -> Option<Ports> {
    let port = |offset| field(packet, offset).map(u16::from_be_bytes);
    Some(Ports { source: port(offset)?, destination: port(offset + 2)? })
}

fn ethertype(frame: &[u8], offset: usize) -> Option<u16> {
    field::<2>(frame, offset).map(u16::from_be_bytes)
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// A frame with the given tags and ethertype in front of `packet`.
    fn frame(tags: &[u16], ethertype: u16, packet: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x02; 12];
        for tag in tags {
            bytes.extend(tag.to_be_bytes());
            bytes.extend([0x00, 0x2a]);
        }
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(packet);
        bytes
    }

    fn ipv4(to: Ipv4Addr) -> Vec<u8> {
        let mut packet = vec![0x45; 16];
        packet.extend(to.octets());
        packet
    }

    fn ipv6(to: Ipv6Addr) -> Vec<u8> {
        let mut packet = vec![0x60; 24];
        packet.extend(to.octets());
        packet
    }

    fn destination(frame: &[u8]) -> Option<IpAddr> {
        flow(frame).map(|flow| flow.destination)
    }

    #[test]
    fn ports_are_read_where_they_are() {
        let to = "10.1.2.3".parse().unwrap();
        let found = |header: &[(usize, u8)], length: usize| {
            let mut packet = ipv4(to);
            packet.extend([0x12, 0x34, 0, 22]);
            (packet[6], packet[7], packet[9]) = (0x40, 0, 6);
            for (place, byte) in header {
                packet[*place] = *byte;
            }
            let flow = flow(&frame(&[], 0x0800, &packet[..length])).unwrap();
            (flow.protocol, flow.ports.map(|ports| (ports.source, ports.destination)))
        };
        assert_eq!(found(&[], 24), (6, Some((0x1234, 22))));
        assert_eq!(found(&[(6, 0x20)], 24), (6, Some((0x1234, 22))), "the first fragment");
        assert_eq!(found(&[(6, 0x20), (7, 1)], 24), (6, None), "a later fragment");
        assert_eq!(found(&[(0, 0x46)], 24), (6, None), "options");
        assert_eq!(found(&[], 23), (6, None), "cut in the ports");
        let mut packet = ipv6("fd00::7".parse().unwrap());
        packet[6] = 17;
        packet.extend([0, 53, 0x56, 0x78]);
        let found = flow(&frame(&[], 0x86dd, &packet)).unwrap();
        assert_eq!((found.protocol, found.ports), (17, Some(Ports { source: 53, destination: 0x5678 })));
    }

    #[test]
    fn finds_the_destination_behind_at_most_one_tag() {
        let four: Ipv4Addr = "10.1.2.3".parse().unwrap();
        let six: Ipv6Addr = "fd00::7".parse().unwrap();
        for tags in [&[][..], &[0x8100], &[0x88a8]] {
            assert_eq!(destination(&frame(tags, 0x0800, &ipv4(four))), Some(IpAddr::V4(four)), "{tags:?}");
            assert_eq!(destination(&frame(tags, 0x86dd, &ipv6(six))), Some(IpAddr::V6(six)), "{tags:?}");
        }
        assert_eq!(destination(&frame(&[0x88a8, 0x8100], 0x0800, &ipv4(four))), None);
    }

    #[test]
    fn everything_else_has_none() {
        let four = ipv4("10.1.2.3".parse().unwrap());
        assert_eq!(destination(&frame(&[], 0x0806, &four)), None, "arp");
        assert_eq!(destination(&frame(&[], 0x86dd, &four)), None, "version and ethertype disagree");
        assert_eq!(destination(&frame(&[], 0x0800, &four[..19])), None, "cut in the address");
        assert_eq!(destination(&frame(&[], 0x0800, &[])), None, "no packet");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = flow(&bytes);
        }

        #[test]
        fn reads_any_address(to in any::<u32>(), more in proptest::collection::vec(any::<u8>(), 0..40)) {
            let to = Ipv4Addr::from(to);
            let mut packet = ipv4(to);
            packet.extend(more);
            prop_assert_eq!(destination(&frame(&[], 0x0800, &packet)), Some(IpAddr::V4(to)));
        }
    }
}
