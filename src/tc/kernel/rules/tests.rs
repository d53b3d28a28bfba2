//! Rules against a small interpreter of u32, which does as the kernel's `u32_classify` does.
#![allow(clippy::unwrap_used)]

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::*;
use crate::shaping::{Abilities, Backend, Key, Pattern, Portion, Setting, State, desired};
use crate::tc::kernel::read::FilterBook;
use crate::tc::oracle::{any_probe, any_row};

/// Where the kernel puts a list's top table.
const KERNELS_TOP: u32 = 0x801 << 20;

/// What u32 says of a packet.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// No verdict: the next list sees the packet.
    None,
    /// The verdict of a rule.
    Decided(Verdict),
}

/// A list as the kernel holds it: rules by their whole handle.
struct List(BTreeMap<u32, Options>);

impl List {
    fn rules(&self, table: u32, bucket: u32) -> Vec<(u32, &Rule)> {
        let place = table | bucket << 12;
        let found = self.0.range(place | 1..=place | 0xfff);
        found
            .filter_map(
                |(handle, options)| if let Options::Rule(rule) = options { Some((*handle, rule)) } else { None },
            )
            .collect()
    }

    fn word(packet: &[u8], offset: usize) -> Option<u32> {
        Some(u32::from_be_bytes(*packet.get(offset..)?.first_chunk()?))
    }

    fn classify(&self, packet: &[u8]) -> Answer {
        self.classify_from(packet, KERNELS_TOP, 0, 0).unwrap_or(Answer::None)
    }

    /// Tries a bucket; `Err` when no rule of it decides, `Ok(Answer::None)` when the packet is given up.
    fn classify_from(&self, packet: &[u8], table: u32, bucket: u32, depth: usize) -> Result<Answer, ()> {
        assert!(depth <= 8, "the kernel follows no more links");
        'rules: for (_, rule) in self.rules(table, bucket) {
            for key in &rule.keys {
                let Some(word) = Self::word(packet, usize::try_from(key.offset).unwrap()) else {
                    return Ok(Answer::None);
                };
                if (word ^ key.value) & key.mask != 0 {
                    continue 'rules;
                }
            }
            match &rule.verdict {
                Verdict::Link { table, hash } => {
                    let divisor = match self.0.get(table) {
                        Some(Options::Table { divisor }) => *divisor,
                        other => panic!("a link to {table:x}: {other:?}"),
                    };
                    let shift = if hash.mask == 0 { 0 } else { hash.mask.trailing_zeros() };
                    let Some(word) = Self::word(packet, usize::from(hash.offset)) else { return Ok(Answer::None) };
                    let bucket = (word & hash.mask) >> shift & (divisor - 1);
                    if let Ok(answer) = self.classify_from(packet, *table, bucket, depth + 1) {
                        return Ok(answer);
                    }
                }
                verdict => return Ok(Answer::Decided(verdict.clone())),
            }
        }
        Err(())
    }
}

