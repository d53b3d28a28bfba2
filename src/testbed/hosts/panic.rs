//! Ridding hosts of everything of longhaul: the agent's own `panic`, run by ssh on all of them at once. No session is needed,
//! and no keeper that answers.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::command::{SessionOrder, arguments, panic_script};
use super::{HostsError, complaint, push};
use crate::inventory::{Host, Inventory};
use crate::wording::OneLine;

/// How long a host may take: to be reached, to end a keeper that hangs, and to look at everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at whether ssh has ended.
const LOOK: Duration = Duration::from_millis(5);

/// The most that a host may say.
const MAX_SAID: u64 = 64 * 1024;

/// What became of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rid {
    /// Nothing of ours is left; what its agent said, line by line.
    Clear(Vec<String>),
    /// Something is left; what its agent said, line by line.
    Stuck(Vec<String>),
    /// Nobody knows: it could not be reached, or has no agent. Why.
    Unknown(String),
}

/// Rids all hosts of an inventory, by `program` with its first arguments, of everything of ours; with `dry_run` only asks what
/// would be done. With `push` this program is put there first, as the agent. What became of each, in the inventory's order.
pub fn rid_all(
    inventory: &Inventory,
    program: &[String],
    version: &str,
    push: bool,
    dry_run: bool,
) -> Result<Vec<Rid>, HostsError> {
    let pushed = if push { push::push_all(inventory, program, version)? } else { Vec::new() };
    let order = SessionOrder { version, use_pushed: push, testbed: &inventory.testbed, toward: &[] };
    let one = |host: &Host| rid(host, program, &panic_script(host, order, dry_run));
    Ok(std::thread::scope(|scope| {
        let refused = |place: usize| pushed.get(place).and_then(|pushed| pushed.clone().err());
        let all: Vec<_> = inventory
            .hosts
            .iter()
            .enumerate()
            .map(|(place, host)| refused(place).map_or_else(|| Ok(scope.spawn(move || one(host))), Err))
            .collect();
        let outcome = |begun: Result<std::thread::ScopedJoinHandle<'_, Rid>, String>| match begun {
            Ok(thread) => thread.join().unwrap_or_else(|_| Rid::Unknown("the asking thread panicked".to_owned())),
            Err(why) => Rid::Unknown(why),
        };
        all.into_iter().map(outcome).collect()
    }))
}

fn rid(host: &Host, program: &[String], script: &str) -> Rid {
    let Some((name, first)) = program.split_first() else { return Rid::Unknown("no program is named".to_owned()) };
    let begun = Command::new(name)
        .args(first)
        .args(arguments(host, script))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match begun {
        Ok(child) => child,
        Err(error) => return Rid::Unknown(format!("run `{name}`: {error}")),
    };
    let (said, complained) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let status = end_within(&mut child, PATIENCE);
    let (said, complained) = (said.join().unwrap_or_default(), complained.join().unwrap_or_default());
    let lines = || said.lines().map(|line| OneLine(line).to_string()).collect::<Vec<_>>();
    match status.map(|status| status.code()) {
        None => Rid::Unknown(format!("it did not end within {PATIENCE:?} and was given up")),
        Some(Some(0)) => Rid::Clear(lines()),
        // The agent's own words say what is left; without any it was not the agent that failed.
        Some(Some(2)) if !said.is_empty() => Rid::Stuck(lines()),
        Some(code) => Rid::Unknown(OneLine(complaint::describe(code, &complained)).to_string()),
    }
}

/// Reads to the end, beside the wait for it.
fn reader(source: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut source) = source {
            // What comes beyond is for nobody, but must not hold the sender up.
            let _ = source.by_ref().take(MAX_SAID).read_to_end(&mut said);
            let _ = std::io::copy(&mut source, &mut std::io::sink());
        }
        String::from_utf8_lossy(&said).into_owned()
    })
}

/// Waits for the end of a process; kills it when that takes longer.
fn end_within(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(LOOK);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
