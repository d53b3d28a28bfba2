//! [`KernelTc`]: the kernel of this machine, by netlink, in the network namespace of the thread that opened it.

mod compare;
mod device;
mod examine;
mod program;
mod read;
mod removal;
mod rules;
mod sweep;
mod traffic;
mod write;

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use netlink_packet_route::RouteNetlinkMessage;

pub use self::examine::examine;
pub use self::program::beside_others;
use self::read::{Hook, Snapshot};
pub use self::removal::{Removal, remove_all};
pub use self::sweep::sweep;
pub use self::traffic::Traffic;
use self::write::{Covered, request};
use super::bpf::Capture;
use super::codec::{Handle, Object};
use super::line::{Line, LineConfig};
use super::{TcError, TrafficControl};
use crate::netlink::{Connection, NetlinkError, Request, link};
use crate::shaping::{DeviceKind, Family, FilterKey, Impairment, Key, Operation, Selector, Setting, State};

/// Whether a list of u32 objects, whoever made them, is taken for what it can be, for [`outside`](super::outside).
pub(in crate::tc) fn recognised(objects: &[(u32, super::codec::u32::Options)]) -> Result<(), String> {
    for family in Family::ALL {
        let tables = rules::Tables::of_list(family, objects.iter().map(|(handle, options)| (*handle, options)));
        for (handle, options) in objects {
            let rules::Found::Ours(key, target) = tables.recognise(*handle, options, 1) else { continue };
            if key.family() != family || target.is_some() != matches!(key, FilterKey::Rule(..)) {
                return Err(format!("{options:?} of {family:?} is taken for {key:?} with the target {target:?}"));
            }
        }
    }
    Ok(())
}

/// How long a table may stay in use after the last link to it is gone: the kernel frees links after a grace period.
const GRACE: Duration = Duration::from_secs(5);
/// How old a reading may be to go by when it is acted upon.
const FRESH: Duration = Duration::from_secs(1);
/// How often to ask meanwhile.
const GRACE_POLL: Duration = Duration::from_millis(2);

/// The paths of a user-space delay line.
pub trait LinePaths {
    /// Replaces all paths; packets that are held keep their time.
    fn set_paths(&mut self, paths: &BTreeMap<Selector, Impairment>) -> Result<(), String>;

    /// The paths that are in.
    fn paths(&self) -> BTreeMap<Selector, Impairment>;

    /// What went through, and what did not.
    fn traffic(&self) -> Traffic;
}

/// Starts a delay line that captures on the first interface and emits on the second.
pub type StartLine = Box<dyn FnMut(&str, &str) -> Result<Box<dyn LinePaths + Send>, String> + Send>;

impl LinePaths for Line {
    fn set_paths(&mut self, paths: &BTreeMap<Selector, Impairment>) -> Result<(), String> {
        Self::set_paths(self, paths).map_err(|error| error.to_string())
    }

    fn paths(&self) -> BTreeMap<Selector, Impairment> {
        Self::paths(self)
    }

    fn traffic(&self) -> Traffic {
        let counters = self.counters();
        Traffic { packets: counters.emitted, dropped: counters.dropped(), late: counters.late }
    }
}

/// The kernel's traffic control for one interface.
///
/// It uses the network namespace of the thread that opened it, whichever thread calls it later; only the delay line opens
/// its sockets where [`execute`](TrafficControl::execute) is called, which must be the same namespace.
pub struct KernelTc {
    connection: Connection,
    interface: String,
    start_line: StartLine,
    line: Option<RunningLine>,
    /// What was read last, and when the reading began, until it is acted upon.
    read: Option<(Instant, Snapshot)>,
    capture: Option<Capture>,
    /// What was read for the next execution.
    ready: Option<Snapshot>,
}

/// A delay line, and what it was started for: it does not outlive either device.
struct RunningLine {
    paths: Box<dyn LinePaths + Send>,
    interface: u32,
    device: u32,
}

impl RunningLine {
    /// Whether our device has gone, or one of the two was made anew under the same name. An interface that has gone is
    /// another matter: without it there is nothing to be started.
    fn is_stale(&self, snapshot: &Snapshot) -> bool {
        snapshot.interface.is_some_and(|interface| interface != self.interface)
            || snapshot.device.as_ref().is_none_or(|device| device.link.index != self.device)
    }
}

impl KernelTc {
    /// Opens the kernel for the interface of that name, with the user-space delay line at hand.
    pub fn open(interface: &str) -> Result<Self, TcError> {
        let start: StartLine = Box::new(|capture, emit| {
            let config = LineConfig { capture: capture.to_owned(), emit: emit.to_owned(), ..LineConfig::default() };
            match Line::start(&config) {
                Ok(line) => Ok(Box::new(line)),
                Err(error) => Err(error.to_string()),
            }
        });
        Self::open_with_line(interface, start)
    }

