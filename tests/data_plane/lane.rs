//! The proxy's short way for plain requests, and every way to leave it: what clients and instances see is the same.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;

use crate::ground::{Files, admin, wait_for};
use crate::programs::{Answer, Program, connect, read_answer};

/// An instance that answers by the letter what a script says of the request's target, and then hangs up where that says so.
struct Scripted {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<u32>>,
}

/// What is written at once; `None` hangs up.
type Script = Vec<Option<String>>;

impl Scripted {
    fn start(scripts: &[(&str, Script)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scripted =
            Self { address: listener.local_addr().unwrap(), heads: Arc::default(), connections: Arc::default() };
        let scripts: BTreeMap<String, Script> =
            scripts.iter().map(|(target, script)| ((*target).to_owned(), script.clone())).collect();
        let (heads, connections) = (Arc::clone(&scripted.heads), Arc::clone(&scripted.connections));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                *connections.lock().unwrap() += 1;
                let (scripts, heads) = (scripts.clone(), Arc::clone(&heads));
                thread::spawn(move || serve(stream, &scripts, &heads));
            }
        });
        scripted
    }

    fn targets(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads.iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

fn serve(mut stream: TcpStream, scripts: &BTreeMap<String, Script>, heads: &Mutex<Vec<String>>) {
    stream.set_nodelay(true).unwrap();
    let mut head = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
        let target = text.split(' ').nth(1).unwrap().to_owned();
        heads.lock().unwrap().push(text);
        for piece in &scripts[&target] {
            let Some(piece) = piece else { return };
            if stream.write_all(piece.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn said(pieces: &[&str]) -> Script {
    pieces.iter().map(|piece| Some((*piece).to_owned())).collect()
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain";

fn asks(stream: &mut TcpStream, target: &str) -> Answer {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    read_answer(stream).unwrap()
}

/// How many requests took the short way.
fn plain(proxy: &Program) -> u64 {
    let metrics = admin(proxy, "/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("longhaul_proxy_plain_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn plain_requests_are_passed_on_as_they_came() {
    let instance = Scripted::start(&[("/a?b", said(&[PLAIN]))]);
    let files = Files::new("accessLog: access.jsonl", &[("i1", instance.address)]);
    let proxy = files.start();
    let mut stream = connect(proxy.address());
    for _ in 0..3 {
        stream.write_all(b"GET /a?b HTTP/1.1\r\nHost: h\r\nX-Kept: Yes\r\nConnection: keep-alive\r\n\r\n").unwrap();
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "plain"));
        assert_eq!((answer.header("via"), answer.header("x-longhaul-instance")), (Some("1.1 longhaul"), Some("i1")));
        let date = answer.header("date").unwrap();
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    }
    let expected = "GET /a?b HTTP/1.1\r\nHost: h\r\nX-Kept: Yes\r\nvia: 1.1 longhaul\r\n\r\n";
    assert_eq!(*instance.heads.lock().unwrap(), [expected; 3]);
    assert_eq!((plain(&proxy), *instance.connections.lock().unwrap()), (3, 1), "by one connection");
    assert!(admin(&proxy, "/metrics").contains("outcome=\"answered\"} 3"));
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.wait().success());
    let log = std::fs::read_to_string(files.path("access.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 3);
    let line: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&line["target"], &line["status"], &line["instance"]), (&"/a?b".into(), &200.into(), &"i1".into()));
}

/// Each odd answer as a client's first request and as its second one, and a plain one behind it.
#[test]
fn odd_answers_are_those_of_one_request_each() {
    let large = "x".repeat(1_000_000);
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{large}");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut to_the_end = said(&["HTTP/1.1 200 OK\r\n\r\n", "to the end"]);
    to_the_end.push(None);
    let mut last = said(&["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast"]);
    last.push(None);
    let scripts = [
        ("/plain", said(&[PLAIN])),
        ("/chunks", said(&[chunked, "5\r\nhello\r\n0\r\n\r\n"])),
        ("/at-once", said(&[&format!("{chunked}5\r\nhello\r\n0\r\n\r\n")])),
        ("/two-pieces", said(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "plain"])),
        ("/head-in-two", said(&["HTTP/1.1 200 OK\r\nConte", "nt-Length: 5\r\n\r\nplain"])),
        ("/long", said(&[&long])),
        ("/early", said(&["HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", PLAIN])),
        ("/nothing", said(&["HTTP/1.1 204 No Content\r\n\r\n"])),
        ("/same", said(&["HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"])),
        ("/last", last),
        ("/end", to_the_end),
        ("/none", vec![None]),
        ("/garbage", said(&["SSH-2.0-OpenSSH\r\n"])),
        ("/broken", vec![Some("HTTP/1.1 200 O".to_owned()), None]),
    ];
    let instance = Scripted::start(&scripts);
    let proxy = Files::new("", &[("i1", instance.address)]).run();
    let mut expected = Vec::new();
    for (target, status, body) in [
        ("/chunks", 200, "5\r\nhello\r\n0\r\n\r\n"),
        ("/at-once", 200, "5\r\nhello\r\n0\r\n\r\n"),
        ("/two-pieces", 200, "plain"),
        ("/head-in-two", 200, "plain"),
        ("/long", 200, large.as_str()),
        ("/early", 200, "plain"),
        ("/nothing", 204, ""),
        ("/same", 304, ""),
        ("/last", 200, "last"),
        ("/end", 200, "A\r\nto the end\r\n0\r\n\r\n"),
        ("/none", 502, "the instance failed\n"),
        ("/garbage", 502, "the instance failed\n"),
        ("/broken", 502, "the instance failed\n"),
    ] {
        for before in [0, 1] {
            let mut stream = connect(proxy.address());
            let mut targets = vec!["/plain"; before];
            targets.extend([target, "/plain"]);
            for asked in targets {
                let answer = asks(&mut stream, asked);
                let wanted = if asked == target { (status, body) } else { (200, "plain") };
                assert_eq!((answer.status, answer.text().as_str()), wanted, "{asked} after {before} for {target}");
                assert_eq!(answer.header("x-longhaul-instance"), Some("i1"), "{asked}");
                expected.push(asked.to_owned());
            }
        }
    }
    assert_eq!(instance.targets(), expected, "each was asked once");
    assert!(admin(&proxy, "/metrics").contains("longhaul_proxy_in_flight 0"));
}

/// The first bytes of an answer are not kept until the last ones come.
#[test]
fn the_beginning_of_an_answer_does_not_wait_for_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver): (Sender<()>, Receiver<()>) = channel();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1_000]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").unwrap();
        receiver.recv().unwrap();
        stream.write_all(b" last").unwrap();
        stream
    });
    let proxy = Files::new("", &[("i1", address)]).run();
    let mut stream = connect(proxy.address());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"first") {
        let mut piece = [0; 1_000];
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "{bytes:?}");
        bytes.extend_from_slice(&piece[..length]);
    }
    sender.send(()).unwrap();
    let mut rest = [0; 5];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b" last");
    drop(serving.join().unwrap());
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let names: Vec<String> = (0..20).map(|number| format!("/{number}")).collect();
    let answer = |name: &String| said(&[&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len())]);
    let scripts: Vec<(&str, Script)> = names.iter().map(|name| (name.as_str(), answer(name))).collect();
    let instance = Scripted::start(&scripts);
    let proxy = Files::new("", &[("i1", instance.address)]).run();
    let request = |name: &String| format!("GET {name} HTTP/1.1\r\nHost: h\r\n\r\n");
    let all: String = names.iter().map(request).collect();
    // However they are cut; cut within a head they leave the short way.
    for cut in [all.len(), 1, 40, 33, all.len() - 1] {
        let mut stream = connect(proxy.address());
        stream.set_nodelay(true).unwrap();
        stream.write_all(&all.as_bytes()[..cut]).unwrap();
        stream.write_all(&all.as_bytes()[cut..]).unwrap();
        for name in &names {
            assert_eq!(read_answer(&mut stream).unwrap().text(), *name);
        }
    }
    assert_eq!(instance.targets().len(), 5 * names.len());
    assert!(plain(&proxy) >= 20, "all of those that came in one piece");
}

