//! The lane: the short way of plain requests between a client and an instance.
//!
//! The client's task reads a request, writes it to the instance, reads the answer and writes that to the client: with two reads and
//! two writes and without the HTTP library, which is nearly a third of a request's processor time. As soon as something is not plain (a body, a head
//! in two pieces, an answer in chunks, no instance, an instance that fails), the library gets the connection with everything that
//! was read, and goes on with what an instance has begun; it keeps that client to its end.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use hyper::{Method, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::access_log::Line;
use super::begun::{Begun, Resumed, Sent};
use super::flight::Flight;
use super::forward::{Place, Proxy, Routes};
use super::plain::{self, Ours, PlainAnswer};
use super::protocol::Protocol;
use super::service::Service;
use crate::balance::Outcome;
use crate::serving::{Client, Clock};
use crate::units::{Moment, Span};

/// Bytes that are read at once; what does not fit is not plain.
const PIECE: usize = 16 * 1024;

/// Bytes that a client may send behind a request before that is answered; the rest waits in the kernel.
const MOST_AHEAD: usize = 64 * 1024;

/// Buffers that are larger are not kept for the next request.
const LARGE: usize = 4 * 1024;

/// Serves a client to the end of its connection.
pub(super) async fn serve(proxy: Arc<Proxy>, client: Client) {
    let peer = client.peer;
    let (end, client, asked) = {
        let mut lane = Lane::new(Arc::clone(&proxy), client);
        let end = lane.run().await;
        (end, lane.client, lane.asked)
    };
    let End::Over(begun) = end else { return };
    // It is of the first request that the library reads.
    let begun = Cell::new(begun.map(|begun| *begun));
    let answer = move |request| Arc::clone(&proxy).answer(request, peer, begun.take());
    // Larger than all else, and many clients never need it.
    Box::pin(client.serve(asked, answer)).await;
}

/// How the lane ends.
enum End {
    /// With the connection.
    Closed,
    /// The library goes on, with what an instance has begun.
    Over(Option<Box<Begun>>),
}

/// What came of waiting for an answer.
enum Heard {
    Plain(PlainAnswer),
    /// The answer so far is not plain, or has ended, or is late.
    Odd(Vec<u8>),
    /// The client has gone.
    Gone,
}

/// A request on its way.
struct Course {
    come: Moment,
    /// Bytes of it among those that were asked.
    length: usize,
    routes: Arc<Routes>,
    _place: Place,
    flight: Flight,
    noted: Option<(Method, Uri)>,
}

/// A client in the lane.
struct Lane {
    proxy: Arc<Proxy>,
    client: Client,
    alarm: Alarm,
    /// Hears when it is over; it listens from its first turn on.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The request that is being served, as it came, and what came behind it.
    asked: Vec<u8>,
    /// What is written next.
    wire: Vec<u8>,
}

impl Lane {
    fn new(proxy: Arc<Proxy>, client: Client) -> Self {
        let (bounds, clock) = (client.listening.bounds, client.listening.clock);
        let shortest = bounds.head.min(bounds.idle).min(bounds.piece).min(proxy.routes().timeouts.request);
        let alarm = Alarm::new(clock, shortest);
        Self { proxy, client, alarm, over: None, asked: Vec::new(), wire: Vec::new() }
    }

    fn now(&self) -> Moment {
        self.client.listening.clock.now()
    }

    async fn run(&mut self) -> End {
        let bounds = self.client.listening.bounds;
        let mut patience = bounds.head;
        loop {
            let until = self.now() + patience;
            if self.asked.is_empty() && !std::future::poll_fn(|cx| self.poll_asked(cx, until)).await {
                return End::Closed;
            }
            patience = bounds.idle;
            let Some(course) = self.begin() else { return End::Over(None) };
            if let Err(end) = self.pass(course).await {
                return end;
            }
        }
    }

