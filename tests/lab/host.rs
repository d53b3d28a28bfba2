//! The host as other tools see it: what must be the same before and after.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Everything of the host that a lab could leave something in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Host {
    namespaces: String,
    links: String,
    qdiscs: String,
    mounts: String,
}

impl Host {
    /// Looks at it.
    pub(crate) fn look() -> Self {
        Self {
            namespaces: output("ip", &["netns", "list"]),
            links: output("ip", &["-o", "link", "show"]),
            qdiscs: output("tc", &["qdisc", "show"]),
            mounts: std::fs::read_to_string("/proc/self/mountinfo").unwrap(),
        }
    }
}

/// What a tool prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The processes that run a program of this folder.
pub(crate) fn processes_of(folder: &Path) -> BTreeSet<i32> {
    let ours = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|words| String::from_utf8_lossy(&words).starts_with(&*folder.to_string_lossy()))
    };
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(ours).collect()
}

/// Whether computing takes no time here and packets are late by what their delays say, to the nanosecond (tests/uml/run).
pub(crate) fn time_is_virtual() -> bool {
    std::env::var_os("LONGHAUL_VIRTUAL_TIME").is_some()
}

/// Between two looks at something that is bound to happen. It sleeps because on virtual time nothing else lets time pass, and because
/// whoever only yields takes the one processor of User-Mode Linux from what is waited for.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}

/// Waits until `condition` holds; fails after ten seconds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "after ten seconds still not: {what}");
        pause();
    }
}
