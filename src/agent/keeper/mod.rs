//! The keeper: the one process on a host that answers for an interface. It lets sessions in, keeps their leases, watches the
//! worker that does the work, and is watched by a guardian.
//!
//! ```text
//! front (one per session) ──claim──► keeper ──requests, beats──► worker (traffic control, delay line, prober)
//!                                      ▲  └──beats──► guardian
//!                                      └──── kills and clears when the keeper hangs or dies ────┘
//! ```
//!
//! Keeper, guardian and worker all hold the claim to the interface: whichever of them has to clear the node, nobody else can
//! begin before it has.

mod guardian;
mod requests;
mod sessions;
mod timeline;
mod turn;
mod upkeep;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use self::guardian::Guardian;
use self::requests::Pending;
use self::sessions::Session;
use self::turn::Turn;
use self::upkeep::Upkeep;
use self::worker::Worker;
use super::lease::{Leases, Moment};
use super::lines::Lines;
use super::process::timeout;

/// What a keeper stands on: the node's kernel. Built by whoever starts the keeper.
pub trait Ground {
    /// Finds out what must be known of the kernel, then gives up what privileges are not needed any more.
    fn prepare(&mut self) -> Result<(), String>;
    /// Serves one session of requests on `stream` until its end, in a process of its own. Returns the exit code.
    fn work(&mut self, stream: UnixStream) -> i32;
    /// Takes everything of ours away, whatever state it is in, also when the interface is gone.
    fn sweep(&mut self) -> Result<(), String>;
    /// The interface's index; `None` when it is not there.
    fn index(&mut self) -> Option<u32>;
    /// Readable when something about interfaces has changed; `None` where that cannot be watched.
    fn events(&self) -> Option<BorrowedFd<'_>>;
    /// Takes in those changes; whether they concern us.
    fn changed(&mut self) -> bool;
}

/// What a keeper is told at birth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperOrder {
    /// The interface that it answers for.
    pub interface: String,
    /// The testbed that it belongs to.
    pub testbed: String,
    /// How long a failure may go unnoticed while there is no session to say so.
    pub lease: Duration,
}

/// Why a keeper could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// A system call failed.
    #[error("{operation}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
}

fn system(operation: &'static str) -> impl FnOnce(io::Error) -> KeeperError {
    move |source| KeeperError::System { operation, source }
}

/// A keeper at work.
pub struct Keeper<'a> {
    order: KeeperOrder,
    user: String,
    since: String,
    clock: Instant,
    ground: &'a mut dyn Ground,
    listener: UnixListener,
    /// No further session fits.
    full: bool,
    sessions: BTreeMap<u64, Session>,
    next_session: u64,
    leases: Leases,
    /// Whose turn it is to change the node; nobody's: everybody may.
    turn: Option<Turn>,
    /// How long a failure may go unnoticed: the shortest lease of those that are or were there.
    limit: Duration,
    worker: Option<Worker>,
    guardian: Option<Guardian>,
    /// The requests that the worker has yet to answer, by our own numbers.
    pending: BTreeMap<u64, Pending>,
    next_request: u64,
    upkeep: Upkeep,
    /// Whether somebody said that it is to end, whatever anybody wants.
    told_to_end: bool,
}

/// What a poll reported.
#[derive(Clone, Copy)]
enum Source {
    Listener,
    Session(u64),
    Worker,
    Guardian,
    Events,
}

impl<'a> Keeper<'a> {
    /// Starts the guardian, which must come before there is anything to clear, and a worker.
    pub fn start(order: KeeperOrder, listener: UnixListener, ground: &'a mut dyn Ground) -> Result<Self, KeeperError> {
        listener.set_nonblocking(true).map_err(system("prepare the keeper's socket"))?;
        let limit = order.lease;
        let mut keeper = Self {
            user: super::claim::user_name(nix::unistd::Uid::effective()),
            since: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            order,
            clock: Instant::now(),
            ground,
            listener,
            full: false,
            sessions: BTreeMap::new(),
            next_session: 0,
            leases: Leases::default(),
            turn: None,
            limit,
            worker: None,
            guardian: None,
            pending: BTreeMap::new(),
            next_request: 0,
            upkeep: Upkeep::default(),
            told_to_end: false,
        };
        keeper.limit = limit.max(LONG_STEP);
        keeper.watch_guardian(keeper.now()).map_err(system("start the guardian"))?;
        keeper.ground.prepare().map_err(io::Error::other).map_err(system("prepare the keeper"))?;
        keeper.upkeep.index = keeper.ground.index();
        keeper.start_worker().map_err(system("start the worker"))?;
        // Whoever started it has this long to send a session.
        keeper.leases.join(FOUNDER, keeper.limit, keeper.now());
        keeper.limit = limit;
        keeper.assure(limit);
        Ok(keeper)
    }