    /// As [`open`](Self::open), with another way to start a delay line.
    pub fn open_with_line(interface: &str, start_line: StartLine) -> Result<Self, TcError> {
        let mut connection = Connection::open()?;
        if link::find(&mut connection, interface)?.is_none() {
            return Err(TcError::NoInterface { interface: interface.to_owned() });
        }
        let (read, ready) = (None, None);
        Ok(Self { connection, interface: interface.to_owned(), start_line, line: None, read, capture: None, ready })
    }

    /// The running delay line, if the back-end is user space.
    pub fn line(&self) -> Option<&(dyn LinePaths + Send)> {
        self.line.as_ref().map(|line| &*line.paths)
    }

    fn snapshot(&mut self) -> Result<Snapshot, TcError> {
        Snapshot::read(&mut self.connection, &self.interface)
    }

    fn stage(
        &mut self,
        stage: Stage,
        operations: &[Operation],
        snapshot: &mut Snapshot,
        covered: &Covered,
    ) -> Result<(), TcError> {
        match stage {
            Stage::Device => operations.iter().try_for_each(|operation| self.device(operation, snapshot)),
            Stage::Hook => operations.iter().try_for_each(|operation| self.hook(operation, snapshot)),
            Stage::Line => self.lines(operations, snapshot),
            Stage::Program => operations.iter().try_for_each(|operation| self.program(operation, snapshot)),
            Stage::Requests => Ok(self.connection.execute(&self.requests(operations, snapshot, covered)?)?),
            Stage::UnusedTables => {
                let requests = self.requests(operations, snapshot, covered)?;
                self.delete_unused(requests)
            }
        }
    }

    fn requests(
        &self,
        operations: &[Operation],
        snapshot: &mut Snapshot,
        covered: &Covered,
    ) -> Result<Vec<Request>, TcError> {
        let requests = operations.iter().map(|operation| request(operation, snapshot, covered, &self.interface));
        requests.filter_map(Result::transpose).collect()
    }

    /// Deletes tables that nothing leads to any more; repeats while the kernel still counts a link that it has yet to free.
    fn delete_unused(&mut self, mut requests: Vec<Request>) -> Result<(), TcError> {
        let deadline = Instant::now() + GRACE;
        loop {
            let Err(error) = self.connection.execute(&requests) else { return Ok(()) };
            let NetlinkError::Refused(batch) = &error else { return Err(error.into()) };
            if batch.refusals.iter().any(|refusal| refusal.errno != libc::EBUSY) || Instant::now() > deadline {
                return Err(error.into());
            }
            requests = batch.refusals.iter().map(|refusal| requests[refusal.index].clone()).collect();
            sleep(GRACE_POLL);
        }
    }

    fn device(&mut self, operation: &Operation, snapshot: &mut Snapshot) -> Result<(), TcError> {
        if let Operation::Add(Key::Device(kind), _) = operation {
            snapshot.device = Some(device::make(&mut self.connection, *kind, &self.interface)?);
            return Ok(());
        }
        // The line goes first: it sends on what it holds.
        self.line = None;
        self.capture = None;
        if let Some(device) = snapshot.device.take() {
            self.connection.execute_one(device::delete(&device))?;
        }
        snapshot.classify = read::FilterBook::default();
        Ok(())
    }

    fn hook(&mut self, operation: &Operation, snapshot: &mut Snapshot) -> Result<(), TcError> {
        let Some(index) = snapshot.interface else {
            return Err(TcError::NoInterface { interface: self.interface.clone() });
        };
        let clsact = hook_object(index);
        let what = format!("{operation} on {}", self.interface);
        match (operation, snapshot.hook) {
            (Operation::Add(..), Hook::Clsact) => Ok(()),
            (Operation::Add(..), Hook::Ingress) => Err(TcError::Foreign {
                place: format!("the hook of {}", self.interface),
                found: "an ingress qdisc, which keeps clsact out".to_owned(),
            }),
            (Operation::Add(..), Hook::Absent) => {
                if let Some(device) = &mut snapshot.device {
                    device::note_hook(&mut self.connection, device, &self.interface, true)?;
                }
                let message = RouteNetlinkMessage::NewQueueDiscipline(clsact.to_message());
                self.connection.execute_one(Request::create(message, what))?;
                snapshot.hook = Hook::Clsact;
                Ok(())
            }
            _ => self.remove_hook(&clsact, what, snapshot),
        }
    }

