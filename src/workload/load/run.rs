//! [`run`]: sends what a schedule says and records what becomes of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connections::{Connections, SendError};
use super::{Ending, Record, Slot, Source, pacer};
use crate::serving::{self, Clock};
use crate::units::{Moment, Span};
use crate::workload::{INSTANCE_HEADER, PROCESSING_HEADER, WORK_HEADER};

/// From the start of the machinery to the first request.
const LEAD: Span = Span::from_millis(50);

/// The most bytes of an instance's name that are kept.
const LONGEST_NAME: usize = 64;

/// What is sent, to whom and how.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// When which client sends.
    pub source: Source,
    /// To whom.
    pub target: SocketAddr,
    /// What for; with HTTP/1.1 only its path is sent.
    pub uri: Uri,
    /// How.
    pub method: Method,
    /// With these headers.
    pub headers: HeaderMap,
    /// And this body.
    pub body: Bytes,
    /// By HTTP/2, without asking first.
    pub http2: bool,
    /// From the intended moment to the end of the answer.
    pub timeout: Span,
    /// Connections of each client; of HTTP/2 requests at a time.
    pub connections: usize,
    /// Requests under way of all clients together; further ones are not sent.
    pub in_flight: usize,
}

/// Why there is no load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system refuses something.
    #[error("start the load: {0}")]
    System(#[from] io::Error),
}

/// Sends everything and waits for the answers; returns when the last has come, or timed out.
pub fn run(options: &LoadOptions) -> Result<Vec<Record>, LoadError> {
    let clock = Clock::start();
    run_from(options, clock, clock.now() + LEAD)
}

/// The same from a given moment of `clock` on.
pub fn run_from(options: &LoadOptions, clock: Clock, start: Moment) -> Result<Vec<Record>, LoadError> {
    let options = Arc::new(options.clone());
    let connections = || Arc::new(Connections::new(options.target, options.http2, options.connections));
    let clients: Vec<Arc<Connections>> = (0..options.source.clients()).map(|_| connections()).collect();
    Ok(serving::runtime()?.block_on(async {
        let (sender, mut slots) = mpsc::unbounded_channel();
        pacer::start(options.source.clone(), clock, start, sender)?;
        let (mut records, mut under_way) = (Vec::new(), JoinSet::new());
        while let Some(slot) = slots.recv().await {
            while let Some(Ok(record)) = under_way.try_join_next() {
                records.push(record);
            }
            if under_way.len() >= options.in_flight {
                records.push(blank(slot, clock.now(), Ending::NotSent));
                continue;
            }
            let (options, connections) = (Arc::clone(&options), Arc::clone(&clients[slot.client as usize]));
            under_way.spawn(async move { request(&options, &connections, clock, slot).await });
        }
        while let Some(Ok(record)) = under_way.join_next().await {
            records.push(record);
        }
        let from_start = |mut record: Record| {
            record.intended = Moment::START + record.intended.since(start);
            record.begun = Moment::START + record.begun.since(start);
            record
        };
        records.sort_by_key(|record| (record.intended, record.client));
        Ok::<_, io::Error>(records.into_iter().map(from_start).collect())
    })?)
}

fn blank(slot: Slot, begun: Moment, ending: Ending) -> Record {
    let Slot { at: intended, client, .. } = slot;
    Record { client, intended, begun, latency: Span::ZERO, ending, instance: None, processing: None }
}

async fn request(options: &LoadOptions, connections: &Connections, clock: Clock, slot: Slot) -> Record {
    let deadline = slot.at + options.timeout;
    let mut record = blank(slot, clock.now(), Ending::TimedOut);
    let asked = ask(options, connections, clock, (slot, &mut record));
    match tokio::time::timeout_at(clock.instant(deadline).into(), asked).await {
        Ok(Ok(status)) => record.ending = Ending::Answered(status),
        Ok(Err(error)) => record.ending = Ending::Failed(error.to_string()),
        Err(_) => {}
    }
    record.latency = match record.ending {
        Ending::TimedOut => options.timeout,
        _ => clock.now().since(slot.at),
    };
    record
}

async fn ask(
    options: &LoadOptions,
    connections: &Connections,
    clock: Clock,
    (slot, record): (Slot, &mut Record),
) -> Result<u16, SendError> {
    let Some(mut used) = connections.place().await else { return Ok(0) };
    record.begun = clock.now();
    let mut request = Request::new(Full::new(options.body.clone()));
    *request.method_mut() = options.method.clone();
    *request.uri_mut() = options.uri.clone();
    request.headers_mut().clone_from(&options.headers);
    if let Some(work) = slot.work.and_then(|work| HeaderValue::try_from(work.to_string()).ok()) {
        request.headers_mut().insert(HeaderName::from_static(WORK_HEADER), work);
    }
    let response = used.send(request).await?;
    note(&response, record);
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    used.give_back();
    Ok(status)
}

/// Notes what an answer says about who made it and how long that took.
fn note<B>(response: &Response<B>, record: &mut Record) {
    let said = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    record.instance = said(INSTANCE_HEADER).filter(|name| name.len() <= LONGEST_NAME).map(Into::into);
    record.processing = said(PROCESSING_HEADER).and_then(|text| text.parse().ok());
}
