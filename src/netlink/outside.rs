//! What fuzz targets give to the private parsers of this room: datagrams as a kernel may send them.

use netlink_packet_core::{NetlinkDeserializable, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;

use super::connection::read_messages;
use super::error::extended_text;
use super::{NetlinkError, link};

/// The objects of a datagram; the texts of errors are read, too.
pub fn messages<T: NetlinkDeserializable>(bytes: &[u8]) -> Result<Vec<T>, NetlinkError> {
    let mut objects = Vec::new();
    for message in read_messages::<T>(bytes)? {
        match message.payload {
            NetlinkPayload::InnerMessage(object) => objects.push(object),
            NetlinkPayload::Error(error) => drop(extended_text(&error.header)),
            _ => {}
        }
    }
    Ok(objects)
}

/// A datagram of links, addresses and routes.
pub fn route_messages(bytes: &[u8]) {
    for object in messages::<RouteNetlinkMessage>(bytes).unwrap_or_default() {
        if let RouteNetlinkMessage::NewLink(found) = &object {
            let _ = link::read(found);
        }
        let _ = link::address_of(&object, 1);
    }
}
