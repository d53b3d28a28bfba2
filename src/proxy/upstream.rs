//! [`Upstream`]: an instance and the connections to it that are kept.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::header::HeaderValue;
use tokio::net::TcpStream;

use super::alone::Alone;
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
    connections: Vec<(Moment, Box<Alone>)>,
    /// No more are kept.
    over: bool,
}

impl Idle {
    fn of(lock: &Mutex<Self>) -> MutexGuard<'_, Self> {
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    /// A connection that was kept, is still open and has room, if there is one.
    pub(super) fn kept(&self) -> Option<Sender> {
        match &self.pool {
            Pool::Alone(idle) => {
                let mut idle = Idle::of(idle);
                while let Some((_, mut connection)) = idle.connections.pop() {
                    if connection.is_free() {
                        return Some(Sender::Alone(connection));
                    }
                }
                None
            }
            Pool::Shared(shared) => shared.place().map(Sender::Shared),
        }
    }

    /// Keeps a connection whose answer has been read. One that still has some of its request to send is of no use to others.
    pub(super) fn keep(&self, now: Moment, sender: Sender) {
        match (&self.pool, sender) {
            (Pool::Alone(idle), Sender::Alone(mut connection)) => {
                let mut idle = Idle::of(idle);
                if !idle.over && idle.connections.len() < MOST_IDLE && connection.is_free() {
                    idle.connections.push((now, connection));
                }
            }
            (_, Sender::Shared(place)) => place.leave(now),
            (Pool::Shared(_), Sender::Alone(_)) => {}
        }
    }

    /// Closes those that have not been used for long.
    pub(super) fn tidy(&self, now: Moment) {
        match &self.pool {
            Pool::Alone(idle) => {
                let fresh = |since| now.since(since) < LONGEST_IDLE;
                Idle::of(idle).connections.retain_mut(|(since, connection)| fresh(*since) && connection.is_free());
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

    /// Opens one.
    pub(super) async fn connect(&self, now: Moment) -> io::Result<Sender> {
        match &self.pool {
            Pool::Alone(_) => {
                let connection = Alone::open(self.dial().await?).await.map_err(io::Error::other)?;
                Ok(Sender::Alone(Box::new(connection)))
            }
            Pool::Shared(shared) => shared.open(now, self.dial()).await.map(Sender::Shared),
        }
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
