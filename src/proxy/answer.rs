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
use super::upstream::Sender;
use crate::balance::Outcome;

/// An answer's body: an instance's, or our own.
pub(super) enum Answer {
    /// What an instance says.
    Theirs(Theirs),
    /// What we say.
    Ours(Option<Bytes>),
}

/// What belongs to an answer until its end.
pub(super) struct Theirs {
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

impl Theirs {
    pub(super) fn new(body: Incoming, flight: Flight, sender: Sender, patience: Duration, place: Arc<Place>) -> Self {
        let mut theirs = Self { body, flight, sender: Some(sender), patience, waits: None, _place: place };
        if theirs.body.is_end_stream() {
            theirs.end();
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
        match Pin::new(&mut self.body).poll_frame(cx) {
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
            Self::Theirs(theirs) => theirs.body.is_end_stream(),
            Self::Ours(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Theirs(theirs) => theirs.body.size_hint(),
            Self::Ours(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
