//! The holder's loop: carries requests from clients to agents and answers back, and ends the lab when it is to end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::wait::{WaitPidFlag, waitpid};

use super::namespaces::NodeNamespaces;
use super::protocol::{Ask, ClientLine, HolderLine, LabInfo, Tell};
use super::turns::Turns;
use crate::agent::lease::Moment;
use crate::agent::lines::Lines;
use crate::agent::process::{Process, timeout};
use crate::agent::protocol::{BeatLine, CancelLine, RequestLine, ResponseLine};
use crate::agent::pulse::{Finding, Pulse};
use crate::topology::NodeIndex;

/// The client that started the lab.
const FIRST_CLIENT: u64 = 0;

/// What the relay needs to know of the lab beyond its sockets.
pub(super) trait Surroundings {
    /// The namespaces of a node, to hand to a client.
    fn namespaces(&self, node: NodeIndex) -> io::Result<NodeNamespaces>;
    /// An agent has ended without being asked: clear its node.
    fn agent_died(&self, node: NodeIndex);
}

/// The sockets of a lab and the requests under way.
pub(super) struct Relay<'a> {
    info: LabInfo,
    surroundings: &'a dyn Surroundings,
    listener: UnixListener,
    clients: BTreeMap<u64, Lines>,
    next_client: u64,
    /// One per node; `None` after the agent's end.
    agents: Vec<Option<Agent>>,
    /// By our number: the client, its number, and the node.
    pending: BTreeMap<u64, (u64, u64, NodeIndex)>,
    next_request: u64,
    /// Who may change the lab.
    turns: Turns,
    /// How long an agent, or a client whose turn it is, may be silent.
    lease: Duration,
    clock: Instant,
    /// When to look at agents and turns again.
    next_look: Moment,
    /// No further client fits.
    full: bool,
    detached: bool,
    stopping: bool,
}

/// How often agents are looked at in the time that they may be silent.
const LOOKS: u32 = 6;

/// How long an agent may take to begin: many of them begin at once.
const BEGINNING: Duration = Duration::from_secs(120);

/// How long a killed agent may take to be gone.
const AGENT_END_MS: u16 = 5_000;

/// An agent of the lab.
struct Agent {
    lines: Lines,
    process: Process,
    pulse: Pulse,
}

impl Agent {
    fn new(stream: UnixStream, process: Process) -> io::Result<Self> {
        Ok(Self { lines: Lines::new(stream)?, process, pulse: Pulse::new(BEGINNING, Moment::ZERO) })
    }
}

/// Whether a request changes its node.
fn changes(request: &serde_json::Value) -> bool {
    request.get("apply").is_some() || request.as_str() == Some("clear")
}

/// What a poll reported.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Client(u64),
    Agent(NodeIndex),
}

impl<'a> Relay<'a> {
    /// A relay for one lab: its first client, its agents in node order, and the socket that further clients come by.
    pub(super) fn new(
        info: LabInfo,
        surroundings: &'a dyn Surroundings,
        listener: UnixListener,
        first_client: UnixStream,
        agents: Vec<(UnixStream, Process)>,
        lease: Duration,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let agents = agents.into_iter().map(|(stream, process)| Agent::new(stream, process).map(Some));
        let agents = agents.collect::<io::Result<_>>()?;
        let clients = BTreeMap::from([(FIRST_CLIENT, Lines::new(first_client)?)]);
        Ok(Self {
            info,
            surroundings,
            listener,
            clients,
            next_client: FIRST_CLIENT + 1,
            agents,
            pending: BTreeMap::new(),
            next_request: 0,
            turns: Turns::default(),
            lease,
            clock: Instant::now(),
            next_look: Moment::ZERO,
            full: false,
            detached: false,
            stopping: false,
        })
    }

    /// Runs until a client stops the lab or the client that started it goes away without detaching it.
    pub(super) fn run(&mut self, signals: &SignalFd) -> io::Result<()> {
        while !self.stopping {
            for source in self.wait(signals)? {
                match source {
                    Source::Signals => reap(signals),
                    Source::Listener => self.accept(),
                    Source::Client(client) => self.serve_client(client),
                    Source::Agent(node) => self.serve_agent(node),
                }
            }
            self.look();
        }
        Ok(())
    }

