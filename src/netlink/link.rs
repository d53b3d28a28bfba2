//! Links, addresses and what hangs on them, as requests of a [`Connection`](super::Connection).

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Connection, NetlinkError, Request};

/// The longest name of a link, in bytes.
const MAX_NAME: usize = 15;

/// A link as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    /// The name, at most 15 bytes.
    pub name: String,
    /// What made it: `veth`, `ifb`, `bridge`; `None` for hardware.
    pub kind: Option<String>,
    /// Administratively up.
    pub up: bool,
    /// The free text that administrators, and we, attach.
    pub alias: Option<String>,
    /// The loopback interface: what is sent there never leaves.
    pub loopback: bool,
    /// The index of the bridge, bond or the like that it is a port of.
    pub controller: Option<u32>,
}

/// Looks a link up by name; `None` when there is none.
pub fn find(connection: &mut Connection, name: &str) -> Result<Option<Link>, NetlinkError> {
    // The kernel refuses such a name instead of not finding it.
    if name.len() > MAX_NAME {
        return Ok(None);
    }
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    let found = connection.get(&RouteNetlinkMessage::GetLink(message))?;
    Ok(found.and_then(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => Some(read(&link)),
        _ => None,
    }))
}

/// Lists all links of the namespace.
pub fn list(connection: &mut Connection) -> Result<Vec<Link>, NetlinkError> {
    let objects = connection.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    Ok(objects
        .iter()
        .filter_map(|object| match object {
            RouteNetlinkMessage::NewLink(link) => Some(read(link)),
            _ => None,
        })
        .collect())
}

pub(super) fn read(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        kind: None,
        up: message.header.flags.contains(LinkFlags::Up),
        alias: None,
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        controller: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias.clone()),
            LinkAttribute::Controller(index) => link.controller = Some(*index).filter(|index| *index != 0),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    link
}

/// One end of a veth pair: its name and, when it lives elsewhere, the network namespace.
#[derive(Debug, Clone, Copy)]
pub struct VethEnd<'a> {
    /// The interface name there.
    pub name: &'a str,
    /// An open file of the namespace; `None` for the connection's own.
    pub namespace: Option<BorrowedFd<'a>>,
}

/// Makes a veth pair; `near` may be enslaved to the bridge `master` of the same namespace at once.
pub fn create_veth(near: VethEnd<'_>, far: VethEnd<'_>, master: Option<u32>) -> Request {
    let mut message = end_message(near);
    message.attributes.extend(master.map(LinkAttribute::Controller));
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(end_message(far)))),
    ]));
    let what = format!("make the veth pair {} and {}", near.name, far.name);
    Request::create(RouteNetlinkMessage::NewLink(message), what)
}

fn end_message(end: VethEnd<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(end.name.to_owned()));
    message.attributes.extend(end.namespace.map(|namespace| LinkAttribute::NetNsFd(namespace.as_raw_fd())));
    message
}

/// Makes a link that needs no options: a bridge or an IFB.
pub fn create_plain(name: &str, kind: InfoKind) -> Request {
    let what = format!("make the {kind} {name}");
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
    Request::create(RouteNetlinkMessage::NewLink(message), what)
}

/// Sets a link up.
pub fn set_up(link: &Link) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = link.index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    Request::change(RouteNetlinkMessage::SetLink(message), format!("set {} up", link.name))
}

/// Changes a link's attributes, such as its alias or its transmit queue length.
pub fn set_attributes(link: &Link, attributes: Vec<LinkAttribute>) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = link.index;
    message.attributes = attributes;
    Request::change(RouteNetlinkMessage::SetLink(message), format!("change {}", link.name))
}

/// Switches ARP and neighbour discovery off, for a device that only carries redirected packets, and sets it up.
pub fn set_up_without_arp(link: &Link) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = link.index;
    message.header.flags = LinkFlags::Up | LinkFlags::Noarp;
    message.header.change_mask = LinkFlags::Up | LinkFlags::Noarp;
    Request::change(RouteNetlinkMessage::SetLink(message), format!("set {} up without ARP", link.name))
}

/// Deletes a link.
pub fn delete(link: &Link) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = link.index;
    Request::delete(RouteNetlinkMessage::DelLink(message), format!("delete {}", link.name))
}

/// Gives a link an address. IPv6 duplicate detection is skipped: the caller owns the whole network.
pub fn add_address(link: &Link, address: IpAddr, prefix_length: u8) -> Request {
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix_length;
    message.header.scope = AddressScope::Universe;
    message.header.index = link.index;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    if address.is_ipv6() {
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    let what = format!("give {} the address {address}/{prefix_length}", link.name);
    Request::create(RouteNetlinkMessage::NewAddress(message), what)
}

/// The addresses of a link that others can reach it by: neither link-local nor temporary ones.
pub fn addresses(connection: &mut Connection, link: &Link) -> Result<Vec<IpAddr>, NetlinkError> {
    let objects = connection.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    Ok(objects.iter().filter_map(|object| address_of(object, link.index)).collect())
}

pub(super) fn address_of(object: &RouteNetlinkMessage, index: u32) -> Option<IpAddr> {
    let RouteNetlinkMessage::NewAddress(message) = object else { return None };
    let lasting = message.header.index == index && message.header.scope == AddressScope::Universe;
    let temporary = message.attributes.iter().any(
        |attribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Secondary)),
    );
    // Of a point-to-point link the first is its own, the second the peer's.
    let own = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(own) => Some(*own),
        _ => None,
    });
    let any = || {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(own) => Some(*own),
            _ => None,
        })
    };
    let address = own.or_else(any)?;
    // An IPv4 address that is secondary is a second one of its network; an IPv6 one that is, is temporary.
    (lasting && !(temporary && address.is_ipv6())).then_some(address)
}
