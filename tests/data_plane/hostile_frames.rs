//! `longhaul proxy` with clients that mean harm and speak HTTP/2.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::frames::frame;
use crate::ground::{Files, Origin, get};
use crate::programs::{PATIENCE, Program, connect};

/// The head of `GET / ` to `h`, of the static table.
const HEAD: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'h'];

/// The most that a proxy may grow, in kB.
const GROWTH: u64 = 24 * 1024;

fn ground(more: &str) -> (Origin, Program) {
    let origin = Origin::start();
    let proxy = Files::new(more, &[("i1", origin.address)]).run();
    assert_eq!(get(proxy.address()).status, 200);
    (origin, proxy)
}

/// A connection that has begun, with these settings.
fn begin(address: SocketAddr, settings: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(4, 0, 0, settings)).unwrap();
    stream
}

/// Writes one after the other until the proxy takes no more; whether it did not take all.
fn pour(stream: &mut TcpStream, pieces: impl Iterator<Item = Vec<u8>>) -> bool {
    pieces.into_iter().any(|piece| stream.write_all(&piece).is_err())
}

/// What the proxy says until the end: kinds of frames with their content. The end has to come.
fn rest(stream: &mut TcpStream) -> Vec<(u8, Vec<u8>)> {
    std::iter::from_fn(|| next(stream)).collect()
}

/// The next frame, unless the connection ends; one of the two has to come.
fn next(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    match stream.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing comes"),
        Err(_) => return None,
    }
    let mut bytes = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut bytes).ok().map(|()| (head[3], bytes))
}

/// Requests that are taken back at once cost the client its connection, and instances next to nothing.
#[test]
fn rapid_resets_end_the_connection() {
    let (origin, proxy) = ground("");
    let before = proxy.resident();
    let reset = |number: u32| {
        let stream = 2 * number + 1;
        [frame(1, 5, stream, HEAD), frame(3, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let mut stream = begin(proxy.address(), &[]);
    let cut = pour(&mut stream, (0..200_000).map(reset));
    assert!(cut, "two hundred thousand were taken");
    assert!(origin.heads().len() < 20_000, "{} reached the instance", origin.heads().len());
    // One at a time, so that each has reached the instance before it is taken back.
    let mut stream = begin(proxy.address(), &[]);
    let slow = (0..200_000).map(|number| {
        std::thread::yield_now();
        reset(number)
    });
    assert!(pour(&mut stream, slow), "two hundred thousand were taken");
    assert!(proxy.resident() < before + GROWTH, "from {before} to {} kB", proxy.resident());
    assert_eq!(get(proxy.address()).status, 200);
}

/// A head that never ends, by frames that go on with it.
#[test]
fn endless_heads_end_the_connection() {
    let (origin, proxy) = ground("");
    let before = proxy.resident();
    for piece in [Vec::new(), vec![0; 1], [&[0, 1, b'x', 0x7f, 0x80, 0x7e][..], &[b'y'; 16_000]].concat()] {
        let mut stream = begin(proxy.address(), &[]);
        stream.write_all(&frame(1, 1, 1, HEAD)).unwrap();
        assert!(pour(&mut stream, (0..400_000).map(|_| frame(9, 0, 1, &piece))), "{} bytes each", piece.len());
    }
    assert!(proxy.resident() < before + GROWTH, "from {before} to {} kB", proxy.resident());
    assert_eq!((origin.heads().len(), get(proxy.address()).status), (1, 200));
}

/// A few bytes that stand for many, and tables of any size.
#[test]
fn heads_that_grow_and_huge_tables_reach_nobody() {
    let (origin, proxy) = ground("");
    let before = proxy.resident();
    // A field of 4,000 bytes goes to the table; each further byte stands for it.
    let large = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4_000]].concat();
    let bomb = [HEAD, &large, &[0xbe; 8_000]].concat();
    let mut stream = begin(proxy.address(), &[]);
    for number in 0..200 {
        if stream.write_all(&frame(1, 5, 2 * number + 1, &bomb)).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let frames = rest(&mut stream);
    assert!(frames.iter().all(|(kind, bytes)| *kind != 1 || !bytes.starts_with(&[0x88])), "an answer of 200");
    // A table larger than was agreed on is an error of the connection.
    let mut stream = begin(proxy.address(), &[]);
    stream.write_all(&frame(1, 5, 1, &[&[0x3f, 0xff, 0xff, 0xff, 0x07][..], HEAD].concat())).unwrap();
    let frames = rest(&mut stream);
    let last = frames.iter().find(|(kind, _)| *kind == 7).unwrap_or_else(|| panic!("{frames:?}"));
    // PROTOCOL_ERROR or COMPRESSION_ERROR.
    assert!([1, 9].contains(&last.1[7]), "{frames:?}");
    // One that the client allows us to use is not used.
    let mut stream = begin(proxy.address(), &[0, 1, 0xff, 0xff, 0xff, 0xff]);
    stream.write_all(&frame(1, 5, 1, HEAD)).unwrap();
    let kinds = std::iter::from_fn(|| next(&mut stream).map(|(kind, _)| kind));
    assert!(kinds.into_iter().any(|kind| kind == 1));
    assert_eq!(origin.heads().len(), 2);
    assert!(proxy.resident() < before + GROWTH, "from {before} to {} kB", proxy.resident());
}

/// Frames that want an answer each, from a client that reads none.
#[test]
fn questions_without_end_fill_no_memory() {
    let (_origin, proxy) = ground("timeouts: {body: 300ms}");
    let before = proxy.resident();
    for question in [frame(6, 0, 0, &[7; 8]), frame(4, 0, 0, &[0, 3, 0, 0, 0, 9])] {
        let mut stream = begin(proxy.address(), &[]);
        let many = question.repeat(1_000);
        assert!(pour(&mut stream, (0..20_000).map(|_| many.clone())), "{question:?}");
    }
    assert!(proxy.resident() < before + GROWTH, "from {before} to {} kB", proxy.resident());
    assert_eq!(get(proxy.address()).status, 200);
}

/// Clients that say they are there and take nothing of their answers, or send nothing of their bodies, hold no place for ever.
#[test]
fn places_are_not_held_by_clients_that_take_or_send_nothing() {
    let (_origin, proxy) = ground("limits: {inFlight: 4}\ntimeouts: {body: 300ms, request: 600ms}");
    // A window of no bytes; a request whose body does not come.
    for (settings, flags) in [(&[0, 4, 0, 0, 0, 0][..], 5), (&[], 4)] {
        let mut stream = begin(proxy.address(), settings);
        for number in 0..4 {
            stream.write_all(&frame(1, flags, 2 * number + 1, HEAD)).unwrap();
        }
        let begun = Instant::now();
        let mut refused = false;
        loop {
            // It is there all the time.
            let _ = stream.write_all(&frame(6, 0, 0, &[7; 8]));
            match get(proxy.address()).status {
                200 if refused || begun.elapsed() > Duration::from_secs(1) => break,
                503 => refused = true,
                _ => {}
            }
            assert!(begun.elapsed() < PATIENCE, "places are still held");
        }
    }
}
