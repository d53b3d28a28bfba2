//! `longhaul panic`: this host's network namespace, or every host of an inventory, is rid of everything of ours, at once,
//! whoever wanted it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::target::HostsArgs;
use crate::agent::claim::{self, Held};
use crate::agent::eviction::{self, Evicted};
use crate::agent::greeting::Holder;
use crate::tc;
use crate::testbed::hosts::Rid;

/// Remove everything that longhaul did to this host, or to all hosts of an inventory, and end who keeps it.
///
/// Works on the network namespace that it runs in. Labs are elsewhere: they end with `longhaul lab down --all`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul panic --dry-run
  longhaul panic
  longhaul panic --hosts edge.yaml

Takes away the filters at our own preferences, the devices lh0 and lh1, and the clsact hook where we made it and nobody
else uses it. What belongs to others is never touched.

Exit code: 0 nothing of ours is left, 2 something could not be removed, or a host could not be reached.")]
pub(super) struct PanicEverywhereArgs {
    #[command(flatten)]
    here: PanicArgs,
    #[command(flatten)]
    hosts: HostsArgs,
}

/// Remove everything that longhaul did to this host, and end who keeps it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul-agent panic --dry-run
  longhaul-agent panic

Exit code: 0 nothing of ours is left, 2 something could not be removed.")]
pub(super) struct PanicArgs {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs `longhaul panic`.
pub(super) fn run_everywhere(args: &PanicEverywhereArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let dry_run = args.here.dry_run;
    let Some(hosts) = args.hosts.rid(dry_run)? else { return run(&args.here, out) };
    let (mut stuck, mut unknown) = (0, 0);
    for (name, rid) in &hosts {
        match rid {
            Rid::Clear(lines) | Rid::Stuck(lines) => {
                stuck += usize::from(matches!(rid, Rid::Stuck(_)));
                lines.iter().try_for_each(|line| writeln!(out, "{name}: {line}"))?;
            }
            Rid::Unknown(why) => {
                unknown += 1;
                writeln!(out, "{name}: not known: {why}")?;
            }
        }
    }
    let verb = if dry_run { "looked at" } else { "rid of longhaul" };
    write!(out, "{} of {} hosts are {verb}", hosts.len() - stuck - unknown, hosts.len())?;
    if stuck > 0 {
        write!(out, "; on {stuck} something is left")?;
    }
    if unknown > 0 {
        write!(out, "; {unknown} could not be reached or have no agent")?;
    }
    writeln!(out)?;
    Ok(if stuck + unknown == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// Runs it here.
pub(super) fn run(args: &PanicArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut stuck = Vec::new();
    for held in claim::all().context("list the sockets of this network namespace")? {
        match evict(&held, args.dry_run) {
            Ok(line) => writeln!(out, "{line}")?,
            Err(line) => stuck.push(line),
        }
    }
    let removal = tc::remove_all(None, args.dry_run).context("look for what is ours")?;
    let verb = if args.dry_run { "would remove" } else { "removed" };
    for what in &removal.removed {
        writeln!(out, "{verb}: {what}")?;
    }
    for what in &removal.left {
        writeln!(out, "left alone, not ours: {what}")?;
    }
    stuck.extend(removal.stuck);
    for what in &stuck {
        writeln!(out, "still there: {what}")?;
    }
    if !stuck.is_empty() {
        return Ok(ExitCode::from(2));
    }
    if !args.dry_run {
        writeln!(out, "nothing of longhaul is left in this network namespace")?;
    } else if removal.removed.is_empty() {
        writeln!(out, "nothing of longhaul would have to be removed from this network namespace")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the keeper that holds a claim, or says what would be ended.
fn evict(held: &Held, dry: bool) -> Result<String, String> {
    let interface = &held.interface;
    if dry {
        return Ok(match eviction::holder(held) {
            Some(holder) => format!("would end: {}", keeper(&holder)),
            None if held.listening => format!("would kill: the keeper of {interface}, which does not answer"),
            None => format!("left alone: the agent of a lab that this namespace is a node of ({interface})"),
        });
    }
    match eviction::evict(held) {
        Ok(Evicted::Asked(holder)) => Ok(format!("ended: {}", keeper(&holder))),
        Ok(Evicted::Killed(processes)) => {
            let numbers: Vec<String> = processes.iter().map(ToString::to_string).collect();
            Ok(format!("killed: the keeper of {interface}, which did not answer (processes {})", numbers.join(", ")))
        }
        Ok(Evicted::Agent(_)) => {
            Ok(format!("left alone: the agent of a lab that this namespace is a node of ({interface})"))
        }
        Ok(Evicted::Gone) => Ok(format!("gone by itself: the keeper of {interface}")),
        Err(error) => Err(format!("the keeper of {interface}: {error}")),
    }
}

fn keeper(holder: &Holder) -> String {
    format!(
        "the keeper of {} (process {}, testbed `{}` of user {}, since {})",
        holder.interface, holder.keeper, holder.testbed, holder.user, holder.since
    )
}
