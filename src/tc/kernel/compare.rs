//! Patterns ↔ the comparisons of u32 rules. Pure.
//!
//! u32 reads 32 bits at offsets from the IP header. Ports are read only where they must be: behind an IPv4 header without options
//! in a packet that is no later fragment, or right behind an IPv6 header. What precedes is compared first, because a rule that reads
//! beyond the end of a packet ends the whole list for it. Rules that leave packets alone make use of just that.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::shaping::{Exempt, Family, HashField, Pattern, PortBlock, Portion, Rank, Side, Transport};
use crate::tc::codec::u32::{Hash, KeyMatch};

/// Reads 16 MiB behind the header, where no packet has anything: the kernel then gives the packet up for this list, without a
/// verdict, so that the next list sees it. No action says that: "continue" goes on with the next rule, "ok" ends all lists.
const BEYOND_EVERY_PACKET: KeyMatch = KeyMatch { mask: 0, value: 0, offset: 0x00ff_fffc };
/// An IPv4 header of five words: no options.
const NO_OPTIONS: KeyMatch = KeyMatch { mask: 0x0f00_0000, value: 0x0500_0000, offset: 0 };
/// The offset of an IPv4 fragment is 0: a whole packet or its beginning.
const NO_LATER_FRAGMENT: KeyMatch = KeyMatch { mask: 0x1fff, value: 0, offset: 4 };

/// The byte offset of the destination address in a packet.
const fn destination(family: Family) -> u8 {
    match family {
        Family::V4 => 16,
        Family::V6 => 24,
    }
}

