//! Probes of sockets, priorities and the TUN device.
#![allow(unsafe_code)] // ioctl and setpriority have no safe wrapper here

use std::fs::OpenOptions;
use std::io::{Error, ErrorKind};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

use crate::shaping::Ability;

/// More than any system's default limit.
const LARGE: usize = 64 << 20;
const TUN: &str = "/dev/net/tun";
/// The highest priority of an ordinary task.
const HIGHEST: i32 = -20;

fn judge(what: &str, answer: Result<(), Errno>, remedy: &str) -> Ability {
    match answer {
        Ok(()) => Ability::Present,
        Err(errno) => Ability::missing(format!("{what}: {}", errno.desc()), remedy),
    }
}

/// A socket that sees and sends whole frames.
pub(super) fn packet_socket() -> Ability {
    let made = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None);
    judge("a packet socket", made.map(drop), "run with CAP_NET_RAW, on a kernel with CONFIG_PACKET")
}

/// Buffers beyond `net.core.rmem_max`.
pub(super) fn large_buffers() -> Ability {
    let set = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .and_then(|socket| setsockopt(&socket, sockopt::RcvBufForce, &LARGE));
    judge(
        "a large receive buffer",
        set,
        "run as root (CAP_NET_ADMIN outside of user namespaces), or raise net.core.rmem_max",
    )
}

/// The highest ordinary priority, for this thread only.
pub(super) fn priority() -> Ability {
    // SAFETY: changes the calling thread, which ends after the probe; takes no pointers.
    let answer = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, HIGHEST) };
    judge(
        "priority -20",
        Errno::result(answer).map(drop),
        "run as root (CAP_SYS_NICE outside of user namespaces), or raise `ulimit -e`",
    )
}

/// A TAP device.
pub(super) fn tun() -> Ability {
    let remedy = "`modprobe tun` as root and make /dev/net/tun writable, or a kernel with CONFIG_TUN";
    let file = match OpenOptions::new().read(true).write(true).open(TUN) {
        Ok(file) => file,
        Err(error) => return Ability::missing(format!("{TUN}: {}", words(&error)), remedy),
    };
    let mut request = [0u8; 40];
    request[..6].copy_from_slice(b"probe3");
    let flags = u16::try_from(libc::IFF_TAP | libc::IFF_NO_PI).unwrap_or_default();
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, which is 40 bytes; the array is as long and outlives the call.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
    judge("a TAP device", Errno::result(answer).map(drop), remedy)
}

fn words(error: &Error) -> String {
    match (error.raw_os_error(), error.kind()) {
        (Some(errno), _) => Errno::from_raw(errno).desc().to_owned(),
        (None, ErrorKind::NotFound) => "not found".to_owned(),
        (None, kind) => kind.to_string(),
    }
}
