//! [`Shared`]: the few connections to an instance that have many requests at a time each (HTTP/2).

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::asked::Asked;
use crate::units::{Moment, Span};

/// The most requests of a connection at a time, whatever the instance would take: what is lost with a connection is bounded.
const MOST_STREAMS: usize = 256;

/// The most connections to an instance; beyond them requests wait in line.
const MOST_LINES: usize = 16;

/// Bytes of an answer that may be here before its client takes them.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes of all answers of a connection: clients that take nothing do not hold up the answers of others.
const LINE_WINDOW: u32 = 256 * STREAM_WINDOW;

/// Bytes of an answer's head.
const HEAD: u32 = 64 * 1024;

/// A connection by which nothing comes for so long, though it has requests, is asked whether it is there, and has as long to answer.
const SILENCE: Duration = Duration::from_secs(5);

/// The connections to an instance.
#[derive(Debug, Default)]
pub(super) struct Shared {
    lines: Mutex<Lines>,
    /// Held while one is opened, so that those who come meanwhile share it.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Lines {
    open: Vec<Arc<Line>>,
    /// Requests that a connection takes at a time, as the instance said last; 0 as long as it has not.
    most: usize,
    /// No more are opened.
    over: bool,
}

/// A connection.
#[derive(Debug)]
struct Line {
    sender: http2::SendRequest<Asked>,
    /// Requests that the instance takes at a time: as it has said, or else as it said of the connection before; 0 if neither.
    most: Arc<AtomicUsize>,
    /// Whether its settings have come; before, nothing was sent.
    is_begun: Arc<AtomicBool>,
    streams: AtomicUsize,
    /// It gets no more requests; those that it has go on.
    avoided: AtomicBool,
    used: Mutex<Moment>,
}

/// A request's place in a connection, from its beginning to the end of its answer.
#[derive(Debug)]
pub(super) struct Place(Arc<Line>);

impl Line {
    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && !self.avoided.load(Ordering::Relaxed)
    }

    fn has_room(&self) -> bool {
        let most = match self.most.load(Ordering::Relaxed) {
            0 => MOST_STREAMS,
            said => said.min(MOST_STREAMS),
        };
        self.streams.load(Ordering::Relaxed) < most
    }

    fn used(&self) -> MutexGuard<'_, Moment> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(self: &Arc<Self>) -> Place {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(self))
    }
}

impl Place {
    pub(super) async fn send(
        &mut self,
        request: Request<Asked>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Asked>>> {
        self.0.sender.clone().try_send_request(request).await
    }

    /// Whether a request can have left at all.
    pub(super) fn is_begun(&self) -> bool {
        self.0.is_begun.load(Ordering::Relaxed)
    }

    /// Nobody else is to use the connection.
    pub(super) fn avoid(&self) {
        self.0.avoided.store(true, Ordering::Relaxed);
    }

    /// The answer has been read.
    pub(super) fn leave(self, now: Moment) {
        *self.0.used() = now;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in a connection that is open and has room. The oldest is asked first, so that those that are too many fall idle.
    pub(super) fn place(&self) -> Option<Place> {
        let mut lines = self.lines();
        lines.open.retain(|line| line.is_usable());
        let said = lines.open.iter().map(|line| line.most.load(Ordering::Relaxed)).find(|most| *most > 0);
        lines.most = said.unwrap_or(lines.most);
        let free = lines.open.iter().find(|line| line.has_room());
        let least = || lines.open.iter().min_by_key(|line| line.streams.load(Ordering::Relaxed));
        free.or_else(|| least().filter(|_| lines.open.len() >= MOST_LINES)).map(Line::place)
    }

    /// A place, in a new connection if none of the old ones has room. `dial` opens its stream.
    pub(super) async fn open(
        &self,
        now: Moment,
        dial: impl Future<Output = io::Result<TcpStream>>,
    ) -> io::Result<Place> {
        let _turn = self.opening.lock().await;
        // Whoever was before may have opened one.
        if let Some(place) = self.place() {
            return Ok(place);
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(SILENCE).keep_alive_timeout(SILENCE);
        builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(LINE_WINDOW);
        // Nothing is sent before the instance has said how many requests it takes at a time.
        builder.initial_max_send_streams(0).max_header_list_size(HEAD);
        let (sender, connection) = builder.handshake(TokioIo::new(dial.await?)).await.map_err(io::Error::other)?;
        let most = Arc::new(AtomicUsize::new(self.lines().most));
        let is_begun = Arc::new(AtomicBool::new(false));
        tokio::spawn(drive(connection, Arc::clone(&most), Arc::clone(&is_begun)));
        let (streams, avoided) = (AtomicUsize::new(0), AtomicBool::new(false));
        let line = Arc::new(Line { sender, most, is_begun, streams, avoided, used: Mutex::new(now) });
        let place = line.place();
        let mut lines = self.lines();
        if !lines.over {
            lines.open.push(line);
        }
        Ok(place)
    }

    /// Closes those that have had no request for `longest`.
    pub(super) fn tidy(&self, now: Moment, longest: Span) {
        let idle = |line: &Line| line.streams.load(Ordering::Relaxed) == 0 && now.since(*line.used()) >= longest;
        self.lines().open.retain(|line| line.is_usable() && !idle(line));
    }

    /// Opens no more for others; each ends with its last request.
    pub(super) fn retire(&self) {
        let mut lines = self.lines();
        lines.over = true;
        lines.open.clear();
    }
}

/// Runs a connection to its end; `most` is kept as what its instance says.
async fn drive(
    mut connection: http2::Connection<TokioIo<TcpStream>, Asked, TokioExecutor>,
    most: Arc<AtomicUsize>,
    is_begun: Arc<AtomicBool>,
) {
    std::future::poll_fn(|cx| {
        let polled = std::pin::Pin::new(&mut connection).poll(cx);
        let said = connection.current_max_send_streams();
        if said > 0 {
            most.store(said, Ordering::Relaxed);
            is_begun.store(true, Ordering::Relaxed);
        }
        // Why it ends, its requests are told.
        polled.map(drop)
    })
    .await;
}
