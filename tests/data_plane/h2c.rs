//! `longhaul proxy` in front of instances that speak HTTP/2: nginx, hyper, and one that says frames by the letter.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2 as client;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::sync::Barrier;

use crate::frames::{Said, Scripted, frame};
use crate::ground::{Files, admin, get, wait_for};
use crate::programs::{Program, ask, connect};

/// A proxy that speaks HTTP/2 to its instances.
fn files(more: &str, instances: &[(&str, SocketAddr)]) -> Files {
    let files = Files::new(more, instances);
    let text = std::fs::read_to_string(files.path("proxy.yaml")).unwrap();
    std::fs::write(files.path("proxy.yaml"), text.replace("round-robin}", "round-robin, protocol: h2c}")).unwrap();
    files
}

/// What the proxy counts for an instance.
fn counted(proxy: &Program, instance: &str, outcome: &str) -> u64 {
    let begin =
        format!("longhaul_proxy_requests_total{{service=\"s\",instance=\"{instance}\",outcome=\"{outcome}\"}} ");
    let metrics = admin(proxy, "/metrics");
    metrics.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// nginx as an instance; it has a socket that is open already, so its port is its own.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Nginx {
    /// Says what it was asked; a connection has `requests` and then goes away.
    fn start(requests: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display();
        let said = "$server_protocol $request_method $host $request_uri $http_x_kept $content_length $connection";
        let config = format!(
            "daemon off;\nuser root;\nworker_processes 1;\npid {here}/pid;\nerror_log {here}/error.log;\nevents {{}}\nhttp {{\n\
             access_log off;\nkeepalive_requests {requests};\nclient_body_temp_path {here}/a;\nproxy_temp_path {here}/b;\n\
             fastcgi_temp_path {here}/c;\nuwsgi_temp_path {here}/d;\nscgi_temp_path {here}/e;\n\
             server {{ listen {address} http2; location / {{ return 200 \"{said}\"; }} }}\n}}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        // Its third descriptor is the listening socket: the way in which nginx hands its sockets on to its successor.
        let script = "exec nginx -p \"$0\" -c \"$0/nginx.conf\" 3<&0 < /dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(folder.path()).env("NGINX", "3;").stderr(Stdio::null());
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap()));
        let child = command.stdin(OwnedFd::from(listener)).spawn().unwrap();
        Self { child, address, _folder: folder }
    }
}

#[test]
fn another_implementation_has_the_requests_whole_and_may_end_its_connections() {
    let nginx = Nginx::start(5);
    let proxy = files("", &[("i1", nginx.address)]).run();
    let request = "POST /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-Kept: yes\r\nContent-Length: 5\r\n\r\nhello";
    let answer = ask(proxy.address(), request).unwrap();
    assert_eq!((answer.status, answer.header("x-longhaul-instance")), (200, Some("i1")));
    assert!(answer.text().starts_with("HTTP/2.0 POST shop.example /a?b=c yes 5 "), "{}", answer.text());
    // A connection has five requests, then GOAWAY comes: nobody notices, the policy neither.
    let mut connections = BTreeMap::<String, u32>::new();
    for _ in 0..23 {
        let answer = get(proxy.address());
        assert_eq!(answer.status, 200);
        *connections.entry(answer.text().rsplit(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    assert!(connections.len() >= 5 && connections.values().all(|requests| *requests <= 6), "{connections:?}");
    assert_eq!((counted(&proxy, "i1", "answered"), counted(&proxy, "i1", "failed")), (24, 0));
    thread::scope(|scope| {
        let asking: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..20).map(|_| get(proxy.address()).status).collect::<Vec<_>>())).collect();
        let statuses: BTreeSet<u16> = asking.into_iter().flat_map(|one| one.join().unwrap()).collect();
        assert_eq!(statuses, BTreeSet::from([200]));
    });
}

/// An instance by hyper: requests of `/held` wait until `party` of them are there. Which connections had how many at a time.
struct Held {
    address: SocketAddr,
    most: Arc<Mutex<Most>>,
}

/// For each connection, how many requests it has and how many it had at a time.
type Most = BTreeMap<SocketAddr, (usize, usize)>;

