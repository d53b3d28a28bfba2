//! Filter keys ↔ u32 rules: where each stands and what it compares. Pure.
//!
//! Handles are explicit everywhere: the kernel's own numbering stops at 2,048 rules in a bucket. A handle is a table (12 bits),
//! a bucket (8) and a node within the bucket (12); the kernel tries the nodes of a bucket in ascending order.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::shaping::{ClassId, Exempt, Family, FilterKey, Table, Target, bucket, hash_field};
use crate::tc::codec::u32::{Hash, KeyMatch, Options, Rule, TOP, Verdict};
use crate::tc::codec::{Handle, htb};

/// The preference of our IPv4 list; the IPv6 list has the next.
const PREFERENCE: u16 = 19_528;
/// The first table number of each kind; all are below 0x800, where the kernel's own begin.
const LENGTH_TABLES: [u32; 2] = [0x100, 0x200];
const CROWDED_TABLES: [u32; 2] = [0x300, 0x400];
/// The first of the kernel's own table numbers: the tops of lists.
const FIRST_OF_KERNEL: u32 = 0x800;
/// The node of the first link in the top table, for the longest prefix; exemptions come before it.
const FIRST_LINK: u32 = 0x10;
/// The node of the link to a crowded bucket's table; single rules have the nodes below.
const CROWDED_LINK: u32 = 0xfff;
/// Buckets of a table that is chosen by a byte.
const BUCKETS: u32 = 256;

/// The preference of a family's list.
pub(super) const fn preference(family: Family) -> u16 {
    PREFERENCE + family as u16
}

/// The Ethernet protocol number of a family.
pub(super) const fn protocol(family: Family) -> u16 {
    match family {
        Family::V4 => 0x0800,
        Family::V6 => 0x86dd,
    }
}

/// The family whose list has that preference.
pub(super) fn family_of(found: u16) -> Option<Family> {
    Family::ALL.into_iter().find(|family| preference(*family) == found)
}

/// The handle of a table.
pub(super) fn table_handle(table: Table) -> u32 {
    let number = match table {
        Table::Length(family, bits) => LENGTH_TABLES[family as usize] + u32::from(bits),
        Table::Crowded(family, byte) => CROWDED_TABLES[family as usize] + u32::from(byte),
    };
    number << 20
}

/// The table of a handle; `None` for the kernel's own and for others'.
fn table_of(handle: u32) -> Option<Table> {
    let number = handle >> 20;
    let offset = |base: u32| number.checked_sub(base).and_then(|offset| u8::try_from(offset).ok());
    Family::ALL.into_iter().find_map(|family| {
        let bits = offset(LENGTH_TABLES[family as usize]).filter(|bits| *bits <= family.address_bits());
        let crowded = || offset(CROWDED_TABLES[family as usize]).map(|byte| Table::Crowded(family, byte));
        bits.map(|bits| Table::Length(family, bits)).or_else(crowded)
    })
}

/// Where a rule, an exemption or a link stands: table and bucket; and the node, where it is fixed.
pub(super) fn place(key: &FilterKey) -> (u32, Option<u32>) {
    match key {
        FilterKey::Rule(table, prefix) => (table_handle(*table) | u32::from(bucket(*table, prefix)) << 12, None),
        FilterKey::Exempt(exempt) => (TOP, Some(*exempt as u32 + 1)),
        FilterKey::Link(table @ Table::Length(family, bits)) => {
            debug_assert_eq!(table.above(), None);
            (TOP, Some(FIRST_LINK + u32::from(family.address_bits() - bits)))
        }
        FilterKey::Link(Table::Crowded(family, byte)) => {
            let above = Table::Length(*family, family.address_bits());
            (table_handle(above) | u32::from(*byte) << 12, Some(CROWDED_LINK))
        }
        FilterKey::Chain(_) | FilterKey::Table(_) => (0, None),
    }
}

/// The options of a filter object that has some.
pub(super) fn options(key: &FilterKey, target: Option<Target>, device: u32) -> Option<Options> {
    let (place, _) = place(key);
    let (keys, verdict) = match key {
        FilterKey::Chain(_) => return None,
        FilterKey::Table(table) => {
            return Some(Options::Table { divisor: if hash_field(*table).is_some() { BUCKETS } else { 1 } });
        }
        FilterKey::Rule(_, prefix) => (keys(prefix), verdict(target?, device)),
        FilterKey::Exempt(exempt) => (exempt_keys(*exempt), Verdict::Pass),
        FilterKey::Link(table) => {
            (vec![KeyMatch::ANY], Verdict::Link { table: table_handle(*table), hash: hash(*table) })
        }
    };
    Some(Options::Rule(Rule { place, keys, verdict }))
}

fn verdict(target: Target, device: u32) -> Verdict {
    match target {
        Target::Class(class) => Verdict::Class(class_handle(class)),
        Target::Detour(class) => Verdict::Redirect { priority: class.map(class_handle), interface: device },
        Target::Elsewhere => Verdict::Other,
    }
}

