//! [`Alone`]: a connection to an instance for one request at a time, which goes on only while somebody asks it to.
//!
//! Whoever has the connection moves it: the task that reads a client's request writes it to the instance in the same turn, and the
//! one that hears of an answer writes that to the client. With a task of its own for each connection a request would wait twice
//! until all others of its burst have had their turn.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::asked::Asked;
use super::begun::Resumed;

/// A connection and both its ends.
#[derive(Debug)]
pub(super) struct Alone {
    sender: http1::SendRequest<Asked>,
    connection: http1::Connection<TokioIo<Resumed>, Asked>,
    /// It has ended, for whatever reason: requests are told by the sender, answers by their bodies.
    over: bool,
}

impl Alone {
    pub(super) async fn open(connection: Resumed) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(connection)).await?;
        Ok(Self { sender, connection, over: false })
    }

    /// Reads and writes what can be read and written now; `cx` is woken when there is more.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) {
        self.over = self.over || Pin::new(&mut self.connection).poll(cx).is_ready();
    }

    /// The connection for others, if nobody has ended it and it can have a request at once. What has come by now counts.
    pub(super) fn into_idle(mut self) -> Option<TcpStream> {
        self.turn(&mut Context::from_waker(Waker::noop()));
        if self.over || !self.sender.is_ready() {
            return None;
        }
        let parts = self.connection.into_parts();
        parts.io.into_inner().into_idle().filter(|_| parts.read_buf.is_empty())
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Asked>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Asked>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            self.turn(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Waits until it can have a request; not if it has ended.
    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        std::future::poll_fn(|cx| -> Poll<hyper::Result<()>> {
            self.turn(cx);
            self.sender.poll_ready(cx)
        })
        .await
    }

    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }
}
