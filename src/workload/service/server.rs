//! The service's shell: HTTP in front of a [`Station`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full as Whole};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};

use super::Station;
use super::burner::Burner;
use super::metrics::Metrics;
use crate::serving::{self, Alarms, Bounds, Clock, Listening, Stopper};
use crate::sim::Streams;
use crate::units::{Moment, Span};
use crate::workload::{INSTANCE_HEADER, PROCESSING_HEADER, ServiceTime, WORK_HEADER};

/// The longest work that a request may ask for.
const LONGEST_ASKED: Span = Span::from_secs(600);

/// How requests spend their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// They wait on cores that are only thought of: many services fit on one machine, and no neighbour slows them.
    Virtual,
    /// They compute.
    Cpu,
}

/// What a service is to be.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Where it listens; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// What it calls itself.
    pub name: HeaderValue,
    /// What requests take.
    pub time: ServiceTime,
    /// Whether a request may say what it takes.
    pub asked_work: bool,
    /// How they spend it.
    pub work: Work,
    /// Cores.
    pub cores: usize,
    /// Requests that may wait.
    pub queue: usize,
    /// Bytes of an answer.
    pub body: usize,
    /// Where the service times come from.
    pub seed: u64,
    /// What it takes from its clients.
    pub bounds: Bounds,
}

/// What is called once the service listens, with its address.
pub type Ready<'a> = &'a mut dyn FnMut(SocketAddr) -> io::Result<()>;

/// Why a service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its address is not to be had.
    #[error("listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The system refuses something else.
    #[error("serve: {0}")]
    System(#[from] io::Error),
}

struct Service {
    clock: Clock,
    alarms: Alarms,
    burner: Option<Burner>,
    station: Mutex<Station>,
    asked_work: bool,
    metrics: Metrics,
    name: HeaderValue,
    body: Bytes,
}

/// Serves until SIGTERM or SIGINT, and then until the requests under way are done.
pub fn serve(options: &ServiceOptions, ready: Ready<'_>) -> Result<(), ServiceError> {
    let clock = Clock::start();
    serving::runtime()?.block_on(async {
        let signalled = serving::signalled();
        let listener = serving::bind(options.listen).map_err(|error| ServiceError::Listen(options.listen, error))?;
        let service = Arc::new(Service::new(options, clock)?);
        let ringing = Arc::clone(&service);
        let (stopper, stop) = Stopper::new();
        tokio::spawn(async move { ringing.alarms.run().await });
        tokio::spawn(async move {
            // Without signals it ends by being killed.
            if signalled.await.is_ok() {
                stopper.stop();
            } else {
                std::future::pending::<()>().await;
            }
        });
        ready(listener.local_addr()?)?;
        let answer = move |request, _| Arc::clone(&service).answer(request);
        Ok(Listening { bounds: options.bounds, clock }.serve(listener, stop, answer).await?)
    })
}

impl Service {
    fn new(options: &ServiceOptions, clock: Clock) -> io::Result<Self> {
        let stream = Streams::new(options.seed).stream("service", 0);
        let burner = (options.work == Work::Cpu).then(|| Burner::start(options.cores)).transpose()?;
        Ok(Self {
            clock,
            alarms: Alarms::new(clock)?,
            burner,
            station: Mutex::new(Station::new(options.cores, options.queue, options.time, stream)),
            asked_work: options.asked_work,
            metrics: Metrics::new(),
            name: options.name.clone(),
            body: vec![b'.'; options.body].into(),
        })
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Whole<Bytes>> {
        if request.uri().path() == "/metrics" {
            let mut response = Response::new(Whole::new(self.metrics.text().into()));
            let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
            return response;
        }
        let asked = self.asked(&request);
        // The request is there when all of it is; nothing of it is kept.
        let mut body = request.into_body();
        while let Some(piece) = body.frame().await {
            if piece.is_err() {
                return self.say(StatusCode::BAD_REQUEST, Bytes::new());
            }
        }
        let Some(response) = self.process(asked).await else {
            self.metrics.refused.inc();
            let mut response = self.say(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(b"the queue is full\n"));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        };
        self.metrics.answered.inc();
        response
    }

    /// `None` if the queue is full. A client that goes away leaves its work to be done, as in any queue of requests.
    async fn process(self: &Arc<Self>, asked: Option<Span>) -> Option<Response<Whole<Bytes>>> {
        let come = self.clock.now();
        let (done, work) = self.station().arrive(come, asked).ok()?;
        self.metrics.taken.inc();
        if work > Span::ZERO || done > come {
            let service = Arc::clone(self);
            // Of its own, so that it goes on without its client. It does not panic, and nobody ends it.
            let _ = tokio::spawn(async move { service.spend(done, work).await }).await;
        } else {
            self.leave();
        }
        let processing = self.clock.now().since(come);
        self.metrics.processing.observe(processing.as_secs_f64());
        let mut response = self.say(StatusCode::OK, self.body.clone());
        if let Ok(value) = HeaderValue::try_from(processing.to_string()) {
            response.headers_mut().insert(HeaderName::from_static(PROCESSING_HEADER), value);
        }
        Some(response)
    }

    /// What a request wants to take of a core, if it may say that.
    fn asked(&self, request: &Request<Incoming>) -> Option<Span> {
        let said = request.headers().get(WORK_HEADER).filter(|_| self.asked_work)?;
        said.to_str().ok()?.parse().ok().filter(|work: &Span| *work <= LONGEST_ASKED)
    }

    async fn spend(&self, done: Moment, work: Span) {
        match &self.burner {
            Some(burner) => burner.burn(work).await,
            None => self.alarms.wait_until(done).await,
        }
        self.leave();
    }

    fn leave(&self) {
        self.station().leave();
        self.metrics.taken.dec();
    }

    fn say(&self, status: StatusCode, text: Bytes) -> Response<Whole<Bytes>> {
        let mut response = Response::new(Whole::<Bytes>::new(text));
        *response.status_mut() = status;
        response.headers_mut().insert(HeaderName::from_static(INSTANCE_HEADER), self.name.clone());
        response
    }

    fn station(&self) -> std::sync::MutexGuard<'_, Station> {
        self.station.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
