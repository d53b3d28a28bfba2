//! Processes as `/proc` shows them: whose they are, and what processor time they have used.

use std::collections::BTreeMap;
use std::fs;

use crate::testbed::lab::AGENT_COMMAND;

/// The agents among the descendants of a lab's holder.
pub(in crate::cli::bench) fn agents_of(holder: i32) -> Vec<i32> {
    let is_agent = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).nth(1) == Some(AGENT_COMMAND.as_bytes())
    };
    descendants(holder).into_iter().filter(is_agent).collect()
}

/// The descendants of this process that run a program of that name.
pub(in crate::cli::bench) fn ours_of(program: &str) -> Vec<i32> {
    let is_it = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim_end() == program
    };
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    descendants(me).into_iter().filter(is_it).collect()
}

/// The time that all threads of these processes have been on a processor, in nanoseconds; what the kernel does for packets in
/// their context counts with them. `None` where the kernel does not count it.
pub(in crate::cli::bench) fn busy_nanos(pids: &[i32]) -> Option<u64> {
    let mut all = None;
    for pid in pids {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.filter_map(Result::ok) {
            // A thread that has just ended counts no more.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let nanos: u64 = text.split_whitespace().next()?.parse().ok()?;
            all = Some(all.unwrap_or(0) + nanos);
        }
    }
    all
}

fn descendants(ancestor: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: BTreeMap<i32, i32> = processes.filter_map(|pid| Some((pid, parent(&stat(pid)?)?))).collect();
    parents.keys().copied().filter(|pid| descends(&parents, *pid, ancestor)).collect()
}

fn descends(parents: &BTreeMap<i32, i32>, pid: i32, ancestor: i32) -> bool {
    let line = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
    // The table was read while processes came and went, so it might even have a loop.
    line.take(64).any(|pid| pid == ancestor)
}

/// The line of a process.
pub(in crate::cli::bench) fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// The fields of a process's line from the third on: the second, its name, may have blanks and brackets in it.
pub(in crate::cli::bench) fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

fn parent(stat: &str) -> Option<i32> {
    fields(stat).nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parents_are_read_behind_names() {
        assert_eq!(parent("42 (a ) b) S 7 42 42 0 -1"), Some(7));
        assert_eq!(parent("nonsense"), None);
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(parent(&stat(me).unwrap()), Some(nix::unistd::getppid().as_raw()));
    }

    #[test]
    fn a_busy_process_is_seen_to_be_busy() {
        let me = [i32::try_from(std::process::id()).unwrap()];
        let Some(before) = busy_nanos(&me) else { return assert!(!fs::exists("/proc/self/schedstat").unwrap()) };
        let start = std::time::Instant::now();
        while busy_nanos(&me).unwrap() == before {
            assert!(start.elapsed() < std::time::Duration::from_secs(10));
        }
        assert_eq!(busy_nanos(&[]), None);
    }

    #[test]
    fn children_are_found_by_their_program() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let found = ours_of("cat");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(found.contains(&i32::try_from(child.id()).unwrap()), "{found:?}");
    }

    #[test]
    fn descendants_are_found_even_through_loops() {
        let parents = BTreeMap::from([(5, 4), (4, 3), (3, 1), (9, 8), (8, 9)]);
        assert!(descends(&parents, 5, 3));
        assert!(!descends(&parents, 5, 9));
        assert!(!descends(&parents, 9, 3));
    }
}
