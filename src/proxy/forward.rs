//! [`Proxy`]: what happens to one request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Version};

use super::access_log::{AccessLog, Line};
use super::answer::{Answer, Theirs};
use super::asked::Asked;
use super::begun::{Begun, Resumed, Sent};
use super::config::{Limits, Timeouts};
use super::flight::Flight;
use super::headers::pass_on;
use super::metrics::Metrics;
use super::plain;
use super::sender::{Sender, Unanswered};
use super::service::Service;
use super::upstream::resume;
use crate::balance::Outcome;
use crate::serving::Clock;
use crate::units::Moment;

/// How often a request is given to an instance.
const ATTEMPTS: u32 = 3;

/// How often a connection to the same instance may have ended before it had the request.
const RENEWALS: u32 = 8;

const INSTANCE_HEADER: HeaderName = HeaderName::from_static(plain::INSTANCE_HEADER);

/// Whom requests may be for; exchanged as a whole.
pub(super) struct Routes {
    pub(super) header: HeaderName,
    pub(super) services: BTreeMap<String, Arc<Service>>,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
}

/// What the requests of a proxy share.
pub(super) struct Proxy {
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Option<AccessLog>,
    routes: Mutex<Arc<Routes>>,
    in_flight: AtomicUsize,
}

/// One of the requests under way, until the end of its answer.
pub(super) struct Place(Arc<Proxy>);

impl Place {
    pub(super) fn of(proxy: &Arc<Proxy>) -> Self {
        proxy.in_flight.fetch_add(1, Ordering::Relaxed);
        proxy.metrics.in_flight.inc();
        Self(Arc::clone(proxy))
    }

    /// Whether there are more requests than the proxy takes, this one included.
    pub(super) fn is_too_many(&self, limits: &Limits) -> bool {
        self.0.in_flight.load(Ordering::Relaxed) > limits.in_flight
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.in_flight.dec();
    }
}

/// Why a request has no answer of an instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct No {
    status: StatusCode,
    reason: &'static str,
    text: &'static str,
}

const fn no(status: StatusCode, reason: &'static str, text: &'static str) -> No {
    No { status, reason, text }
}

const TUNNEL: No = no(StatusCode::NOT_IMPLEMENTED, "tunnel", "this proxy makes no tunnels\n");
const UNNAMED: No = no(StatusCode::BAD_REQUEST, "unnamed", "no header names the service\n");
const UNKNOWN: No = no(StatusCode::NOT_FOUND, "unknown", "there is no such service here\n");
const FULL: No = no(StatusCode::SERVICE_UNAVAILABLE, "full", "too many requests are under way\n");
const NOBODY: No = no(StatusCode::SERVICE_UNAVAILABLE, "nobody", "the service has no instance\n");
const FAILED: No = no(StatusCode::BAD_GATEWAY, "failed", "the instance failed\n");
const NOWHERE: No = no(StatusCode::BAD_REQUEST, "host", "the host of the request is none\n");
const LATE: No = no(StatusCode::GATEWAY_TIMEOUT, "late", "the instance did not answer in time\n");
const BAD_BODY: No = no(StatusCode::BAD_REQUEST, "body", "the request broke off\n");

/// What came of one attempt.
enum Tried {
    Answered(Response<Incoming>, Sender),
    /// The instance has done nothing about the request, which is still there.
    Again,
    No(No),
}

impl Proxy {
    pub(super) fn new(clock: Clock, metrics: Arc<Metrics>, log: Option<AccessLog>, routes: Routes) -> Self {
        Self { clock, metrics, log, routes: Mutex::new(Arc::new(routes)), in_flight: AtomicUsize::new(0) }
    }

    pub(super) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.lock())
    }

    pub(super) fn set_routes(&self, routes: Routes) {
        *self.lock() = Arc::new(routes);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Routes>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request of the client at `peer`; `begun` is what the lane has done about it.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        begun: Option<Begun>,
    ) -> Response<Answer> {
        let come = begun.as_ref().map_or_else(|| self.clock.now(), |begun| begun.come);
        let noted = self.log.is_some().then(|| (come, request.method().clone(), request.uri().clone()));
        let mut course = Course::new(&self, come);
        let run = match course.begin(request, begun.is_some()) {
            Ok(()) => course.run(begun).await,
            Err(no) => Err(no),
        };
        let response = run.unwrap_or_else(|no| {
            self.metrics.refuse(no.reason);
            say(no, course.asked)
        });
        if let (Some(log), Some((come, method, uri))) = (&self.log, noted) {
            let instance = response.headers().get(INSTANCE_HEADER);
            let took = self.clock.now().since(come);
            log.write(&Line { peer, method: &method, uri: &uri, status: response.status(), instance, took });
        }
        response
    }
}

/// A request on its way. What its futures need is here and not in each of them: they are moved and so are to be small.
struct Course {
    place: Arc<Place>,
    routes: Arc<Routes>,
    service: Option<Arc<Service>>,
    /// As an instance gets it; not here while one has it.
    request: Option<Request<Asked>>,
    deadline: Moment,
    /// Who was asked last.
    asked: Option<HeaderValue>,
}

impl Course {
    fn new(proxy: &Arc<Proxy>, come: Moment) -> Self {
        let (place, routes) = (Arc::new(Place::of(proxy)), proxy.routes());
        let deadline = come + routes.timeouts.request;
        Self { place, routes, service: None, request: None, deadline, asked: None }
    }

    fn proxy(&self) -> &Proxy {
        &self.place.0
    }

    fn clock(&self) -> Clock {
        self.proxy().clock
    }

