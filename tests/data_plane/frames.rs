//! An instance that speaks HTTP/2 by the letter: it reads frames, and answers heads with what a script says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::programs::PATIENCE;

/// A frame (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), bytes].concat()
}

/// A head that came: which connection, from 0, and which of its streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) connection: usize,
    pub(crate) stream: u32,
}

/// What is done about it.
pub(crate) enum Said {
    Frame(Vec<u8>),
    /// The connection ends.
    End,
}

/// The instance. It lives as long as the tests do.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    heads: Vec<Asked>,
    /// The kinds of all frames, with what was in them.
    frames: Vec<(u8, Vec<u8>)>,
}

impl Scripted {
    pub(crate) fn start(script: impl Fn(Asked) -> Vec<Said> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, script) = (Arc::clone(&origin.seen), Arc::new(script));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                seen.0.lock().unwrap().connections += 1;
                // A connection that ends early is for its other end to judge.
                thread::spawn(move || serve(stream, connection, &seen, &*script));
            }
        });
        origin
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.0.lock().unwrap().connections
    }

    pub(crate) fn heads(&self) -> Vec<Asked> {
        self.seen.0.lock().unwrap().heads.clone()
    }

    /// Waits until the frames that came are as `wanted`.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&[(u8, Vec<u8>)]) -> bool) {
        let (seen, news) = &*self.seen;
        let result = news.wait_timeout_while(seen.lock().unwrap(), PATIENCE, |seen| !wanted(&seen.frames)).unwrap();
        assert!(!result.1.timed_out(), "{:?}", result.0.frames);
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    seen: &(Mutex<Seen>, Condvar),
    script: &dyn Fn(Asked) -> Vec<Said>,
) -> std::io::Result<()> {
    stream.write_all(&frame(4, 0, 0, &[]))?;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let mut bytes = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut bytes)?;
        let asked = Asked { connection, stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) };
        if head[3] == 1 {
            seen.0.lock().unwrap().heads.push(asked);
        }
        seen.0.lock().unwrap().frames.push((head[3], bytes));
        seen.1.notify_all();
        match (head[3], head[4]) {
            // Settings are acknowledged.
            (4, 0) => stream.write_all(&frame(4, 1, 0, &[]))?,
            (1, _) => {
                for said in script(asked) {
                    match said {
                        Said::Frame(bytes) => stream.write_all(&bytes)?,
                        Said::End => return Ok(()),
                    }
                }
            }
            _ => {}
        }
    }
}
