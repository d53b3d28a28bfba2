//! The programs of a trial: this program again as service, proxy or load, in the networks of a lab's nodes. They die with the
//! thread that started them, and with the crew.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::testbed::lab::{NodeNamespaces, own_program, place_in};
use crate::wording::excerpt;

/// The longest line that a program may say when it is ready.
const LONGEST_LINE: usize = 4_096;

/// A program of a trial.
pub(super) struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: PathBuf,
}

impl Program {
    /// Starts this program with `words` in a node; what it complains of goes to a file of `folder`.
    pub(super) fn start(name: &str, words: &[String], node: &NodeNamespaces, folder: &Path) -> anyhow::Result<Self> {
        let errors = folder.join(format!("{name}.err"));
        let file = File::create(&errors).with_context(|| format!("write {}", errors.display()))?;
        let mut command = own_program();
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(file));
        // Ctrl-C at a terminal is for the run, which then ends this in its own way.
        command.process_group(0);
        place_in(&mut command, node).with_context(|| format!("prepare {name}"))?;
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().with_context(|| format!("read what {name} says"))?;
        Ok(Self { name: name.to_owned(), child, input, output, errors })
    }

    /// Waits for the line by which it says that it is ready.
    pub(super) fn ready(&mut self, deadline: Instant) -> anyhow::Result<()> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let left = deadline.saturating_duration_since(Instant::now());
            let patience = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
            if left.is_zero() || poll(&mut fds, patience) == Ok(0) {
                bail!("{} is not ready in time", self.name);
            }
            let mut byte = [0];
            match self.output.read(&mut byte) {
                Ok(1) if line.len() < LONGEST_LINE => line.push(byte[0]),
                _ => return Err(self.complaint("did not start")),
            }
        }
        Ok(())
    }

    /// Says a line to it; it hears no further one.
    pub(super) fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let told = self.input.take().map(|mut input| writeln!(input, "{line}"));
        match told {
            Some(Ok(())) => Ok(()),
            _ => Err(self.complaint("did not listen")),
        }
    }

    /// Its exit code, once it has ended; the error when it was killed.
    pub(super) fn ended(&mut self) -> anyhow::Result<Option<i32>> {
        match self.child.try_wait().with_context(|| format!("look after {}", self.name))? {
            None => Ok(None),
            Some(status) => status.code().map(Some).ok_or_else(|| self.complaint("was killed")),
        }
    }

    /// The error that it has ended, with its own words.
    pub(super) fn complaint(&self, what: &str) -> anyhow::Error {
        let said = std::fs::read_to_string(&self.errors).unwrap_or_default();
        let said = said.lines().last().map_or_else(String::new, |line| format!(": {}", excerpt(line)));
        anyhow::anyhow!("{} {what}{said}", self.name)
    }

    /// Asks it to finish what it has.
    pub(super) fn finish(&self) {
        let Ok(pid) = i32::try_from(self.child.id()) else { return };
        // Who has ended already needs not be asked.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// How long programs may take to be ready, for so many of them on a busy machine.
pub(super) fn patience(programs: usize) -> Duration {
    Duration::from_secs(20) + Duration::from_millis(200) * u32::try_from(programs).unwrap_or(u32::MAX)
}
