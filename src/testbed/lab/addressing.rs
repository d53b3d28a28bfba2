//! Pure addressing of a lab: which addresses, hardware addresses and host names its nodes have.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::topology::{Node, NodeIndex, NodeName};

/// The most nodes of a lab: a Linux bridge has 1,023 usable ports (`BR_MAX_PORTS`).
pub const MAX_LAB_NODES: usize = 1_000;

/// The prefix length of the lab's IPv4 network, 10.77.0.0/16.
pub const IPV4_PREFIX: u8 = 16;

/// The prefix length of the lab's IPv6 network, `fd4c:48::/64` (unique local).
pub const IPV6_PREFIX: u8 = 64;

/// The nodes of a lab with these names, in order.
pub fn nodes(names: &[NodeName]) -> Vec<Node> {
    names.iter().enumerate().map(|(index, name)| node(index, name.clone())).collect()
}

fn node(index: NodeIndex, name: NodeName) -> Node {
    let [high, low] = number(index).to_be_bytes();
    Node {
        name,
        ipv4: Some(Ipv4Addr::new(10, 77, high, low)),
        ipv6: Some(Ipv6Addr::new(0xfd4c, 0x48, 0, 0, 0, 0, 0, number(index))),
        networks: Vec::new(),
    }
}

/// The 1-based number of a node; labs are far smaller than 2^16.
fn number(index: NodeIndex) -> u16 {
    u16::try_from(index + 1).unwrap_or(u16::MAX)
}

/// The hardware address of a node's interface: locally administered, fixed, so that neighbours can be told beforehand.
pub fn hardware_address(index: NodeIndex) -> [u8; 6] {
    let [high, low] = number(index).to_be_bytes();
    [0x02, 0x6c, 0x68, 0x00, high, low]
}

/// The names by which each node is known inside the lab, in order: its name as it is written where that can be a host name,
/// its name made into one, and n1…nN. No name stands for two nodes: what is written goes before what is made, and a made name
/// that two nodes would share is nobody's.
pub fn host_names(nodes: &[Node]) -> Vec<Vec<String>> {
    let made: Vec<String> = nodes.iter().map(|node| node.name.as_host_name()).collect();
    let mut taken: BTreeSet<String> = RESERVED.map(str::to_owned).into();
    // Host names know no case: of `Paris` and `paris` the first has the name.
    let written = |node: &Node| written_name(node).filter(|name| taken.insert(name.to_ascii_lowercase()));
    let mut names: Vec<Vec<String>> = nodes.iter().map(written).map(|name| name.into_iter().collect()).collect();
    for (index, name) in made.iter().enumerate() {
        let shared = made.iter().filter(|other| *other == name).count() > 1;
        if !shared && !is_address(name) && taken.insert(name.clone()) {
            names[index].push(name.clone());
        }
    }
    for (index, list) in names.iter_mut().enumerate() {
        let numbered = NodeName::numbered(index + 1).to_string();
        if taken.insert(numbered.clone()) {
            list.push(numbered);
        }
    }
    names
}

/// Names that mean something else to every program.
const RESERVED: [&str; 3] = ["localhost", "ip6-localhost", "ip6-loopback"];

/// A node's name as it is written, where a hosts file can hold it and no program reads it as something else.
fn written_name(node: &Node) -> Option<String> {
    let name = node.name.as_str();
    let fitting = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !name.starts_with(['-', '.']);
    let free = !RESERVED.contains(&name.to_ascii_lowercase().as_str()) && !is_address(name);
    (fitting && free).then(|| name.to_owned())
}

/// What resolvers read as an address, even where it is none, such as `10.1`.
fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || name.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The hosts file inside the lab.
pub fn hosts_file(nodes: &[Node]) -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
    for (node, names) in nodes.iter().zip(host_names(nodes)) {
        for address in node.addresses() {
            if !names.is_empty() {
                let _ = writeln!(text, "{address} {}", names.join(" "));
            }
        }
    }
    text
}

/// Finds a node by its name, by a name that the lab knows it by, or by its number (`n3`).
pub fn find(nodes: &[Node], wanted: &str) -> Option<NodeIndex> {
    let by_name = nodes.iter().position(|node| node.name.as_str() == wanted);
    let by_host =
        || host_names(nodes).iter().position(|names| names.iter().any(|name| name.eq_ignore_ascii_case(wanted)));
    let by_number = || {
        let number: usize = wanted.strip_prefix('n')?.parse().ok()?;
        (1..=nodes.len()).contains(&number).then(|| number - 1)
    };
    by_name.or_else(by_host).or_else(by_number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn named(names: &[&str]) -> Vec<Node> {
        nodes(&names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn a_thousand_nodes_have_a_thousand_addresses() {
        let names: Vec<NodeName> = (1..=MAX_LAB_NODES).map(NodeName::numbered).collect();
        let nodes = nodes(&names);
        let unique: std::collections::BTreeSet<_> = nodes.iter().map(|node| (node.ipv4, node.ipv6)).collect();
        assert_eq!(unique.len(), MAX_LAB_NODES);
        assert_eq!(nodes[0].ipv4, Some(Ipv4Addr::new(10, 77, 0, 1)));
        assert_eq!(nodes[999].ipv4, Some(Ipv4Addr::new(10, 77, 3, 232)));
        assert_eq!(hardware_address(999), [0x02, 0x6c, 0x68, 0, 3, 232]);
    }

    #[test]
    fn hosts_know_names_and_numbers() {
        let text = hosts_file(&named(&["us-east4", "São Paulo", "n1"]));
        insta::assert_snapshot!(text, @r"
        127.0.0.1 localhost
        ::1 localhost ip6-localhost ip6-loopback
        10.77.0.1 us-east4
        fd4c:48::1 us-east4
        10.77.0.2 s-o-paulo n2
        fd4c:48::2 s-o-paulo n2
        10.77.0.3 n1 n3
        fd4c:48::3 n1 n3
        ");
    }

    #[test]
    fn nodes_are_found_by_any_of_their_names() {
        let nodes = named(&["us-east4", "São Paulo", "n1"]);
        for (wanted, found) in [("us-east4", Some(0)), ("s-o-paulo", Some(1)), ("n1", Some(2)), ("n2", Some(1))] {
            assert_eq!(find(&nodes, wanted), found, "{wanted}");
        }
        assert_eq!(find(&nodes, "N1"), Some(2));
        assert_eq!(find(&nodes, "n4"), None);
        assert_eq!(find(&nodes, "n0"), None);
    }

    #[test]
    fn no_name_stands_for_two_nodes() {
        let nodes = named(&["A B", "a-b", "A_B", "東京", "大阪", "localhost", "10.77.0.2", "n1"]);
        let expected: [&[&str]; 8] =
            [&[], &["a-b", "n2"], &["A_B", "n3"], &["n4"], &["n5"], &["n6"], &["n7"], &["n1", "n8"]];
        let names = host_names(&nodes);
        assert!(names[0].is_empty(), "its made name is a-b's, its number is n1's: {:?}", names[0]);
        for (found, expected) in names.iter().zip(expected).skip(1) {
            assert_eq!(found, expected);
        }
        assert_eq!(find(&nodes, "A B"), Some(0));
        assert_eq!(find(&nodes, "a-b"), Some(1));
    }
}
