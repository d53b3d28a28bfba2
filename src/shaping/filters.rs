//! Filter lists: prefixes become hash tables of rules, longest prefix first.
//!
//! The top of a list holds one link per prefix length that occurs, longest first. Behind it is a table of 256 buckets,
//! chosen by the last whole byte of the prefix: for hosts the last byte of the address, for a /24 the third.
//! Where more than [`MAX_IN_BUCKET`] hosts fall into one bucket, a second table sorts them by the byte before.
//! So a packet meets one comparison per prefix length in use plus at most a few rules, however many destinations there are.
//! One layout serves one destination and thousands: there is no switch of layouts to get wrong.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{Exempt, Family, FilterKey, Setting, Table, Target};

/// The most hosts that share a bucket before a second table sorts them.
pub const MAX_IN_BUCKET: usize = 16;

/// The byte of a packet that chooses the bucket: where it is in the destination address, from 0.
///
/// `None` for prefixes shorter than a byte, whose table has a single bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashField {
    /// The index of the byte within the address.
    pub byte: u8,
}

/// The field that sorts the packets of `table`.
pub fn hash_field(table: Table) -> Option<HashField> {
    match table {
        Table::Length(_, bits) => (bits / 8).checked_sub(1).map(|byte| HashField { byte }),
        Table::Crowded(family, _) => Some(HashField { byte: family.address_bits() / 8 - 2 }),
    }
}

/// The bucket of `table` that a prefix belongs into.
pub fn bucket(table: Table, prefix: &IpNet) -> u8 {
    hash_field(table).map_or(0, |field| octet(prefix, field.byte))
}

/// The table that the rule of `prefix` is in when no bucket is crowded.
pub fn rule_table(prefix: &IpNet) -> Table {
    Table::Length(Family::of(prefix), prefix.prefix_len())
}

fn octet(prefix: &IpNet, index: u8) -> u8 {
    let index = usize::from(index);
    match prefix {
        IpNet::V4(net) => net.addr().octets()[index],
        IpNet::V6(net) => net.addr().octets()[index],
    }
}

/// The objects of a list that sends packets to each prefix to its target; prefixes must be truncated to their length.
pub(super) fn list(rules: &BTreeMap<IpNet, Target>) -> Vec<(FilterKey, Setting)> {
    let mut buckets: BTreeMap<(Table, u8), Vec<(IpNet, Target)>> = BTreeMap::new();
    for (prefix, target) in rules {
        let table = rule_table(prefix);
        buckets.entry((table, bucket(table, prefix))).or_default().push((*prefix, *target));
    }
    let mut objects = BTreeMap::new();
    for ((table, byte), members) in buckets {
        let family = table.family();
        let crowded = members.len() > MAX_IN_BUCKET && table == Table::Length(family, family.address_bits());
        objects.insert(FilterKey::Chain(family), Setting::Present);
        insert_table(&mut objects, table);
        let home = if crowded { Table::Crowded(family, byte) } else { table };
        insert_table(&mut objects, home);
        objects
            .extend(members.into_iter().map(|(prefix, target)| (FilterKey::Rule(home, prefix), Setting::Rule(target))));
    }
    objects.into_iter().collect()
}

fn insert_table(objects: &mut BTreeMap<FilterKey, Setting>, table: Table) {
    objects.insert(FilterKey::Table(table), Setting::Present);
    objects.insert(FilterKey::Link(table), Setting::Present);
}

/// The list for the interface: as [`list`], and Neighbour Discovery passes.
pub(super) fn capture_list(rules: &BTreeMap<IpNet, Target>) -> Vec<(FilterKey, Setting)> {
    let mut objects = list(rules);
    if rules.keys().any(|prefix| Family::of(prefix) == Family::V6) {
        objects.extend(Exempt::ALL.map(|exempt| (FilterKey::Exempt(exempt), Setting::Present)));
    }
    objects
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rules(prefixes: &[&str]) -> BTreeMap<IpNet, Target> {
        prefixes.iter().map(|text| (text.parse().unwrap(), Target::Detour(None))).collect()
    }

    fn shown(objects: &[(FilterKey, Setting)]) -> Vec<String> {
        objects.iter().map(|(key, _)| key.to_string()).collect()
    }

    #[test]
    fn every_prefix_length_has_a_table_and_a_link() {
        assert_eq!(
            shown(&capture_list(&rules(&["10.0.0.2/32", "10.244.3.0/24", "fd00::2/128"]))),
            [
                "list for IPv4",
                "list for IPv6",
                "table of IPv4 /24",
                "table of IPv4 /32",
                "table of IPv6 /128",
                "rule for 10.244.3.0/24",
                "rule for 10.0.0.2/32",
                "rule for fd00::2/128",
                "link to the table of IPv4 /24",
                "link to the table of IPv4 /32",
                "link to the table of IPv6 /128",
                "exemption of ICMPv6 type 133",
                "exemption of ICMPv6 type 134",
                "exemption of ICMPv6 type 136",
            ]
        );
    }

    #[test]
    fn a_crowded_bucket_gets_a_table_of_its_own() {
        let hosts = |count: usize| -> BTreeMap<IpNet, Target> {
            (0..count).map(|n| (format!("10.0.{n}.7/32").parse().unwrap(), Target::Detour(None))).collect()
        };
        let crowded = FilterKey::Table(Table::Crowded(Family::V4, 7));
        assert!(!list(&hosts(MAX_IN_BUCKET)).iter().any(|(key, _)| *key == crowded));
        let objects = list(&hosts(MAX_IN_BUCKET + 1));
        assert!(objects.iter().any(|(key, _)| *key == crowded));
        let home =
            |key: &FilterKey| matches!(key, FilterKey::Rule(table, _) if *table == Table::Crowded(Family::V4, 7));
        assert_eq!(objects.iter().filter(|(key, _)| home(key)).count(), MAX_IN_BUCKET + 1);
    }

    #[test]
    fn buckets_are_the_last_whole_byte_of_the_prefix() {
        for (prefix, expected) in [
            ("10.1.2.3/32", 3),
            ("10.1.2.0/24", 2),
            ("10.1.2.128/25", 2),
            ("10.0.0.0/8", 10),
            ("8.0.0.0/5", 0),
            ("fd00::9/128", 9),
        ] {
            let prefix: IpNet = prefix.parse().unwrap();
            assert_eq!(bucket(rule_table(&prefix), &prefix), expected, "{prefix}");
        }
    }
}
