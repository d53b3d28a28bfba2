//! [`Guarded`]: a client's connection of which every byte is looked at before the HTTP library has it, and that knows since
//! when it waits for the client.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{Clock, Framing};
use crate::units::{Moment, Span};

/// How an HTTP/2 connection begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the library gets in the place of a head that is refused: no head may have that byte, wherever it stands, and looking for
/// it begins where a head ends. So the library answers those before it, and then says 400.
const NO_HEAD: &[u8] = b"\0\r\n\r\n";

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a head, from its first byte, or from the connection's beginning for the first one.
    pub(super) head: Span,
    /// Between two pieces of a body, and to take a piece of an answer.
    pub(super) piece: Span,
    /// Between two requests.
    pub(super) idle: Span,
}

/// What a connection waits for, told by its reader and asked by its keeper. Moments in nanoseconds; 0 is for "does not".
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Since when for the next bytes of the client.
    reading: AtomicU64,
    /// Since when for the client to take what was written.
    writing: AtomicU64,
    /// Since when a head has been coming.
    head: AtomicU64,
    /// Whether a body is being read.
    body: AtomicU32,
    /// Requests without an answer so far.
    pub(super) in_flight: AtomicU32,
    /// Requests that the client took back before they were answered, and answers.
    pub(super) taken_back: AtomicU64,
    pub(super) answers: AtomicU64,
    /// Answers of HTTP/2 of which the client is to take the next piece, and since when.
    untaken: Mutex<BTreeMap<u64, Moment>>,
}

/// Clients may take back as many requests as have been answered, and these.
const MOST_TAKEN_BACK: u64 = 256;

impl Waiting {
    /// Answers of HTTP/2 of which the client is to take the next piece.
    pub(super) fn untaken(&self) -> MutexGuard<'_, BTreeMap<u64, Moment>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client takes back more requests than anyone who wants answers would: each costs an instance something.
    pub(super) fn is_playing(&self) -> bool {
        let (back, answers) = (self.taken_back.load(Ordering::Relaxed), self.answers.load(Ordering::Relaxed));
        back > MOST_TAKEN_BACK + answers
    }

    /// Whether the client has been waited for longer than one waits; else when to ask again.
    pub(super) fn exceeded(&self, now: Moment, patience: &Patience) -> Result<Moment, &'static str> {
        let deadline = |since: u64, span: Span| Moment::from_nanos(since) + span;
        let (reading, head) = (self.reading.load(Ordering::Relaxed), self.head.load(Ordering::Relaxed));
        let writing = self.writing.load(Ordering::Relaxed);
        let busy = self.in_flight.load(Ordering::Relaxed) > 0;
        let mut next = now + patience.head.min(patience.piece).min(patience.idle);
        let mut check = |since: u64, span: Span, what| {
            let at = deadline(since, span);
            if since > 0 && at <= now {
                return Err(what);
            }
            next = if since > 0 { next.min(at) } else { next };
            Ok(())
        };
        let untaken = self.untaken().values().min().map_or(0, |since| since.as_nanos().max(1));
        check(untaken, patience.piece, "the answer is not taken")?;
        check(head, patience.head, "the head took too long")?;
        check(writing, patience.piece, "the answer is not taken")?;
        if self.body.load(Ordering::Relaxed) > 0 {
            check(reading, patience.piece, "the body took too long")?;
        } else if !busy && head == 0 {
            check(reading, patience.idle, "idle")?;
        }
        Ok(next)
    }
}

/// The stream of one client.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: TcpStream,
    /// What comes before what is read next: what was read to tell the version, or what refuses a head.
    begun: Vec<u8>,
    /// Nothing more is taken from the client.
    refused: bool,
    /// Of HTTP/1.1; HTTP/2 has frames.
    framing: Option<Framing>,
    clock: Clock,
    waiting: Arc<Waiting>,
}

impl Guarded {
    /// Reads as much as tells the version, for no longer than `limit`. `begun` was read already.
    pub(super) async fn open(stream: TcpStream, mut begun: Vec<u8>, clock: Clock, limit: Duration) -> io::Result<Self> {
        let version = tokio::time::timeout(limit, version(&stream, &mut begun));
        let new = version.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let framing = (!new).then(Framing::default);
        Ok(Self { stream, begun, refused: false, framing, clock, waiting: Arc::default() })
    }

    /// Whether it is HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.framing.is_none()
    }

    /// What it waits for.
    pub(super) fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.waiting)
    }

    fn now(&self) -> u64 {
        self.clock.now().as_nanos().max(1)
    }

    /// Looks at what was read; what has two readings never gets further.
    fn judge(&mut self, before: usize, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let Some(framing) = &mut self.framing else { return Ok(()) };
        let judged = framing.feed(&buf.filled()[before..]);
        let (amid_head, amid_body) = (framing.is_amid_head(), framing.is_amid_body());
        self.waiting.body.store(u32::from(amid_body), Ordering::Relaxed);
        if amid_head != (self.waiting.head.load(Ordering::Relaxed) > 0) {
            let since = if amid_head { self.now() } else { 0 };
            self.waiting.head.store(since, Ordering::Relaxed);
        }
        match judged {
            Ok(()) => Ok(()),
            Err(refusal) if refusal.in_head => {
                buf.set_filled(before + refusal.at);
                self.begun = NO_HEAD.to_vec();
                self.refused = true;
                self.replay(buf);
                Ok(())
            }
            Err(refusal) => Err(io::Error::new(io::ErrorKind::InvalidData, refusal)),
        }
    }
}

impl Guarded {
    /// Gives as much as fits of what comes before what is read.
    fn replay(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.begun.len().min(buf.remaining());
        buf.put_slice(&self.begun[..length]);
        self.begun.drain(..length);
    }
}

/// Whether a connection is HTTP/2; what is read for that is added to `begun`.
async fn version(stream: &TcpStream, begun: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        if begun.len() >= PREFACE.len() || !PREFACE.starts_with(begun) {
            return Ok(begun.starts_with(PREFACE));
        }
        stream.readable().await?;
        let mut piece = [0; PREFACE.len()];
        match stream.try_read(&mut piece[begun.len()..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                let before = begun.len();
                begun.extend_from_slice(&piece[before..before + length]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.begun.is_empty() {
            if self.refused {
                return Poll::Ready(Ok(()));
            }
            let read = Pin::new(&mut self.stream).poll_read(cx, buf);
            if read.is_pending() && self.waiting.reading.load(Ordering::Relaxed) == 0 {
                self.waiting.reading.store(self.now(), Ordering::Relaxed);
            }
            ready!(read)?;
            self.waiting.reading.store(0, Ordering::Relaxed);
        } else {
            self.replay(buf);
        }
        if self.refused {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.judge(before, buf))
    }
}

impl Guarded {
    /// Notes whether the client keeps what is written waiting.
    fn wrote<T>(&self, written: Poll<T>) -> Poll<T> {
        let since = self.waiting.writing.load(Ordering::Relaxed);
        if written.is_pending() && since == 0 {
            self.waiting.writing.store(self.now(), Ordering::Relaxed);
        } else if written.is_ready() {
            self.waiting.writing.store(0, Ordering::Relaxed);
            // A client that is being answered is not idle.
            if self.waiting.reading.load(Ordering::Relaxed) > 0 {
                self.waiting.reading.store(self.now(), Ordering::Relaxed);
            }
        }
        written
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.wrote(written)
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
