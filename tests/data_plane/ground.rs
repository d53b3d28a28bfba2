//! A proxy with its files, and an origin that says what it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use crate::programs::{Answer, Program, ask};

/// A folder with the files of a proxy.
pub(crate) struct Files(pub(crate) TempDir);

impl Files {
    /// `more` are further lines of the configuration; the service `s` takes turns.
    pub(crate) fn new(more: &str, instances: &[(&str, SocketAddr)]) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.configure(more);
        files.instances(instances);
        files
    }

    pub(crate) fn configure(&self, more: &str) {
        let text = format!(
            "apiVersion: longhaul/v1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ninstances: instances.yaml\n{more}\n\
             services:\n  - {{name: s, policy: round-robin}}\n"
        );
        std::fs::write(self.path("proxy.yaml"), text).unwrap();
    }

    pub(crate) fn instances(&self, instances: &[(&str, SocketAddr)]) {
        let lines =
            instances.iter().map(|(name, address)| format!("{{name: {name}, service: s, address: '{address}'}}"));
        let list = lines.collect::<Vec<_>>().join(", ");
        self.replace(&format!("apiVersion: longhaul/v1\ninstances: [{list}]\n"));
    }

    /// Replaces the file of instances at once, as those do who mean well.
    pub(crate) fn replace(&self, text: &str) {
        std::fs::write(self.path("new"), text).unwrap();
        std::fs::rename(self.path("new"), self.path("instances.yaml")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Starts a proxy that has the files for itself.
    pub(crate) fn run(self) -> Program {
        let mut proxy = self.start();
        proxy.files = Some(self.0);
        proxy
    }

    pub(crate) fn start(&self) -> Program {
        Program::start(&["proxy", "--config", &self.path("proxy.yaml")])
    }
}

pub(crate) fn admin(proxy: &Program, path: &str) -> String {
    let address = proxy.said["admin"].as_str().unwrap().parse().unwrap();
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap().text()
}

/// Waits until the admin socket says something that `wanted` likes.
pub(crate) fn wait_for(proxy: &Program, path: &str, wanted: impl Fn(&str) -> bool) {
    let start = std::time::Instant::now();
    loop {
        let text = admin(proxy, path);
        if wanted(&text) {
            return;
        }
        assert!(start.elapsed() < crate::programs::PATIENCE, "still {text}");
        thread::yield_now();
    }
}

pub(crate) fn get(address: SocketAddr) -> Answer {
    ask(address, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n").unwrap()
}

/// A server that answers with the head that it got, and remembers all heads. It lives as long as the tests do.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Self { address: listener.local_addr().unwrap(), heads: Arc::default() };
        let serving = origin.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let origin = serving.clone();
                thread::spawn(move || origin.serve(stream));
            }
        });
        origin
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// By length and chunks alone, as plain as can be: what it takes for a request is one.
    fn serve(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let Some(head) = take_until(&mut stream, &mut bytes, b"\r\n\r\n") else { return };
            self.heads.lock().unwrap().push(head.clone());
            let lower = head.to_lowercase();
            if let Some(length) = lower.lines().find_map(|line| line.strip_prefix("content-length: ")) {
                let mut left: usize = length.parse().unwrap();
                left -= left.min(bytes.len());
                bytes.drain(..bytes.len().min(length.parse().unwrap()));
                let mut piece = vec![0; 64 * 1024];
                while left > 0 {
                    let most = left.min(piece.len());
                    match stream.read(&mut piece[..most]) {
                        Ok(length) if length > 0 => left -= length,
                        _ => return,
                    }
                }
            } else if lower.contains("transfer-encoding: chunked") {
                loop {
                    let Some(size) = take_until(&mut stream, &mut bytes, b"\r\n") else { return };
                    let size = usize::from_str_radix(size.trim(), 16).unwrap();
                    while bytes.len() < size + 2 {
                        let mut piece = [0; 4_096];
                        match stream.read(&mut piece) {
                            Ok(length) if length > 0 => bytes.extend_from_slice(&piece[..length]),
                            _ => return,
                        }
                    }
                    bytes.drain(..size + 2);
                    if size == 0 {
                        break;
                    }
                }
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nKeep-Alive: timeout=9\r\nConnection: keep-alive, x-hop\r\n\
                 X-Hop: 1\r\nX-End: 1\r\n\r\n{head}",
                head.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn take_until(stream: &mut TcpStream, bytes: &mut Vec<u8>, end: &[u8]) -> Option<String> {
    loop {
        if let Some(place) = bytes.windows(end.len()).position(|window| window == end) {
            let rest = bytes.split_off(place + end.len());
            let taken = std::mem::replace(bytes, rest);
            return Some(String::from_utf8_lossy(&taken).into_owned());
        }
        let mut piece = [0; 4_096];
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => bytes.extend_from_slice(&piece[..length]),
            _ => return None,
        }
    }
}