/// The capture lists of a state, with the handles that they would get.
fn lists(state: &State) -> (FilterBook, [List; 2]) {
    let mut book = FilterBook::default();
    let mut lists = [List(BTreeMap::new()), List(BTreeMap::new())];
    for (key, setting) in state.iter() {
        let Key::Capture(filter) = key else { continue };
        let handle = book.allocate(filter, *setting).unwrap();
        let target = if let Setting::Rule(target) = setting { Some(*target) } else { None };
        if let Some(options) = options(filter, target, 7, &book) {
            let in_top = matches!(place(filter, &book), Some((TOP, _)));
            let handle = if in_top { KERNELS_TOP | handle } else { handle };
            let list = &mut lists[filter.family() as usize].0;
            assert_eq!(list.insert(handle, options), None, "{filter} has the handle of another");
        }
    }
    (book, lists)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn packets_meet_what_the_oracle_says(row in any_row(), probes in prop::collection::vec(any_probe(), 40)) {
        let state = desired(&row, Backend::Netem, &Abilities::all(), &State::default()).unwrap();
        let (_, lists) = lists(&state);
        for probe in probes {
            let found = match lists[usize::from(probe.destination.is_ipv6())].classify(&probe.packet()) {
                Answer::None => None,
                Answer::Decided(Verdict::Redirect { priority: Some(handle), interface: 7 }) => {
                    match state.get(&Key::Leaf(class_of(handle).unwrap())) {
                        Some(Setting::Leaf(netem)) => Some(netem.delay),
                        other => panic!("{other:?}"),
                    }
                }
                Answer::Decided(verdict) => panic!("{verdict:?}"),
            };
            prop_assert_eq!(found, probe.meets(&row).map(|impairment| impairment.delay), "{:?}", probe);
        }
    }

    #[test]
    fn what_is_made_is_recognised(row in any_row()) {
        let state = desired(&row, Backend::Netem, &Abilities::all(), &State::default()).unwrap();
        let (_, lists) = lists(&state);
        let mut found = BTreeMap::new();
        for (family, list) in Family::ALL.into_iter().zip(lists) {
            let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
            let tables = |family| Tables::of_list(family, list.0.iter().map(|(handle, options)| (*handle, options)));
            for (handle, options) in &list.0 {
                match tables(family).recognise(*handle, options, 7) {
                    Found::Ours(key, target) => found.insert(Key::Capture(key), target.map_or(Setting::Present, Setting::Rule)),
                    other => panic!("{other:?}"),
                };
                let of_others = tables(other).recognise(*handle, options, 7);
                prop_assert!(matches!(of_others, Found::Foreign | Found::Ours(FilterKey::Stray(..), _) | Found::Unused));
            }
        }
        let made: BTreeMap<Key, Setting> = state.iter().map(|(key, setting)| (*key, *setting))
            .filter(|(key, _)| matches!(key, Key::Capture(filter) if !matches!(filter, FilterKey::Chain(_)))).collect();
        prop_assert_eq!(found, made);
    }
}

#[test]
fn a_table_that_nothing_leads_to_is_unused_with_all_that_is_in_it() {
    let table = Options::Table { divisor: 256 };
    let rule = Options::Rule(Rule { keys: keys(&whole("10.0.0.1/32")), ..Rule::default() });
    let objects = [(0x300 << 20, &table), (0x300 << 20 | 0xb00, &rule), (0x420 << 20, &table)];
    let tables = Tables::of_list(Family::V4, objects.into_iter());
    let stray = |number| Found::Ours(FilterKey::Stray(Family::V4, number), None);
    assert_eq!(tables.recognise(0x300 << 20, &table, 7), stray(0x300));
    assert_eq!(tables.recognise(0x300 << 20 | 0xb00, &rule, 7), Found::Unused);
    assert_eq!(tables.recognise(0x420 << 20, &table, 7), stray(0x420));
    assert_eq!(
        tables.recognise(0x120 << 20 | 1 << 12 | 0xb00, &rule, 7),
        Found::Foreign,
        "a verdict of `ok` is none of ours"
    );
}

fn whole(prefix: &str) -> Pattern {
    Pattern { prefix: prefix.parse().unwrap(), portion: Portion::All }
}

fn any_prefix() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<u32>(), 0u8..=32)
            .prop_map(|(bits, length)| IpNet::from(Ipv4Net::new(bits.into(), length).unwrap().trunc())),
        (any::<u128>(), 0u8..=128)
            .prop_map(|(bits, length)| IpNet::from(Ipv6Net::new(bits.into(), length).unwrap().trunc())),
    ]
}

/// What u32 does with a packet: the comparisons at their offsets. Written apart from the code under test.
fn matches(keys: &[KeyMatch], packet: &[u8]) -> bool {
    keys.iter().all(|key| {
        let at = usize::try_from(key.offset).unwrap();
        at > 1 << 20 || u32::from_be_bytes(*packet[at..].first_chunk().unwrap()) & key.mask == key.value
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
        let keys = keys(&Pattern { prefix, portion: Portion::All });
        prop_assert!(matches(&keys, &packet(prefix.network())));
        prop_assert!(matches(&keys, &packet(prefix.broadcast())));
        let mut other = packet(prefix.network());
        let bit = flip % usize::from(family.address_bits());
        let start = if family == Family::V4 { 16 } else { 24 };
        other[start + bit / 8] ^= 0x80 >> (bit % 8);
        prop_assert_eq!(matches(&keys, &other), bit >= usize::from(prefix.prefix_len()));
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
    let book = FilterBook::default();
    let node = |key| *place(&key, &book).unwrap().1.start();
    let link = |bits| node(FilterKey::Link(Table::of_length(Family::V6, bits)));
    assert!(link(128) < link(127) && link(64) < link(0));
    assert!(node(FilterKey::Exempt(Exempt::ALL[2])) < link(128));
}
