//! Pure: the table of impaired selectors, and which of them a packet meets.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use ipnet::IpNet;

use super::frame::Flow;
use crate::shaping::{Impairment, PortRange, Selector, Service};
use crate::units::Delay;

/// The position of a selector in [`Paths`].
pub(super) type PathIndex = usize;

/// What happens to which packets, arranged for lookup. Immutable.
#[derive(Debug, Default)]
pub(super) struct Paths {
    impaired: Vec<Path>,
    four: Vec<Level<u32>>,
    six: Vec<Level<u128>>,
    /// Kept, because the thread asks at every turn, and to go through a thousand paths then costs more than its packets.
    shortest: Option<Delay>,
}

#[derive(Debug)]
struct Path {
    selector: Selector,
    impairment: Impairment,
    /// Packets of a selector without an impairment are left alone.
    alone: bool,
}

/// All prefixes of one length, by their network address. Longer ones come first.
#[derive(Debug)]
struct Level<A> {
    length: u8,
    mask: A,
    groups: HashMap<A, Group>,
}

/// The selectors of one prefix.
#[derive(Debug, Default)]
struct Group {
    /// By protocol; the narrowest range first, of equally wide ones the lowest.
    ports: Vec<(u8, PortRange, PathIndex)>,
    protocols: Vec<(u8, PathIndex)>,
    all: Option<PathIndex>,
}

impl Group {
    fn insert(&mut self, selector: &Selector, path: PathIndex) {
        match selector.service {
            Service::Port(transport, ports) => {
                let key = |ports: &PortRange| (ports.width(), ports.first());
                let place = self.ports.partition_point(|(_, other, _)| key(other) < key(&ports));
                self.ports.insert(place, (transport.number(), ports, path));
            }
            Service::Protocol(protocol) => self.protocols.push((protocol.number(&selector.prefix), path)),
            Service::All => self.all = Some(path),
        }
    }

    /// A single port before a range, a protocol, and everything; the destination port before the source port.
    fn find(&self, flow: &Flow) -> Option<PathIndex> {
        if self.ports.is_empty() && self.protocols.is_empty() {
            return self.all;
        }
        let port = |single: bool, port: u16| {
            let fits = |(protocol, ports, _): &&(u8, PortRange, PathIndex)| {
                ports.is_single() == single && *protocol == flow.protocol && ports.contains(port)
            };
            self.ports.iter().find(fits).map(|(.., path)| *path)
        };
        let ports = flow.ports.and_then(|ports| {
            let either = |single| port(single, ports.destination).or_else(|| port(single, ports.source));
            either(true).or_else(|| either(false))
        });
        ports.or_else(|| self.protocol(flow.protocol)).or(self.all)
    }

    fn protocol(&self, number: u8) -> Option<PathIndex> {
        self.protocols.iter().find(|(protocol, _)| *protocol == number).map(|(_, path)| *path)
    }

    /// The most specific selector that means all packets of a service to `prefix`; the service itself does not count if `others`.
    fn around(&self, service: Service, prefix: &IpNet, others: bool) -> Option<PathIndex> {
        let all = || self.all.filter(|_| !(others && service == Service::All));
        match service {
            Service::All => all(),
            Service::Protocol(protocol) => {
                let same = self.protocol(protocol.number(prefix)).filter(|_| !others);
                same.or_else(all)
            }
            Service::Port(transport, ports) => {
                let holds = |(protocol, wide, _): &&(u8, PortRange, PathIndex)| {
                    *protocol == transport.number()
                        && wide.first() <= ports.first()
                        && ports.last() <= wide.last()
                        && !(others && *wide == ports)
                };
                let wider = self.ports.iter().find(holds).map(|(.., path)| *path);
                wider.or_else(|| self.protocol(transport.number())).or_else(all)
            }
        }
    }
}

impl Paths {
    /// The table of `paths`. Host bits of a prefix do not count; of two that differ only there the last holds. Packets of a
    /// selector whose impairment is nothing are left alone.
    pub(super) fn new(paths: &BTreeMap<Selector, Impairment>) -> Self {
        let paths: BTreeMap<Selector, Impairment> =
            paths.iter().map(|(selector, path)| (selector.canonical(), *path)).collect();
        let mut table = Self::default();
        for (path, (selector, impairment)) in paths.into_iter().enumerate() {
            table.impaired.push(Path { selector, impairment, alone: impairment.is_nothing() });
            match selector.prefix {
                IpNet::V4(net) => {
                    let level = level(&mut table.four, net.prefix_len(), net.netmask().to_bits());
                    level.groups.entry(net.addr().to_bits()).or_default().insert(&selector, path);
                }
                IpNet::V6(net) => {
                    let level = level(&mut table.six, net.prefix_len(), net.netmask().to_bits());
                    level.groups.entry(net.addr().to_bits()).or_default().insert(&selector, path);
                }
            }
        }
        table.four.sort_by_key(|level| std::cmp::Reverse(level.length));
        table.six.sort_by_key(|level| std::cmp::Reverse(level.length));
        let held = table.impaired.iter().filter(|path| !path.alone);
        table.shortest = held.map(|path| path.impairment.shortest_delay()).min();
        table
    }