impl Held {
    fn start(streams: u32, party: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let held = Self { address: listener.local_addr().unwrap(), most: Arc::default() };
        let most = Arc::clone(&held.most);
        thread::spawn(move || {
            longhaul::serving::runtime().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let party = Arc::new(Barrier::new(party));
                while let Ok((stream, peer)) = listener.accept().await {
                    let (party, most) = (Arc::clone(&party), Arc::clone(&most));
                    let service =
                        service_fn(move |request| say_back(request, peer, Arc::clone(&party), Arc::clone(&most)));
                    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    builder.max_concurrent_streams(streams);
                    tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
                }
            });
        });
        held
    }
}

/// A body whose frames are all there.
struct Frames(VecDeque<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// Says a request back: its body, and its trailers as trailers.
async fn say_back(
    request: Request<Incoming>,
    peer: SocketAddr,
    party: Arc<Barrier>,
    most: Arc<Mutex<Most>>,
) -> Result<Response<Frames>, Infallible> {
    let count = |by: isize| {
        let mut most = most.lock().unwrap();
        let (now, highest) = most.entry(peer).or_default();
        *now = now.checked_add_signed(by).unwrap();
        *highest = (*highest).max(*now);
    };
    count(1);
    if request.uri().path() == "/held" {
        party.wait().await;
    }
    let te = request.headers().get("te").cloned();
    let mut body = request.into_body();
    let mut frames = VecDeque::new();
    while let Some(Ok(frame)) = body.frame().await {
        frames.push_back(frame);
    }
    let mut response = Response::new(Frames(frames));
    response.headers_mut().extend(te.map(|te| (HeaderName::from_static("x-te"), te)));
    count(-1);
    Ok(response)
}

/// A request by HTTP/2 to the proxy: its answer's body and trailers.
async fn ask_new(address: SocketAddr, request: Request<Frames>) -> (Response<()>, Bytes, Option<HeaderMap>) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = client::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    (Response::from_parts(head, ()), collected.to_bytes(), trailers)
}

#[test]
fn bodies_and_trailers_pass_both_ways() {
    let origin = Held::start(100, 1);
    let proxy = files("", &[("i1", origin.address)]).run();
    longhaul::serving::runtime().unwrap().block_on(async {
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))]);
        let large = Bytes::from(vec![b'x'; 3_000_000]);
        let frames = [Frame::data(large.clone()), Frame::data("end".into()), Frame::trailers(trailers.clone())];
        let request =
            Request::post("http://shop.example/x").header("te", "trailers").body(Frames(frames.into())).unwrap();
        let (head, body, back) = ask_new(proxy.address(), request).await;
        assert_eq!((head.status().as_u16(), &head.headers()["x-te"]), (200, &"trailers".parse().unwrap()));
        assert!(body.len() == large.len() + 3 && body.ends_with(b"xend"), "{}", body.len());
        assert_eq!(back, Some(trailers));
    });
    // To a client of HTTP/1.1 it comes in chunks.
    let answer = ask(proxy.address(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    assert_eq!(
        (answer.header("transfer-encoding"), answer.text()),
        (Some("chunked"), "2\r\nhi\r\n0\r\n\r\n".to_owned())
    );
}

/// The instance takes four requests at a time; twelve wait for each other there, so they have three connections.
#[test]
fn a_connection_has_as_many_requests_as_its_instance_takes() {
    let origin = Held::start(4, 12);
    let proxy = files("", &[("i1", origin.address)]).run();
    assert_eq!(get(proxy.address()).status, 200);
    assert_eq!(origin.most.lock().unwrap().len(), 1);
    thread::scope(|scope| {
        let held = || ask(proxy.address(), "GET /held HTTP/1.1\r\nHost: h\r\n\r\n").unwrap().status;
        let asking: Vec<_> = (0..12).map(|_| scope.spawn(held)).collect();
        assert!(asking.into_iter().all(|one| one.join().unwrap() == 200));
    });
    let most = origin.most.lock().unwrap();
    assert_eq!(most.values().map(|(_, highest)| *highest).collect::<Vec<_>>(), [4, 4, 4], "{most:?}");
}

/// Those who come before a connection is there share it, and wait for what it takes.
#[test]
fn a_crowd_shares_one_connection() {
    let origin = Held::start(100, 40);
    let proxy = files("", &[("i1", origin.address)]).run();
    thread::scope(|scope| {
        let held = || ask(proxy.address(), "GET /held HTTP/1.1\r\nHost: h\r\n\r\n").unwrap().status;
        let asking: Vec<_> = (0..40).map(|_| scope.spawn(held)).collect();
        assert!(asking.into_iter().all(|one| one.join().unwrap() == 200));
    });
    assert_eq!(origin.most.lock().unwrap().values().map(|(_, highest)| *highest).collect::<Vec<_>>(), [40]);
}

/// The proxy's own service speaks it, too; instances are exchanged under load, and what is under way at the end is answered.
#[test]
fn exchanging_instances_and_ending_lose_nothing() {
    let (one, two) = (Program::start(&["service", "--time", "1ms"]), Program::start(&["service", "--time", "1ms"]));
    let files = files("", &[("i1", one.address())]);
    let proxy = files.start();
    let address = proxy.address();
    thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(move || (0..60).all(|_| get(address).status == 200))).collect();
        for turn in 0..10 {
            let (name, service) = [("i1", &one), ("i2", &two)][turn % 2];
            files.instances(&[(name, service.address())]);
            wait_for(&proxy, "/instances", |text| text.contains(name));
        }
        assert!(asking.into_iter().all(|one| one.join().unwrap()));
    });
    // An instance that ends takes its leave; there is another.
    files.instances(&[("i1", one.address()), ("i2", two.address())]);
    wait_for(&proxy, "/instances", |text| text.contains("i1") && text.contains("i2"));
    thread::scope(|scope| {
        let asking = scope.spawn(move || (0..300).map(|_| get(address).status).collect::<BTreeSet<u16>>());
        one.signal(Signal::SIGTERM);
        assert_eq!(asking.join().unwrap(), BTreeSet::from([200]));
    });
    let slow = Program::start(&["service", "--time", "300ms"]);
    files.instances(&[("i3", slow.address())]);
    wait_for(&proxy, "/instances", |text| text.contains("i3"));
    thread::scope(|scope| {
        let asking = scope.spawn(move || get(address).status);
        wait_for(&proxy, "/metrics", |text| text.contains("longhaul_proxy_in_flight 1"));
        proxy.signal(Signal::SIGTERM);
        assert_eq!(asking.join().unwrap(), 200);
    });
    assert!(proxy.wait().success());
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
const EMPTY_POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";