/// The byte offset behind the IP header, if that is as short as can be.
const fn behind_header(family: Family) -> i32 {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

/// The bits that choose a bucket.
pub(super) fn hash(family: Family, field: Option<HashField>) -> Hash {
    field.map_or_else(Hash::default, |field| Hash {
        mask: u32::from(field.mask) << (8 * (3 - u32::from(field.byte % 4))),
        offset: u16::from(destination(family) + field.byte / 4 * 4),
    })
}

/// The byte of an address that a hash looks at; `None` when it looks at none.
pub(super) fn byte(family: Family, hash: Hash) -> Option<u8> {
    let word = u8::try_from(hash.offset).ok()?.checked_sub(destination(family))?;
    (hash.mask != 0).then(|| word + u8::try_from(hash.mask.leading_zeros() / 8).unwrap_or(0))
}

/// The comparisons of a rule that takes the packets of a pattern.
pub(super) fn keys(pattern: &Pattern) -> Vec<KeyMatch> {
    let family = Family::of(&pattern.prefix);
    let mut keys = prefix_keys(&pattern.prefix);
    match pattern.portion {
        Portion::All => {}
        Portion::Protocol(number) => keys.push(protocol_key(family, number)),
        Portion::Port(side, transport, port) => keys.extend(port_keys(family, side, transport, port, u16::MAX)),
        Portion::Ports(side, transport, block) => {
            keys.extend(port_keys(family, side, transport, block.first(), block.mask()));
        }
    }
    keys
}

/// The comparisons of a rule that leaves the packets of a pattern alone.
pub(super) fn pass_keys(pattern: &Pattern) -> Vec<KeyMatch> {
    let mut keys = keys(pattern);
    keys.push(BEYOND_EVERY_PACKET);
    keys
}

/// The comparisons that leave one group of Neighbour Discovery messages alone: `ICMPv6` with hop limit 255 and that type.
pub(super) fn exempt_keys(exempt: Exempt) -> Vec<KeyMatch> {
    let (value, mask) = exempt.icmp_type();
    vec![
        KeyMatch { mask: 0xffff, value: 0x3aff, offset: 4 },
        KeyMatch { mask: u32::from(mask) << 24, value: u32::from(value) << 24, offset: 40 },
        BEYOND_EVERY_PACKET,
    ]
}

/// The comparisons of a prefix with the destination address: one for each 32 bits that matter, at least one.
fn prefix_keys(prefix: &IpNet) -> Vec<KeyMatch> {
    let start = i32::from(destination(Family::of(prefix)));
    let key = |index: usize, value: u32, mask: u32| {
        let offset = start + 4 * i32::try_from(index).unwrap_or(0);
        KeyMatch { mask, value: value & mask, offset }
    };
    match prefix {
        IpNet::V4(net) => vec![key(0, net.addr().to_bits(), net.netmask().to_bits())],
        IpNet::V6(net) => {
            let (values, masks) = (words(net.addr()), words(net.netmask()));
            let keys = (0..4).map(|index| key(index, values[index], masks[index]));
            keys.filter(|key| key.offset == start || key.mask != 0).collect()
        }
    }
}

fn words(address: Ipv6Addr) -> [u32; 4] {
    let bits = address.to_bits();
    #[allow(clippy::cast_possible_truncation)] // the truncation takes one word
    [3, 2, 1, 0].map(|word| (bits >> (32 * word)) as u32)
}

fn protocol_key(family: Family, number: u8) -> KeyMatch {
    match family {
        Family::V4 => KeyMatch { mask: 0x00ff_0000, value: u32::from(number) << 16, offset: 8 },
        Family::V6 => KeyMatch { mask: 0x0000_ff00, value: u32::from(number) << 8, offset: 4 },
    }
}

fn port_keys(family: Family, side: Side, transport: Transport, value: u16, mask: u16) -> Vec<KeyMatch> {
    let shift = match side {
        Side::Source => 16,
        Side::Destination => 0,
    };
    let mut keys = match family {
        Family::V4 => vec![NO_OPTIONS, NO_LATER_FRAGMENT],
        Family::V6 => vec![],
    };
    keys.push(protocol_key(family, transport.number()));
    let (mask, value) = (u32::from(mask) << shift, u32::from(value) << shift);
    keys.push(KeyMatch { mask, value, offset: behind_header(family) });
    keys
}

/// The pattern that these comparisons are for, in the place of rules of `rank`; `None` when they are none of ours.
pub(super) fn pattern(family: Family, rank: Rank, found: &[KeyMatch]) -> Option<Pattern> {
    let first = i32::from(destination(family));
    let of_address = found.iter().take_while(|key| (first..first + 16).contains(&key.offset)).count();
    let (address, rest) = found.split_at(of_address.min(if family == Family::V4 { 1 } else { 4 }));
    let prefix = prefix(family, address)?;
    let pattern = Pattern { prefix, portion: portion(family, rank, rest)? };
    (keys(&pattern) == found).then_some(pattern)
}

/// The pattern of a rule that leaves packets alone.
pub(super) fn pass_pattern(family: Family, rank: Rank, found: &[KeyMatch]) -> Option<Pattern> {
    let (last, keys) = found.split_last()?;
    if *last == BEYOND_EVERY_PACKET { pattern(family, rank, keys) } else { None }
}

fn prefix(family: Family, address: &[KeyMatch]) -> Option<IpNet> {
    let length = u8::try_from(address.iter().map(|key| key.mask.leading_ones()).sum::<u32>()).ok()?;
    Some(match family {
        Family::V4 => Ipv4Net::new(Ipv4Addr::from_bits(address.first()?.value), length).ok()?.into(),
        Family::V6 => {
            let value = |word: usize| u128::from(address.get(word).map_or(0, |key| key.value)) << (32 * (3 - word));
            Ipv6Net::new(Ipv6Addr::from_bits((0..4).map(value).sum()), length).ok()?.into()
        }
    })
}

#[allow(clippy::cast_possible_truncation)] // what is cut off is compared afterwards
fn portion(family: Family, rank: Rank, rest: &[KeyMatch]) -> Option<Portion> {
    let protocol = |key: &KeyMatch| match family {
        Family::V4 => (key.value >> 16) as u8,
        Family::V6 => (key.value >> 8) as u8,
    };
    let side = match rank {
        Rank::All => return rest.is_empty().then_some(Portion::All),
        Rank::Protocol => return rest.first().map(|key| Portion::Protocol(protocol(key))),
        Rank::Destination | Rank::Destinations => Side::Destination,
        Rank::Source | Rank::Sources => Side::Source,
    };
    let [.., carrier, ports] = rest else { return None };
    let transport = [Transport::Tcp, Transport::Udp].into_iter().find(|one| one.number() == protocol(carrier))?;
    let [value, mask] = [ports.value, ports.mask].map(|word| match side {
        Side::Destination => word as u16,
        Side::Source => (word >> 16) as u16,
    });
    Some(match rank {
        Rank::Destination | Rank::Source => Portion::Port(side, transport, value),
        _ => Portion::Ports(side, transport, PortBlock::new(value, mask.leading_ones() as u8)?),
    })
}