#[test]
fn a_client_that_goes_leaves_its_instance_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Files::new("", &[("i1", listener.local_addr().unwrap())]).run();
    for how in [Shutdown::Both, Shutdown::Write] {
        let mut stream = connect(proxy.address());
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let (mut instance, _) = listener.accept().unwrap();
        assert!(instance.read(&mut [0; 1_000]).unwrap() > 0);
        stream.shutdown(how).unwrap();
        assert_eq!(instance.read(&mut [0]).unwrap_or(0), 0, "its connection ends");
    }
    wait_for(&proxy, "/metrics", |text| {
        text.contains("longhaul_proxy_in_flight 0") && text.contains("outcome=\"timed_out\"} 2")
    });
}

/// An instance may end a connection that has no request: nobody notices.
#[test]
fn kept_connections_may_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Files::new("", &[("i1", listener.local_addr().unwrap())]).run();
    let mut stream = connect(proxy.address());
    for _ in 0..5 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let (mut instance, _) = listener.accept().unwrap();
        assert!(instance.read(&mut [0; 1_000]).unwrap() > 0);
        instance.write_all(PLAIN.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream).unwrap().text(), "plain");
        instance.shutdown(Shutdown::Both).unwrap();
    }
    assert_eq!(plain(&proxy), 5);
}

