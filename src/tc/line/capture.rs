//! Taking in: packet sockets on the interface to which the filters redirect.
//!
//! One socket with a large buffer where that is permitted. An ordinary user gets small buffers only; there, many sockets
//! form a group in which the next one takes over when one is full, and the schedule merges them by the kernel's stamps.
#![allow(unsafe_code)] // `recvmmsg` with control messages has no safe wrapper that keeps the buffers.
#![allow(clippy::cast_possible_truncation)] // Constants of the kernel and sizes of small structures.

use std::ffi::c_int;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::thread;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::buffer::{Packet, Pool, SLOT, Slot};
use super::clock::WallStamp;
use super::error::LineError;
use super::packet_socket as socket;

/// Packets per system call.
pub(super) const BATCH: usize = 32;
/// The buffer to ask for where any is permitted; the kernel doubles it for its own overhead.
const LARGE: c_int = 32 << 20;
/// The sum of buffers to reach with several sockets. They take over from each other when three quarters full.
const WANTED: usize = 80 << 20;
const MOST_SOCKETS: usize = 64;
/// Sockets that one thread closes at the end.
const CLOSED_TOGETHER: usize = 4;

/// Capture sockets, which are closed side by side: the kernel takes some ten milliseconds for each.
#[derive(Debug)]
pub(super) struct Sockets(Vec<OwnedFd>);

/// Sockets on one interface that share its packets.
#[derive(Debug)]
pub(super) struct Capture {
    interface: String,
    sockets: Arc<Sockets>,
    ready: Epoll,
    slots: Vec<Slot>,
    receive_buffer: usize,
}

/// What a batch had in it besides the packets that were handed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Packets that the kernel could not hand over, or only in part.
    pub(super) refused: u64,
    /// Whether there may be more in the same socket.
    pub(super) more: bool,
}

/// Room for the control messages of one packet.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

impl Capture {
    /// Opens sockets on `interface`. `limit` overrides the size of one buffer, as a kernel with that limit would.
    pub(super) fn open(interface: &str, limit: Option<usize>, pool: &mut Pool) -> Result<Self, LineError> {
        let index = socket::interface_index(interface)
            .ok_or_else(|| LineError::NoInterface { interface: interface.to_owned() })?;
        let fail = |source: io::Error| LineError::kernel("capture on", interface, source);
        let first = socket::open().map_err(fail)?;
        let each = size(first.as_fd(), limit).map_err(fail)?;
        let mut sockets = vec![first];
        prepare(sockets[0].as_fd()).map_err(fail)?;
        socket::bind(sockets[0].as_fd(), index, libc::ETH_P_ALL as u16).map_err(fail)?;
        if each < 2 * LARGE as usize {
            let count = WANTED.div_ceil(each.max(1)).min(MOST_SOCKETS);
            let group = socket::join_rollover(sockets[0].as_fd(), None).map_err(fail)?;
            for _ in 1..count {
                sockets.push(member(index, group, limit).map_err(fail)?);
            }
        }
        let receive_buffer = each * sockets.len();
        let ready = watch(&sockets).map_err(fail)?;
        let slots = (0..BATCH).map(|_| pool.slot()).collect::<io::Result<_>>().map_err(fail)?;
        Ok(Self { interface: interface.to_owned(), sockets: Arc::new(Sockets(sockets)), ready, slots, receive_buffer })
    }

    /// The sockets, for asking what they dropped.
    pub(super) fn sockets(&self) -> Arc<Sockets> {
        Arc::clone(&self.sockets)
    }

    /// The sum of all buffers, in bytes, as the kernel counts.
    pub(super) fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Whether one socket is enough.
    pub(super) fn is_single(&self) -> bool {
        self.sockets.len() == 1
    }

