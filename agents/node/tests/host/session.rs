//! A session as its asker sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::node::Node;

/// No answer takes as long.
const FAR_TOO_LONG: Duration = Duration::from_secs(30);

/// A front under way, with what came from it.
pub(crate) struct Session {
    front: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
    next_id: u64,
}

impl Session {
    /// A session of the testbed `test` on the node's interface.
    pub(crate) fn start(node: &Node, lease: Duration) -> Self {
        let lease = format!("{}ms", lease.as_millis());
        Self::of(node.agent(&["session", "--interface", "eth0", "--testbed", "test", "--lease", &lease]))
    }

    /// A session by any command.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut front = command.spawn().unwrap();
        let (sender, answers) = channel();
        let output = BufReader::new(front.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { input: front.stdin.take(), front, answers, next_id: 0 }
    }

    /// The front's process.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.front.id()).unwrap()
    }

    /// Sends a request and returns its number. A front that is gone is noticed by its answers.
    pub(crate) fn send(&mut self, request: &Value) -> u64 {
        self.next_id += 1;
        let line = json!({ "id": self.next_id, "request": request });
        self.say(&line.to_string());
        self.next_id
    }

    /// Sends any line.
    pub(crate) fn say(&mut self, line: &str) {
        let _ = writeln!(self.input.as_mut().unwrap(), "{line}");
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&self) -> Option<Value> {
        match self.answers.recv_timeout(FAR_TOO_LONG) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap()),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no answer"),
        }
    }

    /// Asks and returns the answer. As long as none comes it says that it is there, as askers do.
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        let id = self.send(request);
        let deadline = Instant::now() + FAR_TOO_LONG;
        let line = loop {
            match self.answers.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => break line,
                Err(RecvTimeoutError::Disconnected) => panic!("the front has ended"),
                Err(RecvTimeoutError::Timeout) => self.say(r#"{"alive":true}"#),
            }
            assert!(Instant::now() < deadline, "no answer");
        };
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], id, "{answer}");
        answer["response"].clone()
    }

    /// Applies [`row`], which must work.
    pub(crate) fn apply(&mut self, delay_ms: u64, paths: u64) {
        let answer = self.ask(&row(delay_ms, paths));
        assert!(answer.get("applied").is_some(), "{answer}");
    }

    /// The node's status.
    pub(crate) fn status(&mut self) -> Value {
        self.ask(&json!("status"))["status"].clone()
    }

    /// Closes the input, waits for the end, and returns the exit code and what was written to standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        drop(self.input.take());
        while self.next().is_some() {}
        self.wait()
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let mut told = String::new();
        self.front.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (self.front.wait().unwrap().code(), told)
    }

    /// Sends the front a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }
}

/// A lease of so many milliseconds on an ordinary machine. User-Mode Linux is slow, and what is slow must not look dead.
pub(crate) fn lease(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds) * if slow() { 8 } else { 1 }
}

/// Whether this is User-Mode Linux.
pub(crate) fn slow() -> bool {
    std::env::var_os("LONGHAUL_UML").is_some()
}

/// A row of `paths` paths, all with this delay; the first is the other node's.
pub(crate) fn row(delay_ms: u64, paths: u64) -> Value {
    let path = |host: u64| {
        let prefix = format!("10.9.{}.{}/32", host / 250, host % 250 + 2);
        json!({ "prefixes": [prefix], "impairment": { "delay": delay_ms * 1_000_000 } })
    };
    json!({ "apply": { "row": { "paths": (0..paths).map(path).collect::<Vec<_>>() }, "backend": "auto" } })
}

/// Sends a signal, to a process that may have ended.
pub(crate) fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}
