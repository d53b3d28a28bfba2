//! `longhaul proxy` with clients that mean harm: they are refused, instances see nothing of it, and others are served meanwhile.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use crate::frames::frame;
use crate::ground::{Files, Origin, get};
use crate::programs::{PATIENCE, Program, connect, read_answer};

fn ground(more: &str) -> (Origin, Program) {
    let origin = Origin::start();
    let proxy = Files::new(more, &[("i1", origin.address)]).run();
    (origin, proxy)
}

/// Sends bytes and gives the status of every answer until the connection ends.
fn statuses(address: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(address);
    let _ = stream.write_all(bytes);
    std::iter::from_fn(|| read_answer(&mut stream)).map(|answer| answer.status).collect()
}

/// What a lenient server and a strict one would take for different requests.
#[test]
fn heads_with_two_readings_reach_nobody() {
    let (origin, proxy) = ground("");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 0\r\nContent-Length: 44\r\n",
        "Content-Length: 4, 4\r\n",
        "Content-Length: +4\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: \0\r\n",
        "Host: other\r\n",
        "no colon\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 4 4\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551620\r\n",
        "Content-Length: \u{a0}4\r\n",
        "Content-Length\u{0}: 4\r\n",
        "Content_Length : 4\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked\u{c}\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "X: y\r\r\n",
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: h\r\n{headers}\r\n0\r\n\r\n{smuggled}");
        assert_eq!(statuses(proxy.address(), bytes.as_bytes()), [400], "{headers:?}");
    }
    for bytes in [
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: h\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / http/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/01.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
        "GET /\u{b}x HTTP/1.1\r\nHost: h\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\n: h\r\nHost: h\r\n\r\n",
    ] {
        assert_eq!(statuses(proxy.address(), bytes.as_bytes()), [400], "{bytes:?}");
    }
    assert!(origin.heads().is_empty(), "{:?}", origin.heads());
    assert_eq!(get(proxy.address()).status, 200);
}

/// A good request before a bad one is answered; the bad one is not.
#[test]
fn good_requests_before_a_bad_one_are_answered() {
    let (origin, proxy) = ground("");
    let good = "GET /good HTTP/1.1\r\nHost: h\r\n\r\n";
    let bad = "POST /bad HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx";
    assert_eq!(statuses(proxy.address(), format!("{good}{bad}{good}").as_bytes()), [200, 400]);
    assert_eq!(origin.heads().len(), 1);
}

#[test]
fn chunks_with_two_readings_end_the_connection() {
    let (origin, proxy) = ground("");
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-1\r\n",
        "ffffffffffffffffff\r\n",
        "0\r\nTrailer: x\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\u{0}\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
        "00000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\n folded: x\r\n\r\n",
        &format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5_000)),
        &format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(20_000)),
        &format!("0\r\n{}\r\n", "X: y\r\n".repeat(5_000)),
    ] {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
        let bytes = format!("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}{smuggled}");
        let answers = statuses(proxy.address(), bytes.as_bytes());
        assert!(answers.iter().all(|status| *status == 400) && answers.len() <= 1, "{answers:?} to {:?}", &body[..5]);
    }
    assert!(origin.heads().iter().all(|head| !head.contains("smuggled")), "{:?}", origin.heads());
    assert_eq!(get(proxy.address()).status, 200);
}

#[test]
fn large_heads_are_refused() {
    let (origin, proxy) = ground("");
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(500));
    let target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(200_000));
    for bytes in [&long, &many, &target] {
        let answers = statuses(proxy.address(), bytes.as_bytes());
        assert!(answers.is_empty() || [414, 431].contains(&answers[0]), "{answers:?}");
    }
    assert_eq!(statuses(proxy.address(), many.as_bytes()), [431]);
    assert!(origin.heads().is_empty());
    assert_eq!(get(proxy.address()).status, 200);
}

