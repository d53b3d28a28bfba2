//! Memory for packets: receive slots that hold the largest segment, and packets that occupy what they need.
#![allow(unsafe_code)] // Slots are anonymous mappings, so that unused pages cost nothing and used ones can be returned.

use std::io;
use std::ptr::{self, NonNull};

/// The header in front of each frame that says how to finish its segments and checksums (`struct virtio_net_hdr`).
pub(super) const OFFLOAD_HEADER: usize = 10;
/// The largest segment, 64 KiB, with its headers, in whole pages.
pub(super) const SLOT: usize = 68 * 1024;
/// Packets from this size on keep the slot they were received in; smaller ones are copied out of it.
const WORTH_A_SLOT: usize = 16 * 1024;
/// What a held packet occupies besides its bytes: its place in the schedule and the allocator's share.
const OVERHEAD: usize = 96;

/// Room for one packet of any size.
#[derive(Debug)]
pub(super) struct Slot {
    memory: NonNull<u8>,
}

// SAFETY: a slot owns its mapping alone.
unsafe impl Send for Slot {}

impl Slot {
    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: asks for a new mapping at an address of the kernel's choice.
        let memory = unsafe { libc::mmap(ptr::null_mut(), SLOT, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(memory.cast()).map(|memory| Self { memory }).ok_or_else(io::Error::last_os_error)
    }

    /// The first `length` bytes.
    pub(super) fn bytes(&self, length: usize) -> &[u8] {
        // SAFETY: the mapping is `SLOT` bytes long, initialised by the kernel, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), length.min(SLOT)) }
    }

    /// Where to receive to: `SLOT` bytes.
    pub(super) fn address(&mut self) -> *mut u8 {
        self.memory.as_ptr()
    }

    /// Returns its pages to the kernel; its content is lost.
    pub(super) fn release(&mut self) {
        // SAFETY: the mapping is ours and of this length. Failure is harmless: the pages stay.
        unsafe { libc::madvise(self.memory.as_ptr().cast(), SLOT, libc::MADV_DONTNEED) };
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nobody refers to it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), SLOT) };
    }
}

/// A packet with its offload header.
#[derive(Debug)]
pub(super) enum Packet {
    /// In memory of its size.
    Copied(Box<[u8]>),
    /// In a slot, of which it occupies so many bytes.
    Slotted(Slot, usize),
}

impl Packet {
    /// Offload header and frame.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Slotted(slot, length) => slot.bytes(*length),
        }
    }

    /// The Ethernet frame.
    pub(super) fn frame(&self) -> &[u8] {
        self.bytes().get(OFFLOAD_HEADER..).unwrap_or_default()
    }

    /// How much memory it occupies.
    pub(super) fn size(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Copied(bytes) => bytes.len(),
                Self::Slotted(..) => SLOT,
            }
    }
}

/// Slots that wait for use, the last used one on top.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Vec<Slot>,
    /// The fewest that were free since the last trim: nobody has needed these.
    spare: usize,
}

impl Pool {
    /// A slot, new when none waits.
    pub(super) fn slot(&mut self) -> io::Result<Slot> {
        let slot = self.free.pop().map_or_else(Slot::new, Ok);
        self.spare = self.spare.min(self.free.len());
        slot
    }

    /// The packet of `length` bytes in `slot`, which is free for the next one afterwards.
    pub(super) fn take(&mut self, slot: &mut Slot, length: usize) -> Packet {
        if length >= WORTH_A_SLOT
            && let Ok(fresh) = self.slot()
        {
            return Packet::Slotted(std::mem::replace(slot, fresh), length);
        }
        Packet::Copied(slot.bytes(length).into())
    }

    /// Takes back what a packet occupied.
    pub(super) fn recycle(&mut self, packet: Packet) {
        if let Packet::Slotted(slot, _) = packet {
            self.free.push(slot);
        }
    }

    /// Returns the slots to the kernel that nobody has needed since the last call.
    pub(super) fn trim(&mut self) {
        self.free.drain(..self.spare);
        self.spare = self.free.len();
        self.free.shrink_to(2 * self.spare);
    }

    /// Returns all waiting slots to the kernel.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Has the allocator return what it keeps of freed packets.
pub(super) fn release() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a plain number; it only concerns memory that nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::large_stack_arrays)]

    use super::*;

    fn fill(slot: &mut Slot, byte: u8, length: usize) {
        // SAFETY: a slot is `SLOT` bytes long, and the tests stay below that.
        unsafe { ptr::write_bytes(slot.address(), byte, length) };
    }

    #[test]
    fn small_packets_are_copied_and_large_ones_keep_their_slot() {
        let mut pool = Pool::default();
        let mut slot = pool.slot().unwrap();
        let address = slot.address();
        fill(&mut slot, 7, 100);
        let small = pool.take(&mut slot, 100);
        assert_eq!((slot.address(), small.size()), (address, OVERHEAD + 100));
        fill(&mut slot, 8, SLOT);
        let large = pool.take(&mut slot, 60_000);
        assert_ne!(slot.address(), address);
        assert_eq!((small.bytes(), large.bytes()), (&[7; 100][..], &[8; 60_000][..]));
        assert_eq!(large.frame().len(), 60_000 - OFFLOAD_HEADER);
    }

    #[test]
    fn slots_are_used_again() {
        let mut pool = Pool::default();
        let mut slot = pool.slot().unwrap();
        let address = slot.address();
        let packet = pool.take(&mut slot, WORTH_A_SLOT);
        pool.recycle(packet);
        assert_eq!(pool.slot().unwrap().address(), address);
    }

    #[test]
    fn trimming_keeps_what_was_needed_since() {
        let mut pool = Pool::default();
        let busy: Vec<Slot> = (0..10).map(|_| pool.slot().unwrap()).collect();
        for slot in busy {
            pool.recycle(Packet::Slotted(slot, 1));
        }
        pool.trim();
        assert_eq!(pool.free.len(), 10, "all were needed");
        let busy: Vec<Slot> = (0..3).map(|_| pool.slot().unwrap()).collect();
        for slot in busy {
            pool.recycle(Packet::Slotted(slot, 1));
        }
        pool.trim();
        assert_eq!(pool.free.len(), 3);
    }
}
