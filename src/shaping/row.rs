//! A [`Row`]: everything that one node must do to the packets it sends.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Impairment, Protocol, Selector, Service, Tables};
use crate::matrix::{DelayMatrix, MatrixError};
use crate::topology::{Node, NodeIndex};
use crate::units::Delay;

/// One path of a row: which packets go to the receiver and what happens to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowPath {
    /// The addresses and networks of the receiver, each with all services or with one.
    #[serde(alias = "prefixes")]
    pub selectors: Vec<Selector>,
    /// What these packets meet.
    pub impairment: Impairment,
}

/// All paths from one node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "WrittenRow", into = "WrittenRow")]
pub struct Row {
    /// The impaired paths.
    pub paths: Vec<RowPath>,
    /// Packets that are left alone, although a less specific selector of a path means them.
    pub exclusions: Vec<Selector>,
}

impl RowPath {
    /// Everything to these prefixes.
    pub fn to(prefixes: &[IpNet], impairment: Impairment) -> Self {
        Self { selectors: prefixes.iter().copied().map(Selector::all).collect(), impairment }
    }
}

/// A row as it travels: tables stand before the paths that refer to them.
#[derive(Serialize, Deserialize)]
struct WrittenRow {
    #[serde(default, skip_serializing_if = "Tables::is_empty")]
    tables: Tables,
    paths: Vec<RowPath>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclusions: Vec<Selector>,
}

impl From<WrittenRow> for Row {
    fn from(written: WrittenRow) -> Self {
        Self { paths: written.paths, exclusions: written.exclusions }
    }
}

impl From<Row> for WrittenRow {
    fn from(row: Row) -> Self {
        let tables = Tables::of(row.paths.iter().filter_map(|path| path.impairment.own_table()));
        Self { tables, paths: row.paths, exclusions: row.exclusions }
    }
}

impl Row {
    /// The row of node `from` of `matrix`, whose nodes are `nodes` in the same order.
    pub fn of(matrix: &DelayMatrix, nodes: &[Node], from: NodeIndex) -> Self {
        Self::of_paths(nodes, from, |to| Impairment::delay(matrix.delay(from, to)))
    }

    /// The row of node `from` of `nodes`, with what `impairment` says of the path to each.
    ///
    /// A path with dice or a bottleneck gets its own, apart from those of other paths, repeatable where there is a seed.
    pub fn of_paths(nodes: &[Node], from: NodeIndex, impairment: impl Fn(NodeIndex) -> Impairment) -> Self {
        Self::of_intents(nodes, from, |to| PathIntent::all(impairment(to)))
    }

    /// The row of node `from` of `nodes`, with what `intent` says of the path to each: services apart, exceptions left alone.
    ///
    /// A node whose packets are left alone has no entry, unless its address is within the network of another one that has: then
    /// it is excluded.
    pub fn of_intents(nodes: &[Node], from: NodeIndex, intent: impl Fn(NodeIndex) -> PathIntent) -> Self {
        let (mut row, mut nothing) = (Self::default(), Vec::new());
        for to in (0..nodes.len()).filter(|to| *to != from) {
            let PathIntent { all, services, except } = intent(to);
            let prefixes = nodes[to].prefixes();
            let own = |impairment, service| own(impairment, from, (to, service));
            let selectors =
                |service| prefixes.iter().map(move |prefix| Selector { prefix: *prefix, service }).collect();
            if all.is_nothing() {
                nothing.extend::<Vec<Selector>>(selectors(Service::All));
            } else {
                row.paths.push(RowPath::to(&prefixes, own(all, 0)));
            }
            for (number, (service, impairment)) in (1..).zip(&services) {
                if impairment.is_nothing() {
                    row.exclusions.extend::<Vec<Selector>>(selectors(*service));
                } else {
                    let impairment = own(*impairment, number);
                    row.paths.push(RowPath { selectors: selectors(*service), impairment });
                }
            }
            row.exclusions.extend(except.into_iter().flat_map::<Vec<Selector>, _>(selectors));
        }
        let impaired = row.paths.iter().flat_map(|path| &path.selectors).map(|selector| selector.prefix);
        let networks: Vec<IpNet> = impaired.filter(|net| net.prefix_len() < net.max_prefix_len()).collect();
        let within = |one: &Selector| networks.iter().any(|net| net.contains(&one.prefix) && *net != one.prefix);
        row.exclusions.extend(nothing.into_iter().filter(within));
        row
    }

    /// What pings to an address of a node meet.
    pub fn pings_to(&self, address: std::net::IpAddr) -> Impairment {
        let prefix = IpNet::from(address);
        let ranked = [Service::Protocol(Protocol::Icmp), Service::All].map(|service| Selector { prefix, service });
        let means = |list: &[Selector], wanted: &Selector| list.iter().any(|one| one.canonical() == *wanted);
        for selector in ranked {
            if means(&self.exclusions, &selector) {
                return Impairment::default();
            }
            if let Some(path) = self.paths.iter().find(|path| means(&path.selectors, &selector)) {
                return path.impairment;
            }
        }
        Impairment::default()
    }

