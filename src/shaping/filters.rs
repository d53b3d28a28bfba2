//! Filter lists: patterns become hash tables of rules, longest prefix first.
//!
//! The top of a list holds one link per prefix length that occurs, longest first. Behind it is a table of 256 buckets,
//! chosen by the last whole byte of the prefix: for hosts the last byte of the address, for a /24 the third.
//! Where more than [`MAX_IN_BUCKET`] prefixes fall into one bucket, a further table sorts them by the byte that tells them apart
//! best, and so on. So a packet meets one comparison per prefix length in use plus at most a few rules, however many
//! destinations there are. One layout serves one destination and thousands: there is no switch of layouts to get wrong.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{Exempt, Family, FilterKey, Pattern, Portion, Setting, Side, Table, Target, Treatment};

/// The most prefixes that share a bucket before a further table sorts them; more where such tables would be too many.
pub const MAX_IN_BUCKET: usize = 16;
/// The most tables below those for prefix lengths: a kernel has numbers for 1,280.
const MAX_FURTHER_TABLES: usize = 1_200;

/// The place of a rule within its bucket: ranks are tried one after the other.
///
/// Only rules of the same prefix can both hold for a packet, and of one rank only one of them can, except for two single
/// ports or two blocks of ports, of which one is the packet's destination and the other its source: these are two ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A single destination port.
    Destination,
    /// A single source port.
    Source,
    /// A range of destination ports.
    Destinations,
    /// A range of source ports.
    Sources,
    /// A protocol.
    Protocol,
    /// Everything.
    All,
}

impl Rank {
    /// All of them, in the order of trial.
    pub const ALL: [Self; 6] =
        [Self::Destination, Self::Source, Self::Destinations, Self::Sources, Self::Protocol, Self::All];

    /// The rank of a pattern.
    pub const fn of(portion: &Portion) -> Self {
        match portion {
            Portion::Port(Side::Destination, ..) => Self::Destination,
            Portion::Port(Side::Source, ..) => Self::Source,
            Portion::Ports(Side::Destination, ..) => Self::Destinations,
            Portion::Ports(Side::Source, ..) => Self::Sources,
            Portion::Protocol(_) => Self::Protocol,
            Portion::All => Self::All,
        }
    }

    /// The first and the last place in a bucket that rules of this rank may have, of the kernel's 1 to 4,095.
    pub const fn places(self) -> (u16, u16) {
        match self {
            Self::Destination => (0x001, 0x2ff),
            Self::Source => (0x300, 0x5ff),
            Self::Destinations => (0x600, 0x7ff),
            Self::Sources => (0x800, 0x9ff),
            Self::Protocol => (0xa00, 0xaff),
            Self::All => (0xb00, 0xfef),
        }
    }

    /// How many rules of this rank may share a bucket: half of the places, because a change adds before it deletes.
    pub const fn most(self) -> usize {
        let (first, last) = self.places();
        (last - first) as usize / 2
    }
}

/// What is to happen to the packets of a pattern: they go to a target, or (`None`) are left alone.
pub(super) type Rules = BTreeMap<Pattern, Option<Target>>;

/// Rules of one rank that the kernel has no room for, because nothing but their ports, or too few bytes, tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overfull {
    /// One of their prefixes.
    pub(super) prefix: IpNet,
    /// How many rules they would be.
    pub(super) rules: usize,
    /// How many there can be.
    pub(super) most: usize,
}

/// The objects of a list that does with packets what `rules` say.
pub(super) fn list(rules: &Rules) -> Result<Vec<(FilterKey, Setting)>, Overfull> {
    let mut prefixes: BTreeMap<Table, Vec<Prefix<'_>>> = BTreeMap::new();
    for (pattern, target) in rules {
        let of_length = prefixes.entry(Table::of(&pattern.prefix)).or_default();
        match of_length.last_mut().filter(|last| last.prefix == pattern.prefix) {
            Some(last) => last.rules.push((pattern, *target)),
            None => of_length.push(Prefix { prefix: pattern.prefix, rules: vec![(pattern, *target)] }),
        }
    }
    let mut in_bucket = MAX_IN_BUCKET;
    loop {
        let mut layout = Layout { objects: Vec::with_capacity(rules.len()), in_bucket, further: 0 };
        for (table, members) in &prefixes {
            layout.objects.push((FilterKey::Chain(table.family()), Setting::Present));
            layout.sort(*table, &members.iter().collect::<Vec<_>>())?;
        }
        if layout.further <= MAX_FURTHER_TABLES {
            return Ok(layout.objects);
        }
        in_bucket *= 2;
    }
}

