//! Hosts reached by the user's own ssh: an agent's session on each, JSON lines over its standard input and output.
//!
//! ```text
//! longhaul ──pipes──► ssh ──► longhaul-agent session (host a)
//!          ──pipes──► ssh ──► longhaul-agent session (host b)
//! ```
//!
//! No port, no token: who may log in may measure. A host that cannot be reached, or is lost, is its own node's failure.

mod command;
mod complaint;
mod nodes;
mod panic;
mod push;
mod session;
mod timeline;
mod turn;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::panic::{Rid, rid_all};

use self::command::SessionOrder;
use self::session::{Heard, Session};
use self::timeline::Timeline;
use super::{Testbed, TestbedError, patience};
use crate::agent::protocol::{CancelLine, Request, RequestLine, Response, ResponseLine};
use crate::inventory::Inventory;
use crate::measure::Clocks;
use crate::measure::clock::{Clock, HostClock, Reading};
use crate::topology::{Node, NodeIndex, NodeName};

/// How long a host may take from the call of ssh to its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// How long hosts may take to end their sessions.
const END: Duration = Duration::from_secs(10);

/// Why hosts cannot be a testbed.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The program that reaches hosts cannot be run.
    #[error("run `{program}`: {source}")]
    Ssh {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// This program cannot be read, to be pushed.
    #[error("take the checksum of this program, to push it: {source}")]
    OwnProgram {
        /// Why.
        source: io::Error,
    },
    /// An address was found elsewhere than the inventory says.
    #[error(
        "`{address}` is the address of host `{of}` by the inventory, but host `{on}` has it: correct the inventory"
    )]
    Misplaced {
        /// Which.
        address: IpAddr,
        /// Whose it should be.
        of: NodeName,
        /// Where it is.
        on: NodeName,
    },
    /// No address of a host's interface can be used.
    #[error("interface {interface} of host `{node}` has no address that others could reach; write its addresses")]
    NoAddress {
        /// The host.
        node: NodeName,
        /// Its interface.
        interface: String,
    },
    /// Somebody else changes a host, and did not end.
    #[error(
        "host `{node}` is being changed by {by} since {since}; waited {} for the end of that: try again, or end that command",
        humantime::format_duration(*.waited)
    )]
    Busy {
        /// The host.
        node: NodeName,
        /// Who, by their own words.
        by: String,
        /// Since when, RFC 3339 by the host's clock.
        since: String,
        /// How long this side waited.
        waited: Duration,
    },
    /// A host does not say whether it may be changed.
    #[error("ask host `{node}` whether it may be changed: {message}")]
    NoTurn {
        /// The host.
        node: NodeName,
        /// Its words.
        message: String,
    },
    /// A request cannot be written as a line.
    #[error("write a request: {0}")]
    Line(#[from] serde_json::Error),
}

/// How often clocks are read, at most and at least, and after how long no round is begun any more.
const READINGS: usize = 8;
const LEAST_READINGS: usize = 2;
const READING_TIME: Duration = Duration::from_millis(400);

/// What one host is to this side.
enum Link {
    /// There is a session.
    Up(Session),
    /// There is none any more, or never was one.
    Lost(String),
}

/// An answer, and when it was asked for and here by this side's time line.
struct Answer {
    value: Value,
    asked_ns: u64,
    answered_ns: u64,
}

/// A testbed of hosts. Dropping it ends the sessions, and returns when the hosts are done with them.
pub struct Hosts {
    nodes: Vec<Node>,
    links: Vec<Link>,
    /// The boot of each host's kernel; empty where it is not known.
    boots: Vec<String>,
    heard: Receiver<(NodeIndex, Heard)>,
    timeline: Timeline,
    last_id: u64,
    /// How many of those who reserved the hosts have not released them: an operation may be a part of another.
    reservations: usize,
}

