//! An instance of the service in virtual time.

use crate::sim::{Fifo, Sharing};
use crate::topology::NodeIndex;
use crate::units::{Moment, Span};

use crate::experiment::balancing::{Discipline, Service};

/// An instance.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) node: NodeIndex,
    server: Server,
    open: bool,
    failed: Option<Moment>,
    /// Goes up with every job that comes or goes, so that plans made before are known to be old.
    version: u32,
}

#[derive(Debug)]
enum Server {
    Fifo(Fifo),
    Sharing(Sharing),
}

impl Instance {
    pub(super) fn new(node: NodeIndex, service: Service) -> Self {
        let server = match service.discipline {
            Discipline::Fifo => Server::Fifo(Fifo::new(service.cores)),
            Discipline::Sharing => Server::Sharing(Sharing::new(service.cores)),
        };
        Self { node, server, open: true, failed: None, version: 0 }
    }

    /// Whether it takes requests.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// It takes no more, and finishes what it has.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// It is gone with all that it has.
    pub(super) fn fail(&mut self, now: Moment) {
        self.close();
        self.failed = self.failed.or(Some(now));
    }

    /// Whether an answer that was to leave at `done` never did.
    pub(super) fn lost(&self, done: Moment) -> bool {
        self.failed.is_some_and(|failed| failed < done)
    }

    /// Takes a request; when it will be done, if that is known at once.
    pub(super) fn take(&mut self, now: Moment, slot: u32, work: Span) -> Option<Moment> {
        match &mut self.server {
            Server::Fifo(server) => Some(server.take(now, work)),
            Server::Sharing(server) => {
                server.take(now, u64::from(slot), work);
                self.version += 1;
                None
            }
        }
    }

    /// When to look whether something is done, and as of which version.
    pub(super) fn next_check(&self) -> Option<(Moment, u32)> {
        match &self.server {
            Server::Sharing(server) if self.failed.is_none() => Some((server.next()?, self.version)),
            _ => None,
        }
    }

    /// Whether nothing has come or gone since that version.
    pub(super) fn is_current(&self, version: u32) -> bool {
        self.version == version && self.failed.is_none()
    }

    /// What is done by now.
    #[allow(clippy::cast_possible_truncation)] // slots came in as 32 bits
    pub(super) fn done(&mut self, now: Moment) -> Vec<u32> {
        self.version += 1;
        match &mut self.server {
            Server::Fifo(_) => Vec::new(),
            Server::Sharing(server) => server.done(now).into_iter().map(|slot| slot as u32).collect(),
        }
    }
}
