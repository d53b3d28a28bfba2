//! [`examine`]: whether an interface is one whose state we understand, looked at before anything of it is touched.

use super::device;
use super::read::{Hook, Snapshot};
use crate::netlink::link::{self, Link};
use crate::netlink::{Connection, NetlinkError};
use crate::tc::TcError;

/// What sends by several ports at once: one port carries only a part of the packets.
const SPREADING: [&str; 2] = ["bond", "team"];

/// Fails, with the reason, when `interface` cannot be impaired or something of others is where only our objects may be.
/// Nothing is changed.
pub fn examine(interface: &str) -> Result<(), TcError> {
    let mut connection = Connection::open()?;
    let unfit = |why: String| Err(TcError::Unfit { interface: interface.to_owned(), why });
    if [device::NAME, device::FAR_NAME].contains(&interface) {
        return unfit("it is longhaul's own device; name the interface that faces the other nodes".to_owned());
    }
    let Some(link) = link::find(&mut connection, interface)? else {
        return Err(TcError::NoInterface { interface: interface.to_owned() });
    };
    if link.loopback {
        return unfit("it is the loopback interface, by which no packet leaves this host".to_owned());
    }
    if let Some(controller) = controller(&mut connection, &link)?
        && let Some(kind) = controller.kind.as_deref().filter(|kind| SPREADING.contains(kind))
    {
        let name = &controller.name;
        return unfit(format!(
            "it is one port of the {kind} `{name}`, which spreads packets over its ports; name `{name}`"
        ));
    }
    let snapshot = Snapshot::read(&mut connection, interface)?;
    if snapshot.hook == Hook::Ingress {
        return Err(TcError::Foreign {
            place: format!("the hook of {interface}"),
            found: "an ingress qdisc, which keeps clsact out".to_owned(),
        });
    }
    if snapshot.device.is_some() {
        // What is down for a while is still ours to look after.
        return Ok(());
    }
    if let Some(far) = link::find(&mut connection, device::FAR_NAME)? {
        return Err(TcError::ForeignDevice { device: far.name, alias: far.alias });
    }
    if !link.up {
        return unfit(format!("it is down; set it up (`ip link set {interface} up`) or name another"));
    }
    Ok(())
}

fn controller(connection: &mut Connection, port: &Link) -> Result<Option<Link>, NetlinkError> {
    let Some(index) = port.controller else { return Ok(None) };
    Ok(link::list(connection)?.into_iter().find(|link| link.index == index))
}