    /// Whom the request is for, and what an instance gets of it. One that was `begun` had its place before.
    fn begin(&mut self, request: Request<Incoming>, begun: bool) -> Result<(), No> {
        if !begun && self.place.is_too_many(&self.routes.limits) {
            return Err(FULL);
        }
        let mut names = request.headers().get_all(&self.routes.header).iter();
        let name = names.next().map(HeaderValue::as_bytes);
        // Two names are none.
        let service = if names.next().is_some() { Err(UNNAMED) } else { self.routes.service(name) }?;
        self.service = Some(Arc::clone(service));
        self.request = Some(prepare(service, request)?);
        Ok(())
    }

    /// Gives the request to instances, beginning where the lane ended.
    async fn run(&mut self, begun: Option<Begun>) -> Result<Response<Answer>, No> {
        let failed = begun.as_ref().is_some_and(|begun| begun.sent.is_none());
        let mut sent = begun.and_then(|begun| begun.sent);
        if failed {
            self.proxy().metrics.retries.inc();
        }
        for attempt in 1 + u32::from(failed)..=ATTEMPTS {
            let (mut flight, sender) = match sent.take() {
                Some(Sent { flight, connection }) => (flight, resume(connection).await.ok()),
                None => (self.flight()?, None),
            };
            self.asked = Some(flight.upstream.header.clone());
            match self.attempt(&mut flight, sender).await {
                Tried::Answered(response, sender) => return Ok(self.answered(response, flight, sender).await),
                Tried::Again if attempt < ATTEMPTS => {
                    self.proxy().metrics.retries.inc();
                }
                Tried::Again => return Err(FAILED),
                Tried::No(no) => return Err(no),
            }
        }
        Err(FAILED)
    }

    fn flight(&self) -> Result<Flight, No> {
        let service = self.service.as_ref().ok_or(UNKNOWN)?;
        Flight::begin(service, self.clock()).ok_or(NOBODY)
    }

    /// Gives the request to the flight's instance, by `sender` if that is there.
    async fn attempt(&mut self, flight: &mut Flight, mut sender: Option<Sender>) -> Tried {
        for renewals in 0.. {
            let mut sender = match sender.take().or_else(|| flight.upstream.shared()) {
                Some(sender) => sender,
                // Larger than all else.
                None => match Box::pin(self.connected(flight)).await {
                    Ok(sender) => sender,
                    // Nothing was sent, so nothing happens twice.
                    Err(()) if self.clock().now() < self.deadline => return Tried::Again,
                    Err(()) => return Tried::No(LATE),
                },
            };
            let limit = self.clock().instant(self.deadline).into();
            let Ok(sent) = tokio::time::timeout_at(limit, sender.send(&mut self.request)).await else {
                sender.avoid();
                flight.end(Outcome::TimedOut);
                return Tried::No(LATE);
            };
            let tried = match sent {
                Ok(response) => return Tried::Answered(response, sender),
                Err(Unanswered::Renew) if renewals < RENEWALS => continue,
                Err(Unanswered::Renew | Unanswered::Elsewhere) => Tried::Again,
                Err(Unanswered::Body) => Tried::No(BAD_BODY),
                Err(Unanswered::Failed) => Tried::No(FAILED),
            };
            flight.end(Outcome::Failed);
            return tried;
        }
        Tried::No(FAILED)
    }

    /// A connection to the flight's instance: one that was kept, or a new one. When there is none, the policy has been told.
    async fn connected(&self, flight: &mut Flight) -> Result<Sender, ()> {
        if let Some(stream) = flight.upstream.alone()
            && let Ok(sender) = resume(Resumed::idle(stream)).await
        {
            return Ok(sender);
        }
        let (clock, now) = (self.clock(), self.clock().now());
        let limit = (now + self.routes.timeouts.connect).min(self.deadline);
        let upstream = Arc::clone(&flight.upstream);
        flight.connected(clock.instant(limit), upstream.connect(now)).await
    }

    /// The answer as the client gets it.
    async fn answered(&self, response: Response<Incoming>, flight: Flight, sender: Sender) -> Response<Answer> {
        let (mut head, body) = response.into_parts();
        pass_on(&mut head.headers);
        head.headers.entry(INSTANCE_HEADER).or_insert_with(|| flight.upstream.header.clone());
        // Versions are of one hop.
        head.version = Version::HTTP_11;
        let patience = self.routes.timeouts.body.as_duration();
        let body = Theirs::new(body, flight, sender, patience, Arc::clone(&self.place)).await;
        Response::from_parts(head, Answer::Theirs(body))
    }
}

impl Routes {
    /// The service that a request is for: the one that its header names; without that header the only one.
    pub(super) fn service(&self, name: Option<&[u8]>) -> Result<&Arc<Service>, No> {
        match name {
            Some(name) => std::str::from_utf8(name).ok().and_then(|name| self.services.get(name)).ok_or(UNKNOWN),
            None if self.services.len() == 1 => self.services.values().next().ok_or(UNKNOWN),
            None => Err(UNNAMED),
        }
    }
}

/// Makes of a client's request the one that an instance gets.
fn prepare(service: &Service, request: Request<Incoming>) -> Result<Request<Asked>, No> {
    if request.method() == Method::CONNECT {
        return Err(TUNNEL);
    }
    let mut request = request.map(Asked::from);
    service.config.protocol.prepare(&mut request).map_err(|_| NOWHERE)?;
    Ok(request)
}

/// The proxy's own answer, with the instance that was asked last, if one was.
fn say(no: No, asked: Option<HeaderValue>) -> Response<Answer> {
    let mut response = Response::new(Answer::Ours(Some(Bytes::from_static(no.text.as_bytes()))));
    *response.status_mut() = no.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Some(instance) = asked {
        response.headers_mut().insert(INSTANCE_HEADER, instance);
    }
    if no.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
