//! Pure: the table of impaired destinations, and which of its prefixes is the longest that holds an address.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::shaping::Impairment;
use crate::units::Delay;

/// The position of a prefix in [`Paths`].
pub(super) type PathIndex = usize;

/// What happens to packets to which prefixes, arranged for lookup by address. Immutable.
#[derive(Debug, Default)]
pub(super) struct Paths {
    impaired: Vec<(IpNet, Impairment)>,
    four: Vec<Level<u32>>,
    six: Vec<Level<u128>>,
}

/// All prefixes of one length, by their network address.
#[derive(Debug)]
struct Level<A> {
    length: u8,
    mask: A,
    paths: HashMap<A, PathIndex>,
}

impl Paths {
    /// The table of `paths`. Host bits of a prefix do not count; of two prefixes that differ only there the last holds.
    pub(super) fn new(paths: &BTreeMap<IpNet, Impairment>) -> Self {
        let impaired: BTreeMap<IpNet, Impairment> = paths.iter().map(|(net, path)| (net.trunc(), *path)).collect();
        let mut table = Self { impaired: impaired.into_iter().collect(), ..Self::default() };
        for (path, (net, _)) in table.impaired.iter().enumerate() {
            match net {
                IpNet::V4(net) => {
                    insert(&mut table.four, net.prefix_len(), net.netmask().to_bits(), net.addr().to_bits(), path);
                }
                IpNet::V6(net) => {
                    insert(&mut table.six, net.prefix_len(), net.netmask().to_bits(), net.addr().to_bits(), path);
                }
            }
        }
        table.four.sort_by_key(|level| std::cmp::Reverse(level.length));
        table.six.sort_by_key(|level| std::cmp::Reverse(level.length));
        table
    }

    /// How many prefixes there are.
    pub(super) fn len(&self) -> usize {
        self.impaired.len()
    }

    /// The longest prefix that holds `address`.
    pub(super) fn lookup(&self, address: IpAddr) -> Option<PathIndex> {
        match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                self.four.iter().find_map(|level| level.paths.get(&(bits & level.mask)).copied())
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.six.iter().find_map(|level| level.paths.get(&(bits & level.mask)).copied())
            }
        }
    }

    /// How long packets on `path` are held.
    pub(super) fn delay(&self, path: PathIndex) -> Delay {
        self.impaired.get(path).map_or(Delay::ZERO, |(_, impairment)| impairment.delay)
    }

    /// What `path` does.
    pub(super) fn impairment(&self, path: PathIndex) -> Option<Impairment> {
        self.impaired.get(path).map(|(_, impairment)| *impairment)
    }

    /// The shortest delay that any packet may have; `None` when the table is empty.
    pub(super) fn shortest(&self) -> Option<Delay> {
        self.impaired.iter().map(|(_, impairment)| impairment.shortest_delay()).min()
    }

    /// Every prefix that shares an address with `path` of `other`.
    pub(super) fn overlapping<'a>(&'a self, other: &Self, path: PathIndex) -> impl Iterator<Item = PathIndex> + 'a {
        let net = other.impaired.get(path).map(|(net, _)| *net);
        net.into_iter().flat_map(|net| self.around(net).chain(self.within(net)))
    }

    /// The prefixes that hold all of `net`.
    fn around(&self, net: IpNet) -> impl Iterator<Item = PathIndex> + '_ {
        let lengths = match net {
            IpNet::V4(_) => self.four.iter().map(|level| level.length).collect::<Vec<_>>(),
            IpNet::V6(_) => self.six.iter().map(|level| level.length).collect(),
        };
        let shorter = lengths.into_iter().filter(move |length| *length < net.prefix_len());
        shorter.filter_map(move |length| self.position(widened(net, length)?))
    }

    /// The prefixes that `net` holds, itself included. They are neighbours, because the table is sorted by address.
    fn within(&self, net: IpNet) -> impl Iterator<Item = PathIndex> + '_ {
        let first = self.impaired.partition_point(|(other, _)| *other < net);
        (first..self.len()).take_while(move |path| net.contains(&self.impaired[*path].0))
    }

    fn position(&self, net: IpNet) -> Option<PathIndex> {
        self.impaired.binary_search_by_key(&net, |(net, _)| *net).ok()
    }
}

