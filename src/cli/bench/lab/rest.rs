//! What agents cost while nothing happens: memory and processor time, as the kernel counts them.

use std::fs;

use anyhow::ensure;
use nix::unistd::{SysconfVar, sysconf};

use super::accuracy::trade;
use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::processes::{agents_of, fields, stat};
use crate::cli::bench::ground::{BenchLab, Ground};

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
        assert_eq!(ticks_in(STAT), 42);
    }

    #[test]
    fn this_process_has_memory() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(kilobytes(me, "status", "VmRSS:").unwrap() > 100);
    }

    #[test]
    fn one_tick_is_not_nothing() {
        let watch = |cpu| Watch { resident: 9_000_000, share: 2_000_000, cpu };
        let verdicts = |cpu| summarise(&[watch(cpu)], &[watch(0.0)]).iter().map(Row::verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(0.0), [Verdict::Met, Verdict::NoTarget, Verdict::Met]);
        assert_eq!(verdicts(0.5), [Verdict::Met, Verdict::NoTarget, Verdict::NotMet]);
    }
}
