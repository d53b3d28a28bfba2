//! [`Answer`]: the body of an answer on its way from an instance to a client; its end is the end of the request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::flight::Flight;
use super::forward::Place;
use super::sender::Sender;
use crate::balance::Outcome;

/// An answer's body: an instance's, or our own.
#[allow(clippy::large_enum_variant)] // Nearly every answer is the large one.
pub(super) enum Answer {
    /// What an instance says.
    Theirs(Theirs),
    /// What we say.
    Ours(Option<Bytes>),
}

/// What belongs to an answer until its end.
pub(super) struct Theirs {
    /// What came with the head.
    first: Option<Result<Frame<Bytes>, Broken>>,
    body: Incoming,
    flight: Flight,
    /// The connection that it comes by.
    sender: Option<Sender>,
    /// For each piece.
    patience: Duration,
    waits: Option<Pin<Box<Sleep>>>,
    _place: Arc<Place>,
}

/// Why an answer breaks off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the instance's answer broke off: {0}")]
    Instance(#[from] hyper::Error),
    #[error("the instance's answer stopped coming")]
    TimedOut,
}

/// The next piece, which comes by `sender`.
fn next(
    body: &mut Incoming,
    sender: Option<&mut Sender>,
    cx: &mut Context<'_>,
) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    let frame = Pin::new(&mut *body).poll_frame(cx);
    if frame.is_pending() && sender.is_some_and(|sender| sender.turn(cx)) {
        return Pin::new(body).poll_frame(cx);
    }
    frame
}

/// How often the rest of the runtime has a turn before the first piece of a body that comes by itself counts as not there yet.
const TURNS: u32 = 2;

/// The first piece of a body, if it has come with its head: then both leave by one write.
async fn ahead(body: &mut Incoming, sender: &mut Sender) -> Option<Result<Frame<Bytes>, Broken>> {
    let mut turns = 0;
    std::future::poll_fn(|cx| match next(body, Some(&mut *sender), cx) {
        Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Broken::from))),
        Poll::Pending if turns == TURNS || matches!(sender, Sender::Alone(_)) => Poll::Ready(None),
        Poll::Pending => {
            turns += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

impl Theirs {
    pub(super) async fn new(
        mut body: Incoming,
        flight: Flight,
        mut sender: Sender,
        patience: Duration,
        place: Arc<Place>,
    ) -> Self {
        let mut first = None;
        if !body.is_end_stream() {
            first = ahead(&mut body, &mut sender).await;
        }
        let mut theirs = Self { first, body, flight, sender: Some(sender), patience, waits: None, _place: place };
        match &theirs.first {
            Some(Err(_)) => {
                theirs.flight.end(Outcome::Failed);
            }
            _ if theirs.body.is_end_stream() => theirs.end(),
            _ => {}
        }
        theirs
    }

    /// The answer is there: the connection can have another request.
    fn end(&mut self) {
        self.flight.end(Outcome::Answered);
        if let Some(sender) = self.sender.take() {
            self.flight.upstream.keep(self.flight.now(), sender);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        match next(&mut self.body, self.sender.as_mut(), cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waits = None;
                // The client's side asks no more when it has as much as the length said.
                if self.body.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.flight.end(Outcome::Failed);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Pending => {
                let waits = self.waits.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.patience)));
                if waits.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.flight.end(Outcome::TimedOut);
                if let Some(sender) = &self.sender {
                    sender.avoid();
                }
                Poll::Ready(Some(Err(Broken::TimedOut)))
            }
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Theirs(theirs) => theirs.poll(cx),
            Self::Ours(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Theirs(theirs) => theirs.first.is_none() && theirs.body.is_end_stream(),
            Self::Ours(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Theirs(theirs) => {
                let first = theirs.first.as_ref().and_then(|first| first.as_ref().ok()?.data_ref().map(Bytes::len));
                let (first, rest) = (first.unwrap_or(0) as u64, theirs.body.size_hint());
                let mut hint = SizeHint::new();
                hint.set_lower(first + rest.lower());
                if let Some(upper) = rest.upper() {
                    hint.set_upper(first + upper);
                }
                hint
            }
            Self::Ours(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
