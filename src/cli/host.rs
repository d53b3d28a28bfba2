//! Facts about this machine for a run's record: kernel, processor, load, and time stolen by other guests.

use std::fs;

use crate::matrix::DelayMatrix;
use crate::matrix::csv::{CsvOptions, to_csv};
use crate::report::{HostNoise, Machine};

/// The kernel's release.
pub(super) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// What the machine's monotonic clock says, which all of its processes share.
pub(super) fn monotonic_ns() -> nix::Result<u64> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(part(now.tv_sec()) * 1_000_000_000 + part(now.tv_nsec()))
}

/// The processor and how many of it there are for us.
pub(super) fn machine() -> Machine {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        information.lines().find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')));
    Machine {
        cpu: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// A digest of the names and delays, however the file was written: FNV-1a of the matrix in nanoseconds.
pub(super) fn digest(matrix: &DelayMatrix) -> String {
    let mut bare = matrix.clone();
    bare.metadata = crate::matrix::Metadata::default();
    let text = to_csv(&bare, CsvOptions::default());
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("fnv1a64:{hash:016x}")
}

/// Compares the processor's times between two instants.
pub(super) struct NoiseMeter {
    before: Option<(u64, u64)>,
}

impl NoiseMeter {
    /// Starts to compare.
    pub(super) fn start() -> Self {
        Self { before: processor_times() }
    }

    /// What happened since the start; `None` where the kernel does not say.
    pub(super) fn stop(self) -> Option<HostNoise> {
        let (stolen_before, total_before) = self.before?;
        let (stolen, total) = processor_times()?;
        let passed = total.saturating_sub(total_before).max(1);
        let load1 = fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()?;
        Some(HostNoise { load1, steal: stolen.saturating_sub(stolen_before) as f64 / passed as f64 })
    }
}

/// Stolen and total ticks of all processors since boot.
fn processor_times() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> =
        text.lines().next()?.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    Some((*fields.get(7)?, fields.iter().take(8).sum()))
}
