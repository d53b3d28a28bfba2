//! Routes: which interface packets to an address leave by.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::link::{self, Link};
use super::{Connection, NetlinkError};

/// Why no interface can be told from the addresses that are to be reached.
#[derive(Debug, thiserror::Error)]
pub enum TowardError {
    /// There is nothing to go by.
    #[error("the interface is to be found by the routes to the other nodes, but no address of another node is known")]
    NoAddress,
    /// The kernel has no route.
    #[error("no route to {address}: {source}")]
    NoRoute {
        /// To where.
        address: IpAddr,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// Several interfaces.
    #[error("the other nodes are behind different interfaces ({found}); name the one to impair")]
    Several {
        /// Which address by which interface, in words.
        found: String,
    },
    /// The address is this host's own.
    #[error("{address} is an address of this host itself; it was taken for another node's")]
    Own {
        /// Which.
        address: IpAddr,
    },
    /// The links cannot be listed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// The one interface that packets to all of `addresses` leave by.
pub fn interface_toward(connection: &mut Connection, addresses: &[IpAddr]) -> Result<Link, TowardError> {
    let links = link::list(connection)?;
    let mut found: BTreeMap<u32, IpAddr> = BTreeMap::new();
    for address in addresses {
        let index =
            outgoing(connection, *address).map_err(|source| TowardError::NoRoute { address: *address, source })?;
        let index = index.ok_or(TowardError::Own { address: *address })?;
        found.entry(index).or_insert(*address);
    }
    let named = |index: u32| links.iter().find(|link| link.index == index);
    match found.iter().collect::<Vec<_>>().as_slice() {
        [] => Err(TowardError::NoAddress),
        [(index, address)] => named(**index).cloned().ok_or_else(|| {
            let gone = NetlinkError::Malformed(format!("the route names interface {index}, which is not listed"));
            TowardError::NoRoute { address: **address, source: gone }
        }),
        several => {
            let name = |index: u32| named(index).map_or_else(|| index.to_string(), |link| link.name.clone());
            let words: Vec<String> =
                several.iter().map(|(index, address)| format!("{address} by {}", name(**index))).collect();
            Err(TowardError::Several { found: words.join(", ") })
        }
    }
}

/// The index of the interface; `None` when the address is local.
fn outgoing(connection: &mut Connection, address: IpAddr) -> Result<Option<u32>, NetlinkError> {
    let mut message = RouteMessage::default();
    let (family, length, destination) = match address {
        IpAddr::V4(v4) => (AddressFamily::Inet, 32, RouteAddress::Inet(v4)),
        IpAddr::V6(v6) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(v6)),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = length;
    message.attributes.push(RouteAttribute::Destination(destination));
    let answer = connection.get(&RouteNetlinkMessage::GetRoute(message))?;
    let Some(RouteNetlinkMessage::NewRoute(route)) = answer else {
        return Err(NetlinkError::Malformed("the kernel answered without a route".to_owned()));
    };
    if route.header.kind == netlink_packet_route::route::RouteType::Local {
        return Ok(None);
    }
    let index = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    index.map(Some).ok_or_else(|| NetlinkError::Malformed("the kernel's route has no interface".to_owned()))
}