    /// Runs until nobody wants anything any more and the node is clear.
    pub fn run(&mut self) -> Result<(), KeeperError> {
        loop {
            for source in self.wait().map_err(system("wait"))? {
                match source {
                    Source::Listener => self.accept(),
                    Source::Session(session) => self.serve_session(session),
                    Source::Worker => self.serve_worker(),
                    Source::Guardian => {}
                    Source::Events => self.upkeep.look |= self.ground.changed(),
                }
            }
            let now = self.now();
            self.expire(now);
            self.watch_guardian(now).map_err(system("start a guardian"))?;
            self.watch_worker(now);
            self.look_after(now);
            if self.settle(now) {
                self.end();
                return Ok(());
            }
        }
    }

    /// Lets the guardian know how long it will hear nothing at most.
    fn assure(&self, limit: Duration) {
        if let Some(guardian) = &self.guardian {
            guardian.beat(limit);
        }
    }

    fn now(&self) -> Moment {
        self.clock.elapsed()
    }

    fn wait(&mut self) -> io::Result<Vec<Source>> {
        let now = self.now();
        let until = self.next(now);
        let mut sources = vec![Source::Listener];
        let accepts = if self.full { PollFlags::empty() } else { PollFlags::POLLIN };
        let mut fds = vec![PollFd::new(std::os::fd::AsFd::as_fd(&self.listener), accepts)];
        for (number, session) in &self.sessions {
            sources.push(Source::Session(*number));
            fds.push(PollFd::new(session.lines.as_fd(), direction(&session.lines, !session.ended)));
        }
        if let Some(worker) = &self.worker {
            sources.extend([Source::Worker; 2]);
            fds.push(PollFd::new(worker.lines.as_fd(), direction(&worker.lines, true)));
            fds.push(PollFd::new(worker.process.as_fd(), PollFlags::POLLIN));
        }
        if let Some(guardian) = &self.guardian {
            sources.extend([Source::Guardian; 2]);
            fds.push(PollFd::new(guardian.as_fd(), PollFlags::POLLIN));
            fds.push(PollFd::new(guardian.process.as_fd(), PollFlags::POLLIN));
        }
        if let Some(events) = self.ground.events() {
            sources.push(Source::Events);
            fds.push(PollFd::new(events, PollFlags::POLLIN));
        }
        match poll(&mut fds, timeout(until, now)) {
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        let ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
        Ok(sources.into_iter().zip(ready).filter_map(|(source, ready)| ready.then_some(source)).collect())
    }

    /// When something is to be looked at although nothing comes.
    fn next(&mut self, now: Moment) -> Moment {
        let watched = self.worker.as_mut().map(|worker| &mut worker.pulse);
        let watched = watched.into_iter().chain(self.guardian.as_mut().map(|guardian| &mut guardian.pulse));
        let beats = watched.map(|pulse| match pulse.look(now) {
            super::pulse::Finding::Fine(until) => until,
            _ => now,
        });
        beats.chain(self.leases.next()).chain(self.upkeep.again).min().unwrap_or(now + self.limit)
    }

    /// Clears are done; takes the others along.
    fn end(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.finish(self.limit);
        }
        if let Some(guardian) = self.guardian.take() {
            guardian.stand_down();
        }
        for number in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.bid_farewell(number, "");
        }
    }
}

/// How long the guardian waits in steps that may take long on a slow machine, however short the lease is: beginning, and
/// clearing a node that has no worker.
const LONG_STEP: Duration = Duration::from_secs(20);

/// The place of whoever started the keeper, until its session has come.
const FOUNDER: u64 = 0;

fn direction(lines: &Lines, reads: bool) -> PollFlags {
    let read = if reads { PollFlags::POLLIN } else { PollFlags::empty() };
    if lines.wants_to_write() { read | PollFlags::POLLOUT } else { read }
}