/// Clients that send a head, a body or nothing at all byte by byte are cut off; those that take an answer so slowly, too.
#[test]
fn slow_clients_are_cut_off_while_others_are_served() {
    let (_origin, proxy) = ground("timeouts: {head: 300ms, body: 300ms, idle: 300ms}");
    let begun = Instant::now();
    let mut slow: Vec<_> = [
        "",
        "G",
        "PRI * HTTP/2.0",
        "GET / HTTP/1.1\r\nHost:",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n12",
    ]
    .into_iter()
    .flat_map(|bytes| std::iter::repeat_n(bytes, 20))
    .map(|bytes| {
        let mut stream = connect(proxy.address());
        stream.write_all(bytes.as_bytes()).unwrap();
        stream
    })
    .collect();
    assert_eq!(get(proxy.address()).status, 200);
    for stream in &mut slow {
        let mut rest = Vec::new();
        // It ends: an error but for the time being over is an end, too.
        let ended = stream.read_to_end(&mut rest);
        let waited = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waited, "it still waits");
    }
    assert!(begun.elapsed() < PATIENCE);
    // One that goes on, a byte at a time, has no more time for its head.
    let mut dripping = connect(proxy.address());
    let head = "GET / HTTP/1.1\r\nHost: h\r\nX: ".to_owned() + &"x".repeat(10_000);
    let begun = Instant::now();
    let cut = head.bytes().any(|byte| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        dripping.write_all(&[byte]).is_err()
    });
    assert!(cut && begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn huge_bodies_pass_without_being_kept() {
    let (origin, proxy) = ground("");
    assert_eq!(get(proxy.address()).status, 200);
    let before = proxy.resident();
    let size: usize = 128 << 20;
    let mut stream = connect(proxy.address());
    write!(stream, "PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n").unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut most = before;
    for _ in 0..size / piece.len() {
        stream.write_all(&piece).unwrap();
        most = most.max(proxy.resident());
    }
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    assert_eq!(origin.heads().len(), 2);
    assert!(most < before + 16 * 1024, "from {before} to {most} kB");
}

/// A header of HTTP/2 can carry any byte; of HTTP/1.1 it would become two headers.
#[test]
fn headers_that_would_become_two_are_refused() {
    let (origin, proxy) = ground("");
    let literal = |name: &str, value: &str| {
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        [vec![0], text(name), text(value)].concat()
    };
    let request = |extra: Vec<u8>| {
        let headers = [
            literal(":method", "GET"),
            literal(":scheme", "http"),
            literal(":path", "/x"),
            literal(":authority", "h"),
            extra,
        ];
        let begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        [&begin[..], &frame(4, 0, 0, &[]), &frame(1, 5, 1, &headers.concat())].concat()
    };
    // A reset of the stream or the end of the connection comes, never an answer; frames are 9 bytes and what they say.
    let kinds = |bytes: Vec<u8>| {
        let mut stream = connect(proxy.address());
        stream.write_all(&bytes).unwrap();
        let mut kinds = Vec::new();
        let mut head = [0; 9];
        while stream.read_exact(&mut head).is_ok() {
            let mut rest = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut rest).unwrap();
            kinds.push(head[3]);
            if [0, 1, 3, 7].contains(&head[3]) {
                break;
            }
        }
        kinds
    };
    for extra in [
        literal("x-a", "b\r\nx-evil: 1"),
        literal("x-a", "b\nx-evil: 1"),
        literal("x-a\r\nx-evil", "1"),
        literal("x-a", "\0"),
        literal("transfer-encoding", "chunked"),
        literal("connection", "x-evil"),
    ] {
        let kinds = kinds(request(extra.clone()));
        assert!(!kinds.contains(&1), "answered: {:?}", String::from_utf8_lossy(&extra));
    }
    assert!(origin.heads().is_empty(), "{:?}", origin.heads());
    assert!(kinds(request(literal("x-a", "b"))).contains(&1));
}

#[test]
fn tunnels_and_upgrades_are_not_made() {
    let (origin, proxy) = ground("");
    assert_eq!(statuses(proxy.address(), b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nConnection: close\r\n\r\n"), [501]);
    assert!(origin.heads().is_empty());
    let h2c = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n";
    assert_eq!(statuses(proxy.address(), h2c.as_bytes()), [200]);
    let seen = origin.heads().concat().to_lowercase();
    assert!(!seen.contains("h2c") && !seen.contains("http2-settings"), "{seen}");
}