#[test]
fn a_plain_request_goes_elsewhere_when_nothing_of_it_was_sent() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let instance = Scripted::start(&[("/", said(&[PLAIN]))]);
    let proxy = Files::new("", &[("i1", nobody), ("i2", instance.address)]).run();
    for _ in 0..4 {
        let answer = asks(&mut connect(proxy.address()), "/");
        assert_eq!((answer.status, answer.header("x-longhaul-instance")), (200, Some("i2")));
    }
    assert_eq!(instance.targets().len(), 4);
    let metrics = admin(&proxy, "/metrics");
    let failed = metrics.lines().find_map(|line| {
        line.strip_prefix("longhaul_proxy_requests_total{service=\"s\",instance=\"i1\",outcome=\"failed\"} ")
    });
    let failed: u64 = failed.unwrap().parse().unwrap();
    assert!(failed > 0 && metrics.contains(&format!("longhaul_proxy_retries_total {failed}")), "{metrics}");
}

#[test]
fn the_last_answer_of_a_proxy_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Files::new("", &[("i1", listener.local_addr().unwrap())]).run();
    let mut stream = connect(proxy.address());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let (mut instance, _) = listener.accept().unwrap();
    assert!(instance.read(&mut [0; 1_000]).unwrap() > 0);
    proxy.signal(Signal::SIGTERM);
    let address = proxy.address();
    while TcpStream::connect(address).is_ok() {
        thread::yield_now();
    }
    instance.write_all(PLAIN.as_bytes()).unwrap();
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("plain", Some("close")));
    assert!(proxy.wait().success());
}

#[test]
fn clients_that_ask_no_more_are_let_go() {
    let instance = Scripted::start(&[("/", said(&[PLAIN]))]);
    let proxy = Files::new("timeouts: {idle: 200ms, request: 5s}", &[("i1", instance.address)]).run();
    let mut stream = connect(proxy.address());
    for _ in 0..3 {
        assert_eq!(asks(&mut stream, "/").text(), "plain");
    }
    let begun = std::time::Instant::now();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let waited = begun.elapsed().as_millis();
    assert!((100..5_000).contains(&waited), "{waited} ms");
}

/// An answer may come before all of its request: the client has both, and the connection to the instance ends with it.
#[test]
fn an_instance_may_answer_before_it_has_the_whole_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Files::new("", &[("i1", listener.local_addr().unwrap())]).run();
    let mut stream = connect(proxy.address());
    stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nhello").unwrap();
    let (mut instance, _) = listener.accept().unwrap();
    assert!(instance.read(&mut [0; 1_000]).unwrap() > 0);
    instance.write_all(b"HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nmuch").unwrap();
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (413, "much"));
    let mut rest = [0; 1_000];
    while instance.read(&mut rest).unwrap_or(0) > 0 {}
    let mut stream = connect(proxy.address());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let (mut instance, _) = listener.accept().unwrap();
    assert!(instance.read(&mut [0; 1_000]).unwrap() > 0);
    instance.write_all(PLAIN.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().text(), "plain");
}
