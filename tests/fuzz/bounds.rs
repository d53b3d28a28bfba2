//! What a target may take: memory, counted by the allocator, and processor time, both bounded by the length of the input.
// Counting what is allocated takes an allocator, whose methods are unsafe.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is ending has no counters any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

fn size(layout: &Layout) -> isize {
    layout.size().cast_signed()
}

// SAFETY: every call is handed to the system's allocator as it came; counting neither allocates nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(&layout));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-size(&layout));
        // SAFETY: the memory came from the system's allocator by the methods here.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, length: usize) -> *mut u8 {
        count(length.cast_signed() - size(&layout));
        // SAFETY: as in `dealloc`; the caller keeps the contract of `GlobalAlloc::realloc`.
        unsafe { System.realloc(memory, layout, length) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(&layout));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap()
}

/// The most bytes that reading `length` bytes may take. A list of n nodes may become a matrix of n², up to the most that a
/// matrix may have.
fn memory_for(length: usize) -> usize {
    let nodes = (length / 8).min(8_192);
    (4 << 20) + 400 * length + 40 * nodes * nodes
}

/// Far more than a debug build on a busy machine needs, and far less than anything that grows with the square of the input.
fn time_for(length: usize) -> Duration {
    Duration::from_secs(3) + Duration::from_micros(60) * u32::try_from(length).unwrap_or(u32::MAX)
}

/// Runs `work` on an input of so many bytes and panics when it takes too much; gives the processor time.
pub(crate) fn within(length: usize, work: impl FnOnce()) -> Duration {
    let (before, began) = (NOW.get(), processor_time());
    PEAK.set(before);
    work();
    let took = processor_time().saturating_sub(began);
    let memory = usize::try_from(PEAK.get() - before).unwrap_or(0);
    assert!(memory <= memory_for(length), "{length} bytes took {memory} bytes of memory");
    assert!(took <= time_for(length), "{length} bytes took {took:?} of processor time");
    took
}
