//! A session of the agent in a namespace of its own: requests in on standard input, answers out, judged by `tc` and `ip`.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The agent on `eth0` of a new network namespace, with a shell beside it to look with.
struct Session {
    agent: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start() -> Self {
        let script = format!(
            "ip link add name eth0 type veth peer name far && ip address add 10.9.0.1/24 dev eth0 && \
             ip link set far up && ip link set eth0 up && exec {} session --interface eth0",
            env!("CARGO_BIN_EXE_longhaul-agent")
        );
        let mut agent = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (agent.stdin.take(), BufReader::new(agent.stdout.take().unwrap()));
        Self { agent, input, output }
    }

    /// Sends a line and returns the answer.
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer
    }

    /// What a tool prints in the agent's namespaces.
    fn look(&self, tool: &str) -> String {
        let target = self.agent.id().to_string();
        let words = ["--target", &target, "--user", "--net", "--preserve-credentials", "sh", "-c", tool];
        let output = Command::new("nsenter").args(words).output().unwrap();
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends the session as an asker that goes away does.
    fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        self.agent.wait().unwrap().code()
    }
}

/// One path, 20 ms to 10.9.0.2.
const APPLY: &str = r#"{"id":2,"request":{"apply":{"row":{"paths":[{"prefixes":["10.9.0.2/32"],"impairment":{"delay":20000000}}]},"backend":"auto"}}}"#;

#[test]
fn a_row_is_applied_changed_told_and_cleared() {
    let mut session = Session::start();
    assert!(session.ask(r#"{"id":1,"request":"ready"}"#).starts_with(r#"{"id":1,"response":{"ready":"#));
    let before = session.look("tc qdisc show; ip -o link show | grep -c .");
    let applied = session.ask(APPLY);
    assert!(applied.starts_with(r#"{"id":2,"response":{"applied":{"backend":""#), "{applied}");
    let filters = session.look("tc filter show dev eth0 egress");
    assert!(filters.contains("mirred (Egress Redirect to device lh0)"), "{filters}");
    let again = session.ask(APPLY);
    assert!(again.contains(r#""operations":0"#), "{again}");
    let status = session.ask(r#"{"id":3,"request":"status"}"#);
    assert!(status.contains(r#""differences":[]"#) && status.contains("10.9.0.2/32"), "{status}");
    let cleared = session.ask(r#"{"id":4,"request":"clear"}"#);
    assert!(cleared.starts_with(r#"{"id":4,"response":{"cleared":"#), "{cleared}");
    assert_eq!(session.look("tc qdisc show; ip -o link show | grep -c ."), before);
    assert_eq!(session.end(), Some(0));
}

#[test]
fn what_cannot_be_read_is_answered_and_the_session_goes_on() {
    let mut session = Session::start();
    for (line, expected) in [
        ("garbage", r#"{"id":0,"response":{"failed":{"message":"the request cannot be read: expected value at line 1"#),
        (
            r#"{"id":7,"request":"fly"}"#,
            r#"{"id":7,"response":{"failed":{"message":"the request cannot be read: unknown variant `fly`"#,
        ),
        (
            r#"{"id":8}"#,
            r#"{"id":0,"response":{"failed":{"message":"the request cannot be read: missing field `request`"#,
        ),
        (r#"{"id":9,"request":"ready"}"#, r#"{"id":9,"response":{"ready":{"now_realtime_ns":"#),
    ] {
        let answer = session.ask(line);
        assert!(answer.starts_with(expected), "{line}: {answer}");
    }
    assert_eq!(session.end(), Some(0));
}

#[test]
fn the_end_of_the_session_clears_the_node() {
    // The shell outlives the agent, so that what it left can be seen.
    let script = format!(
        "ip link add name eth0 type veth peer name far && ip link set far up && ip link set eth0 up && tc qdisc show > before && \
         echo '{APPLY}' | {} session --interface eth0 && tc qdisc show | diff before - && ! ip link show lh0",
        env!("CARGO_BIN_EXE_longhaul-agent")
    );
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("applied"), "{printed}");
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let mut agent = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            env!("CARGO_BIN_EXE_longhaul-agent"),
            "session",
            "--interface",
            "nope0",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(agent.stdin.take().unwrap(), "{APPLY}").unwrap();
    let output = agent.wait_with_output().unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(answer.contains("nope0"), "{answer}");
}