    /// How many selectors there are.
    pub(super) fn len(&self) -> usize {
        self.impaired.len()
    }

    /// The selector that a packet meets; `None` when it is to be left alone.
    pub(super) fn lookup(&self, flow: &Flow) -> Option<PathIndex> {
        let found = match flow.destination {
            IpAddr::V4(address) => first(&self.four, address.to_bits(), u8::MAX, |_, group| group.find(flow)),
            IpAddr::V6(address) => first(&self.six, address.to_bits(), u8::MAX, |_, group| group.find(flow)),
        };
        found.filter(|path| !self.impaired[*path].alone)
    }

    /// How long packets on `path` are held.
    pub(super) fn delay(&self, path: PathIndex) -> Delay {
        self.impaired.get(path).map_or(Delay::ZERO, |path| path.impairment.delay)
    }

    /// What `path` does.
    pub(super) fn impairment(&self, path: PathIndex) -> Option<Impairment> {
        self.impaired.get(path).map(|path| path.impairment)
    }

    /// The shortest delay that any packet that is not left alone may have; `None` when there is none.
    pub(super) fn shortest(&self) -> Option<Delay> {
        self.shortest
    }

    /// Which paths of `former` packets may have met that now meet which path: pairs of a former and a present one.
    ///
    /// A path that stays goes on. The packets of one that is gone meet the most specific one around it; those of a new one met
    /// the most specific one around that. Paths of different ports that a packet matches by its two ports are not looked into.
    pub(super) fn inherited<'a>(&'a self, former: &'a Self) -> impl Iterator<Item = (PathIndex, PathIndex)> + 'a {
        let before = former.impaired.iter().enumerate();
        let before = before.filter_map(|(old, path)| Some((old, self.position(path).or_else(|| self.around(path))?)));
        let new = self.impaired.iter().enumerate().filter(|(_, path)| former.position(path).is_none());
        before.chain(new.filter_map(|(new, path)| Some((former.around(path)?, new))))
    }

    fn position(&self, path: &Path) -> Option<PathIndex> {
        self.impaired.binary_search_by_key(&path.selector, |path| path.selector).ok()
    }

    /// The most specific selector that means all packets of another, and more.
    fn around(&self, path: &Path) -> Option<PathIndex> {
        let Selector { prefix, service } = path.selector;
        let length = prefix.prefix_len();
        match prefix {
            IpNet::V4(net) => first(&self.four, net.addr().to_bits(), length, |at, group| {
                group.around(service, &prefix, at == length)
            }),
            IpNet::V6(net) => {
                first(&self.six, net.addr().to_bits(), length, |at, group| group.around(service, &prefix, at == length))
            }
        }
    }
}

/// What `find` finds first in the groups that hold an address, those of at most `length` bits, the longest first.
fn first<A: Copy + Eq + Hash + std::ops::BitAnd<Output = A>>(
    levels: &[Level<A>],
    address: A,
    length: u8,
    find: impl Fn(u8, &Group) -> Option<PathIndex>,
) -> Option<PathIndex> {
    let levels = levels.iter().filter(|level| level.length <= length);
    levels
        .filter_map(|level| Some((level.length, level.groups.get(&(address & level.mask))?)))
        .find_map(|(at, group)| find(at, group))
}

