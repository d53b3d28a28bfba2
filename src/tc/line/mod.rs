//! The user-space delay line: holds packets for the delay of their path on kernels that cannot (no `sch_netem`).
//!
//! ```text
//! egress of eth0 ─filter─► lh0 ═veth═ lh1 ─capture─► hold until due ─emit─► driver of eth0
//! ```
//!
//! Filters on the egress of the real interface redirect the packets of impaired destinations to one end of a veth pair;
//! making these is not part of this module. The line captures them at the other end, stamped by the kernel, and gives
//! them to the driver of the real interface when their time has come, past its qdiscs and filters, so that they are not
//! redirected again. Frames leave exactly as they came, large segments unsplit.
//!
//! Limits: segments inside a tunnel (VXLAN) cannot be described by the offload header of a packet socket and are lost;
//! switch `tx-udp_tnl-segmentation` and `tx-udp_tnl-csum-segmentation` off on `lh0` where such packets are redirected.
//! Before kernel 6.2 the same holds for `tx-udp-segmentation`. A VLAN tag that the kernel keeps beside the packet is not
//! captured; switch `tx-vlan-offload` off on `lh0` so that it is in the packet. A line whose thread hangs or whose process
//! dies swallows what is redirected to it, until the filters are removed.

mod alarm;
mod buffer;
mod capture;
mod clock;
mod emit;
mod error;
mod fate;
mod frame;
mod freight;
mod moment;
mod packet_socket;
mod paths;
mod rhythm;
mod schedule;
mod shared;
mod thread;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

pub(crate) use self::alarm::hurry;
use self::buffer::Pool;
use self::capture::Capture;
use self::emit::Emit;
pub use self::error::LineError;
pub use self::shared::LineCounters;
use self::shared::Shared;
use self::thread::Worker;
use crate::shaping::{Impairment, Selector};

/// The name of the line's thread, as `ps -L` shows it.
pub const THREAD_NAME: &str = "longhaul-line";

/// What a line connects, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineConfig {
    /// The interface at which redirected packets come out, such as `lh1`.
    pub capture: String,
    /// The interface on which they leave, such as `eth0`.
    pub emit: String,
    /// The most that held packets may occupy, in bytes; what does not fit is dropped.
    pub memory: usize,
    /// The size of one receive buffer in bytes, for trying out what a kernel with a small `net.core.rmem_max` gives an
    /// ordinary user; `None` for as much as is permitted.
    pub receive_buffer: Option<usize>,
}

impl Default for LineConfig {
    fn default() -> Self {
        Self { capture: "lh1".to_owned(), emit: "eth0".to_owned(), memory: 256 << 20, receive_buffer: None }
    }
}

/// Whether a frame with its offload header is handled within its bytes, for [`outside`](super::outside).
pub(in crate::tc) fn outside_frame(bytes: &[u8]) -> Result<(), String> {
    let _ = frame::flow(bytes.get(buffer::OFFLOAD_HEADER..).unwrap_or_default());
    freight::outside_frame(bytes)
}

/// A running delay line. Dropping it emits what it holds at once, so that nothing is lost, and stops it.
#[derive(Debug)]
pub struct Line {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Opens the sockets in the network namespace of the calling thread and starts the line's thread. Without paths
    /// everything passes through at once.
    pub fn start(config: &LineConfig) -> Result<Self, LineError> {
        let mut pool = Pool::default();
        let capture = Capture::open(&config.capture, config.receive_buffer, &mut pool)?;
        let emit = Emit::open(&config.emit)?;
        let shared = Shared::new(capture.sockets(), capture.receive_buffer())
            .map_err(|source| LineError::kernel("make an event for", "the line", source))?;
        let shared = Arc::new(shared);
        let worker = Worker::new(capture, emit, pool, config.memory, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || worker.run())
            .map_err(|source| LineError::kernel("start a thread for", "the line", source))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Replaces the whole table in place; packets captured after the return meet the new one. Packets that are held keep
    /// their due time, and later packets of the same path do not overtake them. The most specific selector wins; packets of one
    /// whose impairment is nothing are left alone.
    pub fn set_paths(&self, paths: &BTreeMap<Selector, Impairment>) -> Result<(), LineError> {
        self.shared.replace(paths)
    }

    /// The table that is in.
    pub fn paths(&self) -> BTreeMap<Selector, Impairment> {
        self.shared.paths()
    }

    /// What the line has done so far, and what it was permitted.
    pub fn counters(&self) -> LineCounters {
        self.shared.counters()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported on standard error already; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}
