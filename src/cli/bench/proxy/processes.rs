//! Processes of a benchmark: started, watched in /proc, ended with us.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::units::Span;

/// How long a program may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that listens. Ended when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Where.
    pub(super) address: SocketAddr,
}

impl Process {
    /// Starts one of our own, which says in JSON where it listens: a program of its own, or a command of this one.
    pub(super) fn ours(program: Option<&Path>, words: &[&str]) -> anyhow::Result<Self> {
        // This very program, even when its file has been replaced since.
        let mut command = Command::new(program.unwrap_or(Path::new("/proc/self/exe")));
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {}", words[0]))?;
        let out = child.stdout.take().context("its output")?;
        // From here on it ends with us.
        let mut process = Self { child, address: ([127, 0, 0, 1], 0).into() };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let said: serde_json::Value =
            serde_json::from_str(&line).with_context(|| format!("{} did not start", words[0]))?;
        let address = said["listening"].as_str().unwrap_or_default();
        process.address = address.parse().with_context(|| format!("{} listens on `{address}`", words[0]))?;
        Ok(process)
    }

    /// Starts a program that listens on an address that it is told, and waits until it does.
    pub(super) fn theirs(mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.with_context(|| format!("start {command:?}"))?;
        let mut process = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{command:?}: {status}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("{command:?} does not listen");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(process)
    }

    /// Processor time of all its threads, to the nanosecond where the kernel counts so, else to the hundredth of a second.
    pub(super) fn used(&self) -> anyhow::Result<Span> {
        let folder = format!("/proc/{}", self.child.id());
        let tasks = std::fs::read_dir(format!("{folder}/task")).with_context(|| format!("read {folder}"))?;
        let mut nanos = 0;
        for task in tasks {
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { return ticks(&folder) };
            nanos += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).context("read schedstat")?;
        }
        Ok(Span::from_nanos(nanos))
    }

    /// Memory that it has, in millions of bytes.
    pub(super) fn resident_mb(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: f64 = line.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(kilobytes * 1_024.0 / 1e6)
    }

    /// The requests that it has answered, if it is a service of ours.
    pub(super) fn answered(&self) -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let number = text.lines().find_map(|line| line.strip_prefix("longhaul_service_answered_total "));
        number.context("the service does not say how many requests it answered")?.parse().context("its number")
    }
}

/// User and system time, its own and that of children that have ended.
fn ticks(folder: &str) -> anyhow::Result<Span> {
    let stat = std::fs::read_to_string(format!("{folder}/stat")).with_context(|| format!("read {folder}/stat"))?;
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = behind_name.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(Span::from_millis(ticks * 10))
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of this machine that nobody listens on, for programs that cannot be told to take any.
pub(super) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
