//! One host's session: an ssh process, and threads that write to it, read from it and keep its lease.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;

use super::complaint;
use super::timeline::Timeline;
use crate::agent::protocol::ALIVE;
use crate::topology::NodeIndex;

/// The longest line that a host may say.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// How much of what a host says on standard error is kept: its end.
const MAX_SAID: usize = 8 * 1024;

/// How often a host is told that somebody is still there: several times within its lease.
const ALIVE_EVERY: Duration = Duration::from_secs(2);

/// How long an ssh process may take to end when its session is over.
const END: Duration = Duration::from_secs(10);

/// For threads that only carry lines.
const STACK: usize = 128 * 1024;

/// What was heard of a host.
pub(super) enum Heard {
    /// A line, and when it came.
    Line {
        /// Without its end.
        line: Vec<u8>,
        /// Nanoseconds of this side's time line.
        at_ns: u64,
    },
    /// There will be no more.
    Ended,
}

/// One host's session. Its end clears the host, unless something was left there on purpose.
pub(super) struct Session {
    child: Child,
    /// Dropping it ends the session.
    orders: Option<Sender<String>>,
    said: Arc<Mutex<Vec<u8>>>,
    all_said: Receiver<()>,
}

impl Session {
    /// Calls ssh. What is heard goes to `heard`, marked with `node`.
    pub(super) fn start(
        program: &[String],
        arguments: &[String],
        node: NodeIndex,
        heard: Sender<(NodeIndex, Heard)>,
        timeline: Timeline,
    ) -> io::Result<Self> {
        let (name, first) = program.split_first().ok_or_else(|| io::Error::other("no program is named"))?;
        let mut child = Command::new(name)
            .args(first)
            .args(arguments)
            // Ctrl-C is for this process to answer: the session must still carry what it then says.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (orders, received) = channel();
        let (sayer, all_said) = channel();
        let said = Arc::new(Mutex::new(Vec::new()));
        if let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        {
            let kept = Arc::clone(&said);
            thread("write", move || write_all(stdin, &received))?;
            thread("read", move || read_all(stdout, node, &heard, timeline))?;
            thread("said", move || {
                keep_all(stderr, &kept);
                drop(sayer);
            })?;
        }
        Ok(Self { child, orders: Some(orders), said, all_said })
    }

    /// Queues a line. When the host does not take it, its end tells.
    pub(super) fn send(&self, line: String) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(line);
        }
    }

    /// Says that the session is over, without waiting.
    pub(super) fn hang_up(&mut self) {
        self.orders = None;
    }

    /// Waits for the end of the process, kills it when that takes too long, and says why it ended.
    pub(super) fn bury(mut self) -> String {
        self.hang_up();
        let status = self.end_by(Instant::now() + END);
        // A master connection that stays behind may keep the file open for ever.
        let _ = self.all_said.recv_timeout(Duration::from_secs(1));
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        complaint::describe(status.and_then(|status| status.code()), &String::from_utf8_lossy(&said))
    }

    /// Waits for the end of the process; kills it at `deadline`.
    pub(super) fn end_by(&mut self, deadline: Instant) -> Option<ExitStatus> {
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let named = thread::Builder::new().name(format!("ssh {name}")).stack_size(STACK);
    let quiet = move || {
        // Signals are for the main thread, which may want to wait for them.
        let _ = SigSet::all().thread_block();
        work();
    };
    named.spawn(quiet).map(|_| ())
}

/// Writes what is queued, and in pauses that somebody is still there; a host that cannot be written to has ended.
fn write_all(mut stdin: ChildStdin, orders: &Receiver<String>) {
    loop {
        let mut line = match orders.recv_timeout(ALIVE_EVERY) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => ALIVE.to_owned(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        line.push('\n');
        if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

fn read_all(stdout: ChildStdout, node: NodeIndex, heard: &Sender<(NodeIndex, Heard)>, timeline: Timeline) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if line.pop() != Some(b'\n') || read.is_err() {
            break;
        }
        if heard.send((node, Heard::Line { line, at_ns: timeline.now_ns() })).is_err() {
            break;
        }
    }
    // Nobody listens any more when this fails.
    let _ = heard.send((node, Heard::Ended));
}

fn keep_all(mut stderr: ChildStderr, kept: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut chunk) {
        let mut said = kept.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(&chunk[..length]);
        let surplus = said.len().saturating_sub(MAX_SAID);
        said.drain(..surplus);
    }
}