    /// The matrix that the `rows` of all `nodes` make: the inverse of [`Row::of`]. Paths to strangers are left out,
    /// and so are single services.
    pub fn to_matrix(nodes: &[Node], rows: &[Self]) -> Result<DelayMatrix, MatrixError> {
        let n = nodes.len();
        let place: BTreeMap<IpNet, NodeIndex> = nodes
            .iter()
            .enumerate()
            .flat_map(|(index, node)| node.prefixes().into_iter().map(move |p| (p, index)))
            .collect();
        let mut delays = vec![Delay::ZERO; n * n];
        for (from, row) in rows.iter().enumerate() {
            for path in &row.paths {
                let whole = path.selectors.iter().filter(|selector| selector.service == Service::All);
                for to in whole.filter_map(|selector| place.get(&selector.prefix)) {
                    delays[from * n + to] = path.impairment.delay;
                }
            }
        }
        DelayMatrix::new(nodes.iter().map(|node| node.name.clone()).collect(), delays)
    }
}

impl FromIterator<RowPath> for Row {
    /// These paths, and no exclusions.
    fn from_iter<I: IntoIterator<Item = RowPath>>(paths: I) -> Self {
        Self { paths: paths.into_iter().collect(), exclusions: Vec::new() }
    }
}

/// What one path does: to everything, to single services instead, and to what not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathIntent {
    /// What all packets meet that are of none of the services.
    pub all: Impairment,
    /// What the packets of a service meet instead.
    pub services: Vec<(Service, Impairment)>,
    /// Packets that are left alone.
    pub except: Vec<Service>,
}

impl PathIntent {
    /// The same for all packets.
    pub fn all(all: Impairment) -> Self {
        Self { all, ..Self::default() }
    }

    /// What pings meet.
    pub fn pings(&self) -> Impairment {
        let is_ping = |service: &Service| *service == Service::Protocol(Protocol::Icmp);
        if self.except.iter().any(is_ping) {
            return Impairment::default();
        }
        self.services.iter().find(|(service, _)| is_ping(service)).map_or(self.all, |(_, impairment)| *impairment)
    }
}

/// What all paths between some nodes do, and which networks are reached through each of them, beside its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkIntent {
    /// Row by row.
    pub paths: Vec<PathIntent>,
    /// By node.
    pub networks: BTreeMap<NodeIndex, Vec<IpNet>>,
}

impl NetworkIntent {
    /// Whether every path does the same to all of its packets: no services, no exceptions, no networks behind nodes.
    pub fn is_plain(&self) -> bool {
        let plain = |intent: &PathIntent| intent.services.is_empty() && intent.except.is_empty();
        self.networks.is_empty() && self.paths.iter().all(plain)
    }

    /// What `nodes` are with these networks.
    pub fn nodes(&self, nodes: &[Node]) -> Vec<Node> {
        let with_networks = |(index, node): (NodeIndex, &Node)| {
            let more = self.networks.get(&index).into_iter().flatten().filter(|net| !node.networks.contains(net));
            Node { networks: node.networks.iter().chain(more).copied().collect(), ..node.clone() }
        };
        nodes.iter().enumerate().map(with_networks).collect()
    }

    /// What node `from` of `nodes` is to do.
    pub fn row(&self, nodes: &[Node], from: NodeIndex) -> Row {
        let intent = |to: NodeIndex| self.paths.get(from * nodes.len() + to).cloned().unwrap_or_default();
        Row::of_intents(&self.nodes(nodes), from, intent)
    }
}

/// The impairment of the path to a node for a service by number, with its own dice if it has any.
fn own(impairment: Impairment, from: NodeIndex, (to, service): (NodeIndex, u64)) -> Impairment {
    if !impairment.has_memory() {
        return Impairment { seed: None, stream: 0, ..impairment };
    }
    let path = service << 60 | (from as u64) << 32 | (to as u64 + 1);
    // A matrix has 4,096 nodes at most, which leaves the stream three bits for services.
    let stream = u16::try_from(to as u64 + 1 + ((service % 8) << 13)).unwrap_or(u16::MAX);
    Impairment { seed: impairment.seed.map(|seed| mixed(seed ^ mixed(path))), stream, ..impairment }
}

