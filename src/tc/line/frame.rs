//! Pure: where an Ethernet frame goes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
/// Two addresses of six bytes.
const ETHERTYPE_OFFSET: usize = 12;
const VLAN_TAG: usize = 4;

/// The destination of the IP packet in an Ethernet frame, with or without one VLAN tag; `None` for everything else,
/// such as ARP, or a frame that is too short.
pub(super) fn destination(frame: &[u8]) -> Option<IpAddr> {
    let outer = ethertype(frame, ETHERTYPE_OFFSET)?;
    let (kind, packet) = match outer {
        ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => {
            (ethertype(frame, ETHERTYPE_OFFSET + VLAN_TAG)?, frame.get(ETHERTYPE_OFFSET + VLAN_TAG + 2..)?)
        }
        kind => (kind, frame.get(ETHERTYPE_OFFSET + 2..)?),
    };
    let version = packet.first()? >> 4;
    match (kind, version) {
        (ETHERTYPE_IPV4, 4) => field::<4>(packet, 16).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        (ETHERTYPE_IPV6, 6) => field::<16>(packet, 24).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
        _ => None,
    }
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
            let _ = destination(&bytes);
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