    /// Reads what the client asks; `false` if it asks no more, or too late, or it is over.
    fn poll_asked(&mut self, cx: &mut Context<'_>, until: Moment) -> Poll<bool> {
        if self.over.is_none() || self.client.stop.is_said() {
            let stop = &self.client.stop;
            let over = self.over.get_or_insert_with(|| Box::pin(stop.clone().wait()));
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(false);
            }
        }
        let mut room = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut room);
        if let Poll::Ready(read) = Pin::new(&mut self.client.stream).poll_read(cx, &mut piece) {
            self.asked.extend_from_slice(piece.filled());
            return Poll::Ready(read.is_ok() && !piece.filled().is_empty());
        }
        if self.alarm.poll_due(cx, until).is_ready() { Poll::Ready(false) } else { Poll::Pending }
    }

    /// What is asked, and whom it is for; what that one is to get is in `wire`. `None` for what the library is to see to.
    fn begin(&mut self) -> Option<Course> {
        let come = self.now();
        let routes = self.proxy.routes();
        self.wire.clear();
        let most = self.client.listening.bounds.head_bytes;
        let request = plain::request(&self.asked, routes.header.as_str(), most, &mut self.wire)?;
        let is_noted = self.proxy.log.is_some();
        let noted = is_noted.then(|| Some((request.method.parse().ok()?, request.target.parse().ok()?)));
        let length = request.length;
        let service: &Arc<Service> = routes.service(request.service).ok()?;
        let place = Place::of(&self.proxy);
        if service.config.protocol != Protocol::Http1 || place.is_too_many(&routes.limits) {
            return None;
        }
        let flight = Flight::begin(service, self.client.listening.clock)?;
        Some(Course { come, length, _place: place, flight, noted: noted.flatten(), routes })
    }

    /// Takes a request to its instance and the answer to the client.
    async fn pass(&mut self, mut course: Course) -> Result<(), End> {
        let deadline = course.come + course.routes.timeouts.request;
        let Some(mut instance) = self.send(&mut course, deadline).await else {
            return Err(over(course.come, None));
        };
        self.wire.clear();
        let name = &course.flight.upstream.header;
        let heard = std::future::poll_fn(|cx| self.poll_heard(cx, &mut instance, name.as_bytes(), deadline)).await;
        let answer = match heard {
            Heard::Plain(answer) => answer,
            Heard::Gone => return Err(End::Closed),
            Heard::Odd(answer) => {
                let sent = Sent { flight: course.flight, connection: Resumed::asked(instance, answer) };
                return Err(over(course.come, Some(sent)));
            }
        };
        course.flight.end(Outcome::Answered);
        self.proxy.metrics.plain.inc();
        self.note(&course, answer);
        course.flight.upstream.keep_alone(self.now(), instance);
        self.asked.drain(..course.length);
        let until = self.now() + self.client.listening.bounds.piece;
        let (stream, alarm) = (&mut self.client.stream, &mut self.alarm);
        let written = std::future::poll_fn(|cx| poll_written(cx, stream, &mut self.wire, alarm, until)).await;
        if self.wire.capacity() > LARGE {
            self.wire = Vec::new();
        }
        if answer.last || written.is_err() { Err(End::Closed) } else { Ok(()) }
    }

    /// Writes the request to the instance; `None` if that could not have it: then the policy has been told.
    async fn send(&mut self, course: &mut Course, deadline: Moment) -> Option<TcpStream> {
        let clock = self.client.listening.clock;
        let mut instance = if let Some(kept) = course.flight.upstream.alone() {
            kept
        } else {
            let limit = (self.now() + course.routes.timeouts.connect).min(deadline);
            let upstream = Arc::clone(&course.flight.upstream);
            course.flight.connected(clock.instant(limit), upstream.dial()).await.ok()?
        };
        let (wire, alarm) = (&mut self.wire, &mut self.alarm);
        let whole = wire.len();
        let written = std::future::poll_fn(|cx| poll_written(cx, &mut instance, wire, alarm, deadline)).await;
        // Of a part the instance may have done something: that nothing comes any more, the library hears.
        if written.is_err() && self.wire.len() == whole {
            course.flight.end(if self.now() < deadline { Outcome::Failed } else { Outcome::TimedOut });
            return None;
        }
        Some(instance)
    }

    /// Hears of the instance, of the client if that goes away, and of the time. A plain answer is in `wire`.
    fn poll_heard(
        &mut self,
        cx: &mut Context<'_>,
        instance: &mut TcpStream,
        name: &[u8],
        deadline: Moment,
    ) -> Poll<Heard> {
        let mut room = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut room);
        if let Poll::Ready(_read) = Pin::new(instance).poll_read(cx, &mut piece) {
            // An end, or an error, the library hears again.
            let ours = Ours { instance: name, date, last: self.client.stop.is_said() };
            let answer = plain::answer(piece.filled(), &ours, &mut self.wire);
            return Poll::Ready(answer.map_or_else(|| Heard::Odd(piece.filled().to_vec()), Heard::Plain));
        }
        if self.poll_gone(cx).is_ready() {
            return Poll::Ready(Heard::Gone);
        }
        self.alarm.poll_due(cx, deadline).map(|()| Heard::Odd(Vec::new()))
    }

    /// Ready when the client has gone; what it asks meanwhile waits.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.asked.len() < MOST_AHEAD {
            let mut room = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut room);
            let read = ready!(Pin::new(&mut self.client.stream).poll_read(cx, &mut piece));
            if read.is_err() || piece.filled().is_empty() {
                return Poll::Ready(());
            }
            self.asked.extend_from_slice(piece.filled());
        }
        Poll::Pending
    }

    fn note(&self, course: &Course, answer: PlainAnswer) {
        let (Some(log), Some((method, uri))) = (&self.proxy.log, &course.noted) else { return };
        let status = StatusCode::from_u16(answer.status).unwrap_or_default();
        let (instance, took) = (Some(&course.flight.upstream.header), self.now().since(course.come));
        log.write(&Line { peer: self.client.peer, method, uri, status, instance, took });
    }
}

fn over(come: Moment, sent: Option<Sent>) -> End {
    End::Over(Some(Box::new(Begun { come, sent })))
}

fn date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

/// Writes `wire` and takes from it what was written, until `until`.
fn poll_written(
    cx: &mut Context<'_>,
    stream: &mut TcpStream,
    wire: &mut Vec<u8>,
    alarm: &mut Alarm,
    until: Moment,
) -> Poll<io::Result<()>> {
    while !wire.is_empty() {
        match Pin::new(&mut *stream).poll_write(cx, wire) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(written) => drop(wire.drain(..written?)),
            Poll::Pending => return alarm.poll_due(cx, until).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
    Poll::Ready(Ok(()))
}

/// One timer for all that a client's task waits for, which is seldom set: by no wait it is later than the shortest of them.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    clock: Clock,
    shortest: Span,
}

impl Alarm {
    fn new(clock: Clock, shortest: Span) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(shortest.as_duration())), clock, shortest }
    }

    /// Ready at `until`, or soon after.
    fn poll_due(&mut self, cx: &mut Context<'_>, until: Moment) -> Poll<()> {
        let due = self.clock.instant(until).into();
        if self.sleep.deadline() > due {
            self.sleep.as_mut().reset(due);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = self.clock.now();
            if now >= until {
                return Poll::Ready(());
            }
            let next = (now + self.shortest).min(until);
            self.sleep.as_mut().reset(self.clock.instant(next).into());
        }
        Poll::Pending
    }
}
