//! [`Proxy`]: what happens to one request.

use std::collections::BTreeMap;
use std::io;
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
use super::config::{Limits, Timeouts};
use super::flight::Flight;
use super::headers::pass_on;
use super::metrics::Metrics;
use super::sender::{Sender, Unanswered};
use super::service::Service;
use crate::balance::Outcome;
use crate::serving::Clock;
use crate::units::Moment;

/// How often a request is given to an instance.
const ATTEMPTS: u32 = 3;

/// How often a connection to the same instance may have ended before it had the request.
const RENEWALS: u32 = 8;

/// The header by which the answer says whose it is, where the instance does not.
const INSTANCE_HEADER: HeaderName = HeaderName::from_static("x-longhaul-instance");

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

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.in_flight.dec();
    }
}

/// Why a request has no answer of an instance.
#[derive(Debug, Clone, Copy)]
struct No {
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

    /// Answers a request of the client at `peer`.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Response<Answer> {
        let noted = self.log.is_some().then(|| (self.clock.now(), request.method().clone(), request.uri().clone()));
        let mut course = Course::new(&self);
        let run = match course.begin(request) {
            Ok(()) => course.run().await,
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
    fn new(proxy: &Arc<Proxy>) -> Self {
        proxy.in_flight.fetch_add(1, Ordering::Relaxed);
        proxy.metrics.in_flight.inc();
        let (place, routes) = (Arc::new(Place(Arc::clone(proxy))), proxy.routes());
        let deadline = proxy.clock.now() + routes.timeouts.request;
        Self { place, routes, service: None, request: None, deadline, asked: None }
    }

    fn proxy(&self) -> &Proxy {
        &self.place.0
    }

    fn clock(&self) -> Clock {
        self.proxy().clock
    }

    /// Whom the request is for, and what an instance gets of it.
    fn begin(&mut self, request: Request<Incoming>) -> Result<(), No> {
        // This one is counted already.
        if self.proxy().in_flight.load(Ordering::Relaxed) > self.routes.limits.in_flight {
            return Err(FULL);
        }
        let service = self.routes.service(&request)?;
        self.request = Some(prepare(service, request)?);
        self.service = Some(Arc::clone(service));
        Ok(())
    }

    async fn run(&mut self) -> Result<Response<Answer>, No> {
        for attempt in 1..=ATTEMPTS {
            let service = self.service.as_ref().ok_or(UNKNOWN)?;
            let mut flight = Flight::begin(service, self.clock()).ok_or(NOBODY)?;
            self.asked = Some(flight.upstream.header.clone());
            match self.attempt(&mut flight).await {
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

    /// Gives the request to the flight's instance.
    async fn attempt(&mut self, flight: &mut Flight) -> Tried {
        for renewals in 0.. {
            let mut sender = match flight.upstream.kept() {
                Some(kept) => kept,
                // Seldom, and larger than all else.
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

    /// A new connection to the flight's instance. When there is none, the policy has been told.
    async fn connected(&self, flight: &mut Flight) -> Result<Sender, ()> {
        let (clock, now) = (self.clock(), self.clock().now());
        let limit = (now + self.routes.timeouts.connect).min(self.deadline);
        match tokio::time::timeout_at(clock.instant(limit).into(), flight.upstream.connect(now)).await {
            Ok(Ok(sender)) => Ok(sender),
            Ok(Err(error)) if error.kind() != io::ErrorKind::TimedOut => {
                flight.end(Outcome::Failed);
                Err(())
            }
            _ => {
                flight.end(Outcome::TimedOut);
                Err(())
            }
        }
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
    fn service<B>(&self, request: &Request<B>) -> Result<&Arc<Service>, No> {
        let mut values = request.headers().get_all(&self.header).iter();
        match (values.next(), values.next()) {
            (Some(name), None) => {
                let service = name.to_str().ok().and_then(|name| self.services.get(name));
                service.ok_or(UNKNOWN)
            }
            (None, _) if self.services.len() == 1 => self.services.values().next().ok_or(UNKNOWN),
            // Two names are none.
            _ => Err(UNNAMED),
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
