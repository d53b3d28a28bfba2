//! The claim to an interface: an abstract socket name. It belongs to one network namespace, needs no file system, and is free
//! again when the last process that holds it has ended, however that came about.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, UnixCredentials, bind, getsockopt, socket, sockopt,
};
use nix::unistd::{Uid, User};

/// What every name of ours begins with.
const PREFIX: &str = "longhaul/keeper/";

fn name(interface: &str) -> String {
    format!("{PREFIX}{interface}")
}

fn address(interface: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name(interface))
}

/// Claims `interface` of the calling process's network namespace and listens for sessions; `None` when it is taken.
pub fn listen(interface: &str) -> io::Result<Option<UnixListener>> {
    match UnixListener::bind_addr(&address(interface)?) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        listener => listener.map(Some),
    }
}

/// Claims `interface` without letting anybody in, as long as the file is open; `None` when it is taken.
pub fn hold(interface: &str) -> io::Result<Option<OwnedFd>> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    match bind(socket.as_raw_fd(), &UnixAddr::new_abstract(name(interface).as_bytes())?) {
        Err(nix::Error::EADDRINUSE) => Ok(None),
        bound => Ok(bound.map(|()| Some(socket))?),
    }
}

/// Connects to the keeper of `interface`; `None` when nobody listens.
pub fn connect(interface: &str) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect_addr(&address(interface)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        stream => stream.map(Some),
    }
}

/// Who is at the other end of a connection: the kernel's word, not theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The process: the one that connected, or that began to listen.
    pub pid: i32,
    /// Its user.
    pub uid: Uid,
}

impl Peer {
    /// Of a connected stream.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials: UnixCredentials = getsockopt(stream, sockopt::PeerCredentials)?;
        Ok(Self { pid: credentials.pid(), uid: Uid::from_raw(credentials.uid()) })
    }

    /// Whether it is this user, or root.
    pub fn is_trusted(&self) -> bool {
        self.uid.is_root() || self.uid == Uid::effective()
    }

    /// The user's name, or its number where it has none here.
    pub fn user(&self) -> String {
        user_name(self.uid)
    }
}

/// A user's name, or its number where it has none here.
pub fn user_name(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| format!("{uid}"), |user| user.name)
}

/// A claim that somebody in this network namespace holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The interface.
    pub interface: String,
    /// Whether sessions are let in.
    pub listening: bool,
    /// The socket's number: whoever has a file of that number open is the holder.
    pub inode: u64,
}

/// All claims in the calling process's network namespace.
pub fn all() -> io::Result<Vec<Held>> {
    Ok(parse(&std::fs::read_to_string("/proc/self/net/unix")?))
}

/// Reads the kernel's list of Unix sockets. Connections to a keeper bear its name too; claims are what is not connected.
fn parse(list: &str) -> Vec<Held> {
    const ACCEPTS: u32 = 0x1_0000;
    const UNCONNECTED: &str = "01";
    let claim = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, _, _, flags, _, state, inode, path, ..] = words.as_slice() else { return None };
        let interface = path.strip_prefix('@')?.strip_prefix(PREFIX)?.to_owned();
        let listening = u32::from_str_radix(flags, 16).ok()? & ACCEPTS != 0;
        let claims = *state == UNCONNECTED;
        claims.then_some(Held { interface, listening, inode: inode.parse().ok()? })
    };
    let mut found: Vec<Held> = list.lines().filter_map(claim).collect();
    found.sort_by(|one, other| one.interface.cmp(&other.interface));
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn claims_are_told_from_connections_and_from_others_sockets() {
        let list = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 57341 @longhaul/keeper/eth1
0000000000000000: 00000003 00000000 00000000 0001 03 57342 @longhaul/keeper/eth1
0000000000000000: 00000002 00000000 00000000 0001 01 57399 @longhaul/keeper/eth0
0000000000000000: 00000002 00000000 00010000 0001 01 20001 /run/systemd/notify
0000000000000000: 00000002 00000000 00010000 0001 01 20002 @longhaul/other
0000000000000000: 00000002 00000000 00000000 0002 01 20003";
        let held = |interface: &str, listening, inode| Held { interface: interface.to_owned(), listening, inode };
        assert_eq!(parse(list), [held("eth0", false, 57399), held("eth1", true, 57341)]);
        assert_eq!(parse(""), []);
    }

    #[test]
    fn a_claim_is_exclusive_listed_and_free_again() {
        // A name that no interface can have, so that tests share nothing with each other or the machine.
        let interface = format!("a name longer than any interface's {}", std::process::id());
        assert!(connect(&interface).unwrap().is_none());
        let held = hold(&interface).unwrap().unwrap();
        assert!(listen(&interface).unwrap().is_none() && hold(&interface).unwrap().is_none());
        assert!(connect(&interface).unwrap().is_none(), "nobody listens");
        drop(held);
        let listener = listen(&interface).unwrap().unwrap();
        let stream = connect(&interface).unwrap().unwrap();
        let peer = Peer::of(&stream).unwrap();
        assert_eq!(peer.pid, i32::try_from(std::process::id()).unwrap());
        assert!(peer.is_trusted());
        drop(listener);
        assert!(hold(&interface).unwrap().is_some());
    }
}
