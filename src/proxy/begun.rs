//! [`Begun`]: a request that was begun in the lane and goes on in the HTTP library; [`Resumed`]: a connection to an instance which
//! lets the library begin in the middle.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::flight::Flight;
use crate::units::Moment;

/// What the lane did about a request.
pub(super) struct Begun {
    /// When the request came.
    pub(super) come: Moment,
    /// An instance that has the request; none if one could not be reached.
    pub(super) sent: Option<Sent>,
}

/// A request that an instance has.
pub(super) struct Sent {
    pub(super) flight: Flight,
    pub(super) connection: Resumed,
}

/// A connection to an instance.
#[derive(Debug)]
pub(super) struct Resumed {
    stream: TcpStream,
    /// The request was written by the lane: what the library writes is the same once more and goes nowhere.
    written: Option<Written>,
}

/// A request that the lane wrote.
#[derive(Debug)]
struct Written {
    /// What was read of its answer.
    answer: Vec<u8>,
    /// The library has written it too. Before, an answer would be one to nothing.
    again: bool,
    /// Who asked for the answer before.
    reader: Option<Waker>,
}

impl Resumed {
    /// One that has no request.
    pub(super) fn idle(stream: TcpStream) -> Self {
        Self { stream, written: None }
    }

    /// One that has a request, and of the answer these bytes. It takes no other request.
    pub(super) fn asked(stream: TcpStream, answer: Vec<u8>) -> Self {
        Self { stream, written: Some(Written { answer, again: false, reader: None }) }
    }

    /// The connection itself, if it is as good as new.
    pub(super) fn into_idle(self) -> Option<TcpStream> {
        self.written.is_none().then_some(self.stream)
    }

    fn swallow(&mut self, length: usize) -> Option<Poll<io::Result<usize>>> {
        let written = self.written.as_mut()?;
        written.again = true;
        if let Some(reader) = written.reader.take() {
            reader.wake();
        }
        Some(Poll::Ready(Ok(length)))
    }
}

impl AsyncRead for Resumed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(written) = &mut self.written {
            if !written.again {
                written.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if !written.answer.is_empty() {
                let length = written.answer.len().min(buf.remaining());
                buf.put_slice(&written.answer[..length]);
                written.answer.drain(..length);
                return Poll::Ready(Ok(()));
            }
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resumed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.swallow(bytes.len()).unwrap_or_else(|| Pin::new(&mut self.stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.swallow(length).unwrap_or_else(|| Pin::new(&mut self.stream).poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
