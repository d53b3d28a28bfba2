//! Our device, `lh0`: making it, knowing it again, deleting it. What must outlast a restart of the agent is in its alias.

use netlink_packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute};

use crate::netlink::link::{self, Link, VethEnd};
use crate::netlink::{Connection, Request};
use crate::shaping::DeviceKind;
use crate::tc::TcError;

/// The device's name; of a pair, the end that packets are sent to.
pub(super) const NAME: &str = "lh0";
/// The name of a pair's other end, where the delay line takes packets up.
pub(super) const FAR_NAME: &str = "lh1";

/// The first word of the alias of every device of ours; then come the interface and, if we made it, its hook.
const OURS: &str = "longhaul";
const HOOK: &str = "clsact";

/// `ETH_MAX_MTU` of the kernel.
const LONGEST_MTU: u32 = 65_535;

/// Our device as it is.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// The link.
    pub(super) link: Link,
    /// What it is.
    pub(super) kind: DeviceKind,
    /// Whether its making was not interrupted.
    pub(super) complete: bool,
    /// Whether the interface's hook was made by us, and so is ours to remove.
    pub(super) owns_hook: bool,
}

/// Looks for our device; refuses one that is another's or serves another interface.
pub(super) fn find(connection: &mut Connection, interface: &str) -> Result<Option<Device>, TcError> {
    let Some(link) = link::find(connection, NAME)? else { return Ok(None) };
    let alias = link.alias.clone().unwrap_or_default();
    let words: Vec<&str> = alias.split(':').collect();
    let kind = match link.kind.as_deref() {
        Some("ifb") => Some(DeviceKind::Ifb),
        Some("veth") => Some(DeviceKind::Veth),
        _ => None,
    };
    match (kind, words.as_slice()) {
        (Some(kind), [""]) => Ok(Some(Device { link, kind, complete: false, owns_hook: false })),
        (Some(kind), [OURS, of, rest @ ..]) if *of == interface => {
            Ok(Some(Device { complete: link.up, link, kind, owns_hook: rest == [HOOK] }))
        }
        (Some(_), [OURS, other, ..]) => Err(TcError::Busy { device: NAME.to_owned(), other: (*other).to_owned() }),
        _ => Err(TcError::ForeignDevice { device: NAME.to_owned(), alias: link.alias }),
    }
}

/// Reads the mark that devices of ours bear: the interface, and whether its hook is ours.
pub(super) fn mark(alias: &str) -> Option<(&str, bool)> {
    let mut words = alias.split(':');
    if words.next() != Some(OURS) {
        return None;
    }
    words.next().map(|interface| (interface, words.next() == Some(HOOK)))
}

/// Makes the device, up, without addresses of its own, marked as ours.
pub(super) fn make(connection: &mut Connection, kind: DeviceKind, interface: &str) -> Result<Device, TcError> {
    if let Some(half_made) = find(connection, interface)? {
        connection.execute_one(link::delete(&half_made.link))?;
    }
    let (request, names) = match kind {
        DeviceKind::Ifb => (link::create_plain(NAME, InfoKind::Ifb), [NAME].as_slice()),
        DeviceKind::Veth => {
            let [near, far] = [NAME, FAR_NAME].map(|name| VethEnd { name, namespace: None });
            (link::create_veth(near, far, None), [FAR_NAME, NAME].as_slice())
        }
    };
    connection.execute_one(request)?;
    let mut near = None;
    for name in names {
        let made =
            link::find(connection, name)?.ok_or_else(|| TcError::NoInterface { interface: (*name).to_owned() })?;
        // The alias comes last before `up`: a device that is up and marked is complete.
        connection.execute(&[
            link::set_attributes(&made, passage(kind)),
            link::set_attributes(&made, vec![LinkAttribute::IfAlias(alias(interface, false))]),
            link::set_up_without_arp(&made),
        ])?;
        near = Some(made);
    }
    let link = near.ok_or_else(|| TcError::NoInterface { interface: NAME.to_owned() })?;
    Ok(Device { link, kind, complete: true, owns_hook: false })
}

/// Notes on the device whether the interface's hook is ours.
pub(super) fn note_hook(
    connection: &mut Connection,
    device: &mut Device,
    interface: &str,
    ours: bool,
) -> Result<(), TcError> {
    let attribute = LinkAttribute::IfAlias(alias(interface, ours));
    connection.execute_one(link::set_attributes(&device.link, vec![attribute]))?;
    device.owns_hook = ours;
    Ok(())
}

/// Deletes the device and all that is on it.
pub(super) fn delete(device: &Device) -> Request {
    link::delete(&device.link)
}

fn alias(interface: &str, owns_hook: bool) -> String {
    if owns_hook { format!("{OURS}:{interface}:{HOOK}") } else { format!("{OURS}:{interface}") }
}

/// What makes a device a mere passage: no IPv6 address, hence no packets of its own; and of a pair, which drops what is longer
/// than its MTU, the longest MTU there is, whatever the interface's is now or later.
fn passage(kind: DeviceKind) -> Vec<LinkAttribute> {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let no_addresses = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]);
    match kind {
        DeviceKind::Ifb => vec![no_addresses],
        DeviceKind::Veth => vec![no_addresses, LinkAttribute::Mtu(LONGEST_MTU)],
    }
}
