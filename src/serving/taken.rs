//! [`Taken`]: the body of an answer over HTTP/2, of which is known since when its client has taken nothing.
//!
//! Of HTTP/1.1 the socket tells that. A client of HTTP/2 may take all that the socket has and yet nothing of an answer: streams have
//! windows of their own, and their bodies are not asked for more as long as these are empty.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::Clock;
use super::guarded::Waiting;

/// A body. Without a mark it is as if it were alone.
pub(super) struct Taken<B> {
    body: B,
    mark: Option<Mark>,
}

/// Where the connection's keeper looks.
pub(super) struct Mark {
    waiting: Arc<Waiting>,
    clock: Clock,
    number: u64,
}

impl Mark {
    pub(super) fn new(waiting: &Arc<Waiting>, clock: Clock) -> Self {
        let number = waiting.answers.fetch_add(1, Ordering::Relaxed);
        let mark = Self { waiting: Arc::clone(waiting), clock, number };
        mark.wait();
        mark
    }

    /// It is the client's turn.
    fn wait(&self) {
        self.waiting.untaken().insert(self.number, self.clock.now());
    }

    /// It is not.
    fn pass(&self) {
        self.waiting.untaken().remove(&self.number);
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.pass();
    }
}

impl<B> Taken<B> {
    pub(super) fn new(body: B, mark: Option<Mark>) -> Self {
        Self { body, mark }
    }
}

impl<B: Body + Unpin> Body for Taken<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if let Some(mark) = &self.mark {
            mark.pass();
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let (Some(mark), Poll::Ready(Some(Ok(_)))) = (&self.mark, &frame) {
            mark.wait();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
