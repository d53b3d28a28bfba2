//! Keeping what was applied to hosts: as long as this program runs, or for a time after it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::signals::Signals;
use super::target::Target;
use crate::agent::protocol::{Request, Response};
use crate::testbed::{self, NodeFailure, Present, Testbed};
use crate::wording::OneLine;

/// How often the signals are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long what is applied is to stay.
#[derive(Debug, Clone, Args)]
pub(super) struct StayArgs {
    /// Leave the delays on the hosts when this program ends, until the time of --for is over
    #[arg(long, requires = "hosts", requires = "stay")]
    detach: bool,
    /// How long the delays stay without anybody: 30s, 10m, 2h
    #[arg(id = "stay", long = "for", value_name = "DURATION", requires = "detach", value_parser = parse_stay)]
    stay: Option<Duration>,
}

/// A time that something may stay on hosts.
pub(super) fn parse_stay(text: &str) -> Result<Duration, String> {
    let stay = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(30 * 86_400));
    if (least..=most).contains(&stay) { Ok(stay) } else { Err(format!("{text} is not between 1s and 30days")) }
}

impl StayArgs {
    /// What was applied to hosts stays as it was asked for; when this program is to hold it, this returns after it was
    /// cleared.
    pub(super) fn keep(&self, target: &mut Target, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        if let Some(stay) = self.stay {
            return detach(target, stay, out);
        }
        let signals = Signals::take()?;
        Ok(if hold(target, &signals, out)? { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }
}

/// Leaves what is on the hosts there for so long.
pub(super) fn detach(target: &mut Target, stay: Duration, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let seconds = stay.as_secs();
    let requests = (0..target.nodes().len()).map(|node| (node, Request::Detach { seconds })).collect();
    let answers = target.testbed().ask(requests)?;
    for (node, answer) in answers.into_iter().enumerate() {
        let refusal = match answer {
            Ok(Response::Detached { .. }) => continue,
            Ok(Response::Failed { message }) | Err(message) => message,
            Ok(other) => format!("an unexpected answer: {other:?}"),
        };
        let name = target.name_of(node);
        anyhow::bail!("host `{name}` does not leave its delays: {refusal}; those of the others end with --for");
    }
    let until = humantime::format_rfc3339_seconds(std::time::SystemTime::now() + stay);
    writeln!(out, "{target} keeps its delays at least until {until}, or until `longhaul clear --hosts …`")?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for Ctrl-C, telling of hosts that are lost, and clears; whether all hosts are cleared.
pub(super) fn hold(target: &mut Target, signals: &Signals, out: &mut dyn Write) -> anyhow::Result<bool> {
    writeln!(out, "Ctrl-C clears it")?;
    out.flush()?;
    while signals.wait(TICK).is_none() {
        let news = target.hosts().map_or_else(Vec::new, |hosts| hosts.news(Duration::ZERO));
        for (node, why) in news {
            let name = target.name_of(node);
            writeln!(io::stderr(), "host `{name}` is lost: {why}; the others go on")?;
        }
        if target.hosts().is_some_and(|hosts| hosts.lost().count() == hosts.nodes().len()) {
            anyhow::bail!("all hosts are lost; what they had ends with their leases");
        }
    }
    clear(target, out)
}

/// Clears what is there, and tells of the nodes that are not; whether all are.
pub(super) fn clear(target: &mut Target, out: &mut dyn Write) -> anyhow::Result<bool> {
    let mut present = Present::of(target.testbed())?;
    let missing = present.failures();
    let operations = testbed::clear(&mut present).context("clear; what could not be cleared ends with its lease")?;
    writeln!(out, "cleared {target}: {operations} writes")?;
    for NodeFailure { node, message } in &missing {
        writeln!(
            out,
            "note: `{node}` is lost ({}) and not cleared: what it has ends with its lease",
            OneLine(message)
        )?;
    }
    Ok(missing.is_empty())
}
