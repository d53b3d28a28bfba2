//! One TCP stream that meets a row of one destination and a row of 1,000, turn by turn in short slices.
//!
//! A noisy machine is noisy for both, and no transfer begins anew: the slices of a pair differ by the row alone. Pairs turn
//! round (few, many; many, few), so that a drift cancels too.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::rows::{self, Destination};
use crate::cli::bench::ground::iperf::Running;
use crate::cli::bench::ground::processes::{agents_of, busy_nanos, ours_of};
use crate::cli::bench::ground::programs::Server;
use crate::cli::bench::ground::{BenchLab, Ground, asking_for};
use crate::shaping::Row;

/// Length of a slice.
const LENGTH: Duration = Duration::from_millis(400);
/// After each change: the write is over, and what it delayed has arrived.
const REST: Duration = Duration::from_millis(150);
/// The window grows for so long before the first slice.
const SETTLE: Duration = Duration::from_secs(2);
/// How long one change of the row may take, on a slow machine.
const CHANGE: Duration = Duration::from_millis(250);

/// Answers every line with that of the node's interface in the kernel's table.
const COUNTER: &str = "while read -r _; do while read -r line; do case $line in eth0:*) echo \"$line\";; esac; done \
    < /proc/net/dev; done";

/// What a slice saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slice {
    /// What arrived.
    pub(super) gigabits: f64,
    /// Processor time of sender, receiver and agents for each kilobyte that arrived, in nanoseconds, where the kernel counts it.
    pub(super) nanos_per_kilobyte: Option<f64>,
}

/// What had arrived and what it had cost at an instant.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    bytes: u64,
    busy: Option<u64>,
}

/// Slices with the first row and with the second, pair by pair.
pub(super) fn take(
    ground: &Ground<'_>,
    lab: &mut BenchLab,
    few_and_many: [&[Destination]; 2],
    pairs: u32,
) -> anyhow::Result<Vec<[Slice; 2]>> {
    let both: [Row; 2] = few_and_many.map(rows::row);
    let backend = asking_for(ground.chosen());
    lab.apply_row(0, both[0].clone(), backend)?;
    let length = (REST + LENGTH + CHANGE) * 2 * pairs;
    let mut shell = lab.command(1, "sh");
    shell.args(["-c", COUNTER]);
    let mut counter = Server::start(shell, Duration::from_secs(10))?;
    let stream = Running::start(lab, (0, 1), length, SETTLE, None)?;
    std::thread::sleep(SETTLE);
    let mut watched = agents_of(lab.lab.info().holder);
    watched.extend(ours_of("iperf3"));
    let mut all = Vec::new();
    for pair in 0..pairs {
        let mut found = [None; 2];
        for at in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
            lab.apply_row(0, both[at].clone(), backend)?;
            std::thread::sleep(REST);
            let before = read(&mut counter, &watched)?;
            std::thread::sleep(LENGTH);
            found[at] = Some(slice(before, read(&mut counter, &watched)?));
        }
        if stream.has_ended() {
            // The rest of the time went into changes.
            break;
        }
        if let [Some(few), Some(many)] = found {
            all.push([few, many]);
        }
    }
    stream.end();
    lab.clear()?;
    Ok(all)
}

fn read(counter: &mut Server, watched: &[i32]) -> anyhow::Result<Reading> {
    counter.say("")?;
    let line = counter.line(|line| line.contains(':'))?;
    let bytes = received(&line).with_context(|| format!("read the counters of `{line}`"))?;
    Ok(Reading { at: Instant::now(), bytes, busy: busy_nanos(watched) })
}

/// The bytes that an interface has received, in its line of `/proc/net/dev`.
fn received(line: &str) -> Option<u64> {
    line.split_once(':')?.1.split_whitespace().next()?.parse().ok()
}

fn slice(before: Reading, after: Reading) -> Slice {
    let bytes = after.bytes.saturating_sub(before.bytes) as f64;
    let busy = before.busy.zip(after.busy).map(|(before, after)| after.saturating_sub(before) as f64);
    Slice {
        gigabits: bytes * 8.0 / after.at.duration_since(before.at).as_secs_f64() / 1e9,
        nanos_per_kilobyte: busy.map(|nanos| nanos / (bytes / 1e3)).filter(|cost| cost.is_finite() && *cost > 0.0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn slices_are_what_came_between_two_readings() {
        let at = Instant::now();
        let before = Reading { at, bytes: 1_000, busy: Some(5_000_000) };
        let after = Reading { at: at + Duration::from_millis(500), bytes: 125_001_000, busy: Some(30_000_000) };
        let found = slice(before, after);
        assert!((found.gigabits - 2.0).abs() < 1e-9);
        assert!((found.nanos_per_kilobyte.unwrap() - 200.0).abs() < 1e-9);
        assert_eq!(slice(before, Reading { busy: None, ..after }).nanos_per_kilobyte, None);
        assert_eq!(slice(before, Reading { bytes: 1_000, ..after }).nanos_per_kilobyte, None, "nothing arrived");
    }

    #[test]
    fn counters_are_read_with_or_without_a_blank() {
        assert_eq!(received("  eth0: 12345   7 0 0 0 0 0 0 99 1 0 0 0 0 0 0"), Some(12_345));
        assert_eq!(received("eth0:12345 7"), Some(12_345));
        assert_eq!(received("eth0"), None);
    }
}