fn insert<A: Copy + Eq + std::hash::Hash>(
    levels: &mut Vec<Level<A>>,
    length: u8,
    mask: A,
    network: A,
    path: PathIndex,
) {
    let position = levels.iter().position(|level| level.length == length).unwrap_or_else(|| {
        levels.push(Level { length, mask, paths: HashMap::new() });
        levels.len() - 1
    });
    levels[position].paths.insert(network, path);
}

/// `net` with a shorter prefix.
fn widened(net: IpNet, length: u8) -> Option<IpNet> {
    let wide = match net {
        IpNet::V4(net) => IpNet::V4(Ipv4Net::new(Ipv4Addr::from(net.addr().to_bits()), length).ok()?),
        IpNet::V6(net) => IpNet::V6(Ipv6Net::new(Ipv6Addr::from(net.addr().to_bits()), length).ok()?),
    };
    Some(wide.trunc())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn impairment(ms: u64) -> Impairment {
        Impairment::delay(Delay::from_millis(ms))
    }

    fn table(nets: &[(&str, u64)]) -> Paths {
        Paths::new(&nets.iter().map(|(net, ms)| (net.parse().unwrap(), impairment(*ms))).collect())
    }

    fn delay_to(paths: &Paths, address: &str) -> Option<u64> {
        paths.lookup(address.parse().unwrap()).map(|path| paths.delay(path).as_nanos() / 1_000_000)
    }

    #[test]
    fn the_longest_prefix_wins() {
        let paths = table(&[
            ("0.0.0.0/0", 1),
            ("10.0.0.0/8", 2),
            ("10.1.0.0/16", 3),
            ("10.1.2.3/32", 4),
            ("fd00::/64", 5),
            ("fd00::1/128", 6),
        ]);
        for (address, delay) in [
            ("10.1.2.3", Some(4)),
            ("10.1.2.4", Some(3)),
            ("10.2.0.0", Some(2)),
            ("11.0.0.0", Some(1)),
            ("fd00::1", Some(6)),
            ("fd00::2", Some(5)),
            ("fd01::2", None),
        ] {
            assert_eq!(delay_to(&paths, address), delay, "{address}");
        }
        assert_eq!(paths.shortest(), Some(Delay::from_millis(1)));
    }

    #[test]
    fn an_empty_table_matches_nothing() {
        let paths = table(&[]);
        assert_eq!(delay_to(&paths, "10.0.0.1"), None);
        assert_eq!(paths.shortest(), None);
    }

    #[test]
    fn host_bits_of_a_prefix_do_not_count() {
        assert_eq!(delay_to(&table(&[("10.9.8.7/8", 3)]), "10.0.0.1"), Some(3));
    }

    /// Few distinct bits, so that prefixes overlap often.
    fn net() -> impl Strategy<Value = IpNet> {
        let v4 = (0u32..16, 0u8..=32).prop_map(|(bits, length)| {
            IpNet::V4(Ipv4Net::new(Ipv4Addr::from(bits | bits << 28 | bits << 14), length).unwrap())
        });
        let v6 = (0u128..16, 0u8..=128).prop_map(|(bits, length)| {
            IpNet::V6(Ipv6Net::new(Ipv6Addr::from(bits | bits << 124 | bits << 60), length).unwrap())
        });
        prop_oneof![v4, v6]
    }

    fn nets() -> impl Strategy<Value = BTreeMap<IpNet, Impairment>> {
        proptest::collection::btree_map(net(), (1u64..9).prop_map(impairment), 0..12)
    }

    proptest! {
        #[test]
        fn lookup_agrees_with_trying_all(nets in nets(), probe in net()) {
            let paths = Paths::new(&nets);
            let longest = nets.iter().filter(|(net, _)| net.contains(&probe.addr())).max_by_key(|(net, _)| net.prefix_len());
            let found = paths.lookup(probe.addr()).map(|path| paths.impaired[path].0);
            prop_assert_eq!(found, longest.map(|(net, _)| net.trunc()));
        }

        #[test]
        fn overlaps_agree_with_trying_all(ours in nets(), theirs in nets()) {
            let (ours, theirs) = (Paths::new(&ours), Paths::new(&theirs));
            for path in 0..theirs.len() {
                let net = theirs.impaired[path].0;
                let mut found: Vec<_> = ours.overlapping(&theirs, path).collect();
                found.sort_unstable();
                let expected: Vec<_> = (0..ours.len())
                    .filter(|path| ours.impaired[*path].0.contains(&net) || net.contains(&ours.impaired[*path].0))
                    .collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
