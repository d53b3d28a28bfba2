//! [`Upstream`]: an instance and the connections to it that are kept.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::metrics::InstanceMetrics;
use crate::balance::InstanceId;
use crate::units::{Moment, Span};

/// The most connections to an instance that are kept for later.
const MOST_IDLE: usize = 256;

/// How long one is kept.
const LONGEST_IDLE: Span = Span::from_secs(30);

/// A connection's upper end.
pub(super) type Sender = SendRequest<Incoming>;

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
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The most recently used last, with the moment of that.
    senders: Vec<(Moment, Sender)>,
    /// No more are kept.
    over: bool,
}

impl Upstream {
    pub(super) fn new(
        id: InstanceId,
        name: &str,
        address: SocketAddr,
        probe: Option<SocketAddr>,
        metrics: InstanceMetrics,
    ) -> Self {
        // Names are of letters that headers take.
        let header = HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("instance"));
        Self { id, name: name.to_owned(), header, address, probe, metrics, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was kept and is still open, if there is one.
    pub(super) fn kept(&self) -> Option<Sender> {
        let mut idle = self.idle();
        while let Some((_, sender)) = idle.senders.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read.
    pub(super) fn keep(&self, now: Moment, sender: Sender) {
        let mut idle = self.idle();
        if !idle.over && !sender.is_closed() && idle.senders.len() < MOST_IDLE {
            idle.senders.push((now, sender));
        }
    }

    /// Closes those that have not been used for long.
    pub(super) fn tidy(&self, now: Moment) {
        self.idle().senders.retain(|(since, sender)| !sender.is_closed() && now.since(*since) < LONGEST_IDLE);
    }

    /// Closes those that are kept and keeps none from now on; requests under way go on.
    pub(super) fn retire(&self) {
        let mut idle = self.idle();
        idle.over = true;
        idle.senders.clear();
    }

    /// Opens one.
    pub(super) async fn connect(&self) -> io::Result<Sender> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
