//! A raw ICMP socket with kernel timestamps: one for all destinations of a family.
// Installing an ICMP filter is a socket option that no safe wrapper offers.
#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    SockaddrStorage, TimestampingFlag, Timestamps, recvmsg, sendto, setsockopt, socket, sockopt,
};

use super::echo::{Direction, Family, MESSAGE, Probe, parse, trailing_probe};
use super::probe::ProbeError;

/// `SOF_TIMESTAMPING_TX_SCHED`: stamp a packet before it enters the queueing discipline, and before the egress hook.
const TX_SCHED: u32 = 1 << 8;
/// `SOF_TIMESTAMPING_OPT_CMSG`: allow stamps beside other control messages.
const OPT_CMSG: u32 = 1 << 10;
/// Option names of the two filters; they happen to be equal.
const ICMP_FILTER: libc::c_int = 1;
const ICMP6_FILTER: libc::c_int = 1;
/// Buffer sizes asked for. The send buffer holds every packet that a delay element holds.
const BUFFER: usize = 8 << 20;
/// Packets taken at once: a flood of foreign echoes must not keep the prober from sending.
const BURST: usize = 256;
/// Longer than any of our packets with all its headers; what does not fit is not ours.
const LONGEST: usize = 256;

/// A raw socket on which echo requests and replies of one family arrive, with their instants.
pub(super) struct RawSocket {
    fd: OwnedFd,
    family: Family,
    control: Vec<u8>,
}

/// Something that arrived on a socket.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// An echo message of some prober arrived at this instant, nanoseconds of the real-time clock.
    Arrived(Direction, Probe, u64),
    /// A probe of our own was handed to the queue at this instant.
    Stamped(Probe, u64),
}

/// Now, in nanoseconds since 1970 of the real-time clock, the clock of the kernel's stamps.
pub(super) fn realtime_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

impl RawSocket {
    /// Opens and sets up the socket in the network namespace of the calling thread.
    pub(super) fn open(family: Family) -> Result<Self, ProbeError> {
        let failed = |operation| {
            move |errno: Errno| ProbeError::Socket { operation, family: family.name(), source: errno.into() }
        };
        let (domain, protocol) = match family {
            Family::V4 => (AddressFamily::Inet, SockProtocol::Icmp),
            Family::V6 => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(domain, SockType::Raw, flags, protocol).map_err(failed("open a raw socket"))?;
        set_filter(&fd, family).map_err(failed("install the echo filter"))?;
        enlarge_buffers(&fd);
        request_stamps(&fd).map_err(failed("ask for kernel timestamps"))?;
        Ok(Self { fd, family, control: cmsg_space!(Timestamps, libc::sock_extended_err, SockaddrStorage) })
    }

    /// Sends an echo request.
    pub(super) fn send(&self, message: &[u8; MESSAGE], to: IpAddr) -> io::Result<()> {
        let fd = self.fd.as_raw_fd();
        let flags = MsgFlags::empty();
        match to {
            IpAddr::V4(ip) => sendto(fd, message, &SockaddrIn::from(SocketAddrV4::new(ip, 0)), flags)?,
            IpAddr::V6(ip) => sendto(fd, message, &SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, 0)), flags)?,
        };
        Ok(())
    }

    /// Hands waiting probes and stamps to `take`, at most [`BURST`] of each; anything else that waits is dropped.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Event)) {
        for queue in [MsgFlags::MSG_ERRQUEUE, MsgFlags::empty()] {
            for _ in 0..BURST {
                let Ok(event) = self.receive(queue) else { break };
                event.into_iter().for_each(&mut take);
            }
        }
    }

    /// The next waiting packet; `None` when it is not of a prober, an error when none waits. An error that the
    /// network reported to the socket is taken off it by reading and ends this drain, not the run.
    fn receive(&mut self, queue: MsgFlags) -> nix::Result<Option<Event>> {
        let mut packet = [0; LONGEST];
        let (length, stamp) = {
            let mut parts = [io::IoSliceMut::new(&mut packet)];
            let fd = self.fd.as_raw_fd();
            let message = match recvmsg::<()>(fd, &mut parts, Some(&mut self.control), queue) {
                Err(Errno::EINTR) => return Ok(None),
                message => message?,
            };
            (message.bytes, message.cmsgs().ok().and_then(software_stamp))
        };
        let packet = &packet[..length.min(LONGEST)];
        Ok(if queue.contains(MsgFlags::MSG_ERRQUEUE) {
            trailing_probe(packet).zip(stamp).map(|(probe, at_ns)| Event::Stamped(probe, at_ns))
        } else {
            let at_ns = stamp.unwrap_or_else(realtime_ns);
            parse(self.family, packet).map(|(direction, probe)| Event::Arrived(direction, probe, at_ns))
        })
    }
}

impl AsFd for RawSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The software stamp among the control messages, nanoseconds of the real-time clock.
fn software_stamp(mut messages: impl Iterator<Item = ControlMessageOwned>) -> Option<u64> {
    messages.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampsns(stamps) => {
            let seconds = u64::try_from(stamps.system.tv_sec()).ok()?;
            let nanos = u64::try_from(stamps.system.tv_nsec()).ok()?;
            (seconds > 0).then_some(seconds * 1_000_000_000 + nanos)
        }
        _ => None,
    })
}

/// Sending stamps come with the packet itself (no `OPT_TSONLY`): it names its probe, where a running number would
/// slip as soon as the kernel refuses to send a packet.
fn request_stamps(fd: &OwnedFd) -> nix::Result<()> {
    let known = TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE;
    let all = known.union(TimestampingFlag::from_bits_retain(TX_SCHED | OPT_CMSG));
    // Where the kernel refuses sending stamps, those of arrivals remain.
    setsockopt(fd, sockopt::Timestamping, &all).or_else(|_| setsockopt(fd, sockopt::Timestamping, &known))
}

/// As large as this user may; smaller buffers lose probes only when very many are under way.
fn enlarge_buffers(fd: &OwnedFd) {
    let _ = setsockopt(fd, sockopt::RcvBufForce, &BUFFER).or_else(|_| setsockopt(fd, sockopt::RcvBuf, &BUFFER));
    let _ = setsockopt(fd, sockopt::SndBufForce, &BUFFER).or_else(|_| setsockopt(fd, sockopt::SndBuf, &BUFFER));
}

/// Lets only echo requests and replies through: in both filters a set bit blocks its type.
fn set_filter(fd: &OwnedFd, family: Family) -> nix::Result<()> {
    let (request, reply) = family.echo_types();
    let mut blocked = [u32::MAX; 8];
    for kind in [request, reply] {
        blocked[usize::from(kind / 32)] &= !(1 << (kind % 32));
    }
    let (level, name, words) = match family {
        Family::V4 => (libc::SOL_RAW, ICMP_FILTER, 1),
        Family::V6 => (libc::IPPROTO_ICMPV6, ICMP6_FILTER, 8),
    };
    let words: &[u32] = &blocked[..words];
    let length = libc::socklen_t::try_from(size_of_val(words)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the pointer and the length describe `words`, which outlives the call; the kernel only reads it.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, words.as_ptr().cast(), length) };
    Errno::result(result).map(drop)
}