/// The list for the interface: as [`list`], and Neighbour Discovery passes.
pub(super) fn capture_list(rules: &Rules) -> Result<Vec<(FilterKey, Setting)>, Overfull> {
    let mut objects = list(rules)?;
    if rules.keys().any(|pattern| Family::of(&pattern.prefix) == Family::V6) {
        objects.extend(Exempt::ALL.map(|exempt| (FilterKey::Exempt(exempt), Setting::Present)));
    }
    Ok(objects)
}

/// The rules of one prefix. They stay together, so that the kernel tries them in the order of their ranks.
struct Prefix<'a> {
    prefix: IpNet,
    rules: Vec<(&'a Pattern, Option<Target>)>,
}

/// A list in the making.
struct Layout {
    objects: Vec<(FilterKey, Setting)>,
    in_bucket: usize,
    further: usize,
}

impl Layout {
    /// Sorts prefixes of one length into `table` and those that it needs below.
    fn sort(&mut self, table: Table, members: &[&Prefix<'_>]) -> Result<(), Overfull> {
        self.objects.push((FilterKey::Table(table), Setting::Present));
        self.objects.push((FilterKey::Link(table), Setting::Present));
        let mut buckets: BTreeMap<u8, Vec<&Prefix<'_>>> = BTreeMap::new();
        for member in members {
            buckets.entry(table.bucket(&member.prefix)).or_default().push(member);
        }
        for (bucket, members) in buckets {
            let crowded = members.len() > self.in_bucket;
            match crowded.then(|| further_table(table, bucket, &members, self.in_bucket)).flatten() {
                Some(below) => {
                    self.further += 1;
                    self.sort(below, &members)?;
                }
                None => self.fill(table, &members)?,
            }
        }
        Ok(())
    }

    /// Puts rules into one bucket.
    fn fill(&mut self, table: Table, members: &[&Prefix<'_>]) -> Result<(), Overfull> {
        let rules = || members.iter().flat_map(|member| &member.rules);
        for rank in Rank::ALL {
            let count = rules().filter(|(pattern, _)| Rank::of(&pattern.portion) == rank).count();
            if count > rank.most() {
                return Err(Overfull { prefix: members[0].prefix, rules: count, most: rank.most() });
            }
        }
        self.objects.extend(rules().map(|(pattern, target)| match target {
            Some(target) => (FilterKey::Rule(table, **pattern, Treatment::Take), Setting::Rule(*target)),
            None => (FilterKey::Rule(table, **pattern, Treatment::Pass), Setting::Present),
        }));
        Ok(())
    }
}

/// The table that sorts the prefixes of a bucket further: by the last byte that leaves no bucket too full, or else by the one
/// that leaves the fullest bucket least full. `None` when no byte tells any two of them apart.
fn further_table(table: Table, bucket: u8, members: &[&Prefix<'_>], in_bucket: usize) -> Option<Table> {
    let bytes = (0..table.bits().div_ceil(8)).rev();
    let candidates = bytes.filter_map(|byte| table.below(bucket, byte)).map(|below| (fullest(below, members), below));
    let (fullest, best) = candidates.min_by_key(|(fullest, _)| (*fullest).max(in_bucket))?;
    (fullest < members.len()).then_some(best)
}

/// The most prefixes that share a bucket of `table`.
fn fullest(table: Table, members: &[&Prefix<'_>]) -> usize {
    let mut counts = [0; 256];
    for member in members {
        counts[usize::from(table.bucket(&member.prefix))] += 1;
    }
    counts.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::Selector;
    use crate::shaping::pattern::patterns;

    fn rules<'a>(selectors: impl IntoIterator<Item = &'a str>) -> Rules {
        let selectors: Vec<Selector> = selectors.into_iter().map(|text| text.parse().unwrap()).collect();
        patterns(&selectors).into_keys().map(|pattern| (pattern, Some(Target::Detour(None)))).collect()
    }

    fn many(texts: impl Iterator<Item = String>) -> Rules {
        rules(texts.collect::<Vec<_>>().iter().map(String::as_str))
    }

    fn shown(objects: Vec<(FilterKey, Setting)>) -> Vec<String> {
        let objects: BTreeMap<FilterKey, Setting> = objects.into_iter().collect();
        objects.keys().map(ToString::to_string).collect()
    }

    /// Tables below those for lengths, and the most prefixes in one bucket.
    fn shape(rules: &Rules) -> (usize, usize) {
        let objects = list(rules).unwrap();
        let mut buckets: BTreeMap<(Table, u8), usize> = BTreeMap::new();
        let mut further = 0;
        for (key, _) in objects {
            match key {
                FilterKey::Rule(table, pattern, _) => {
                    *buckets.entry((table, table.bucket(&pattern.prefix))).or_default() += 1;
                }
                FilterKey::Table(table) if table.above().is_some() => further += 1,
                _ => {}
            }
        }
        (further, buckets.into_values().max().unwrap_or(0))
    }

    #[test]
    fn every_prefix_length_has_a_table_and_a_link() {
        assert_eq!(
            shown(capture_list(&rules(["10.0.0.2/32", "10.244.3.0/24", "fd00::2/128"])).unwrap()),
            [
                "list for IPv4",
                "list for IPv6",
                "table of IPv4 /32",
                "table of IPv4 /24",
                "table of IPv6 /128",
                "exemption of ICMPv6 type 133",
                "exemption of ICMPv6 type 134",
                "exemption of ICMPv6 type 136",
                "link to the table of IPv4 /32",
                "link to the table of IPv4 /24",
                "link to the table of IPv6 /128",
                "rule for 10.0.0.2/32",
                "rule for 10.244.3.0/24",
                "rule for fd00::2/128",
            ]
        );
    }

    #[test]
    fn the_more_specific_comes_first() {
        let [site, ssh]: [Pattern; 2] =
            ["10.0.0.0/24", "10.0.0.0/24 tcp"].map(|text| *rules([text]).first_key_value().unwrap().0);
        let rules = Rules::from([(site, Some(Target::Detour(None))), (ssh, None)]);
        let objects = shown(list(&rules).unwrap());
        assert_eq!(objects[3..], ["exclusion of 10.0.0.0/24 protocol 6", "rule for 10.0.0.0/24"]);
    }

    #[test]
    fn a_crowded_bucket_gets_a_table_of_its_own() {
        let hosts = |count: usize| many((0..count).map(|n| format!("10.0.{n}.7")));
        assert_eq!(shape(&hosts(MAX_IN_BUCKET)), (0, MAX_IN_BUCKET));
        assert_eq!(shape(&hosts(MAX_IN_BUCKET + 1)), (1, 1));
        let further = Table::of_length(Family::V4, 32).below(7, 2).unwrap();
        let objects = list(&hosts(MAX_IN_BUCKET + 1)).unwrap();
        assert!(objects.iter().any(|(key, _)| *key == FilterKey::Link(further)));
    }

    #[test]
    fn ten_thousand_of_any_kind_stay_in_small_buckets() {
        let count = 10_000u32;
        for (what, rules) in [
            ("hosts", many((0..count).map(|n| format!("10.9.{}.{}", n >> 8, n & 255)))),
            ("gateways", many((0..count).map(|n| format!("10.{}.{}.1", n >> 8, n & 255)))),
            ("networks", many((0..count).map(|n| format!("10.{}.{}.0/24", n >> 8, n & 255)))),
            ("networks that differ early", many((0..count).map(|n| format!("{}.{}.7.0/24", 1 + (n >> 8), n & 255)))),
            ("odd networks", many((0..count).map(|n| format!("10.{}.{}.0/20", n >> 4 & 255, (n & 15) << 4)))),
            ("half networks", many((0..count).map(|n| format!("10.{}.{}.128/25", n >> 8, n & 255)))),
            ("hosts of IPv6", many((0..count).map(|n| format!("fd00::{n:x}")))),
            ("gateways of IPv6", many((0..count).map(|n| format!("fd00:0:{}:{:x}::1", n >> 8, n & 255)))),
            ("networks of IPv6", many((0..count).map(|n| format!("fd00:{n:x}::/48")))),
        ] {
            let (further, fullest) = shape(&rules);
            assert!(fullest <= MAX_IN_BUCKET && further <= MAX_FURTHER_TABLES, "{what}: {further} {fullest}");
        }
    }

    #[test]
    fn numbers_of_tables_are_never_used_up() {
        let hosts = many((0..100_000u32).map(|n| std::net::Ipv4Addr::from(n.wrapping_mul(0x9e37_79b1)).to_string()));
        let (further, fullest) = shape(&hosts);
        assert!(further <= MAX_FURTHER_TABLES, "{further}");
        assert!(fullest < Rank::All.most(), "{fullest}");
    }

    #[test]
    fn places_of_ranks_follow_each_other() {
        let places = Rank::ALL.map(Rank::places);
        assert!(places.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        assert!(places[0].0 == 1 && places[5].1 < 0xff0);
    }

    #[test]
    fn too_many_rules_for_one_prefix_are_told() {
        let ports = many((1..=400u32).map(|n| format!("10.0.0.0/24 tcp:{n}")));
        let prefix = "10.0.0.0/24".parse().unwrap();
        assert_eq!(list(&ports), Err(Overfull { prefix, rules: 400, most: 383 }));
    }
}
