//! Keeping what was applied to hosts: as long as this program runs, or for a time after it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::target::Target;
use crate::agent::protocol::{Request, Response};
use crate::testbed;

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

fn parse_stay(text: &str) -> Result<Duration, String> {
    let stay = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(30 * 86_400));
    if (least..=most).contains(&stay) { Ok(stay) } else { Err(format!("{text} is not between 1s and 30days")) }
}

impl StayArgs {
    /// What was applied to hosts stays as it was asked for; when this program is to hold it, this returns after it was
    /// cleared.
    pub(super) fn keep(&self, target: &mut Target, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        match self.stay {
            Some(stay) => detach(target, stay, out),
            None => hold(target, out),
        }
    }
}

fn detach(target: &mut Target, stay: Duration, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
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

/// Waits for Ctrl-C, telling of hosts that are lost, and clears.
fn hold(target: &mut Target, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let set: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    set.thread_block().context("block signals")?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("take signals")?;
    writeln!(out, "Ctrl-C clears it")?;
    out.flush()?;
    let mut lost = 0;
    while signals.read_signal().context("read a signal")?.is_none() {
        let news = target.hosts().map_or_else(Vec::new, |hosts| hosts.news(TICK));
        for (node, why) in news {
            lost += 1;
            let name = target.name_of(node);
            writeln!(io::stderr(), "host `{name}` is lost: {why}; the others go on")?;
        }
        if lost == target.nodes().len() {
            anyhow::bail!("all hosts are lost; what they had ends with their leases");
        }
    }
    match testbed::clear(target.testbed()) {
        Ok(operations) => writeln!(out, "cleared {target}: {operations} writes")?,
        Err(error) => return Err(error).context("clear; what could not be cleared ends with its lease"),
    }
    Ok(ExitCode::SUCCESS)
}