/// What a rule of ours does with packets.
pub(super) fn target(verdict: &Verdict, device: u32) -> Target {
    match verdict {
        Verdict::Class(handle) => class_of(*handle).map_or(Target::Elsewhere, Target::Class),
        Verdict::Redirect { priority: None, interface } if *interface == device => Target::Detour(None),
        Verdict::Redirect { priority: Some(handle), interface } if *interface == device => {
            class_of(*handle).map_or(Target::Elsewhere, |class| Target::Detour(Some(class)))
        }
        _ => Target::Elsewhere,
    }
}

/// The kernel's name of a class.
pub(super) const fn class_handle(class: ClassId) -> Handle {
    Handle::new(htb::ROOT.major(), class.minor())
}

/// The class of a handle under our root.
pub(super) fn class_of(handle: Handle) -> Option<ClassId> {
    if handle.major() == htb::ROOT.major() { ClassId::from_minor(handle.minor()) } else { None }
}

/// The byte offset of the destination address in a packet.
const fn destination(family: Family) -> u8 {
    match family {
        Family::V4 => 16,
        Family::V6 => 24,
    }
}

/// The bits that choose the bucket of a table.
fn hash(table: Table) -> Hash {
    hash_field(table).map_or_else(Hash::default, |field| Hash {
        mask: 0xff << (8 * (3 - u32::from(field.byte % 4))),
        offset: u16::from(destination(table.family()) + field.byte / 4 * 4),
    })
}

/// The comparisons of a prefix with the destination address: one for each 32 bits that matter, at least one.
fn keys(prefix: &IpNet) -> Vec<KeyMatch> {
    let (address, mask) = match prefix {
        IpNet::V4(net) => (vec![net.addr().to_bits()], vec![net.netmask().to_bits()]),
        IpNet::V6(net) => (words(net.addr()), words(net.netmask())),
    };
    let start = i32::from(destination(Family::of(prefix)));
    let all = address.into_iter().zip(mask).zip((start..).step_by(4));
    let keys = all.map(|((value, mask), offset)| KeyMatch { mask, value: value & mask, offset });
    keys.enumerate().filter(|(index, key)| *index == 0 || key.mask != 0).map(|(_, key)| key).collect()
}

fn words(address: Ipv6Addr) -> Vec<u32> {
    let bits = address.to_bits();
    #[allow(clippy::cast_possible_truncation)] // the truncation takes one word
    (0..4).rev().map(|word| (bits >> (32 * word)) as u32).collect()
}

/// The prefix that comparisons are for; `None` when they are none of ours.
fn prefix(family: Family, found: &[KeyMatch]) -> Option<IpNet> {
    let length = found.iter().map(|key| key.mask.leading_ones()).sum::<u32>();
    let length = u8::try_from(length).ok()?;
    let net: IpNet = match family {
        Family::V4 => Ipv4Net::new(Ipv4Addr::from_bits(found.first()?.value), length).ok()?.into(),
        Family::V6 => {
            let value = |word: usize| u128::from(found.get(word).map_or(0, |key| key.value)) << (32 * (3 - word));
            Ipv6Net::new(Ipv6Addr::from_bits((0..4).map(value).sum()), length).ok()?.into()
        }
    };
    (keys(&net) == found).then_some(net)
}

/// The comparisons that find one group of Neighbour Discovery messages: `ICMPv6` with hop limit 255 and that type.
fn exempt_keys(exempt: Exempt) -> Vec<KeyMatch> {
    let (value, mask) = exempt.icmp_type();
    vec![
        KeyMatch { mask: 0xffff, value: 0x3aff, offset: 4 },
        KeyMatch { mask: u32::from(mask) << 24, value: u32::from(value) << 24, offset: 40 },
    ]
}

/// What a u32 object of a list of ours is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// One of our objects; rules with their target.
    Ours(FilterKey, Option<Target>),
    /// The kernel's own top table.
    Top,
    /// Something that we never make.
    Foreign,
}

/// Recognises a u32 object in the list of `family`.
pub(super) fn recognise(family: Family, handle: u32, options: &Options, device: u32) -> Found {
    let top = handle >> 20 >= FIRST_OF_KERNEL;
    let key = match options {
        Options::Table { .. } if top => return Found::Top,
        Options::Table { .. } => table_of(handle).map(FilterKey::Table),
        Options::Rule(rule) => match rule.verdict {
            Verdict::Link { table, .. } => table_of(table).map(FilterKey::Link),
            Verdict::Pass if top => {
                Exempt::ALL.into_iter().find(|exempt| exempt_keys(*exempt) == rule.keys).map(FilterKey::Exempt)
            }
            _ => table_of(handle).and_then(|table| Some(FilterKey::Rule(table, prefix(family, &rule.keys)?))),
        },
    };
    let Some(key) = key.filter(|key| key.family() == family) else { return Found::Foreign };
    let found = match (key, options) {
        (FilterKey::Rule(..), Options::Rule(rule)) => Some(target(&rule.verdict, device)),
        _ => None,
    };
    let expected = self::options(&key, found, device);
    let as_made = match (options, expected) {
        (Options::Rule(rule), Some(Options::Rule(made))) => stands(&key, handle) && rule.keys == made.keys,
        (found, Some(made)) => *found == made,
        _ => false,
    };
    if as_made { Found::Ours(key, found) } else { Found::Foreign }
}

