//! `longhaul proxy` with clients that mean well.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::Signal;

use crate::ground::{Files, Origin, admin, get, wait_for};
use crate::programs::{Program, ask, connect, read_answer};

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn requests_and_answers_pass_without_what_is_for_one_hop() {
    let origin = Origin::start();
    let proxy = Files::new("", &[("i1", origin.address)]).run();
    let request = "POST /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-Longhaul-Service: s\r\nConnection: close, X-Secret\r\n\
        X-Secret: 1\r\nTE: trailers\r\nUpgrade: websocket\r\nX-Kept: yes\r\nContent-Length: 5\r\n\r\nhello";
    let answer = ask(proxy.address(), request).unwrap();
    assert_eq!((answer.status, answer.header("x-longhaul-instance")), (200, Some("i1")));
    assert_eq!((answer.header("x-hop"), answer.header("keep-alive")), (None, None));
    assert_eq!((answer.header("x-end"), answer.header("via")), (Some("1"), Some("1.1 longhaul")));
    let seen = answer.text().to_lowercase();
    assert!(seen.starts_with("post /a?b=c http/1.1\r\n"), "{seen}");
    for line in ["host: shop.example", "x-kept: yes", "via: 1.1 longhaul", "content-length: 5"] {
        assert!(seen.lines().any(|found| found == line), "{line} in {seen}");
    }
    for name in ["x-secret", "te:", "upgrade", "connection"] {
        assert!(!seen.contains(name), "{name} in {seen}");
    }
}