/// A refused stream was not processed, whatever its method; but a body that has left is not there any more.
#[test]
fn refused_streams_go_elsewhere() {
    let refusing = Scripted::start(|asked| vec![Said::Frame(frame(3, 0, asked.stream, &7_u32.to_be_bytes()))]);
    let good = Scripted::start(|asked| vec![Said::Frame(frame(1, 5, asked.stream, &[0x88]))]);
    let proxy = files("", &[("i1", refusing.address), ("i2", good.address)]).run();
    for request in [GET, GET, EMPTY_POST, EMPTY_POST] {
        let answer = ask(proxy.address(), request).unwrap();
        assert_eq!((answer.status, answer.header("x-longhaul-instance")), (200, Some("i2")), "{request}");
    }
    assert_eq!((refusing.heads().len(), good.heads().len()), (4, 4));
    assert_eq!(counted(&proxy, "i1", "failed"), 4, "the policy is told");
    let answer = ask(proxy.address(), POST).unwrap();
    assert_eq!((answer.status, answer.header("x-longhaul-instance")), (502, Some("i1")));
    assert_eq!(refusing.connections(), 1, "it is the stream that was refused, not the connection");
}

/// What was above the last stream of a connection that goes away has not been processed: a new connection has it, and the policy
/// hears nothing of that.
#[test]
fn a_connection_that_goes_away_is_exchanged() {
    let leaving = |last: u32| {
        move |asked: crate::frames::Asked| {
            if asked.connection > 0 {
                return vec![Said::Frame(frame(1, 5, asked.stream, &[0x88]))];
            }
            vec![Said::Frame(frame(7, 0, 0, &[last.to_be_bytes(), 0_u32.to_be_bytes()].concat())), Said::End]
        }
    };
    let origin = Scripted::start(leaving(0));
    let proxy = files("", &[("i1", origin.address)]).run();
    assert_eq!(ask(proxy.address(), EMPTY_POST).unwrap().status, 200);
    assert_eq!((origin.connections(), counted(&proxy, "i1", "failed"), counted(&proxy, "i1", "answered")), (2, 0, 1));
    // The stream that it names may have been processed.
    let origin = Scripted::start(leaving(1));
    let proxy = files("", &[("i1", origin.address)]).run();
    assert_eq!(ask(proxy.address(), GET).unwrap().status, 502);
    assert_eq!((origin.heads().len(), counted(&proxy, "i1", "failed")), (1, 1));
    assert_eq!(ask(proxy.address(), GET).unwrap().status, 200);
}