    fn wait(&self, signals: &SignalFd) -> io::Result<Vec<Source>> {
        let direction = |lines: &Lines| {
            let read = PollFlags::POLLIN;
            if lines.wants_to_write() { read | PollFlags::POLLOUT } else { read }
        };
        let mut sources = vec![Source::Signals, Source::Listener];
        let mut fds = vec![
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), if self.full { PollFlags::empty() } else { PollFlags::POLLIN }),
        ];
        for (client, lines) in &self.clients {
            sources.push(Source::Client(*client));
            fds.push(PollFd::new(lines.as_fd(), direction(lines)));
        }
        for (node, agent) in self.agents.iter().enumerate() {
            let Some(Agent { lines, .. }) = agent else { continue };
            sources.push(Source::Agent(node));
            fds.push(PollFd::new(lines.as_fd(), direction(lines)));
        }
        match poll(&mut fds, timeout(self.next_look, self.clock.elapsed())) {
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        let ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
        Ok(sources.into_iter().zip(ready).filter_map(|(source, ready)| ready.then_some(source)).collect())
    }

    fn accept(&mut self) {
        match self.listener.accept().and_then(|(stream, _)| Lines::new(stream)) {
            Ok(lines) => {
                self.clients.insert(self.next_client, lines);
                self.next_client += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Out of files. The listener stays readable, so it is left alone until a client gives its file back.
            Err(_) => self.full = true,
        }
    }

    fn serve_client(&mut self, client: u64) {
        let Some(lines) = self.clients.get_mut(&client) else { return };
        let written = lines.flush();
        let (requests, end) = lines.read_lines();
        self.turns.heard(client, self.clock.elapsed());
        for request in requests {
            match serde_json::from_slice(&request) {
                Ok(line) => self.ask(client, line),
                Err(error) => {
                    let message = format!("the request cannot be read: {error}");
                    self.tell(client, 0, Tell::Failed { message });
                }
            }
        }
        if written.is_err() || end.is_some() {
            self.drop_client(client);
        }
    }

    fn drop_client(&mut self, client: u64) {
        self.clients.remove(&client);
        self.full = false;
        self.turns.leave(client, self.clock.elapsed());
        self.give_turns();
        let (abandoned, kept) =
            std::mem::take(&mut self.pending).into_iter().partition(|(_, (waiting, ..))| *waiting == client);
        self.pending = kept;
        let abandoned: BTreeMap<u64, (u64, u64, NodeIndex)> = abandoned;
        for (cancel, (.., node)) in abandoned {
            let Some(agent) = &mut self.agents[node] else { continue };
            if let Ok(line) = serde_json::to_vec(&CancelLine { cancel }) {
                // As with requests, a failure shows as the end of the stream.
                let _ = agent.lines.write_line(&line);
            }
        }
        self.stopping |= client == FIRST_CLIENT && !self.detached;
    }

    fn ask(&mut self, client: u64, line: ClientLine) {
        let tell = match line.ask {
            Ask::Info => Tell::Info(self.info.clone()),
            Ask::Relay { node, request } => match self.relay(client, line.id, node, request) {
                Ok(()) => return,
                Err(message) => Tell::Failed { message },
            },
            Ask::Enter { node } => match self.enter(client, line.id, node) {
                Ok(()) => return,
                Err(error) => Tell::Failed { message: format!("the namespaces of node {}: {error}", number(node)) },
            },
            Ask::Reserve => {
                self.turns.reserve(client, line.id, self.clock.elapsed());
                return self.give_turns();
            }
            Ask::Release => {
                self.turns.leave(client, self.clock.elapsed());
                self.give_turns();
                Tell::Done
            }
            Ask::Detach => {
                self.detached = true;
                Tell::Done
            }
            Ask::Stop => {
                self.stopping = true;
                return;
            }
        };
        self.tell(client, line.id, tell);
    }

    fn relay(&mut self, client: u64, id: u64, node: NodeIndex, request: serde_json::Value) -> Result<(), String> {
        if changes(&request) && !self.turns.permits(client) {
            return Err("another command is changing this lab; try again when it has ended".to_owned());
        }
        let Some(place) = self.agents.get_mut(node) else {
            return Err(format!("this lab has no node {}", number(node)));
        };
        let Some(agent) = place else {
            let name = &self.info.nodes[node].name;
            return Err(format!("the agent of node `{name}` has ended; take the lab down and up again"));
        };
        self.next_request += 1;
        let line = RequestLine { id: self.next_request, request };
        let text = serde_json::to_vec(&line).map_err(|error| error.to_string())?;
        self.pending.insert(self.next_request, (client, id, node));
        // A failure to write shows as the end of the stream at the next turn.
        let _ = agent.lines.write_line(&text);
        Ok(())
    }

    fn enter(&mut self, client: u64, id: u64, node: NodeIndex) -> io::Result<()> {
        if node >= self.agents.len() {
            return Err(io::Error::other("there is no such node"));
        }
        let namespaces = self.surroundings.namespaces(node)?.into_fds();
        let Some(lines) = self.clients.get(&client) else { return Ok(()) };
        let mut line = serde_json::to_vec(&HolderLine { id, tell: Tell::Namespaces })?;
        line.push(b'\n');
        send_with_files(lines.stream(), &line, &namespaces)
    }

    fn serve_agent(&mut self, node: NodeIndex) {
        let Some(agent) = self.agents[node].as_mut() else { return };
        let written = agent.lines.flush();
        let (responses, end) = agent.lines.read_lines();
        if !responses.is_empty() {
            agent.pulse.heard(self.clock.elapsed());
            agent.pulse.set_limit(self.lease);
        }
        for response in responses {
            let Ok(line) = serde_json::from_slice::<ResponseLine<serde_json::Value>>(&response) else { continue };
            if let Some((client, id, _)) = self.pending.remove(&line.id) {
                self.tell(client, id, Tell::Relayed { response: line.response });
            }
        }
        if written.is_err() || end.is_some() {
            self.bury(node, "has ended");
        }
    }

    /// Asks agents that were silent for a while whether they live, and ends those that do not answer.
    fn look(&mut self) {
        let now = self.clock.elapsed();
        if now < self.next_look {
            return;
        }
        self.next_look = now + self.lease / LOOKS;
        let mut hanging = Vec::new();
        for (node, agent) in self.agents.iter_mut().enumerate() {
            let Some(agent) = agent else { continue };
            match agent.pulse.look(now) {
                Finding::Fine(_) => {}
                Finding::Hangs => hanging.push(node),
                Finding::Ask => {
                    agent.pulse.asked(now);
                    let beat = serde_json::to_vec(&BeatLine { beat: self.next_request }).unwrap_or_default();
                    // As with requests, a failure shows as the end of the stream.
                    let _ = agent.lines.write_line(&beat);
                }
            }
        }
        let what = format!("did not answer for {} and was ended", humantime::format_duration(self.lease));
        for node in hanging {
            self.bury(node, &what);
        }
        let busy: BTreeSet<u64> = self.pending.values().map(|(client, ..)| *client).collect();
        self.turns.expire(self.lease, now, |client| busy.contains(&client));
        self.give_turns();
    }

    /// Tells those whose turn it has become.
    fn give_turns(&mut self) {
        while let Some((client, id)) = self.turns.begun() {
            self.tell(client, id, Tell::Done);
        }
    }

    fn bury(&mut self, node: NodeIndex, what: &str) {
        if let Some(agent) = self.agents[node].take() {
            agent.process.kill();
            // What it was just doing is done before its node is cleared.
            agent.process.ends_within(PollTimeout::from(AGENT_END_MS));
        }
        self.surroundings.agent_died(node);
        let message = format!("the agent of node `{}` {what}; its delays are removed", self.info.nodes[node].name);
        let orphans: Vec<u64> = self.pending.iter().filter(|(_, (.., at))| *at == node).map(|(key, _)| *key).collect();
        for key in orphans {
            if let Some((client, id, _)) = self.pending.remove(&key) {
                self.tell(client, id, Tell::Failed { message: message.clone() });
            }
        }
    }

    fn tell(&mut self, client: u64, id: u64, tell: Tell) {
        let Some(lines) = self.clients.get_mut(&client) else { return };
        let written = match serde_json::to_vec(&HolderLine { id, tell }) {
            Ok(text) => lines.write_line(&text),
            Err(error) => Err(error.into()),
        };
        if written.is_err() {
            self.drop_client(client);
        }
    }
}

/// How people count the node; an index that a client sent may be anything.
fn number(node: NodeIndex) -> NodeIndex {
    node.saturating_add(1)
}

/// Collects the dead: as the first process of its namespace the holder inherits every orphan.
fn reap(signals: &SignalFd) {
    while let Ok(Some(_)) = signals.read_signal() {}
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status.pid().is_none() {
            break;
        }
    }
}

fn send_with_files(stream: &UnixStream, line: &[u8], files: &[OwnedFd]) -> io::Result<()> {
    let raw: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(line)], &rights, MsgFlags::empty(), None)?;
    Ok(())
}
