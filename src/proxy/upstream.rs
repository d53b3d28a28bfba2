//! [`Upstream`]: an instance and the connections to it that are kept.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::header::HeaderValue;
use tokio::net::TcpStream;

use super::alone::Alone;
use super::begun::Resumed;
use super::instances::Instance;
use super::metrics::InstanceMetrics;
use super::protocol::Protocol;
use super::sender::Sender;
use super::shared::Shared;
use crate::balance::InstanceId;
use crate::units::{Moment, Span};

/// The most connections to an instance that are kept for later, each for one request at a time.
const MOST_IDLE: usize = 256;

/// How long one is kept.
const LONGEST_IDLE: Span = Span::from_secs(30);

/// An instance.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) id: InstanceId,
    pub(super) name: String,
    /// Its name as answers carry it.
    pub(super) header: HeaderValue,
    pub(super) address: SocketAddr,
    pub(super) probe: Option<SocketAddr>,
    pub(super) metrics: InstanceMetrics,
    pool: Pool,
}

/// The connections to it.
#[derive(Debug)]
enum Pool {
    Alone(Mutex<Idle>),
    Shared(Shared),
}

#[derive(Debug, Default)]
struct Idle {
    /// The most recently used last, with the moment of that.
    connections: Vec<(Moment, TcpStream)>,
    /// No more are kept.
    over: bool,
}

impl Idle {
    fn of(lock: &Mutex<Self>) -> MutexGuard<'_, Self> {
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last and is still open.
    fn take(&mut self) -> Option<TcpStream> {
        while let Some((_, stream)) = self.connections.pop() {
            if is_silent(&stream) {
                return Some(stream);
            }
        }
        None
    }
}

/// Whether nothing has come by a connection that has no request: neither its end nor an answer to nothing.
fn is_silent(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl Upstream {
    pub(super) fn new(id: InstanceId, instance: &Instance, protocol: Protocol, metrics: InstanceMetrics) -> Self {
        let Instance { name, address, probe, .. } = instance.clone();
        // Names are of letters that headers take.
        let header = HeaderValue::try_from(&name).unwrap_or(HeaderValue::from_static("instance"));
        let pool = match protocol {
            Protocol::Http1 => Pool::Alone(Mutex::default()),
            Protocol::H2c => Pool::Shared(Shared::default()),
        };
        Self { id, name, header, address, probe, metrics, pool }
    }

    /// A place in a connection that is open and has room, if there is one; not of those for one request at a time.
    pub(super) fn shared(&self) -> Option<Sender> {
        match &self.pool {
            Pool::Alone(_) => None,
            Pool::Shared(shared) => shared.place().map(Sender::Shared),
        }
    }

    /// A connection for one request at a time that was kept and is still open, if there is one.
    pub(super) fn alone(&self) -> Option<TcpStream> {
        match &self.pool {
            Pool::Alone(idle) => Idle::of(idle).take(),
            Pool::Shared(_) => None,
        }
    }

    /// Keeps a connection whose answer has been read. One that still has some of its request to send is of no use to others.
    pub(super) fn keep(&self, now: Moment, sender: Sender) {
        match sender {
            Sender::Alone(connection) => {
                if let Some(stream) = connection.into_idle() {
                    self.keep_alone(now, stream);
                }
            }
            Sender::Shared(place) => place.leave(now),
        }
    }

    /// Keeps a connection for one request at a time that has none.
    pub(super) fn keep_alone(&self, now: Moment, stream: TcpStream) {
        if let Pool::Alone(idle) = &self.pool {
            let mut idle = Idle::of(idle);
            if !idle.over && idle.connections.len() < MOST_IDLE {
                idle.connections.push((now, stream));
            }
        }
    }

    /// Closes those that have not been used for long.
    pub(super) fn tidy(&self, now: Moment) {
        match &self.pool {
            Pool::Alone(idle) => {
                let fresh = |since| now.since(since) < LONGEST_IDLE;
                Idle::of(idle).connections.retain(|(since, stream)| fresh(*since) && is_silent(stream));
            }
            Pool::Shared(shared) => shared.tidy(now, LONGEST_IDLE),
        }
    }

    /// Closes those that are kept and keeps none from now on; requests under way go on.
    pub(super) fn retire(&self) {
        match &self.pool {
            Pool::Alone(idle) => {
                let mut idle = Idle::of(idle);
                idle.over = true;
                idle.connections.clear();
            }
            Pool::Shared(shared) => shared.retire(),
        }
    }

    /// Opens one that has place for a request.
    pub(super) async fn connect(&self, now: Moment) -> io::Result<Sender> {
        match &self.pool {
            Pool::Alone(_) => resume(Resumed::idle(self.dial().await?)).await,
            Pool::Shared(shared) => shared.open(now, self.dial()).await.map(Sender::Shared),
        }
    }

    /// Opens one.
    pub(super) async fn dial(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Gives a connection to the HTTP library.
pub(super) async fn resume(connection: Resumed) -> io::Result<Sender> {
    let connection = Alone::open(connection).await.map_err(io::Error::other)?;
    Ok(Sender::Alone(Box::new(connection)))
}
