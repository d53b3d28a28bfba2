//! The front of a session: the process that a command line or `ssh` starts. It joins the keeper of its interface, starts one
//! if there is none, and carries lines both ways until either side ends.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claim::{self, Peer};
use super::greeting::{FarewellLine, Greeting, PROTOCOL, Welcome};
use super::keeper::{Ground, Keeper, KeeperOrder};
use super::lines::Lines;
use super::privilege;
use super::process::{close_all_but, fork_off, leave_starter, set_name};
use super::protocol::{BeatLine, Response, ResponseLine, is_alive};

/// How long to try to get in, beyond the lease after which a hanging keeper is replaced.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two attempts when somebody holds the interface and lets nobody in.
const PAUSE: Duration = Duration::from_millis(10);

/// Serves one session from `input` to `output`. `ground` is what a new keeper stands on. Returns the exit code: 0 when the
/// input ended and everything was answered, 2 when the session could not begin or go on.
pub fn run(order: &KeeperOrder, ground: &mut dyn Ground, input: OwnedFd, output: &mut dyn Write) -> io::Result<i32> {
    let mut asked = Asked::default();
    match join(order, ground) {
        Ok(stream) => relay(order, stream, &std::fs::File::from(input), output, &mut asked),
        Err(message) => refuse(&message, std::fs::File::from(input), output, &mut asked),
    }
}

