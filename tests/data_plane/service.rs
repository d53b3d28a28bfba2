//! `longhaul service`.

use std::io::Write;
use std::net::SocketAddr;
use std::thread;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use longhaul::units::Span;
use nix::sys::signal::Signal;

use crate::programs::{Program, ask, connect, read_answer};

const GET: &str = "GET /x HTTP/1.1\r\nHost: s\r\n\r\n";

/// What the service says it had a request for, in milliseconds.
fn processing(address: SocketAddr) -> f64 {
    let answer = ask(address, GET).unwrap();
    assert_eq!((answer.status, answer.header("x-longhaul-instance")), (200, Some("i1")));
    answer.header("x-longhaul-processing").unwrap().parse::<Span>().unwrap().as_millis_f64()
}

#[test]
fn requests_queue_for_the_core_and_are_told_how_long_they_were_there() {
    let service = Program::start(&["service", "--time", "40ms", "--name", "i1"]);
    let address = service.address();
    let mut times: Vec<f64> = thread::scope(|scope| {
        let asking: Vec<_> = (0..3).map(|_| scope.spawn(|| processing(address))).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    times.sort_by(f64::total_cmp);
    assert!(times[0] >= 40.0 && times[2] > times[0] + 40.0, "one after the other: {times:?}");
    let metrics = ask(address, "GET /metrics HTTP/1.1\r\nHost: s\r\n\r\n").unwrap().text();
    for line in ["longhaul_service_answered_total 3", "longhaul_service_present 0"] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[test]
fn a_full_queue_is_said_at_once() {
    let service = Program::start(&["service", "--time", "30s", "--queue", "0"]);
    let mut first = connect(service.address());
    first.write_all(GET.as_bytes()).unwrap();
    // As soon as the first has the core, everybody else is refused.
    let refused = loop {
        let answer = ask(service.address(), "GET /metrics HTTP/1.1\r\nHost: s\r\n\r\n").unwrap();
        if answer.text().contains("longhaul_service_present 1") {
            break ask(service.address(), GET).unwrap();
        }
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
}

#[test]
fn what_is_under_way_is_answered_before_the_end() {
    let service = Program::start(&["service", "--time", "300ms"]);
    let address = service.address();
    let mut stream = connect(address);
    stream.write_all(GET.as_bytes()).unwrap();
    while !ask(address, "GET /metrics HTTP/1.1\r\nHost: s\r\n\r\n").unwrap().text().contains("present 1") {}
    service.signal(Signal::SIGTERM);
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    assert!(service.wait().success());
}

#[test]
fn real_work_takes_processor_time() {
    let service = Program::start(&["service", "--time", "50ms", "--work", "cpu"]);
    assert_eq!(ask(service.address(), GET).unwrap().status, 200);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.child.id())).unwrap();
    // User time, in hundredths of a second: field 14, the twelfth behind the name.
    let ticks: u64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(11).unwrap().parse().unwrap();
    assert!((3..30).contains(&ticks), "{ticks}");
}

#[test]
fn http2_is_understood_without_an_upgrade() {
    let service = Program::start(&["service", "--time", "1ms", "--body", "10"]);
    let address = service.address();
    let runtime = longhaul::serving::runtime().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get("http://s/x").body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 10);
    });
}

/// More than 128 clients that come while the service is busy with something else are not sent away for a second: the kernel says
/// how many may wait.
#[test]
fn many_clients_may_come_at_once() {
    let service = Program::start(&["service", "--time", "1ms"]);
    let output =
        std::process::Command::new("ss").args(["-Hltn", "src", &service.address().to_string()]).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let queue: u32 = line.split_whitespace().nth(2).unwrap().parse().unwrap();
    let allowed: u32 = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    assert_eq!(queue, allowed.min(4_096), "{line}");
}

#[test]
fn what_makes_no_service_is_said() {
    let said = |words: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_longhaul")).arg("service").args(words).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["--time", "soon"]).contains("number and a unit"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = said(&["--listen", &address]);
    assert!(message.starts_with(&format!("error: listen on {address}: Address already in use")), "{message}");
}
