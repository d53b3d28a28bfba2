//! The probe on the wire: an ICMP or `ICMPv6` echo request that says which probe of which run it is. Pure.

use super::schedule::Sequence;

/// Header of an echo message: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;
/// What a probe carries behind it: magic, version, kind, two zeros, run, from, to, seq, four zeros.
const PAYLOAD: usize = 32;
/// A whole echo message.
pub(super) const MESSAGE: usize = HEADER + PAYLOAD;

/// A probe on an Ethernet over IPv4, in bytes; over IPv6 it has 20 more.
pub const FRAME: usize = 14 + 20 + MESSAGE;

const MAGIC: [u8; 4] = *b"LHPB";
const VERSION: u8 = 1;

/// The two protocols that probes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// ICMP over IPv4.
    V4,
    /// `ICMPv6`.
    V6,
}

impl Family {
    /// What messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ICMP",
            Self::V6 => "ICMPv6",
        }
    }

    /// The type numbers of echo request and echo reply.
    pub(super) const fn echo_types(self) -> (u8, u8) {
        match self {
            Self::V4 => (8, 0),
            Self::V6 => (128, 129),
        }
    }
}

/// Which probe of which measurement an echo message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    /// The measurement.
    pub(super) run: u64,
    /// The sender's index.
    pub(super) from: u32,
    /// The receiver's index.
    pub(super) to: u32,
    /// Which of the path's probes.
    pub(super) seq: Sequence,
}

/// Whether a message asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// An echo request.
    Request,
    /// An echo reply.
    Reply,
}

/// The echo request for `probe`. The kernel fills in the checksum of `ICMPv6`.
pub(super) fn request(family: Family, probe: &Probe) -> [u8; MESSAGE] {
    let (kind, seq) = match probe.seq {
        Sequence::WarmUp(k) => (0, k),
        Sequence::Probe(k) => (1, k),
    };
    let mut message = [0; MESSAGE];
    message[0] = family.echo_types().0;
    // Identifier and sequence number help only those who read a capture; matching is by the payload.
    message[4..6].copy_from_slice(&probe.run.to_be_bytes()[6..]);
    message[6..8].copy_from_slice(&seq.to_be_bytes()[2..]);
    let payload = &mut message[HEADER..];
    payload[..4].copy_from_slice(&MAGIC);
    payload[4] = VERSION;
    payload[5] = kind;
    payload[8..16].copy_from_slice(&probe.run.to_be_bytes());
    payload[16..20].copy_from_slice(&probe.from.to_be_bytes());
    payload[20..24].copy_from_slice(&probe.to.to_be_bytes());
    payload[24..28].copy_from_slice(&seq.to_be_bytes());
    if family == Family::V4 {
        let checksum = !ones_complement_sum(&message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    message
}

/// The probe in a packet as a raw socket delivers it: with the IP header for IPv4, without for IPv6.
/// `None` for anything that is not one of our echo messages, undamaged.
pub(super) fn parse(family: Family, packet: &[u8]) -> Option<(Direction, Probe)> {
    let message = match family {
        Family::V4 => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
        Family::V6 => packet,
    };
    if message.len() != MESSAGE || (family == Family::V4 && ones_complement_sum(message) != u16::MAX) {
        return None;
    }
    let (request, reply) = family.echo_types();
    let direction = match message[0] {
        kind if kind == request => Direction::Request,
        kind if kind == reply => Direction::Reply,
        _ => return None,
    };
    Some((direction, trailing_probe(message)?))
}

/// The probe at the end of a packet of our own that the kernel hands back with a sending stamp: all headers, also
/// that of the link, stand before it.
pub(super) fn trailing_probe(packet: &[u8]) -> Option<Probe> {
    let payload: &[u8; PAYLOAD] = packet.last_chunk()?;
    if payload[..4] != MAGIC || payload[4] != VERSION {
        return None;
    }
    let word = |at: usize| Some(u32::from_be_bytes(payload.get(at..at + 4)?.try_into().ok()?));
    let seq = match payload[5] {
        0 => Sequence::WarmUp(word(24)?),
        1 => Sequence::Probe(word(24)?),
        _ => return None,
    };
    let run = u64::from(word(8)?) << 32 | u64::from(word(12)?);
    Some(Probe { run, from: word(16)?, to: word(20)?, seq })
}

/// The Internet checksum's sum: `0xffff` over a message whose checksum is right.
fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let pair = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let mut sum: u32 = bytes.chunks(2).map(pair).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn received(family: Family, message: &[u8]) -> Vec<u8> {
        match family {
            // Header length 5 words; what else an IPv4 header says does not matter here.
            Family::V4 => [&[0x45; 20], message].concat(),
            Family::V6 => message.to_vec(),
        }
    }

    #[test]
    fn checksums_are_those_of_the_rfc() {
        // The worked example of RFC 1071, section 3.
        assert_eq!(ones_complement_sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
        assert_eq!(ones_complement_sum(&[0xff]), 0xff00);
    }

    #[test]
    fn foreign_echoes_are_not_probes() {
        // What ping sends: 8 bytes of time and a running pattern.
        let ping: Vec<u8> = [8, 0, 0, 0, 0, 1, 0, 1].into_iter().chain(0..56).collect();
        assert_eq!(parse(Family::V4, &received(Family::V4, &ping)), None);
        assert_eq!(parse(Family::V6, &ping), None);
        assert_eq!(trailing_probe(b"short"), None);
        assert_eq!(parse(Family::V4, &[]), None);
    }

    fn any_probe() -> impl Strategy<Value = Probe> {
        (any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<bool>()).prop_map(
            |(run, from, to, k, warm_up)| Probe {
                run,
                from,
                to,
                seq: if warm_up { Sequence::WarmUp(k) } else { Sequence::Probe(k) },
            },
        )
    }

    proptest! {
        #[test]
        fn probes_survive_the_wire(probe in any_probe(), v6 in any::<bool>(), link_header in 0usize..64) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            let message = request(family, &probe);
            prop_assert_eq!(parse(family, &received(family, &message)), Some((Direction::Request, probe)));
            prop_assert_eq!(trailing_probe(&[&vec![0; link_header][..], &message].concat()), Some(probe));
        }

        #[test]
        fn a_damaged_probe_is_no_probe(probe in any_probe(), at in 0..MESSAGE, bit in 0u8..8) {
            let mut message = request(Family::V4, &probe);
            message[at] ^= 1 << bit;
            prop_assert_eq!(parse(Family::V4, &received(Family::V4, &message)), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = (parse(Family::V4, &bytes), parse(Family::V6, &bytes), trailing_probe(&bytes));
        }
    }
}
