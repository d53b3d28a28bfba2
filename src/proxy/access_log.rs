//! [`AccessLog`]: a line of JSON for each request.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode, Uri};
use serde::Serialize;

use crate::units::Span;

/// The most letters of a request's target that are logged.
const LONGEST_TARGET: usize = 1_024;

/// A file that lines are added to.
#[derive(Debug)]
pub(super) struct AccessLog(Mutex<BufWriter<File>>);

/// A request and its answer.
pub(super) struct Line<'a> {
    pub(super) peer: SocketAddr,
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) status: StatusCode,
    pub(super) instance: Option<&'a HeaderValue>,
    /// Until the head of the answer.
    pub(super) took: Span,
}

#[derive(Serialize)]
struct Shape<'a> {
    at: f64,
    client: SocketAddr,
    method: &'a str,
    target: &'a str,
    status: u16,
    instance: Option<&'a str>,
    ms: f64,
}

impl AccessLog {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Mutex::new(BufWriter::with_capacity(32 * 1024, file))))
    }

    /// Adds a line. A disk that is full costs lines, not requests.
    pub(super) fn write(&self, line: &Line<'_>) {
        let target = line.uri.path_and_query().map_or("", |path| path.as_str());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let shape = Shape {
            at: now.as_secs_f64(),
            client: line.peer,
            method: line.method.as_str(),
            target: target.get(..LONGEST_TARGET).unwrap_or(target),
            status: line.status.as_u16(),
            instance: line.instance.and_then(|name| name.to_str().ok()),
            ms: line.took.as_millis_f64(),
        };
        let Ok(mut text) = serde_json::to_vec(&shape) else { return };
        text.push(b'\n');
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text);
    }

    /// Gives what was written to the system.
    pub(super) fn flush(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).flush();
    }
}
