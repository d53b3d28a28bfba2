//! [`Sender`]: the upper end of a connection to an instance, whichever protocol it speaks, and what is known of a request
//! that it could not send.

use std::task::Context;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::{Request, Response};

use super::alone::Alone;
use super::asked::{Asked, again};
use super::shared::Place;

/// A connection's upper end.
#[derive(Debug)]
pub(super) enum Sender {
    /// One request at a time.
    Alone(Box<Alone>),
    /// Others beside it.
    Shared(Place),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The connection was about to end and the request, which is back, did not reach the instance: another connection may have it.
    Renew,
    /// The instance has certainly done nothing about it, and it is back: another one may have it.
    Elsewhere,
    /// The client's body broke off.
    Body,
    /// The instance may have done something about it.
    Failed,
}

impl Sender {
    /// Sends a request, which is taken from its place, and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: &mut Option<Request<Asked>>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match self {
            Self::Alone(connection) => {
                // A new one has had no turn yet.
                if !connection.is_ready() && connection.ready().await.is_err() {
                    return Err(Unanswered::Elsewhere);
                }
                let sent = request.take().ok_or(Unanswered::Failed)?;
                let repeatable = sent.method().is_idempotent();
                connection.send(sent).await.map_err(|failed| alone(failed, repeatable, request))
            }
            Self::Shared(place) => {
                let sent = request.take().ok_or(Unanswered::Failed)?;
                // What is larger than the rest is not to make it larger.
                let copy = again(&sent).map(Box::new);
                Box::pin(place.send(sent)).await.map_err(|failed| shared(failed, copy, place, request))
            }
        }
    }

    /// Lets more of the answer come; `false` if that goes on by itself.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Alone(connection) => {
                connection.turn(cx);
                true
            }
            Self::Shared(_) => false,
        }
    }

    /// No other request is to go the way that this one's answer did not come.
    pub(super) fn avoid(&self) {
        if let Self::Shared(place) = self {
            place.avoid();
        }
    }
}

/// Why a connection of its own has no answer; the request is put `back` where another may have it.
fn alone(mut failed: TrySendError<Request<Asked>>, repeatable: bool, back: &mut Option<Request<Asked>>) -> Unanswered {
    match failed.take_message() {
        Some(request) if repeatable => {
            *back = Some(request);
            Unanswered::Elsewhere
        }
        _ if failed.error().is_user() => Unanswered::Body,
        _ => Unanswered::Failed,
    }
}

/// HTTP/2 tells what was not processed: all of a connection without settings, a refused stream, and those above the last one of a connection that is going away
/// (RFC 9113, section 8.7). That holds for every method; but a body that was passed on is gone, so `copy` is of those without.
fn shared(
    mut failed: TrySendError<Request<Asked>>,
    copy: Option<Box<Request<Asked>>>,
    place: &Place,
    back: &mut Option<Request<Asked>>,
) -> Unanswered {
    if let Some(request) = failed.take_message() {
        place.avoid();
        *back = Some(request);
        return Unanswered::Renew;
    }
    let unanswered = refused(failed.error(), place);
    if matches!(unanswered, Unanswered::Renew | Unanswered::Elsewhere) {
        *back = copy.map(|copy| *copy);
        if back.is_none() {
            return Unanswered::Failed;
        }
    }
    unanswered
}

/// What an error of a connection with others says about a request without a body.
fn refused(error: &hyper::Error, place: &Place) -> Unanswered {
    if !place.is_begun() {
        place.avoid();
        return Unanswered::Elsewhere;
    }
    let source = std::error::Error::source(error);
    let Some(error) = source.and_then(|source| source.downcast_ref::<h2::Error>()) else { return Unanswered::Failed };
    if error.is_go_away() {
        place.avoid();
    }
    if error.is_remote() && error.is_go_away() {
        Unanswered::Renew
    } else if error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM) {
        Unanswered::Elsewhere
    } else if error.is_reset() && !error.is_remote() && !error.is_library() {
        // It was we who ended the stream.
        Unanswered::Body
    } else {
        Unanswered::Failed
    }
}
