//! [`sweep`]: takes everything of ours away, for supervisors, whatever state it is in.

use netlink_packet_route::RouteNetlinkMessage;

use super::read::other_filters;
use super::rules::{preference, protocol};
use super::{KernelTc, device, hook_object};
use crate::netlink::{Connection, NetlinkError, Request, link};
use crate::shaping::Family;
use crate::tc::codec::{Handle, Object, u32};
use crate::tc::{TcError, bpf, clear};

/// Takes everything of ours away from `interface`, in the calling thread's network namespace.
///
/// Does what [`clear`] does where that works. Where it does not, because someone has put a rule among ours, because the
/// interface has vanished or because our device is half made, it deletes our lists and our device without reading them.
pub fn sweep(interface: &str) -> Result<(), TcError> {
    detach_programs(interface);
    let cleared = KernelTc::open(interface).is_ok_and(|mut tc| clear(&mut tc).is_ok());
    let mut connection = Connection::open()?;
    // What was half made when its maker was killed is no part of the state that is cleared.
    if cleared && link::find(&mut connection, device::NAME)?.is_none() {
        return Ok(());
    }
    let index = link::find(&mut connection, interface)?.map(|link| link.index);
    if let Some(index) = index {
        for family in Family::ALL {
            delete_list(&mut connection, index, family, interface)?;
        }
    }
    let Some(device) = device::find(&mut connection, interface)? else { return Ok(()) };
    if let Some(index) = index.filter(|_| device.owns_hook) {
        delete_hook(&mut connection, index, interface)?;
    }
    Ok(connection.execute_one(device::delete(&device))?)
}

/// A program whose process does not answer would go on sending packets to a device that is about to vanish.
fn detach_programs(interface: &str) {
    let index = Connection::open().and_then(|mut connection| link::find(&mut connection, interface));
    if let Ok(Some(link)) = index {
        // Where this is not permitted, there is none or its process has to end.
        let _ = bpf::sweep(link.index);
    }
}

fn delete_list(connection: &mut Connection, index: u32, family: Family, interface: &str) -> Result<(), TcError> {
    let list = Object {
        interface: index,
        parent: Handle::EGRESS,
        info: Object::info(preference(family), protocol(family)),
        kind: u32::KIND.to_owned(),
        ..Object::default()
    };
    let message = RouteNetlinkMessage::DelTrafficFilter(list.to_message());
    let what = format!("delete the {family} list on {interface}");
    unless_absent(connection.execute_one(Request::delete(message, what)))
}

fn delete_hook(connection: &mut Connection, index: u32, interface: &str) -> Result<(), TcError> {
    for parent in [Handle::EGRESS, Handle::INGRESS] {
        if other_filters(connection, &Object { interface: index, parent, ..Object::default() })?.others > 0 {
            return Ok(());
        }
    }
    let message = RouteNetlinkMessage::DelQueueDiscipline(hook_object(index).to_message());
    unless_absent(connection.execute_one(Request::delete(message, format!("delete clsact on {interface}"))))
}

/// The kernel says `ENOENT` for a missing list, `EINVAL` for a missing hook.
fn unless_absent(answer: Result<(), NetlinkError>) -> Result<(), TcError> {
    match answer {
        Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::EINVAL)) => Ok(()),
        answer => Ok(answer?),
    }
}
