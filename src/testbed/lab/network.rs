//! The network of a lab: a bridge in a namespace of its own, and a veth pair to each node's namespace.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use netlink_packet_route::link::{InfoKind, LinkAttribute};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::LabError;
use super::addressing::{IPV4_PREFIX, IPV6_PREFIX, hardware_address};
use super::namespaces::with_new_network;
use crate::netlink::link::{self, Link, VethEnd};
use crate::netlink::{Connection, NetlinkError, Request};
use crate::topology::{Node, NodeIndex};

/// The interface of a node that faces the others.
pub const NODE_INTERFACE: &str = "eth0";

/// The bridge's name, in the namespace that only it and its ports live in.
const BRIDGE: &str = "lab";

/// Builds the network in the calling process's namespaces; the result has each node's network namespace, in order.
pub(super) fn build(nodes: &[Node]) -> Result<Vec<OwnedFd>, LabError> {
    let mut switch = Connection::open()?;
    let bridge = make_bridge(&mut switch)?;
    let mut namespaces = Vec::with_capacity(nodes.len());
    for _ in nodes {
        namespaces.push(make_node_namespace()?);
    }
    let cables: Vec<Request> = namespaces
        .iter()
        .enumerate()
        .map(|(index, (namespace, _))| {
            let port = format!("p{}", index + 1);
            let near = VethEnd { name: &port, namespace: None };
            let far = VethEnd { name: NODE_INTERFACE, namespace: Some(namespace.as_fd()) };
            link::create_veth(near, far, Some(bridge.index))
        })
        .collect();
    switch.execute(&cables)?;
    let ports = link::list(&mut switch)?;
    let up: Vec<Request> = ports.iter().map(link::set_up).collect();
    switch.execute(&up)?;
    for (index, (_, connection)) in namespaces.iter_mut().enumerate() {
        configure_node(connection, nodes, index)?;
    }
    Ok(namespaces.into_iter().map(|(namespace, _)| namespace).collect())
}

fn make_bridge(switch: &mut Connection) -> Result<Link, LabError> {
    quiet_ipv6()?;
    switch.execute_one(link::create_plain(BRIDGE, InfoKind::Bridge))?;
    Ok(find(switch, BRIDGE)?)
}

fn find(connection: &mut Connection, name: &str) -> Result<Link, NetlinkError> {
    link::find(connection, name)?.ok_or_else(|| NetlinkError::Malformed(format!("interface {name} has vanished")))
}

fn make_node_namespace() -> Result<(OwnedFd, Connection), LabError> {
    let (namespace, connection) = with_new_network(|| {
        quiet_ipv6()?;
        // Lets every program of the lab ping without privileges; refused on kernels without the setting, and not needed.
        let _ = fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0");
        Ok::<_, LabError>(Connection::open()?)
    })?;
    Ok((namespace, connection?))
}

/// Stops the kernel from sending IPv6 packets of its own accord: they would be noise in every measurement.
fn quiet_ipv6() -> Result<(), LabError> {
    for (setting, value) in
        [("accept_dad", "0"), ("dad_transmits", "0"), ("router_solicitations", "0"), ("accept_ra", "0")]
    {
        let path = format!("/proc/sys/net/ipv6/conf/default/{setting}");
        match fs::write(&path, value) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(LabError::System { operation: format!("write {path}"), source });
            }
            // Not found: a kernel without IPv6. The addresses will be refused with a precise text.
            _ => {}
        }
    }
    Ok(())
}

fn configure_node(connection: &mut Connection, nodes: &[Node], index: NodeIndex) -> Result<(), LabError> {
    let (loopback, interface) = (find(connection, "lo")?, find(connection, NODE_INTERFACE)?);
    let address = hardware_address(index);
    let mut requests = vec![link::set_attributes(&interface, vec![LinkAttribute::Address(address.to_vec())])];
    requests.extend(
        nodes[index]
            .addresses()
            .map(|own| link::add_address(&interface, own, if own.is_ipv4() { IPV4_PREFIX } else { IPV6_PREFIX })),
    );
    requests.extend([link::set_up(&loopback), link::set_up(&interface)]);
    connection.execute(&requests)?;
    let others = nodes.iter().enumerate().filter(|(other, _)| *other != index);
    let neighbours: Vec<Request> = others
        .flat_map(|(other, node)| {
            node.addresses().map(|ip| neighbour(&interface, ip, hardware_address(other))).collect::<Vec<_>>()
        })
        .collect();
    Ok(connection.execute(&neighbours)?)
}

/// A fixed neighbour. The kernel's neighbour table is shared by all namespaces and holds 1,024 entries (`gc_thresh3`), which
/// a full mesh of 33 nodes overflows; fixed entries are not counted, and no first packet waits for ARP.
fn neighbour(interface: &Link, address: IpAddr, hardware: [u8; 6]) -> Request {
    let mut message = NeighbourMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = interface.index;
    message.header.state = NeighbourState::Permanent;
    let destination = match address {
        IpAddr::V4(ipv4) => NeighbourAddress::Inet(ipv4),
        IpAddr::V6(ipv6) => NeighbourAddress::Inet6(ipv6),
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(hardware.to_vec()));
    Request::replace(RouteNetlinkMessage::NewNeighbour(message), format!("tell {} where {address} is", interface.name))
}