/// Nothing is sent before an instance has said its settings: one that hangs up before, or speaks another protocol, had nothing.
#[test]
fn a_connection_that_never_begins_had_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (turn, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut stream = stream;
            let mut preface = [0; 24];
            let _ = stream.read_exact(&mut preface);
            if turn % 2 == 0 {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let good = Scripted::start(|asked| vec![Said::Frame(frame(1, 5, asked.stream, &[0x88]))]);
    let proxy = files("", &[("i1", address), ("i2", good.address)]).run();
    for request in [GET, EMPTY_POST, GET, EMPTY_POST] {
        let answer = ask(proxy.address(), request).unwrap();
        assert_eq!((answer.status, answer.header("x-longhaul-instance")), (200, Some("i2")), "{request}");
    }
    assert_eq!((good.heads().len(), counted(&proxy, "i1", "failed")), (4, 4));
    let proxy = files("", &[("i1", address)]).run();
    assert_eq!(get(proxy.address()).status, 502);
}

/// What may have been processed is not repeated, not even when it could be.
#[test]
fn what_may_have_been_processed_is_not_repeated() {
    type Script = fn(u32) -> Vec<Said>;
    let scripts: [(&str, Script); 6] = [
        ("reset", |stream| vec![Said::Frame(frame(3, 0, stream, &2_u32.to_be_bytes()))]),
        ("hung up", |_| vec![Said::End]),
        ("no frame", |_| vec![Said::Frame(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())]),
        ("a field of one hop", |stream| vec![Said::Frame(frame(1, 5, stream, b"\x88\x00\x0aconnection\x05close"))]),
        ("no status", |stream| vec![Said::Frame(frame(1, 5, stream, &[0x86]))]),
        ("a table beyond its size", |stream| {
            vec![Said::Frame(frame(1, 5, stream, &[0x3f, 0xff, 0xff, 0xff, 0x0f, 0x88]))]
        }),
    ];
    for (what, script) in scripts {
        let origin = Scripted::start(move |asked| script(asked.stream));
        let proxy = files("", &[("i1", origin.address)]).run();
        assert_eq!(ask(proxy.address(), GET).unwrap().status, 502, "{what}");
        assert_eq!((origin.heads().len(), counted(&proxy, "i1", "failed")), (1, 1), "{what}");
    }
}

/// Who does not answer in time keeps its connection to itself: the next request has another.
#[test]
fn late_answers_cost_the_connection_and_clients_that_go_reset_their_stream() {
    let origin = Scripted::start(|asked| match asked.connection {
        0 => Vec::new(),
        _ => vec![Said::Frame(frame(1, 5, asked.stream, &[0x88]))],
    });
    let proxy = files("timeouts: {request: 300ms}", &[("i1", origin.address)]).run();
    assert_eq!(get(proxy.address()).status, 504);
    assert_eq!((get(proxy.address()).status, get(proxy.address()).status), (200, 200));
    assert_eq!((origin.connections(), counted(&proxy, "i1", "timed_out")), (2, 1));
    let origin = Scripted::start(|_| Vec::new());
    let proxy = files("", &[("i1", origin.address)]).run();
    let mut stream = connect(proxy.address());
    stream.write_all(GET.as_bytes()).unwrap();
    origin.wait_for(|frames| frames.iter().any(|(kind, _)| *kind == 1));
    drop(stream);
    origin.wait_for(|frames| frames.contains(&(3, 8_u32.to_be_bytes().to_vec())));
}

/// HTTP/1.0 may have no host; what is no host is refused before anybody is asked.
#[test]
fn a_host_is_said_as_the_authority_or_not_at_all() {
    let nginx = Nginx::start(1_000);
    let proxy = files("", &[("i1", nginx.address)]).run();
    let said = |request: &str| ask(proxy.address(), request).unwrap();
    assert_eq!(said("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n").status, 400);
    assert_eq!(said("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n").status, 400);
    let text = said("OPTIONS http://shop.example:81 HTTP/1.1\r\nHost: other\r\n\r\n").text();
    assert!(text.starts_with("HTTP/2.0 OPTIONS shop.example / "), "{text}");
    let origin = Scripted::start(|asked| vec![Said::Frame(frame(1, 5, asked.stream, &[0x88]))]);
    let proxy = files("", &[("i1", origin.address)]).run();
    assert_eq!(ask(proxy.address(), "GET / HTTP/1.0\r\n\r\n").unwrap().status, 200);
}