    /// Becomes readable with the first packet in any socket.
    pub(super) fn readable(&self) -> BorrowedFd<'_> {
        self.ready.0.as_fd()
    }

    /// Whether the interface still exists.
    pub(super) fn is_alive(&self) -> bool {
        socket::is_bound(self.sockets.0[0].as_fd())
    }

    /// The error of a capture that cannot go on.
    pub(super) fn failed(&self, source: io::Error) -> LineError {
        LineError::kernel("capture on", &self.interface, source)
    }

    /// The sockets that have packets, by position.
    pub(super) fn ready(&self, found: &mut Vec<usize>) -> io::Result<()> {
        found.clear();
        if self.is_single() {
            found.push(0);
            return Ok(());
        }
        let mut events = [EpollEvent::empty(); MOST_SOCKETS];
        let count = match self.ready.wait(&mut events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        found.extend(events[..count].iter().filter_map(|event| usize::try_from(event.data()).ok()));
        Ok(())
    }

    /// Takes what waits in one socket, at most [`BATCH`] packets.
    pub(super) fn receive(
        &mut self,
        position: usize,
        pool: &mut Pool,
        mut sink: impl FnMut(WallStamp, Packet),
    ) -> io::Result<Batch> {
        let mut controls = [MaybeUninit::<Control>::uninit(); BATCH];
        let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: SLOT }; BATCH];
        // SAFETY: all-zero is a valid value of these plain structures.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        for (at, header) in headers.iter_mut().enumerate() {
            vectors[at].iov_base = self.slots[at].address().cast();
            header.msg_hdr.msg_iov = &raw mut vectors[at];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = controls[at].as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = mem::size_of::<Control>() as _;
        }
        let fd = self.sockets.0[position].as_raw_fd();
        // SAFETY: each header points to a slot of `SLOT` bytes and a control buffer of the given length; all of them
        // live until the results have been read below.
        let count =
            unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT as _, ptr::null_mut()) };
        let Ok(count) = usize::try_from(count) else {
            return refusal(io::Error::last_os_error());
        };
        let mut batch = Batch { refused: 0, more: count == BATCH };
        for (header, slot) in headers[..count].iter().zip(&mut self.slots) {
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                batch.refused += 1;
                continue;
            }
            // SAFETY: the kernel has filled this header in, and its control buffer is still there.
            let stamp = unsafe { stamp(&header.msg_hdr) };
            sink(stamp, pool.take(slot, header.msg_len as usize));
        }
        Ok(batch)
    }

    /// Returns memory that a burst has used.
    pub(super) fn shrink(&mut self, pool: &mut Pool) {
        pool.clear();
        for slot in &mut self.slots {
            slot.release();
        }
    }
}

impl Sockets {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many packets found all sockets full since the last call.
    pub(super) fn drops(&self) -> u64 {
        let drops =
            |fd: &OwnedFd| socket::get::<socket::Statistics>(fd.as_fd(), libc::SOL_PACKET, socket::PACKET_STATISTICS);
        self.0.iter().filter_map(|fd| drops(fd).ok()).map(|statistics| u64::from(statistics.drops)).sum()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        thread::scope(|scope| {
            while self.0.len() > CLOSED_TOGETHER {
                let part = self.0.split_off(self.0.len() - CLOSED_TOGETHER);
                // Without a thread the part is closed here.
                let _ = thread::Builder::new().spawn_scoped(scope, move || drop(part));
            }
        });
    }
}

/// What an error of `recvmmsg` means: nothing there, a packet that cannot be handed over, or a broken socket.
fn refusal(error: io::Error) -> io::Result<Batch> {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR) => Ok(Batch::default()),
        // A segment of a kind that the offload header cannot express, such as one inside a tunnel.
        Some(libc::EINVAL) => Ok(Batch { refused: 1, more: true }),
        _ => Err(error),
    }
}

/// The kernel's stamp of a received message; zero when there is none.
///
/// # Safety
/// `header` was filled in by the kernel and its control buffer is still there.
unsafe fn stamp(header: &libc::msghdr) -> WallStamp {
    // SAFETY: by the contract of this function the control buffer is valid for the length in the header; the macros
    // stay inside it, and the time is read without assuming its alignment.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = control.as_ref() {
            if message.cmsg_level == libc::SOL_SOCKET && message.cmsg_type == libc::SCM_TIMESTAMPNS {
                let time = ptr::read_unaligned(libc::CMSG_DATA(control).cast::<libc::timespec>());
                let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
                return WallStamp::from_nanos(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0));
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    WallStamp::default()
}

/// Sets the size of a socket's buffer; gives what the kernel made of it.
fn size(fd: BorrowedFd, limit: Option<usize>) -> io::Result<usize> {
    let forced = limit.is_none() && socket::set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, LARGE).is_ok();
    if !forced {
        let wanted = limit.and_then(|limit| c_int::try_from(limit).ok()).unwrap_or(LARGE);
        socket::set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, wanted)?;
    }
    let size: c_int = socket::get(fd, libc::SOL_SOCKET, libc::SO_RCVBUF)?;
    Ok(usize::try_from(size).unwrap_or(0))
}

/// Sets what every capture socket needs before it is bound.
fn prepare(fd: BorrowedFd) -> io::Result<()> {
    socket::set(fd, libc::SOL_PACKET, socket::PACKET_VNET_HDR, 1 as c_int)?;
    socket::set(fd, libc::SOL_PACKET, socket::PACKET_IGNORE_OUTGOING, 1 as c_int)?;
    socket::set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1 as c_int)
}

/// A further socket of a group. Between being bound and joining it would get copies, so it refuses all until then.
fn member(index: c_int, group: u16, limit: Option<usize>) -> io::Result<OwnedFd> {
    let fd = socket::open()?;
    size(fd.as_fd(), limit)?;
    prepare(fd.as_fd())?;
    socket::refuse_all(fd.as_fd())?;
    socket::bind(fd.as_fd(), index, libc::ETH_P_ALL as u16)?;
    socket::join_rollover(fd.as_fd(), Some(group))?;
    socket::accept_all(fd.as_fd())?;
    Ok(fd)
}

fn watch(sockets: &[OwnedFd]) -> io::Result<Epoll> {
    let ready = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (position, fd) in sockets.iter().enumerate() {
        ready.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, position as u64))?;
    }
    Ok(ready)
}
