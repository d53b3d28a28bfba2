//! [`Listening`]: accepts clients, serves each in a task of its own, and lets them finish in the end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use nix::sys::socket::{Backlog, listen};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::guarded::{Guarded, Patience, Waiting};
use super::taken::{Mark, Taken};
use super::{Clock, Stop};
use crate::units::Span;

/// Clients that may wait to be accepted; the kernel may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// How long nothing is accepted after the system refused (most often for want of descriptors).
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// What a server takes from its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Bytes of a request's head; 8 KiB at least.
    pub head_bytes: usize,
    /// For a head, from its first byte.
    pub head: Span,
    /// Between two pieces of a body, and to take a piece of an answer.
    pub piece: Span,
    /// Between two requests of a connection.
    pub idle: Span,
    /// For requests under way when the server is to end.
    pub drain: Span,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 4_096,
            head_bytes: 16 * 1024,
            head: Span::from_secs(10),
            piece: Span::from_secs(30),
            idle: Span::from_secs(75),
            drain: Span::from_secs(10),
        }
    }
}

/// Opens a listening socket; port 0 lets the kernel choose.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    // The library's queue has 128 places, and who finds none is heard again a second later. Listening again makes it longer.
    listen(&listener, Backlog::new(BACKLOG)?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A server.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// What it takes from its clients.
    pub bounds: Bounds,
    /// Its time.
    pub clock: Clock,
}

impl Listening {
    /// Serves until `stop`, then lets requests under way finish. `answer` is called for each request with the client's address.
    pub async fn serve<A, F, B>(self, listener: std::net::TcpListener, stop: Stop, answer: A) -> io::Result<()>
    where
        A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + Unpin + 'static,
    {
        let handle = move |client: Client| {
            let (answer, peer) = (answer.clone(), client.peer);
            client.serve(Vec::new(), move |request| answer(request, peer))
        };
        self.accept(listener, stop, handle).await
    }

    /// Gives each client to `handle` until `stop`, then lets those who are there finish.
    pub async fn accept<H, F>(self, listener: std::net::TcpListener, stop: Stop, handle: H) -> io::Result<()>
    where
        H: Fn(Client) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::from_std(listener)?;
        let places = Arc::new(Semaphore::new(self.bounds.connections));
        let mut over = pin!(stop.clone().wait());
        loop {
            let accepted = async {
                // Nobody closes the semaphore.
                let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
                listener.accept().await.map(|(stream, peer)| (stream, peer, place))
            };
            tokio::select! {
                () = &mut over => break,
                accepted = accepted => match accepted {
                    Ok((stream, peer, place)) => {
                        // Answers are written whole: waiting for more to send would only delay them. A socket that is gone has no
                        // such option.
                        let _ = stream.set_nodelay(true);
                        let handled = handle(Client { listening: self, stream, peer, stop: stop.clone() });
                        tokio::spawn(async move {
                            handled.await;
                            drop(place);
                        });
                    }
                    Err(_) => tokio::time::sleep(AFTER_FAILURE).await,
                },
            }
        }
        drop(listener);
        let everybody = u32::try_from(self.bounds.connections).unwrap_or(u32::MAX);
        // Who has not finished by then is cut off.
        let _ = tokio::time::timeout(self.bounds.drain.as_duration(), places.acquire_many(everybody)).await;
        Ok(())
    }
}

/// A client that was accepted.
#[derive(Debug)]
pub struct Client {
    /// What is taken from it, and the time that counts.
    pub listening: Listening,
    /// Its connection.
    pub stream: TcpStream,
    /// Its address.
    pub peer: SocketAddr,
    /// When it is to end.
    pub stop: Stop,
}

impl Client {
    /// Answers its requests, of whatever version, to the end of its connection. `begun` was read from it already.
    pub async fn serve<A, F, B>(self, begun: Vec<u8>, answer: A)
    where
        A: Fn(Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + Unpin + 'static,
    {
        let Self { listening, stream, stop, .. } = self;
        let Listening { bounds, clock } = listening;
        let opened = Guarded::open(stream, begun, clock, bounds.head.as_duration());
        let mut over = pin!(stop.clone().wait());
        let guarded = tokio::select! {
            biased;
            opened = opened => opened,
            () = &mut over => return,
        };
        let Ok(guarded) = guarded else { return };
        let (waiting, new) = (guarded.waiting(), guarded.is_http2());
        let counted = Arc::clone(&waiting);
        let service = service_fn(move |request| {
            let mut flight = Flight::begin(&counted);
            let answered = answer(request);
            async move {
                let response = answered.await;
                flight.answered = true;
                let mark = new.then(|| Mark::new(&flight.waiting, clock));
                Ok::<_, Infallible>(response.map(|body| Taken::new(body, mark)))
            }
        });
        let keeper = Keeper { listening, waiting, stop };
        let io = TokioIo::new(guarded);
        if new {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(256).max_header_list_size(header_bytes(bounds));
            builder.keep_alive_interval(bounds.piece.as_duration()).keep_alive_timeout(bounds.piece.as_duration());
            let connection = pin!(builder.serve_connection(io, service));
            keeper.keep(connection, http2::Connection::graceful_shutdown).await;
        } else {
            let mut builder = http1::Builder::new();
            builder.max_buf_size(bounds.head_bytes.max(8_192)).half_close(false);
            let connection = pin!(builder.serve_connection(io, service));
            keeper.keep(connection, http1::Connection::graceful_shutdown).await;
        }
    }
}

fn header_bytes(bounds: Bounds) -> u32 {
    u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX)
}

/// A request without an answer so far.
struct Flight {
    waiting: Arc<Waiting>,
    answered: bool,
}

impl Flight {
    fn begin(waiting: &Arc<Waiting>) -> Self {
        waiting.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { waiting: Arc::clone(waiting), answered: false }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.waiting.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.answered {
            self.waiting.taken_back.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps one connection going, for as long as its client does its part.
struct Keeper {
    listening: Listening,
    waiting: Arc<Waiting>,
    stop: Stop,
}

impl Keeper {
    /// Runs `connection` to its end; `finish` asks it to end after the requests under way.
    async fn keep<C, E>(self, mut connection: Pin<&mut C>, finish: impl Fn(Pin<&mut C>))
    where
        C: Future<Output = Result<(), E>>,
    {
        let (clock, bounds) = (self.listening.clock, self.listening.bounds);
        let patience = Patience { head: bounds.head, piece: bounds.piece, idle: bounds.idle };
        let first = clock.now() + bounds.head.min(bounds.piece).min(bounds.idle);
        let mut alarm = pin!(tokio::time::sleep_until(clock.instant(first).into()));
        let mut over = pin!(self.stop.clone().wait());
        let (mut listens, mut finishing) = (false, false);
        std::future::poll_fn(|cx| {
            // Listening costs something each time, so it is done once, and then when there is something to hear.
            if !finishing && (!listens || self.stop.is_said()) {
                listens = true;
                if over.as_mut().poll(cx).is_ready() {
                    finishing = true;
                    finish(connection.as_mut());
                }
            }
            if connection.as_mut().poll(cx).is_ready() || self.waiting.is_playing() {
                return Poll::Ready(());
            }
            while alarm.as_mut().poll(cx).is_ready() {
                match self.waiting.exceeded(clock.now(), &patience) {
                    // Dropping the connection closes it.
                    Err(_) => return Poll::Ready(()),
                    Ok(next) => alarm.as_mut().reset(clock.instant(next).into()),
                }
            }
            Poll::Pending
        })
        .await;
    }
}
