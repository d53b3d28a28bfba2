//! The command line's side of a lab: start one, find one, ask its nodes, enter them, end it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, IoSliceMut, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::addressing::{self, MAX_LAB_NODES};
use super::holder::{HOLDER_COMMAND, own_program};
use super::namespaces::NodeNamespaces;
use super::protocol::{Ask, Birth, ClientLine, HolderLine, LabInfo, Order, Tell};
use super::{LabError, registry};
use crate::agent::protocol::{Request, Response};
use crate::testbed::{Testbed, TestbedError};
use crate::topology::{Node, NodeIndex, NodeName};

/// How long the holder may be silent before it is asked whether it lives, and again before it counts as hanging. It looks after
/// the agents itself: whatever they do, an answer comes, or the word that they are gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a lab's agent may be silent before it is ended and its node cleared, unless [`LEASE_VARIABLE`] says otherwise.
const LEASE: Duration = Duration::from_secs(10);

/// The environment variable with another lease for new labs, such as `2s`.
const LEASE_VARIABLE: &str = "LONGHAUL_LAB_LEASE";

/// How long the birth of a lab may take.
const BIRTH_TIMEOUT: Duration = Duration::from_secs(120);

/// A connection to a running lab. Dropping the one that started it ends the lab, unless it was detached.
pub struct Lab {
    info: LabInfo,
    reader: BufReader<UnixStream>,
    /// What has come of a line whose end has not.
    partial: Vec<u8>,
    next_id: u64,
    /// Only of the lab's first client.
    holder: Option<Child>,
}

