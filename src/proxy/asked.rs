//! [`Asked`]: the body of a request on its way to an instance.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A request's body: what the client sends, or nothing.
#[derive(Debug)]
pub(super) enum Asked {
    Theirs(Incoming),
    Nothing,
}

impl From<Incoming> for Asked {
    fn from(body: Incoming) -> Self {
        if body.is_end_stream() { Self::Nothing } else { Self::Theirs(body) }
    }
}

/// The same request once more, if it has no body: a body is passed on as it comes and never kept.
pub(super) fn again(request: &Request<Asked>) -> Option<Request<Asked>> {
    if !matches!(request.body(), Asked::Nothing) {
        return None;
    }
    let mut copy = Request::new(Asked::Nothing);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

impl Body for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Theirs(body) => Pin::new(body).poll_frame(cx),
            Self::Nothing => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Theirs(body) => body.is_end_stream(),
            Self::Nothing => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Theirs(body) => body.size_hint(),
            Self::Nothing => SizeHint::with_exact(0),
        }
    }
}