fn level<A>(levels: &mut Vec<Level<A>>, length: u8, mask: A) -> &mut Level<A> {
    let place = levels.iter().position(|level| level.length == length).unwrap_or_else(|| {
        levels.push(Level { length, mask, groups: HashMap::new() });
        levels.len() - 1
    });
    &mut levels[place]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::shaping::{Abilities, Backend, Key, Setting, State, desired};
    use crate::tc::line::frame::{Ports, flow};
    use crate::tc::oracle::{any_probe, any_row};
    use proptest::prelude::*;

    fn impairment(ms: u64) -> Impairment {
        Impairment::delay(Delay::from_millis(ms))
    }

    fn table(nets: &[(&str, u64)]) -> Paths {
        Paths::new(&nets.iter().map(|(net, ms)| (net.parse().unwrap(), impairment(*ms))).collect())
    }

    fn delay_to(paths: &Paths, address: &str) -> Option<u64> {
        delay_of(paths, &Flow { destination: address.parse().unwrap(), protocol: 1, ports: None })
    }

    fn delay_of(paths: &Paths, flow: &Flow) -> Option<u64> {
        paths.lookup(flow).map(|path| paths.delay(path).as_nanos() / 1_000_000)
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
    fn services_are_told_apart_and_exclusions_left_alone() {
        let paths = table(&[
            ("10.0.0.0/8 tcp:443", 9),
            ("10.0.0.0/24", 1),
            ("10.0.0.0/24 tcp", 2),
            ("10.0.0.0/24 tcp:1000-2000", 3),
            ("10.0.0.0/24 tcp:1500-1600", 4),
            ("10.0.0.0/24 tcp:22", 0),
            ("10.0.0.0/24 tcp:80", 5),
        ]);
        for (protocol, ports, delay) in [
            (17, Some((5, 5)), Some(1)),
            (6, None, Some(2)),
            (6, Some((443, 443)), Some(2)),
            (6, Some((9, 1_000)), Some(3)),
            (6, Some((1_500, 9)), Some(4)),
            (6, Some((1_500, 1_000)), Some(3)),
            (6, Some((1_500, 22)), None),
            (6, Some((22, 1_500)), None),
            (6, Some((22, 80)), Some(5)),
        ] {
            let ports = ports.map(|(source, destination)| Ports { source, destination });
            let flow = Flow { destination: "10.0.0.1".parse().unwrap(), protocol, ports };
            assert_eq!(delay_of(&paths, &flow), delay, "{flow:?}");
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

    /// Pairs of selectors, former and present.
    fn inherited(former: &[&str], present: &[&str]) -> Vec<(String, String)> {
        let [former, present] =
            [former, present].map(|texts| table(&texts.iter().map(|text| (*text, 1)).collect::<Vec<_>>()));
        let name = |paths: &Paths, path: PathIndex| paths.impaired[path].selector.to_string();
        present.inherited(&former).map(|(old, new)| (name(&former, old), name(&present, new))).collect()
    }

    #[test]
    fn packets_are_followed_from_one_table_to_the_next() {
        let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        let stays = ["10.0.0.0/8", "10.0.0.1/32"];
        assert_eq!(
            inherited(&stays, &stays),
            stays.map(|text| pair(text, text)),
            "nothing is handed on between the two"
        );
        assert_eq!(
            inherited(&["10.0.0.0/8"], &["10.0.0.0/8", "10.0.0.1/32"])[1..],
            [pair("10.0.0.0/8", "10.0.0.1/32")]
        );
        assert_eq!(inherited(&stays, &["10.0.0.0/8"])[1..], [pair("10.0.0.1/32", "10.0.0.0/8")]);
        assert_eq!(inherited(&["10.0.0.1/32"], &["10.0.0.2/32", "fd00::/16"]), []);
        assert_eq!(
            inherited(
                &["10.0.0.0/24 tcp:22", "10.0.0.0/24 tcp:10-30", "10.0.0.0/24 tcp"],
                &["10.0.0.0/24 tcp", "10.0.0.0/16"]
            ),
            [
                pair("10.0.0.0/24 tcp:10-30", "10.0.0.0/24 tcp"),
                pair("10.0.0.0/24 tcp:22", "10.0.0.0/24 tcp"),
                pair("10.0.0.0/24 tcp", "10.0.0.0/24 tcp"),
            ]
        );
        assert_eq!(
            inherited(
                &["10.0.0.0/24 tcp:10-30", "10.0.0.0/24"],
                &["10.0.0.0/24 tcp:20-22", "10.0.0.0/24 udp", "10.0.0.0/24"]
            )[1..],
            [
                pair("10.0.0.0/24", "10.0.0.0/24"),
                pair("10.0.0.0/24 tcp:10-30", "10.0.0.0/24 tcp:20-22"),
                pair("10.0.0.0/24", "10.0.0.0/24 udp"),
            ]
        );
    }

    proptest! {
        #[test]
        fn packets_meet_what_the_oracle_says(row in any_row(), probes in proptest::collection::vec(any_probe(), 40)) {
            let state = desired(&row, Backend::Userspace, &Abilities::all(), &State::default()).unwrap();
            let lines = state.iter().filter_map(|(key, setting)| match (key, setting) {
                (Key::Line(selector), Setting::Line(impairment)) => Some((*selector, *impairment)),
                _ => None,
            });
            let paths = Paths::new(&lines.collect());
            for probe in probes {
                let found = paths.lookup(&flow(&probe.frame()).unwrap()).and_then(|path| paths.impairment(path));
                prop_assert_eq!(found, probe.meets(&row), "{:?}", probe);
            }
        }
    }

    /// Few distinct bits, so that prefixes overlap often.
    fn net() -> impl Strategy<Value = IpNet> {
        let v4 = (0u32..16, 0u8..=32).prop_map(|(bits, length)| {
            IpNet::new(std::net::Ipv4Addr::from(bits | bits << 28 | bits << 14).into(), length).unwrap()
        });
        let v6 = (0u128..16, 0u8..=128).prop_map(|(bits, length)| {
            IpNet::new(std::net::Ipv6Addr::from(bits | bits << 124 | bits << 60).into(), length).unwrap()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn lookup_agrees_with_trying_all(
            nets in proptest::collection::btree_map(net().prop_map(Selector::all), (1u64..9).prop_map(impairment), 0..12),
            probe in net(),
        ) {
            let paths = Paths::new(&nets);
            let holding = nets.keys().map(|selector| selector.prefix).filter(|net| net.contains(&probe.addr()));
            let longest = holding.max_by_key(IpNet::prefix_len);
            let flow = Flow { destination: probe.addr(), protocol: 6, ports: None };
            let found = paths.lookup(&flow).map(|path| paths.impaired[path].selector.prefix);
            prop_assert_eq!(found, longest.map(|net| net.trunc()));
        }
    }
}