impl Lab {
    /// Brings a lab up: returns when all nodes and agents are there.
    /// `environment` is what the agents find in theirs.
    pub fn start(
        name: &str,
        names: &[NodeName],
        source: &str,
        environment: Vec<(String, String)>,
    ) -> Result<Self, LabError> {
        if names.len() > MAX_LAB_NODES {
            return Err(LabError::TooManyNodes { count: names.len() });
        }
        registry::check_name(name)?;
        let order = Order {
            name: name.to_owned(),
            nodes: addressing::nodes(names),
            source: source.to_owned(),
            since: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            environment,
            lease_ms: lease()?,
        };
        let (stream, child) = spawn_holder(&order).map_err(lost)?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).map_err(lost)?;
        reader.get_ref().set_read_timeout(None).map_err(lost)?;
        match serde_json::from_str(&line) {
            Ok(Birth::Ready(info)) => Ok(Self { info, reader, partial: Vec::new(), next_id: 0, holder: Some(child) }),
            Ok(Birth::Failed { message }) => Err(LabError::Refused { message }),
            Err(_) => Err(LabError::Holder { what: format!("ended before the lab was up{}", ended(child)) }),
        }
    }

    /// Connects to the running lab `name`.
    pub fn connect(name: &str) -> Result<Self, LabError> {
        let not_running = |_| LabError::NotRunning { name: name.to_owned(), running: running_labs() };
        let stream = UnixStream::connect(registry::socket_path(name)?).map_err(not_running)?;
        let info =
            LabInfo { name: name.to_owned(), nodes: vec![], source: String::new(), holder: 0, since: String::new() };
        let mut lab = Self { info, reader: BufReader::new(stream), partial: Vec::new(), next_id: 0, holder: None };
        match lab.exchange(Ask::Info)? {
            Tell::Info(info) => lab.info = info,
            other => return Err(unexpected(&other)),
        }
        Ok(lab)
    }

    /// What this lab is.
    pub fn info(&self) -> &LabInfo {
        &self.info
    }

    /// The index of the node that a user calls `node`.
    pub fn find_node(&self, node: &str) -> Result<NodeIndex, LabError> {
        addressing::find(&self.info.nodes, node).ok_or_else(|| LabError::NoSuchNode {
            lab: self.info.name.clone(),
            node: node.to_owned(),
            nodes: name_list(&self.info.nodes),
        })
    }

    /// The namespaces of a node, to run a program there.
    pub fn namespaces(&mut self, node: NodeIndex) -> Result<NodeNamespaces, LabError> {
        let id = self.send(Ask::Enter { node })?;
        let (line, files) = receive_with_files(self.reader.get_ref()).map_err(lost)?;
        if line.is_empty() {
            return Err(gone());
        }
        let answer: HolderLine = serde_json::from_slice(&line).map_err(|error| lost(error.into()))?;
        match answer.tell {
            Tell::Namespaces if answer.id == id => NodeNamespaces::from_fds(files)
                .ok_or_else(|| LabError::Holder { what: "did not hand over the namespaces".to_owned() }),
            Tell::Failed { message } => Err(LabError::Refused { message }),
            other => Err(unexpected(&other)),
        }
    }

    /// Lets the lab outlive this process.
    pub fn detach(mut self) -> Result<LabInfo, LabError> {
        match self.exchange(Ask::Detach)? {
            Tell::Done => {}
            other => return Err(unexpected(&other)),
        }
        // Not waited for: it goes on, and its end is nobody's here.
        self.holder = None;
        Ok(self.info.clone())
    }

    /// Ends the lab and returns when its last process is gone.
    pub fn stop(mut self) -> Result<(), LabError> {
        let life = registry::Life::of(&self.info.name);
        self.send(Ask::Stop)?;
        // The holder's end closes the socket; whatever it still says is not for us.
        let _ = io::copy(&mut self.reader, &mut io::sink());
        match self.holder.take() {
            Some(mut holder) => holder.wait().map(|_| ()).map_err(lost),
            None => life.map_or(Ok(()), |life| wait_until_gone(&life, &self.info)),
        }
    }

    /// Whether the lab is still there; the error says that it is not.
    pub fn check(&mut self) -> Result<(), LabError> {
        self.exchange(Ask::Info).map(|_| ())
    }

    /// Blocks until the lab ends.
    pub fn wait_for_end(&mut self) {
        let _ = io::copy(&mut self.reader, &mut io::sink());
    }

    fn exchange(&mut self, ask: Ask) -> Result<Tell, LabError> {
        let id = self.send(ask)?;
        loop {
            let answer = self.receive()?;
            if answer.id == id {
                return Ok(answer.tell);
            }
        }
    }

    fn send(&mut self, ask: Ask) -> Result<u64, LabError> {
        self.next_id += 1;
        let mut line = serde_json::to_vec(&ClientLine { id: self.next_id, ask }).map_err(|error| lost(error.into()))?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line).map_err(lost)?;
        Ok(self.next_id)
    }

    /// The next line, however long it takes, as long as the holder lives.
    fn receive(&mut self) -> Result<HolderLine, LabError> {
        self.reader.get_ref().set_read_timeout(Some(PATIENCE)).map_err(lost)?;
        let mut nudged = false;
        loop {
            match self.reader.read_until(b'\n', &mut self.partial) {
                Ok(_) => break,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if nudged {
                        return Err(LabError::TimedOut);
                    }
                    nudged = true;
                    // Its answer is nobody's: whoever waits passes over it.
                    self.send(Ask::Info)?;
                }
                Err(error) => return Err(lost(error)),
            }
        }
        self.reader.get_ref().set_read_timeout(None).map_err(lost)?;
        let line = std::mem::take(&mut self.partial);
        if line.is_empty() {
            return Err(gone());
        }
        serde_json::from_slice(&line).map_err(|error| lost(error.into()))
    }
}

/// The lease of a new lab, in milliseconds.
fn lease() -> Result<u64, LabError> {
    let lease = match std::env::var(LEASE_VARIABLE) {
        Ok(text) => humantime::parse_duration(&text)
            .map_err(|error| LabError::Refused { message: format!("{LEASE_VARIABLE} is `{text}`: {error}") })?,
        Err(_) => LEASE,
    };
    Ok(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).max(100))
}

impl Testbed for Lab {
    fn nodes(&self) -> &[Node] {
        &self.info.nodes
    }

    fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError> {
        let mut places = BTreeMap::new();
        for (place, (node, request)) in requests.iter().enumerate() {
            let request = serde_json::to_value(request).map_err(|error| lost(error.into()))?;
            places.insert(self.send(Ask::Relay { node: *node, request })?, place);
        }
        let mut answers: Vec<Option<Result<Response, String>>> = requests.iter().map(|_| None).collect();
        while !places.is_empty() {
            let line = self.receive()?;
            let Some(place) = places.remove(&line.id) else { continue };
            answers[place] = Some(match line.tell {
                Tell::Relayed { response } => serde_json::from_value(response).map_err(|error| error.to_string()),
                Tell::Failed { message } => Err(message),
                other => return Err(unexpected(&other).into()),
            });
        }
        Ok(answers.into_iter().flatten().collect())
    }

    fn reserve(&mut self) -> Result<(), TestbedError> {
        match self.exchange(Ask::Reserve)? {
            Tell::Done => Ok(()),
            other => Err(unexpected(&other).into()),
        }
    }

    fn release(&mut self) {
        // A holder that is gone has nothing to release.
        let _ = self.exchange(Ask::Release);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            // The closed socket tells it to end; waiting makes sure that nothing is left when we return.
            let _ = self.reader.get_ref().shutdown(std::net::Shutdown::Both);
            let _ = holder.wait();
        }
    }
}

/// The lab `name`, or the only one that is running when no name is given.
pub fn find_running(name: Option<&str>) -> Result<Lab, LabError> {
    if let Some(name) = name {
        return Lab::connect(name);
    }
    let mut labs = registry::living();
    labs.retain(|name| !is_temporary(name));
    match labs.as_slice() {
        [only] => Lab::connect(only),
        [] => Err(LabError::NoneRunning { running: running_labs() }),
        _ => Err(LabError::Ambiguous { running: running_labs() }),
    }
}

/// Labs that a command makes for itself begin so; who means "the lab" does not mean them.
fn is_temporary(name: &str) -> bool {
    ["verify-", "bench-", "replay-", "run-"].iter().any(|prefix| name.starts_with(prefix))
}

fn running_labs() -> String {
    match registry::living().as_slice() {
        [] => "no lab is running (start one with `longhaul lab up MATRIX --detach`)".to_owned(),
        names => format!("running: {}", names.join(", ")),
    }
}

fn name_list(nodes: &[Node]) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = nodes.iter().take(SHOWN).map(|node| node.name.as_str()).collect();
    let more = nodes.len().saturating_sub(SHOWN);
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}

fn spawn_holder(order: &Order) -> io::Result<(UnixStream, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = own_program();
    command.arg(HOLDER_COMMAND).stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn()?;
    ours.set_read_timeout(Some(BIRTH_TIMEOUT))?;
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    (&ours).write_all(&line)?;
    Ok((ours, child))
}

fn ended(mut child: Child) -> String {
    match child.wait() {
        Ok(status) => format!(" ({status})"),
        Err(_) => String::new(),
    }
}

/// Waits for the processes of a lab that are not our children.
fn wait_until_gone(life: &registry::Life, info: &LabInfo) -> Result<(), LabError> {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !life.has_ended() {
        if std::time::Instant::now() > deadline {
            return Err(LabError::Holder { what: format!("(process {}) does not end", info.holder) });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn receive_with_files(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = [0u8; 4096];
    let mut space = nix::cmsg_space!([i32; 8]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut files = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            files.extend(raw.into_iter().map(own));
        }
    }
    let length = message.bytes;
    Ok((bytes[..length].to_vec(), files))
}

#[allow(unsafe_code)] // The kernel hands descriptors over as bare numbers.
fn own(raw: i32) -> OwnedFd {
    // SAFETY: the kernel has just installed this descriptor for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

fn gone() -> LabError {
    LabError::Holder { what: "has ended, and the lab with it".to_owned() }
}

#[allow(clippy::needless_pass_by_value)] // As `map_err` wants it.
fn lost(error: io::Error) -> LabError {
    LabError::Holder { what: format!("cannot be reached: {error}") }
}

fn unexpected(tell: &Tell) -> LabError {
    match tell {
        Tell::Failed { message } => LabError::Refused { message: message.clone() },
        other => LabError::Holder { what: format!("answered something else than was asked: {other:?}") },
    }
}