/// Gets into the keeper of the interface, or says why not.
fn join(order: &KeeperOrder, ground: &mut dyn Ground) -> Result<UnixStream, String> {
    let deadline = Instant::now() + order.lease + PATIENCE;
    loop {
        if let Some(stream) =
            claim::connect(&order.interface).map_err(|error| format!("connect to the keeper: {error}"))?
        {
            let peer = Peer::of(&stream).map_err(|error| format!("look at the keeper: {error}"))?;
            if !peer.is_trusted() {
                return Err(format!(
                    "{} of this network namespace is held by process {} of user {}, who is neither this user nor root",
                    order.interface,
                    peer.pid,
                    peer.user()
                ));
            }
            match greet(&stream, order, deadline) {
                Ok(Welcome::Joined) => return Ok(stream),
                Ok(Welcome::Refused { message }) => return Err(message),
                Ok(other) => return Err(format!("the keeper answered something else than was asked: {other:?}")),
                Err(error) if is_patience(&error) => {
                    return Err(format!("the keeper of {} (process {}) does not answer", order.interface, peer.pid));
                }
                // It was just ending.
                Err(_) => {}
            }
        } else {
            match bear(order, ground).map_err(|error| format!("start a keeper: {error}"))? {
                Born::Ready => {}
                Born::Failed(message) => return Err(message),
                // Another front was faster, or one is just ending.
                Born::Taken => std::thread::sleep(PAUSE),
            }
        }
        if Instant::now() > deadline {
            return Err(format!(
                "{} of this network namespace is held by a process that lets nobody in: the agent of a lab, whose end frees it",
                order.interface
            ));
        }
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Says what is wanted, and returns the answer.
fn greet(mut stream: &UnixStream, order: &KeeperOrder, deadline: Instant) -> io::Result<Welcome> {
    let lease_ms = u64::try_from(order.lease.as_millis()).unwrap_or(u64::MAX);
    let greeting = Greeting::Join { protocol: PROTOCOL, testbed: order.testbed.clone(), lease_ms };
    ask(&mut stream, &greeting, deadline.saturating_duration_since(Instant::now()).max(PAUSE))
}

/// Exchanges greetings with a keeper.
pub fn ask(stream: &mut &UnixStream, greeting: &Greeting, patience: Duration) -> io::Result<Welcome> {
    stream.set_read_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(greeting)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    // Byte by byte: what follows this line is not ours to read.
    let (mut answer, mut byte) = (Vec::new(), [0u8]);
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => answer.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.set_read_timeout(None)?;
    Ok(serde_json::from_slice(&answer)?)
}

/// What became of an attempt to start a keeper.
enum Born {
    Ready,
    Taken,
    Failed(String),
}

/// Starts a keeper that survives this process: it is nobody's child, in a session of its own, with none of our files.
fn bear(order: &KeeperOrder, ground: &mut dyn Ground) -> io::Result<Born> {
    let (mut read, write) = io::pipe()?;
    let midwife = fork_off(move || match fork_off(move || live(order, ground, write)) {
        Ok(_) => 0,
        Err(_) => 1,
    })?;
    let _ = waitpid(midwife, None);
    let mut told = String::new();
    read.read_to_string(&mut told)?;
    Ok(match told.as_str() {
        READY => Born::Ready,
        TAKEN => Born::Taken,
        "" => Born::Failed("the keeper ended before it could begin".to_owned()),
        message => Born::Failed(message.to_owned()),
    })
}

/// What a new keeper tells its starter.
const READY: &str = "ready";
const TAKEN: &str = "taken";

/// A keeper's life. Returns its exit code.
fn live(order: &KeeperOrder, ground: &mut dyn Ground, mut told: io::PipeWriter) -> i32 {
    close_all_but(&[told.as_raw_fd()]);
    set_name("lh-keeper");
    let born = leave_starter()
        .map_err(|error| format!("leave the process that started the keeper: {error}"))
        .and_then(|()| privilege::check().map_err(|error| error.to_string()))
        .and_then(|()| claim::listen(&order.interface).map_err(|error| format!("claim {}: {error}", order.interface)))
        .and_then(|listener| match listener {
            Some(listener) => Keeper::start(order.clone(), listener, ground).map_err(|error| error.to_string()),
            None => Err(TAKEN.to_owned()),
        });
    // Whoever started us may be gone; then nobody needs to know. Dropping the pipe lets them go on.
    let _ = told.write_all(born.as_ref().map_or_else(String::as_str, |_| READY).as_bytes());
    drop(told);
    born.map_or(2, |mut keeper| i32::from(keeper.run().is_err()))
}

/// The session's requests that have no answer yet.
#[derive(Debug, Default)]
struct Asked {
    ids: BTreeSet<u64>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

/// The number of a request or an answer; what is neither is answered by number 0.
#[derive(Deserialize)]
struct Numbered {
    id: u64,
    #[serde(alias = "response")]
    #[allow(dead_code)] // only that it is there matters
    request: IgnoredAny,
}

impl Asked {
    /// Notes the requests in what was read; returns the complete lines.
    fn note(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let known = self.rest.len();
        self.rest.extend_from_slice(bytes);
        // Only what is new may hold a line end: a long line comes in many parts.
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n').map(|end| known + end) else { return Vec::new() };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        let lines: Vec<Vec<u8>> = whole[..end].split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        self.ids.extend(lines.iter().filter_map(|line| number(line)));
        lines
    }

    fn answered(&mut self, line: &[u8]) {
        if let Some(id) = number(line) {
            self.ids.remove(&id);
        }
    }
}

fn number(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Numbered>(line).ok().map(|line| line.id)
}

/// Carries lines until the keeper closes the connection.
fn relay(
    order: &KeeperOrder,
    stream: UnixStream,
    input: &std::fs::File,
    output: &mut dyn Write,
    asked: &mut Asked,
) -> io::Result<i32> {
    let mut keeper = Lines::new(stream)?;
    let (mut open, mut farewell) = (true, None);
    loop {
        let (readable, answered) = wait(input, open, &keeper)?;
        if readable {
            open = forward(input, &mut keeper, asked)?;
        }
        let written = keeper.flush();
        if !open && !keeper.wants_to_write() {
            let _ = keeper.stream().shutdown(std::net::Shutdown::Write);
        }
        if !answered && written.is_ok() {
            continue;
        }
        let (lines, end) = keeper.read_lines();
        for line in lines {
            if let Some(line) = FarewellLine::read(&line) {
                farewell = Some(line.farewell);
            } else {
                asked.answered(&line);
                output.write_all(&[&line[..], b"\n"].concat())?;
            }
        }
        output.flush()?;
        if end.is_some() || written.is_err() {
            break;
        }
    }
    if farewell.as_deref() == Some("") && asked.ids.is_empty() {
        return Ok(0);
    }
    // What was asked before its end was seen has its answer too.
    while open && wait_now(input)? {
        let mut bytes = [0u8; 16 * 1024];
        match (&*input).read(&mut bytes) {
            Ok(length) if length > 0 => drop(asked.note(&bytes[..length])),
            _ => break,
        }
    }
    let ended = format!("the keeper of {} has ended, and what it had applied is removed", order.interface);
    let why = farewell.unwrap_or(ended);
    for id in std::mem::take(&mut asked.ids) {
        fail(id, &why, output)?;
    }
    let _ = writeln!(io::stderr(), "error: {why}");
    Ok(2)
}

/// Waits for either side: whether the input can be read, and whether the keeper has something to say.
fn wait(input: &std::fs::File, open: bool, keeper: &Lines) -> io::Result<(bool, bool)> {
    let towards = if keeper.wants_to_write() { PollFlags::POLLOUT } else { PollFlags::empty() };
    let mut fds = vec![PollFd::new(keeper.as_fd(), PollFlags::POLLIN | towards)];
    if open {
        fds.push(PollFd::new(input.as_fd(), PollFlags::POLLIN));
    }
    match poll(&mut fds, PollTimeout::NONE) {
        Err(Errno::EINTR) => return Ok((false, false)),
        Err(errno) => return Err(errno.into()),
        Ok(_) => {}
    }
    Ok((fds.get(1).is_some_and(|fd| fd.any().unwrap_or(true)), fds[0].any().unwrap_or(true)))
}

/// Whether the input can be read at once.
fn wait_now(input: &std::fs::File) -> io::Result<bool> {
    Ok(poll(&mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO)? > 0)
}

/// Hands on what has come; false at the end of the input.
fn forward(mut input: &std::fs::File, keeper: &mut Lines, asked: &mut Asked) -> io::Result<bool> {
    let mut bytes = [0u8; 16 * 1024];
    let length = match input.read(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
        read => read?,
    };
    asked.note(&bytes[..length]);
    // A failure shows as the end of the connection.
    let _ = keeper.write_bytes(&bytes[..length]);
    Ok(length > 0)
}

/// There is no session: says why to every request, until nobody asks any more.
fn refuse(why: &str, mut input: std::fs::File, output: &mut dyn Write, asked: &mut Asked) -> io::Result<i32> {
    let _ = writeln!(io::stderr(), "error: {why}");
    let mut bytes = [0u8; 16 * 1024];
    loop {
        let length = match input.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if length == 0 {
            return Ok(2);
        }
        for line in asked.note(&bytes[..length]) {
            let text = String::from_utf8_lossy(&line);
            if BeatLine::read(&text).is_some() {
                output.write_all(&[&line[..], b"\n"].concat())?;
                output.flush()?;
            } else if !is_alive(&text) {
                fail(number(&line).unwrap_or_default(), why, output)?;
            }
        }
    }
}

fn fail(id: u64, why: &str, output: &mut dyn Write) -> io::Result<()> {
    let line = ResponseLine { id, response: Response::Failed { message: why.to_owned() } };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    output.write_all(&text)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_noted_however_they_arrive() {
        let mut asked = Asked::default();
        assert!(asked.note(br#"{"id":1,"req"#).is_empty());
        let lines = asked.note(b"uest\":\"ready\"}\n{\"alive\":true}\n{\"id\":2,");
        assert_eq!(lines.len(), 2);
        assert_eq!(asked.ids, BTreeSet::from([1]));
        asked.note(b"\"request\":\"clear\"}\n{\"id\":3}\n");
        asked.answered(br#"{"id":1,"response":"ready"}"#);
        assert_eq!(asked.ids, BTreeSet::from([2]));
    }
}