#[test]
fn the_policy_chooses_and_is_told() {
    let (one, two) = (Origin::start(), Origin::start());
    let proxy = Files::new("", &[("i1", one.address), ("i2", two.address)]).run();
    let mut stream = connect(proxy.address());
    for turn in 0..4 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!(answer.header("x-longhaul-instance"), Some(["i1", "i2"][turn % 2]));
    }
    assert_eq!((one.heads().len(), two.heads().len()), (2, 2));
    let metrics = admin(&proxy, "/metrics");
    for line in [
        "longhaul_proxy_requests_total{service=\"s\",instance=\"i1\",outcome=\"answered\"} 2",
        "longhaul_proxy_weight{service=\"s\",instance=\"i2\"} 0.5",
        "longhaul_proxy_in_flight 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[test]
fn services_are_named_by_a_header() {
    let origin = Origin::start();
    let files = Files::new("serviceHeader: X-Which", &[("i1", origin.address)]);
    let text = std::fs::read_to_string(files.path("proxy.yaml")).unwrap();
    std::fs::write(files.path("proxy.yaml"), text + "  - {name: t, policy: round-robin}\n").unwrap();
    let proxy = files.start();
    let status =
        |header: &str| ask(proxy.address(), &format!("GET / HTTP/1.1\r\nHost: h\r\n{header}\r\n")).unwrap().status;
    assert_eq!(status("X-Which: s\r\n"), 200);
    assert_eq!(status("X-Which: t\r\n"), 503, "it has no instance");
    assert_eq!(status("X-Which: u\r\n"), 404);
    assert_eq!(status(""), 400, "there are two");
    assert_eq!(status("X-Which: s\r\nX-Which: t\r\n"), 400);
}

#[test]
fn http2_clients_reach_the_same_instances() {
    let origin = Origin::start();
    let proxy = Files::new("", &[("i1", origin.address)]).run();
    longhaul::serving::runtime().unwrap().block_on(async {
        let stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..3 {
            let request = hyper::Request::get("http://shop.example/x?y").body(Empty::<bytes::Bytes>::new()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(
                (response.status().as_u16(), &response.headers()["x-longhaul-instance"]),
                (200, &"i1".parse().unwrap())
            );
            let seen = response.into_body().collect().await.unwrap().to_bytes();
            let seen = String::from_utf8(seen.to_vec()).unwrap();
            assert!(seen.starts_with("GET /x?y HTTP/1.1\r\n") && seen.contains("host: shop.example\r\n"), "{seen}");
        }
    });
}

#[test]
fn instances_come_and_go_with_their_file_and_a_wrong_file_changes_nothing() {
    let (one, two) = (Origin::start(), Origin::start());
    let files = Files::new("", &[("i1", one.address)]);
    let proxy = files.start();
    assert_eq!(get(proxy.address()).header("x-longhaul-instance"), Some("i1"));
    files.instances(&[("i2", two.address)]);
    wait_for(&proxy, "/instances", |text| text.contains("i2") && !text.contains("i1"));
    assert_eq!(get(proxy.address()).header("x-longhaul-instance"), Some("i2"));
    files.replace("apiVersion: longhaul/v1\ninstances:\n  - {name: i3}\n");
    wait_for(&proxy, "/metrics", |text| text.contains("instances_valid 0"));
    assert_eq!(get(proxy.address()).header("x-longhaul-instance"), Some("i2"));
    std::fs::remove_file(files.path("instances.yaml")).unwrap();
    assert_eq!(get(proxy.address()).header("x-longhaul-instance"), Some("i2"));
    files.instances(&[]);
    wait_for(&proxy, "/instances", |text| !text.contains("i2"));
    let answer = get(proxy.address());
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
}

/// Clients go on asking while the only instance is exchanged again and again: nobody notices.
#[test]
fn exchanging_instances_under_load_loses_nothing() {
    let (one, two) = (Origin::start(), Origin::start());
    let files = Files::new("", &[("i1", one.address)]);
    let proxy = files.start();
    let address = proxy.address();
    thread::scope(|scope| {
        let asking = scope.spawn(move || {
            let mut stream = connect(address);
            for _ in 0..400 {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
                assert_eq!(read_answer(&mut stream).unwrap().status, 200);
            }
        });
        for turn in 0..10 {
            let (name, origin) = [("i1", &one), ("i2", &two)][turn % 2];
            files.instances(&[(name, origin.address)]);
            wait_for(&proxy, "/instances", |text| text.contains(name));
        }
        asking.join().unwrap();
    });
}

#[test]
fn the_end_waits_for_what_is_under_way() {
    let service = Program::start(&["service", "--time", "400ms"]);
    let proxy = Files::new("", &[("i1", service.address())]).run();
    let address = proxy.address();
    let mut stream = connect(address);
    let mut idle = connect(address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    wait_for(&proxy, "/metrics", |text| text.contains("longhaul_proxy_in_flight 1"));
    proxy.signal(Signal::SIGTERM);
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    assert!(proxy.wait().success());
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0, "who asked nothing is not waited for");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_request_goes_elsewhere_when_nothing_of_it_was_sent() {
    let origin = Origin::start();
    let proxy = Files::new("", &[("i1", nobody()), ("i2", origin.address)]).run();
    for _ in 0..4 {
        let answer = ask(proxy.address(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        assert_eq!((answer.status, answer.header("x-longhaul-instance")), (200, Some("i2")));
    }
    assert_eq!(origin.heads().len(), 4, "each once");
    let metrics = admin(&proxy, "/metrics");
    assert!(metrics.contains("instance=\"i1\",outcome=\"failed\"} "), "the policy is told: {metrics}");
    let proxy = Files::new("", &[("i1", nobody())]).run();
    assert_eq!(get(proxy.address()).status, 502);
}

/// An origin that takes a request and hangs up may have done what it says: it is not asked twice.
#[test]
fn a_request_that_was_sent_is_not_repeated() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counting = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1_000]).unwrap() > 0);
        drop(stream);
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let proxy = Files::new("", &[("i1", address)]).run();
    assert_eq!(get(proxy.address()).status, 502);
    let listener = counting.join().unwrap();
    assert!(listener.accept().is_err(), "there was a second connection");
}

#[test]
fn late_answers_and_too_many_requests_are_refused() {
    let service = Program::start(&["service", "--time", "30s"]);
    let files = Files::new("limits: {inFlight: 1}\ntimeouts: {request: 300ms}", &[("i1", service.address())]);
    let proxy = files.start();
    let mut first = connect(proxy.address());
    first.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    wait_for(&proxy, "/metrics", |text| text.contains("longhaul_proxy_in_flight 1"));
    let refused = get(proxy.address());
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(read_answer(&mut first).unwrap().status, 504);
    let metrics = admin(&proxy, "/metrics");
    for line in ["longhaul_proxy_refused_total{reason=\"full\"} 1", "longhaul_proxy_refused_total{reason=\"late\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    assert!(metrics.contains("outcome=\"timed_out\"} 1"), "{metrics}");
}

