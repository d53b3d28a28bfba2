//! Tells when links change: come, go, get another name, go up or down.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::socket::{MsgFlags, recv};

/// `RTMGRP_LINK`.
const LINKS: u32 = 1;

/// Listens for changes of links in the network namespace of the process that opened it.
pub struct LinkMonitor {
    socket: Socket,
    buffer: Vec<u8>,
}

/// A link that something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkChange {
    /// Its index.
    pub index: u32,
    /// Its name, which may be new.
    pub name: String,
}

impl LinkMonitor {
    /// Listens from now on.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, LINKS))?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket, buffer: vec![0; 64 * 1024] })
    }

    /// Readable when something has happened.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What has happened since; `None` when it was more than could be kept.
    pub fn changes(&mut self) -> Option<Vec<LinkChange>> {
        let mut changes = Some(Vec::new());
        loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    let found = read(&self.buffer[..length]);
                    changes = changes.zip(found).map(|(all, found)| [all, found].concat());
                }
                Err(nix::Error::EINTR) => {}
                // The kernel has dropped some.
                Err(nix::Error::ENOBUFS) => changes = None,
                Err(_) => return changes,
            }
        }
    }
}

/// The links in a message; `None` when it cannot be read.
fn read(bytes: &[u8]) -> Option<Vec<LinkChange>> {
    let (mut changes, mut rest) = (Vec::new(), bytes);
    while rest.len() >= 16 {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).ok()?;
        if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)) =
            &message.payload
        {
            changes.push(change(link));
        }
        rest = rest.get((message.header.length as usize).next_multiple_of(4).max(16)..).unwrap_or_default();
    }
    Some(changes)
}

fn change(link: &LinkMessage) -> LinkChange {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    LinkChange { index: link.header.index, name: name.unwrap_or_default() }
}