/// Spreads a number over all bits (the finaliser of `SplitMix64`), so that neighbouring paths get unlike dice.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::{Loss, Share};

    fn nodes(count: usize) -> Vec<Node> {
        (1..=count)
            .map(|n| Node {
                name: format!("n{n}").parse().unwrap(),
                ipv4: format!("10.0.0.{n}").parse().ok(),
                ipv6: format!("fd00::{n}").parse().ok(),
                networks: vec![],
            })
            .collect()
    }

    #[test]
    fn services_are_apart_and_exceptions_left_alone() {
        let (slow, lossy) = (
            Impairment::delay(Delay::from_millis(5)),
            Impairment { loss: Loss::Random(Share::of("1%".parse().unwrap())), ..Impairment::default() },
        );
        let [web, ssh, dns] = ["tcp:443", "tcp:22", "udp:53"].map(|text| text.parse::<Service>().unwrap());
        let intent =
            PathIntent { all: slow, services: vec![(web, lossy), (dns, Impairment::default())], except: vec![ssh] };
        let row = Row::of_intents(&nodes(2), 0, |_| intent.clone());
        let text = |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let paths: Vec<String> =
            row.paths.iter().map(|path| format!("{}: {}", text(&path.selectors), path.impairment)).collect();
        assert_eq!(paths, ["10.0.0.2/32, fd00::2/128: 5ms", "10.0.0.2/32 tcp:443, fd00::2/128 tcp:443: 0ms loss 1%"]);
        assert_eq!(
            text(&row.exclusions),
            "10.0.0.2/32 udp:53, fd00::2/128 udp:53, 10.0.0.2/32 tcp:22, fd00::2/128 tcp:22"
        );
        assert_eq!((row.paths[1].impairment.stream, intent.pings()), (2 + 0x2000, slow));
        assert_eq!(row.pings_to("10.0.0.2".parse().unwrap()), slow);
        let pings = PathIntent { except: vec!["icmp".parse().unwrap()], ..intent };
        assert!(pings.pings().is_nothing());
        let row = Row::of_intents(&nodes(2), 0, |_| pings.clone());
        assert!(row.pings_to("fd00::2".parse().unwrap()).is_nothing());
    }

    #[test]
    fn own_tables_travel_once_and_in_front() {
        let table = crate::shaping::OwnTable::new("travel", (0..64).collect()).unwrap();
        let jitter = crate::shaping::Jitter {
            span: crate::units::Span::from_millis(1),
            distribution: crate::shaping::Distribution::Own(table),
            ..Default::default()
        };
        let row = Row::of_paths(&nodes(3), 0, |_| Impairment { jitter, ..Impairment::delay(Delay::from_millis(5)) });
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(text.matches("\"entries\"").count(), 1, "{text}");
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row);
        let strange = text.replace("own:", "own:f");
        let error = serde_json::from_str::<Row>(&strange).unwrap_err().to_string();
        assert!(error.contains("is used before it is given"), "{error}");
        assert!(!serde_json::to_string(&Row::default()).unwrap().contains("tables"));
    }

    #[test]
    fn a_node_within_the_network_of_another_is_excluded_if_it_is_left_alone() {
        let mut nodes = nodes(4);
        nodes[1].networks = vec!["10.0.0.0/24".parse().unwrap(), "fd00:1::/64".parse().unwrap()];
        let plain = |to| if to == 1 { Impairment::delay(Delay::from_millis(5)) } else { Impairment::default() };
        let row = Row::of_paths(&nodes, 0, plain);
        let exclusions: Vec<String> = row.exclusions.iter().map(ToString::to_string).collect();
        assert_eq!(exclusions, ["10.0.0.3/32", "10.0.0.4/32"], "not those of IPv6, which are elsewhere");
        assert_eq!(row.paths.len(), 1);
        assert_eq!(Row::of_paths(&nodes, 1, |_| Impairment::default()), Row::default());
    }

    #[test]
    fn paths_with_dice_have_their_own_and_plain_ones_share() {
        let nodes = nodes(3);
        let lossy =
            Impairment { loss: Loss::Random(Share::of("1%".parse().unwrap())), seed: Some(7), ..Impairment::default() };
        let row = Row::of_paths(&nodes, 0, |_| lossy);
        let [second, third] = [0, 1].map(|path: usize| row.paths[path].impairment);
        assert_eq!(row.paths.len(), 2, "a path without delay can be impaired");
        assert_eq!((second.stream, third.stream), (2, 3));
        assert!(second.seed.is_some() && second.seed != third.seed);
        assert_eq!(row, Row::of_paths(&nodes, 0, |_| lossy));
        assert_ne!(row.paths[1].impairment.seed, Row::of_paths(&nodes, 1, |_| lossy).paths[1].impairment.seed);
        let plain =
            Row::of_paths(&nodes, 0, |_| Impairment { seed: Some(7), ..Impairment::delay(Delay::from_millis(1)) });
        assert!(plain.paths.iter().all(|path| path.impairment == Impairment::delay(Delay::from_millis(1))));
        assert_eq!(Row::of_paths(&nodes, 0, |_| Impairment::default()), Row::default());
    }
}