#[test]
fn a_hangup_reads_the_configuration_again() {
    let service = Program::start(&["service", "--time", "200ms"]);
    let files = Files::new("", &[("i1", service.address())]);
    let proxy = files.start();
    assert_eq!(get(proxy.address()).status, 200);
    files.configure("timeouts: {request: 20ms}");
    proxy.signal(Signal::SIGHUP);
    let start = std::time::Instant::now();
    while get(proxy.address()).status != 504 {
        assert!(start.elapsed() < crate::programs::PATIENCE);
    }
    files.configure("timeouts: {request: soon}");
    proxy.signal(Signal::SIGHUP);
    assert_eq!(get(proxy.address()).status, 504, "a wrong file changes nothing");
}

#[test]
fn proxies_measure_how_far_they_are_from_each_other() {
    let origin = Origin::start();
    let far = Files::new("probes: {listen: '127.0.0.1:0'}", &[]).run();
    let files = Files::new("probes: {listen: '127.0.0.1:0', interval: 20ms}", &[]);
    let probe = far.said["probes"].as_str().unwrap();
    files.replace(&format!(
        "apiVersion: longhaul/v1\ninstances:\n  - {{name: i1, service: s, address: '{}', probe: '{probe}'}}\n",
        origin.address
    ));
    let proxy = files.start();
    wait_for(&proxy, "/instances", |text| {
        let said: serde_json::Value = serde_json::from_str(text).unwrap();
        let rtt = said[0]["instances"][0]["rtt_ms"].as_f64().unwrap();
        rtt > 0.0 && rtt < 1_000.0
    });
}

#[test]
fn the_admin_socket_may_be_a_file() {
    let files = Files::new("", &[]);
    let socket = files.path("admin.sock");
    let text = std::fs::read_to_string(files.path("proxy.yaml")).unwrap();
    std::fs::write(files.path("proxy.yaml"), text.replace("admin: 127.0.0.1:0", &format!("admin: unix:{socket}")))
        .unwrap();
    // The second finds what the first, killed, left behind.
    for _ in 0..2 {
        let mut proxy = files.start();
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut stream).unwrap().text(), "ok\n");
        proxy.child.kill().unwrap();
    }
}

#[test]
fn requests_are_logged_as_json() {
    let origin = Origin::start();
    let files = Files::new("accessLog: access.jsonl", &[("i1", origin.address)]);
    let proxy = files.start();
    ask(proxy.address(), "GET /a\"b HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.wait().success());
    let text = std::fs::read_to_string(files.path("access.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&line["method"], &line["target"]), (&"GET".into(), &"/a\"b".into()));
    assert_eq!((&line["status"], &line["instance"]), (&200.into(), &"i1".into()));
}

#[test]
fn files_can_be_checked_alone() {
    let files = Files::new("", &[("i1", nobody())]);
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        command.args(["proxy", "--check", "--config", &files.path("proxy.yaml")]).output().unwrap()
    };
    let output = check();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().ends_with(" is right: services 1, instances 1\n"));
    files.configure("limits: {inFlight: 0}");
    let output = check();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("proxy.yaml:5:20: 0 is out of bounds; from 1 to 1000000\n"), "{said}");
}