impl Hosts {
    /// Calls all hosts of an inventory at once, by `program` with its first arguments. `version` is this longhaul's: agents
    /// of another one are refused. With `push` this program is put there first, as the agent. A host that does not answer
    /// does not stop the others: asking it fails.
    pub fn connect(inventory: &Inventory, program: &[String], version: &str, push: bool) -> Result<Self, HostsError> {
        let pushed = if push { Some(push::push_all(inventory, program, version)?) } else { None };
        let (sender, heard) = channel();
        let mut hosts = Self {
            nodes: Vec::new(),
            links: Vec::new(),
            boots: Vec::new(),
            heard,
            timeline: Timeline::start(),
            last_id: 0,
            reservations: 0,
        };
        hosts.call_all(inventory, program, version, pushed, &sender)?;
        let hello = serde_json::to_value(Request::Hello)?;
        let requests = (0..inventory.hosts.len()).map(|node| (node, hello.clone())).collect();
        let answers = hosts.ask_values(requests, FIRST_ANSWER)?;
        let mut places = Vec::new();
        for (node, answer) in answers.into_iter().enumerate() {
            let said = answer.and_then(|hello| nodes::place(hello.value, version));
            if let Err(why) = &said {
                hosts.lose(node, why);
            }
            let (place, boot) = said.map_or_else(|_| (None, String::new()), |(place, boot)| (Some(place), boot));
            places.push(place);
            hosts.boots.push(boot);
        }
        hosts.nodes = nodes::of(inventory, &places)?;
        Ok(hosts)
    }

