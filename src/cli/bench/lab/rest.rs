//! What agents cost while nothing happens: memory and processor time, as the kernel counts them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::ensure;
use nix::unistd::{SysconfVar, sysconf};

use super::accuracy::trade;
use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::{BenchLab, Ground};
use crate::testbed::lab::AGENT_COMMAND;

const NAME: &str = "rest";

/// What was seen of all agents over a while.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Watch {
    /// The largest resident set, in bytes.
    resident: u64,
    /// The largest share of memory when what several processes use is divided among them, in bytes; 0 where the kernel
    /// does not say.
    share: u64,
    /// Processor time of all agents together, in hundredths of one processor.
    cpu: f64,
}

/// Watches the agents of a lab before and after delays are applied.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in ground.repetitions("agents at rest") {
        let mut lab = ground.lab(NAME, trade()?)?;
        // So that both watches are of agents that have been talked to.
        lab.clear()?;
        without.push(watch(ground, &lab)?);
        lab.apply()?;
        with.push(watch(ground, &lab)?);
        lab.stop()?;
    }
    Ok(summarise(&with, &without))
}

fn watch(ground: &Ground<'_>, lab: &BenchLab) -> anyhow::Result<Watch> {
    let agents = agents_of(lab.lab.info().holder);
    ensure!(agents.len() == lab.matrix().len(), "found {} agents of {} nodes", agents.len(), lab.matrix().len());
    let ticks = || agents.iter().map(|pid| ticks(*pid)).sum::<u64>();
    let before = ticks();
    std::thread::sleep(ground.effort.watch);
    let passed = ticks().saturating_sub(before);
    let hertz = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
    let most =
        |file: &str, field: &str| agents.iter().filter_map(|pid| kilobytes(*pid, file, field)).max().unwrap_or(0);
    Ok(Watch {
        resident: most("status", "VmRSS:") * 1024,
        share: most("smaps_rollup", "Pss:") * 1024,
        cpu: passed as f64 / hertz as f64 / ground.effort.watch.as_secs_f64() * 100.0,
    })
}

/// The agents among the descendants of a lab's holder.
fn agents_of(holder: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: BTreeMap<i32, i32> = processes.filter_map(|pid| Some((pid, parent(&stat(pid)?)?))).collect();
    let is_agent = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).nth(1) == Some(AGENT_COMMAND.as_bytes())
    };
    parents.keys().copied().filter(|pid| descends(&parents, *pid, holder)).filter(is_agent).collect()
}

fn descends(parents: &BTreeMap<i32, i32>, pid: i32, ancestor: i32) -> bool {
    let line = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
    // The table was read while processes came and went, so it might even have a loop.
    line.take(64).any(|pid| pid == ancestor)
}

fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// The fields of a process's line from the third on: the second, its name, may have blanks and brackets in it.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

fn parent(stat: &str) -> Option<i32> {
    fields(stat).nth(1)?.parse().ok()
}

/// User and system time of a process with all its threads, in clock ticks.
fn ticks(pid: i32) -> u64 {
    stat(pid).map_or(0, |stat| ticks_in(&stat))
}

fn ticks_in(stat: &str) -> u64 {
    fields(stat).skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// A figure such as `VmRSS:   5120 kB` of a file of a process.
fn kilobytes(pid: i32, file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn summarise(with: &[Watch], without: &[Watch]) -> Vec<Row> {
    let row = |what: &str, unit: Unit, pick: fn(&Watch) -> f64| {
        let series = |all: &[Watch]| Series::new(unit, all.iter().map(pick));
        Row::new(NAME, what, series(with)).beside(Relation::Difference, series(without))
    };
    vec![
        row("largest agent, resident (plain: no delays)", Unit::Megabytes, |watch| watch.resident as f64 / 1e6)
            .reaching(Target::at_most(10.0)),
        row("largest agent, proportional share (PSS)", Unit::Megabytes, |watch| watch.share as f64 / 1e6),
        row("processor, 9 agents together", Unit::CpuPercent, |watch| watch.cpu).reaching(Target::at_most(0.0)),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::bench::figures::Verdict;

    const STAT: &str = "42 (a ) b) S 7 42 42 0 -1 4194304 100 0 0 0 30 12 5 5 20 0 1 0 100 1000 200";

    #[test]
    fn lines_of_processes_are_read_behind_their_names() {
        assert_eq!(parent(STAT), Some(7));
        assert_eq!(ticks_in(STAT), 42);
        assert_eq!(parent("nonsense"), None);
    }

    #[test]
    fn this_process_has_memory_and_a_parent() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(kilobytes(me, "status", "VmRSS:").unwrap() > 100);
        assert_eq!(parent(&stat(me).unwrap()), Some(nix::unistd::getppid().as_raw()));
    }

    #[test]
    fn descendants_are_found_even_through_loops() {
        let parents = BTreeMap::from([(5, 4), (4, 3), (3, 1), (9, 8), (8, 9)]);
        assert!(descends(&parents, 5, 3));
        assert!(!descends(&parents, 5, 9));
        assert!(!descends(&parents, 9, 3));
    }

    #[test]
    fn one_tick_is_not_nothing() {
        let watch = |cpu| Watch { resident: 9_000_000, share: 2_000_000, cpu };
        let verdicts = |cpu| summarise(&[watch(cpu)], &[watch(0.0)]).iter().map(Row::verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(0.0), [Verdict::Met, Verdict::NoTarget, Verdict::Met]);
        assert_eq!(verdicts(0.5), [Verdict::Met, Verdict::NoTarget, Verdict::NotMet]);
    }
}
