//! Giving out: frames go to the driver of the real interface, past its qdiscs and filters.
#![allow(unsafe_code)] // `sendmmsg` has no safe wrapper that takes buffers of many owners.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use super::buffer::{Packet, Pool};
use super::error::LineError;
use super::moment::Moment;
use super::packet_socket as socket;
use crate::units::Span;

/// Packets per system call.
const BATCH: usize = 64;
/// The buffer to ask for.
const LARGE: c_int = 32 << 20;
/// A full driver queue is tried again after this.
const RETRY: Span = Span::from_micros(200);
/// When the driver has taken nothing for so long, packets are dropped as a full queue would.
const PATIENCE: Span = Span::from_millis(20);

/// Packets on their way out.
#[derive(Debug)]
pub(super) struct Emit {
    interface: String,
    socket: OwnedFd,
    queue: VecDeque<Packet>,
    refused_since: Option<Moment>,
}

/// What a flush did.
#[derive(Debug, Default)]
pub(super) struct Flush {
    /// Packets that went out.
    pub(super) emitted: u64,
    /// Packets that the driver or the kernel did not take.
    pub(super) dropped: u64,
    /// When to flush again, because the driver's queue is full.
    pub(super) again: Option<Moment>,
    /// The last error that cost a packet.
    pub(super) failure: Option<String>,
}

impl Emit {
    /// Opens a socket that only sends, on `interface`.
    pub(super) fn open(interface: &str) -> Result<Self, LineError> {
        let index = socket::interface_index(interface)
            .ok_or_else(|| LineError::NoInterface { interface: interface.to_owned() })?;
        let fail = |source: io::Error| LineError::kernel("emit on", interface, source);
        let fd = socket::open().map_err(fail)?;
        let borrowed = fd.as_fd();
        socket::set(borrowed, libc::SOL_PACKET, socket::PACKET_VNET_HDR, 1 as c_int).map_err(fail)?;
        socket::set(borrowed, libc::SOL_PACKET, socket::PACKET_QDISC_BYPASS, 1 as c_int).map_err(fail)?;
        if socket::set(borrowed, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, LARGE).is_err() {
            socket::set(borrowed, libc::SOL_SOCKET, libc::SO_SNDBUF, LARGE).map_err(fail)?;
        }
        socket::bind(borrowed, index, 0).map_err(fail)?;
        Ok(Self { interface: interface.to_owned(), socket: fd, queue: VecDeque::new(), refused_since: None })
    }

    /// Puts a packet behind those that are on their way.
    pub(super) fn push(&mut self, packet: Packet) {
        self.queue.push_back(packet);
    }

    /// Whether packets are on their way.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many packets are on their way.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Sends what the driver takes. The error is final: the interface has gone.
    pub(super) fn flush(&mut self, now: Moment, pool: &mut Pool) -> Result<Flush, LineError> {
        let mut flush = Flush::default();
        while !self.queue.is_empty() {
            match self.send() {
                Ok(count) => {
                    flush.emitted += count as u64;
                    self.refused_since = None;
                    self.queue.drain(..count).for_each(|packet| pool.recycle(packet));
                }
                Err(error) => {
                    if self.is_full(&error, now) {
                        flush.again = Some(now.plus(RETRY));
                        break;
                    }
                    self.give_up_first(error, &mut flush, pool)?;
                }
            }
        }
        Ok(flush)
    }

    /// Whether the driver's queue is full, and has not been for too long.
    fn is_full(&mut self, error: &io::Error, now: Moment) -> bool {
        let full = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS));
        full && now.since(*self.refused_since.get_or_insert(now)) < PATIENCE
    }

    fn give_up_first(&mut self, error: io::Error, flush: &mut Flush, pool: &mut Pool) -> Result<(), LineError> {
        if error.raw_os_error() == Some(libc::EINTR) {
            return Ok(());
        }
        if !socket::is_bound(self.socket.as_fd()) {
            return Err(LineError::kernel("emit on", &self.interface, error));
        }
        flush.dropped += 1;
        flush.failure = Some(format!("cannot emit on `{}`: {error}", self.interface));
        if let Some(packet) = self.queue.pop_front() {
            pool.recycle(packet);
        }
        Ok(())
    }

    /// Sends the first packets in one system call; how many were taken.
    fn send(&self) -> io::Result<usize> {
        let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: all-zero is a valid value of these plain structures.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let mut count = 0;
        for (at, packet) in self.queue.iter().take(BATCH).enumerate() {
            let bytes = packet.bytes();
            vectors[at] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            headers[at].msg_hdr.msg_iov = &raw mut vectors[at];
            headers[at].msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        let fd = self.socket.as_raw_fd();
        // SAFETY: the first `count` headers point to packets that the queue owns and the kernel only reads.
        let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}
