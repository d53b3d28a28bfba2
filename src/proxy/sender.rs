//! [`Sender`]: the upper end of a connection to an instance, whichever protocol it speaks, and what is known of a request
//! that it could not send.

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper::{Request, Response};

use super::asked::{Asked, again};
use super::shared::Place;

/// A connection's upper end.
#[derive(Debug)]
pub(super) enum Sender {
    /// One request at a time.
    Alone(http1::SendRequest<Asked>),
    /// Others beside it.
    Shared(Place),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The connection was about to end and the request did not reach the instance: another connection may have it.
    Renew(Request<Asked>),
    /// The instance has certainly done nothing about it: another one may have it.
    Elsewhere(Request<Asked>),
    /// The client's body broke off.
    Body,
    /// The instance may have done something about it.
    Failed,
}

impl Sender {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Asked>) -> Result<Response<Incoming>, Unanswered> {
        match self {
            Self::Alone(sender) => {
                // A kept connection may still be about to end its last answer.
                if !sender.is_ready() && sender.ready().await.is_err() {
                    return Err(Unanswered::Elsewhere(request));
                }
                let repeatable = request.method().is_idempotent();
                sender.try_send_request(request).await.map_err(|failed| alone(failed, repeatable))
            }
            Self::Shared(place) => {
                let copy = again(&request);
                place.send(request).await.map_err(|failed| shared(failed, copy, place))
            }
        }
    }

    /// No other request is to go the way that this one's answer did not come.
    pub(super) fn avoid(&self) {
        if let Self::Shared(place) = self {
            place.avoid();
        }
    }
}

fn alone(mut failed: TrySendError<Request<Asked>>, repeatable: bool) -> Unanswered {
    match failed.take_message() {
        Some(back) if repeatable => Unanswered::Elsewhere(back),
        _ if failed.error().is_user() => Unanswered::Body,
        _ => Unanswered::Failed,
    }
}

/// HTTP/2 tells what was not processed: all of a connection without settings, a refused stream, and those above the last one of a connection that is going away
/// (RFC 9113, section 8.7). That holds for every method; but a body that was passed on is gone, so `copy` is of those without.
fn shared(mut failed: TrySendError<Request<Asked>>, copy: Option<Request<Asked>>, place: &Place) -> Unanswered {
    if let Some(back) = failed.take_message() {
        place.avoid();
        return Unanswered::Renew(back);
    }
    if !place.is_begun() {
        place.avoid();
        return copy.map_or(Unanswered::Failed, Unanswered::Elsewhere);
    }
    let source = std::error::Error::source(failed.error());
    let Some(error) = source.and_then(|source| source.downcast_ref::<h2::Error>()) else { return Unanswered::Failed };
    if error.is_go_away() {
        place.avoid();
    }
    match copy {
        Some(copy) if error.is_remote() && error.is_go_away() => Unanswered::Renew(copy),
        Some(copy) if error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM) => {
            Unanswered::Elsewhere(copy)
        }
        // It was we who ended the stream.
        _ if error.is_reset() && !error.is_remote() && !error.is_library() => Unanswered::Body,
        _ => Unanswered::Failed,
    }
}
