//! A node of a testbed: a name and the addresses that reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::NodeName;

/// A node's place in a matrix and in every list of nodes, from 0.
pub type NodeIndex = usize;

/// A host that sends and receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What users call it.
    pub name: NodeName,
    /// Its IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address.
    pub ipv6: Ipv6Addr,
}

impl Node {
    /// The prefixes that packets to this node are matched by: its two host addresses.
    pub fn prefixes(&self) -> Vec<IpNet> {
        vec![IpNet::from(IpAddr::V4(self.ipv4)), IpNet::from(IpAddr::V6(self.ipv6))]
    }
}
