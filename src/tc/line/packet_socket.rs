//! Opening and setting packet sockets (`AF_PACKET`): the calls that have no safe wrapper.
#![allow(unsafe_code)] // Packet sockets and their options are only reachable through libc.
#![allow(clippy::cast_possible_truncation)] // Constants of the kernel and sizes of small structures.

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `linux/if_packet.h`
pub(super) const PACKET_STATISTICS: c_int = 6;
/// Frames carry a virtio header with what segmentation and checksum the network card would have done.
pub(super) const PACKET_VNET_HDR: c_int = 15;
/// Several sockets share the packets of one interface.
pub(super) const PACKET_FANOUT: c_int = 18;
/// Frames go to the driver past qdiscs and egress filters, so they cannot be redirected again.
pub(super) const PACKET_QDISC_BYPASS: c_int = 20;
/// Only received frames are captured.
pub(super) const PACKET_IGNORE_OUTGOING: c_int = 23;

/// The next socket takes over when one is full.
const FANOUT_ROLLOVER: c_int = 3;
/// The kernel chooses an identifier that nobody else in the network namespace uses.
const FANOUT_FLAG_UNIQUEID: c_int = 0x2000;

/// How many packets a capture socket took and dropped since the last call.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Statistics {
    /// Packets that came, dropped ones included.
    pub(super) packets: u32,
    /// Packets that found the socket full.
    pub(super) drops: u32,
}

/// The index of `interface` in the network namespace of the calling thread.
pub(super) fn interface_index(interface: &str) -> Option<c_int> {
    let name = CString::new(interface).ok()?;
    // SAFETY: `name` is a string that ends in a zero byte and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    c_int::try_from(index).ok().filter(|index| *index > 0)
}

/// A packet socket that does not receive anything before it is bound.
pub(super) fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes plain numbers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds to an interface; `protocol` 0 receives nothing, `ETH_P_ALL` everything.
pub(super) fn bind(socket: BorrowedFd, index: c_int, protocol: u16) -> io::Result<()> {
    let mut address = empty_address();
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index;
    // SAFETY: the address is a complete `sockaddr_ll` and its own length is given.
    let result = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), mem::size_of::<libc::sockaddr_ll>() as u32)
    };
    check(result)
}

/// Whether the interface that the socket was bound to still exists.
pub(super) fn is_bound(socket: BorrowedFd) -> bool {
    let mut address = empty_address();
    let mut length = mem::size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: the kernel writes at most `length` bytes into the address.
    let result = unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
    result == 0 && address.sll_ifindex > 0
}

/// Sets an option to a plain value.
pub(super) fn set<T: Copy>(socket: BorrowedFd, level: c_int, option: c_int, value: T) -> io::Result<()> {
    // SAFETY: `value` outlives the call and its own length is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast::<c_void>(),
            mem::size_of::<T>() as u32,
        )
    };
    check(result)
}

/// Reads an option.
pub(super) fn get<T: Copy + Default>(socket: BorrowedFd, level: c_int, option: c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut length = mem::size_of::<T>() as u32;
    // SAFETY: the kernel writes at most `length` bytes into `value`; every caller's `T` is made of integers.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast::<c_void>(), &raw mut length)
    };
    check(result).map(|()| value)
}

/// Puts a bound socket into a group whose members take packets in turn when one is full; without a group into a new
/// one. Gives the group.
pub(super) fn join_rollover(socket: BorrowedFd, group: Option<u16>) -> io::Result<u16> {
    let flags = if group.is_some() { 0 } else { FANOUT_FLAG_UNIQUEID };
    let argument = ((FANOUT_ROLLOVER | flags) << 16) | c_int::from(group.unwrap_or(0));
    set(socket, libc::SOL_PACKET, PACKET_FANOUT, argument)?;
    let joined: c_int = get(socket, libc::SOL_PACKET, PACKET_FANOUT)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // The identifier is the lower half.
    Ok(joined as u16)
}

/// Lets nothing in, until [`accept_all`].
pub(super) fn refuse_all(socket: BorrowedFd) -> io::Result<()> {
    let mut keep_no_byte = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut keep_no_byte };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
}

/// Ends [`refuse_all`].
pub(super) fn accept_all(socket: BorrowedFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0 as c_int)
}

fn empty_address() -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: 0,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
