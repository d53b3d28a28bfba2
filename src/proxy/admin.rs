//! The admin socket: metrics and the state of things, for this machine only.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::config::Admin;
use super::forward::Proxy;

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most clients at a time.
const CLIENTS: usize = 16;

/// A listening admin socket.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Opens it; and where it is, for reading.
pub(super) fn open(admin: &Admin) -> io::Result<(Socket, String)> {
    match admin {
        Admin::Tcp(address) => {
            let listener = TcpListener::from_std(crate::serving::bind(*address)?)?;
            let address = listener.local_addr()?.to_string();
            Ok((Socket::Tcp(listener), address))
        }
        Admin::Unix(path) => {
            remove_stale(path)?;
            Ok((Socket::Unix(UnixListener::bind(path)?), format!("unix:{}", path.display())))
        }
    }
}

/// Removes a socket that nobody listens on; anything else stays, and then the address is in use.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err_and(refused) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Serves for ever.
pub(super) async fn serve(socket: Socket, proxy: Arc<Proxy>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let proxy = Arc::clone(&proxy);
        let accepted = match &socket {
            Socket::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    connection(stream, proxy).await;
                    drop(place);
                });
            }),
            Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    connection(stream, proxy).await;
                    drop(place);
                });
            }),
        };
        if accepted.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, proxy: Arc<Proxy>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &proxy);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    // Who goes away is no longer served.
    let _ = tokio::time::timeout(PATIENCE, builder.serve_connection(TokioIo::new(stream), service)).await;
}

fn answer<B>(request: &Request<B>, proxy: &Proxy) -> Response<Full<Bytes>> {
    let (status, form, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            for service in proxy.routes().services.values() {
                service.tidy(proxy.clock.now(), &proxy.metrics);
            }
            let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, form, proxy.metrics.text())
        }
        (&Method::GET, "/healthz") => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        (&Method::GET, "/instances") => (StatusCode::OK, "application/json", instances(proxy)),
        _ => (StatusCode::NOT_FOUND, "text/plain", "there are /metrics, /healthz and /instances\n".to_owned()),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    response
}

/// Who is there, and what share each is to have.
fn instances(proxy: &Proxy) -> String {
    let routes = proxy.routes();
    let list = routes.services.values().map(|service| {
        let instances = service.weights().into_iter().map(|(upstream, weight)| {
            let rtt_ms = upstream.metrics.rtt.get() * 1e3;
            serde_json::json!({ "name": upstream.name, "address": upstream.address, "probe": upstream.probe, "weight": weight, "rtt_ms": rtt_ms })
        });
        let instances: Vec<_> = instances.collect();
        serde_json::json!({ "service": service.config.name, "policy": service.config.policy.name, "instances": instances })
    });
    serde_json::json!(list.collect::<Vec<_>>()).to_string() + "\n"
}
