//! A node of a testbed: a name, the addresses that reach it, and the networks behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::NodeName;

/// A node's place in a matrix and in every list of nodes, from 0.
pub type NodeIndex = usize;

/// A host that sends and receives. It has at least one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What users call it.
    pub name: NodeName,
    /// The IPv4 address that it is probed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address that it is probed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// What else is reached through it: further addresses, and networks such as those of its pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
}

impl Node {
    /// The addresses that it is probed by, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.ipv4.map(IpAddr::V4).into_iter().chain(self.ipv6.map(IpAddr::V6))
    }

    /// The address of one family, if it has one.
    pub fn address(&self, ipv6: bool) -> Option<IpAddr> {
        if ipv6 { self.ipv6.map(IpAddr::V6) } else { self.ipv4.map(IpAddr::V4) }
    }

    /// The prefixes that packets to this node are matched by: its addresses and its networks.
    pub fn prefixes(&self) -> Vec<IpNet> {
        self.addresses().map(IpNet::from).chain(self.networks.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_node_lacks_is_neither_matched_nor_written() {
        let node = Node {
            name: "a".parse().unwrap(),
            ipv4: None,
            ipv6: Some("fd00::1".parse().unwrap()),
            networks: vec!["10.42.1.0/24".parse().unwrap()],
        };
        let prefixes: Vec<String> = node.prefixes().iter().map(ToString::to_string).collect();
        assert_eq!(prefixes, ["fd00::1/128", "10.42.1.0/24"]);
        assert_eq!((node.address(false), node.address(true)), (None, Some("fd00::1".parse().unwrap())));
        let text = serde_json::to_string(&node).unwrap();
        assert_eq!(text, r#"{"name":"a","ipv6":"fd00::1","networks":["10.42.1.0/24"]}"#);
        assert_eq!(serde_json::from_str::<Node>(&text).unwrap(), node);
    }
}