/// Whether `handle` is where `key` belongs.
fn stands(key: &FilterKey, handle: u32) -> bool {
    let (place, node) = place(key);
    let here = if place == TOP { handle >> 20 >= FIRST_OF_KERNEL } else { handle >> 12 == place >> 12 };
    here && node.is_none_or(|node| node == handle & 0xfff)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::rule_table;
    use proptest::prelude::*;

    fn any_prefix() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<u32>(), 0u8..=32).prop_map(|(bits, length)| IpNet::from(
                Ipv4Net::new(Ipv4Addr::from_bits(bits), length).unwrap().trunc()
            )),
            (any::<u128>(), 0u8..=128).prop_map(|(bits, length)| IpNet::from(
                Ipv6Net::new(Ipv6Addr::from_bits(bits), length).unwrap().trunc()
            )),
        ]
    }

    /// What u32 does with a packet: the comparisons at their offsets. Written apart from the code under test.
    fn matches(keys: &[KeyMatch], packet: &[u8]) -> bool {
        keys.iter().all(|key| {
            let at = usize::try_from(key.offset).unwrap();
            u32::from_be_bytes(*packet[at..].first_chunk().unwrap()) & key.mask == key.value
        })
    }

    fn packet(address: std::net::IpAddr) -> Vec<u8> {
        let mut bytes = vec![0x5a; 64];
        match address {
            std::net::IpAddr::V4(address) => bytes[16..20].copy_from_slice(&address.octets()),
            std::net::IpAddr::V6(address) => bytes[24..40].copy_from_slice(&address.octets()),
        }
        bytes
    }

    proptest! {
        #[test]
        fn comparisons_hold_exactly_for_the_prefix(prefix in any_prefix(), flip in 0usize..128) {
            let family = Family::of(&prefix);
            prop_assert!(matches(&keys(&prefix), &packet(prefix.network())));
            prop_assert!(matches(&keys(&prefix), &packet(prefix.broadcast())));
            let mut other = packet(prefix.network());
            let bit = flip % usize::from(family.address_bits());
            other[usize::from(destination(family)) + bit / 8] ^= 0x80 >> (bit % 8);
            prop_assert_eq!(matches(&keys(&prefix), &other), bit >= usize::from(prefix.prefix_len()));
        }

        #[test]
        fn the_hash_leads_to_the_bucket(prefix in any_prefix()) {
            let table = rule_table(&prefix);
            let hash = hash(table);
            let word = u32::from_be_bytes(*packet(prefix.broadcast())[usize::from(hash.offset)..].first_chunk().unwrap());
            let fold = if hash.mask == 0 { 0 } else { (word & hash.mask) >> hash.mask.trailing_zeros() };
            prop_assert_eq!(fold, u32::from(bucket(table, &prefix)));
        }

        #[test]
        fn what_is_made_is_recognised(prefix in any_prefix(), crowded: bool, node in 1u32..0xfff) {
            let family = Family::of(&prefix);
            let host = prefix.prefix_len() == family.address_bits();
            let top = rule_table(&prefix);
            let table = if crowded && host { Table::Crowded(family, bucket(top, &prefix)) } else { top };
            for key in [FilterKey::Rule(table, prefix), FilterKey::Link(table), FilterKey::Table(table)] {
                let target = matches!(key, FilterKey::Rule(..)).then_some(Target::Detour(ClassId::nth(3)));
                let options = options(&key, target, 7).unwrap();
                let handle = match (key, place(&key)) {
                    (FilterKey::Table(table), _) => table_handle(table),
                    (_, (TOP, fixed)) => 0x8010_0000 | fixed.unwrap_or(node),
                    (_, (place, fixed)) => place | fixed.unwrap_or(node),
                };
                prop_assert_eq!(recognise(family, handle, &options, 7), Found::Ours(key, target));
                let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
                prop_assert_eq!(recognise(other, handle, &options, 7), Found::Foreign);
            }
        }
    }

    #[test]
    fn neighbour_discovery_and_nothing_else_is_exempt() {
        for kind in 0..=u8::MAX {
            let mut bytes = packet("fd00::2".parse().unwrap());
            (bytes[6], bytes[7], bytes[40]) = (58, 255, kind);
            let exempt = Exempt::ALL.iter().any(|exempt| matches(&exempt_keys(*exempt), &bytes));
            assert_eq!(exempt, (133..=137).contains(&kind), "type {kind}");
            bytes[6] = 17;
            assert!(!Exempt::ALL.iter().any(|exempt| matches(&exempt_keys(*exempt), &bytes)));
        }
    }

    #[test]
    fn links_of_longer_prefixes_are_tried_first() {
        let node = |bits| place(&FilterKey::Link(Table::Length(Family::V6, bits))).1;
        assert!(node(128) < node(127) && node(64) < node(0));
        assert!(place(&FilterKey::Exempt(Exempt::ALL[2])).1 < node(128));
    }
}
