//! tc inside the first node of a lab: batches timed, layouts taken away again.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::batch::{DEVICE, INTERFACE};
use crate::cli::bench::ground::BenchLab;
use crate::cli::bench::ground::programs::{installed, output, output_fed};
use crate::cli::bench::stopwatch::Timed;
use crate::shaping::Backend;

/// Why rows that need tc have no figures beside longhaul's.
pub(super) const MISSING: &str = "tc is not installed (Debian: iproute2)";

/// No batch takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Whether there is tc.
pub(super) fn available() -> bool {
    installed("tc") && installed("ip")
}

/// Runs a batch.
pub(super) fn batch(lab: &BenchLab, commands: String) -> anyhow::Result<Duration> {
    let words = ["bench", "stopwatch", "--", "tc", "-batch", "-"];
    let timed = stopwatch(lab, &words, commands, LIMIT).context("run tc -batch")?;
    Ok(Duration::from_nanos(timed.nanos))
}

/// Runs this program's stopwatch in the node with `input`.
pub(super) fn stopwatch(lab: &BenchLab, words: &[&str], input: String, limit: Duration) -> anyhow::Result<Timed> {
    let mut command = lab.command(0, "/proc/self/exe");
    command.args(words);
    let report = output_fed(command, Some(input), limit)?;
    serde_json::from_str(&report).context("read the stopwatch")
}

/// Makes the device that a detour of tc's leads to.
pub(super) fn make_device(lab: &BenchLab, backend: Backend) -> anyhow::Result<()> {
    let commands = match backend {
        Backend::Netem => format!("ip link add {DEVICE} type ifb && ip link set {DEVICE} up"),
        Backend::Userspace => {
            format!("ip link add {DEVICE} type veth peer name lh1 && ip link set {DEVICE} up && ip link set lh1 up")
        }
    };
    shell(lab, &commands).map(drop).context("make the device of a detour")
}

/// Takes away what [`make_device`] and a detour's batch have made.
pub(super) fn remove_detour(lab: &BenchLab) -> anyhow::Result<()> {
    let commands = format!("tc qdisc del dev {INTERFACE} clsact; ip link del {DEVICE}");
    shell(lab, &commands).map(drop).context("take tc's detour away")
}

/// Gives the interface its own root back.
pub(super) fn remove_root(lab: &BenchLab) -> anyhow::Result<()> {
    shell(lab, &format!("tc qdisc del dev {INTERFACE} root")).map(drop).context("take tc's root away")
}

/// Checks that so many netems are on the interface: a tool that failed quietly would look fast.
pub(super) fn expect_netems(lab: &BenchLab, count: usize) -> anyhow::Result<()> {
    let shown = shell(lab, &format!("tc qdisc show dev {INTERFACE}"))?;
    let found = shown.lines().filter(|line| line.starts_with("qdisc netem")).count();
    ensure!(found == count, "it made {found} of {count} delays");
    Ok(())
}

fn shell(lab: &BenchLab, commands: &str) -> anyhow::Result<String> {
    let mut command = lab.command(0, "sh");
    command.args(["-c", commands]);
    output(command, LIMIT)
}