    /// Removes the hook if it is ours and nobody else has come to use it.
    fn remove_hook(&mut self, clsact: &Object, what: String, snapshot: &mut Snapshot) -> Result<(), TcError> {
        let Some(device) = snapshot.device.as_mut().filter(|device| device.owns_hook) else { return Ok(()) };
        let now = Snapshot::read(&mut self.connection, &self.interface)?;
        if now.capture.others + now.ingress.others > 0 || !now.capture.handles.is_empty() {
            // It is theirs now.
            return device::note_hook(&mut self.connection, device, &self.interface, false);
        }
        let message = RouteNetlinkMessage::DelQueueDiscipline(clsact.to_message());
        self.connection.execute_one(Request::delete(message, what))?;
        snapshot.hook = Hook::Absent;
        device::note_hook(&mut self.connection, device, &self.interface, false)
    }

    fn lines(&mut self, operations: &[Operation], snapshot: &Snapshot) -> Result<(), TcError> {
        self.line.take_if(|line| line.is_stale(snapshot));
        if self.line.is_none() {
            let Some(operation) = operations.iter().find(|operation| !matches!(operation, Operation::Delete(_))) else {
                return Ok(());
            };
            let device = snapshot.device.as_ref().filter(|device| device.kind == DeviceKind::Veth);
            let device = device.ok_or_else(|| TcError::NoLine(operation.to_string()))?.link.index;
            let missing = || TcError::NoInterface { interface: self.interface.clone() };
            let interface = snapshot.interface.ok_or_else(missing)?;
            let paths = (self.start_line)(device::FAR_NAME, &self.interface).map_err(TcError::Line)?;
            self.line = Some(RunningLine { paths, interface, device });
        }
        let Some(RunningLine { paths: line, .. }) = &mut self.line else { return Ok(()) };
        let mut paths = line.paths();
        for operation in operations {
            match operation {
                Operation::Add(Key::Line(selector), Setting::Line(impairment))
                | Operation::Change(Key::Line(selector), Setting::Line(impairment)) => {
                    paths.insert(*selector, *impairment);
                }
                Operation::Delete(Key::Line(selector)) => {
                    paths.remove(selector);
                }
                _ => {}
            }
        }
        line.set_paths(&paths).map_err(TcError::Line)
    }
}

/// The hook on an interface.
fn hook_object(interface: u32) -> Object {
    let kind = "clsact".to_owned();
    Object { interface, handle: Handle::new(0xffff, 0), parent: Handle::CLSACT, kind, ..Object::default() }
}

/// Operations that are done together, in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Device,
    Hook,
    Line,
    Program,
    Requests,
    UnusedTables,
}

impl Stage {
    fn of(operation: &Operation) -> Self {
        match (operation, operation.key()) {
            (_, Key::Device(_)) => Self::Device,
            (_, Key::Clsact) => Self::Hook,
            (_, Key::Line(_)) => Self::Line,
            (_, Key::Caught(_) | Key::Service(..) | Key::Program) => Self::Program,
            (Operation::Delete(_), Key::Capture(filter) | Key::Classify(filter))
                if matches!(filter, FilterKey::Table(_) | FilterKey::Stray(..)) =>
            {
                Self::UnusedTables
            }
            _ => Self::Requests,
        }
    }
}

impl Drop for KernelTc {
    /// Without its line nothing would take up what the rules capture, so they go first.
    fn drop(&mut self) {
        if self.line.is_some() {
            // Nobody is left to tell; whoever supervises this process sweeps again.
            let _ = super::clear(self);
        }
    }
}

impl TrafficControl for KernelTc {
    fn current(&mut self) -> Result<State, TcError> {
        // Whoever looks is about to decide anew; what was read for an earlier decision may be out of date by then.
        self.ready = None;
        let begun = Instant::now();
        let snapshot = self.snapshot()?;
        let mut state = snapshot.state();
        if let Some(line) = self.line.as_ref().filter(|line| !line.is_stale(&snapshot)) {
            let paths = line.paths.paths().into_iter();
            state.extend(paths.map(|(prefix, path)| (Key::Line(prefix), Setting::Line(path))));
        }
        self.add_program(&snapshot, &mut state)?;
        self.read = Some((begun, snapshot));
        Ok(state)
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<(), TcError> {
        // Operations come from a comparison with what was just read: reading again would find the same.
        let read = self.read.take().filter(|(begun, _)| begun.elapsed() < FRESH).map(|(_, snapshot)| snapshot);
        let mut snapshot = match self.ready.take().or(read) {
            Some(snapshot) => snapshot,
            None => self.snapshot()?,
        };
        let covered = Covered::of(operations, &snapshot);
        for run in operations.chunk_by(|one, next| Stage::of(one) == Stage::of(next)) {
            self.stage(Stage::of(&run[0]), run, &mut snapshot, &covered)?;
        }
        Ok(())
    }

    fn get_ready(&mut self) -> Result<(), TcError> {
        self.ready = Some(self.snapshot()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
