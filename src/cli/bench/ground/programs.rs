//! Programs run inside nodes: found, started, waited for, but not for ever.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};

/// Whether a program is in one of the folders of `PATH`.
pub(in crate::cli::bench) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a command to its end and returns what it printed; fails with its errors when it fails or takes longer than `limit`.
pub(in crate::cli::bench) fn output(command: Command, limit: Duration) -> anyhow::Result<String> {
    output_fed(command, None, limit)
}

/// As [`output`], with something to read on its standard input.
pub(in crate::cli::bench) fn output_fed(
    mut command: Command,
    input: Option<String>,
    limit: Duration,
) -> anyhow::Result<String> {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {what}"))?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // What reads it may end early; its exit code says why.
        std::thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
    }
    let mut streams = (child.stdout.take(), child.stderr.take());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = (String::new(), String::new());
        // Little is written to the second stream: it cannot fill up while the first is read.
        let _ = streams.0.as_mut().map(|out| out.read_to_string(&mut text.0));
        let _ = streams.1.as_mut().map(|errors| errors.read_to_string(&mut text.1));
        let _ = sender.send(text);
    });
    let Ok((text, errors)) = receiver.recv_timeout(limit) else {
        end(child);
        bail!("{what} did not end within {limit:?}");
    };
    let status = child.wait().with_context(|| format!("wait for {what}"))?;
    if status.success() { Ok(text) } else { bail!("{what}: {status}: {} {}", errors.trim(), text.trim()) }
}

/// A program that goes on until it has served, and that talks line by line.
pub(in crate::cli::bench) struct Server {
    child: Child,
    lines: mpsc::Receiver<String>,
    limit: Duration,
}

impl Server {
    /// Starts it. Each of its lines must come within `limit`.
    pub(in crate::cli::bench) fn start(mut command: Command, limit: Duration) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || pass_on(out, &sender));
        }
        Ok(Self { child, lines, limit })
    }

    /// Waits for a line that `wanted` likes.
    pub(in crate::cli::bench) fn line(&self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        loop {
            let line = self.lines.recv_timeout(self.limit).context("a program in a node ended early or hangs")?;
            if wanted(&line) {
                return Ok(line);
            }
        }
    }

    /// Sends it a line.
    pub(in crate::cli::bench) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("the input of a program in a node has ended")?;
        writeln!(input, "{line}").context("write to a program in a node")
    }

    /// Ends its input: the sign for it to end.
    pub(in crate::cli::bench) fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is done is gone already; another one ends with its lab.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(out: ChildStdout, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        if lines.send(line).is_err() {
            break;
        }
    }
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}