    /// What has happened since anything was asked last: the hosts that have been lost meanwhile, and why. Waits for them,
    /// as long as `patience`.
    pub fn news(&mut self, patience: Duration) -> Vec<(NodeIndex, String)> {
        let mut news = Vec::new();
        let deadline = Instant::now() + patience;
        while let Ok((node, heard)) = self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if matches!(heard, Heard::Ended) && matches!(self.links[node], Link::Up(_)) {
                news.push((node, self.bury(node)));
            }
        }
        news
    }

    /// The hosts that cannot be asked, and why.
    pub fn lost(&self) -> impl Iterator<Item = (NodeIndex, &str)> {
        self.links.iter().enumerate().filter_map(|(node, link)| match link {
            Link::Up(_) => None,
            Link::Lost(why) => Some((node, why.as_str())),
        })
    }

    fn call_all(
        &mut self,
        inventory: &Inventory,
        program: &[String],
        version: &str,
        pushed: Option<Vec<Result<(), String>>>,
        sender: &Sender<(NodeIndex, Heard)>,
    ) -> Result<(), HostsError> {
        let use_pushed = pushed.is_some();
        let mut refusals = pushed.unwrap_or_default().into_iter().map(Result::err);
        for (node, host) in inventory.hosts.iter().enumerate() {
            if let Some(why) = refusals.next().flatten() {
                self.links.push(Link::Lost(why));
                continue;
            }
            let others = inventory.hosts.iter().enumerate().filter(|(other, _)| *other != node);
            let toward: Vec<IpAddr> = others.flat_map(|(_, host)| host.addresses.iter().copied()).collect();
            let script = command::session_script(
                host,
                SessionOrder { version, use_pushed, testbed: &inventory.testbed, toward: &toward },
            );
            let arguments = command::arguments(host, &script);
            let session = Session::start(program, &arguments, node, sender.clone(), self.timeline);
            let failed = |source| HostsError::Ssh { program: program.first().cloned().unwrap_or_default(), source };
            self.links.push(Link::Up(session.map_err(failed)?));
        }
        Ok(())
    }

    /// Gives a host up for a reason of this side's.
    fn lose(&mut self, node: NodeIndex, why: &str) {
        if let Link::Up(mut session) = std::mem::replace(&mut self.links[node], Link::Lost(why.to_owned())) {
            session.hang_up();
        }
    }

    /// The host has ended its session: why.
    fn bury(&mut self, node: NodeIndex) -> String {
        match std::mem::replace(&mut self.links[node], Link::Lost(String::new())) {
            Link::Up(session) => {
                let why = session.bury();
                self.links[node] = Link::Lost(why.clone());
                why
            }
            Link::Lost(why) => {
                self.links[node] = Link::Lost(why.clone());
                why
            }
        }
    }

    /// Asks several hosts at once; answers come in the order of the requests, when all are there or `patience` is over.
    fn ask_values(
        &mut self,
        requests: Vec<(NodeIndex, Value)>,
        patience: Duration,
    ) -> Result<Vec<Result<Answer, String>>, HostsError> {
        let mut answers: Vec<Option<Result<Answer, String>>> = requests.iter().map(|_| None).collect();
        // By number: the place of the answer, the host, and when it was asked.
        let mut waiting: BTreeMap<u64, (usize, NodeIndex, u64)> = BTreeMap::new();
        for (place, (node, request)) in requests.into_iter().enumerate() {
            self.last_id += 1;
            let line = serde_json::to_string(&RequestLine { id: self.last_id, request })?;
            match &self.links[node] {
                Link::Up(session) => {
                    waiting.insert(self.last_id, (place, node, self.timeline.now_ns()));
                    session.send(line);
                }
                Link::Lost(why) => answers[place] = Some(Err(why.clone())),
            }
        }
        let deadline = Instant::now() + patience;
        while !waiting.is_empty() {
            match self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((node, Heard::Line { line, at_ns: answered_ns })) => {
                    // What is no answer comes from the host's shell, or answers what nobody waits for any more.
                    let Ok(line) = serde_json::from_slice::<ResponseLine<Value>>(&line) else { continue };
                    if waiting.get(&line.id).is_some_and(|(_, asked, _)| *asked == node)
                        && let Some((place, _, asked_ns)) = waiting.remove(&line.id)
                    {
                        answers[place] = Some(Ok(Answer { value: line.response, asked_ns, answered_ns }));
                    }
                }
                Ok((node, Heard::Ended)) => {
                    let why = self.bury(node);
                    waiting.retain(|_, (place, asked, _)| {
                        if *asked == node {
                            answers[*place] = Some(Err(why.clone()));
                        }
                        *asked != node
                    });
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        for (id, (place, node, _)) in waiting {
            answers[place] = Some(Err(format!("no answer within {patience:?}; the host or its agent hangs")));
            if let (Link::Up(session), Ok(line)) =
                (&self.links[node], serde_json::to_string(&CancelLine { cancel: id }))
            {
                session.send(line);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}

impl Testbed for Hosts {
    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn clocks(&mut self) -> Result<Clocks, TestbedError> {
        let mut readings: Vec<Vec<Reading>> = self.nodes.iter().map(|_| Vec::new()).collect();
        let began = Instant::now();
        let ready = serde_json::to_value(Request::Ready).map_err(HostsError::from)?;
        for round in 0..READINGS {
            if round >= LEAST_READINGS && began.elapsed() > READING_TIME {
                break;
            }
            // One host after the other: the answers of many at once wait for each other, and are late then.
            for (node, readings) in readings.iter_mut().enumerate() {
                let answer = self.ask_values(vec![(node, ready.clone())], FIRST_ANSWER)?.pop();
                let Some(Ok(Answer { value, asked_ns, answered_ns })) = answer else { continue };
                if let Ok(Response::Ready { now_realtime_ns: theirs_ns }) = serde_json::from_value(value) {
                    readings.push(Reading { asked_ns, answered_ns, theirs_ns });
                }
            }
        }
        let clocks = self.boots.iter().cloned().zip(&readings);
        Ok(Clocks::of(clocks.map(|(boot, readings)| HostClock { boot, clock: Clock::of(readings) }).collect()))
    }

    fn now_ns(&self) -> u64 {
        self.timeline.now_ns()
    }

    fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError> {
        let patience = patience::of(requests.iter().map(|(_, request)| request));
        let to_value = |(node, request)| Ok((node, serde_json::to_value(request)?));
        let values: Vec<(NodeIndex, Value)> =
            requests.into_iter().map(to_value).collect::<Result<_, serde_json::Error>>().map_err(HostsError::from)?;
        let answers = self.ask_values(values, patience)?;
        let read = |answer: Answer| serde_json::from_value(answer.value).map_err(|error| error.to_string());
        Ok(answers.into_iter().map(|answer| answer.and_then(read)).collect())
    }

    fn is_lost(&self, node: NodeIndex) -> bool {
        matches!(self.links[node], Link::Lost(_))
    }

    fn reserve(&mut self) -> Result<(), TestbedError> {
        if self.reservations == 0 {
            self.take_turns()?;
        }
        self.reservations += 1;
        Ok(())
    }

    fn release(&mut self) {
        self.reservations = self.reservations.saturating_sub(1);
        if self.reservations == 0 {
            self.give_turns_back(&(0..self.links.len()).collect::<Vec<_>>());
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for link in &mut self.links {
            if let Link::Up(session) = link {
                session.hang_up();
            }
        }
        let deadline = Instant::now() + END;
        for link in &mut self.links {
            if let Link::Up(session) = link {
                session.end_by(deadline);
            }
        }
    }
}
