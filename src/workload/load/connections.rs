//! The connections of one client: kept, bounded, never shared with another client.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

/// What is sent.
pub(super) type Body = Full<Bytes>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// There is no connection.
    #[error("connect: {0}")]
    Connect(io::Error),
    /// There is, but nothing comes of it.
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// A client's connections.
#[derive(Debug)]
pub(super) struct Connections {
    target: SocketAddr,
    http2: bool,
    places: Semaphore,
    idle: Mutex<Vec<Sender>>,
}

/// One connection's upper end.
#[derive(Debug)]
enum Sender {
    Old(http1::SendRequest<Body>),
    New(http2::SendRequest<Body>),
}

/// A connection that is in use. Given back when the answer has been read; dropped, it is closed.
#[derive(Debug)]
pub(super) struct Used<'a> {
    connections: &'a Connections,
    sender: Option<Sender>,
    _place: SemaphorePermit<'a>,
}

impl Connections {
    /// At most `most` at a time; of HTTP/2 one that takes as many requests.
    pub(super) fn new(target: SocketAddr, http2: bool, most: usize) -> Self {
        Self { target, http2, places: Semaphore::new(most), idle: Mutex::default() }
    }

    /// Waits for a place. Opens nothing yet.
    pub(super) async fn place(&self) -> Option<Used<'_>> {
        let place = self.places.acquire().await.ok()?;
        Some(Used { connections: self, sender: None, _place: place })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Result<Sender, SendError> {
        let stream = TcpStream::connect(self.target).await.map_err(SendError::Connect)?;
        stream.set_nodelay(true).map_err(SendError::Connect)?;
        let io = TokioIo::new(stream);
        if self.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            return Ok(Sender::New(sender));
        }
        let (sender, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        Ok(Sender::Old(sender))
    }
}

impl Used<'_> {
    /// Sends a request, over a kept connection if there is one.
    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, SendError> {
        let mut request = request;
        loop {
            let kept = self.connections.idle().pop();
            let is_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connections.open().await?,
            };
            let sent = match &mut sender {
                Sender::Old(sender) => match sender.ready().await {
                    Ok(()) => sender.try_send_request(request).await,
                    Err(_) if is_kept => continue,
                    Err(error) => return Err(error.into()),
                },
                Sender::New(sender) => {
                    // One connection has them all.
                    self.connections.idle().push(Sender::New(sender.clone()));
                    sender.try_send_request(request).await
                }
            };
            match sent {
                Ok(response) => {
                    self.sender = Some(sender).filter(|sender| matches!(sender, Sender::Old(_)));
                    return Ok(response);
                }
                Err(mut failed) => match failed.take_message() {
                    // A kept connection was closed before it had it.
                    Some(back) if is_kept => {
                        request = back;
                        self.connections.idle().retain(|sender| match sender {
                            Sender::Old(sender) => !sender.is_closed(),
                            Sender::New(sender) => !sender.is_closed(),
                        });
                    }
                    _ => return Err(failed.into_error().into()),
                },
            }
        }
    }

    /// The answer has been read to its end.
    pub(super) fn give_back(mut self) {
        if let Some(sender) = self.sender.take() {
            self.connections.idle().push(sender);
        }
    }
}
