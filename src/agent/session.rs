//! An agent's session: reads requests, answers them in order, and clears the node when the asker goes away.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::SystemTime;

use super::protocol::{Applied, CancelLine, NodeStatus, Place, Request, RequestLine, Response, ResponseLine};
use crate::measure::{ProbeOrder, ProbeReport};
use crate::shaping::{Abilities, BackendChoice, Row};

/// What a session does to its node. Errors are texts: they travel to the command line as they are.
pub trait NodeControl {
    /// What the node's kernel and user can do.
    fn abilities(&mut self) -> Abilities;
    /// Its interface and addresses.
    fn place(&mut self) -> Result<Place, String>;
    /// Makes the node do `row` and nothing else.
    fn apply(&mut self, row: &Row, backend: BackendChoice) -> Result<Applied, String>;
    /// Removes everything; returns the number of operations.
    fn clear(&mut self) -> Result<usize, String>;
    /// Desired against actual.
    fn status(&mut self) -> Result<NodeStatus, String>;
    /// Probes the other nodes.
    fn probe(&mut self, order: &ProbeOrder) -> Result<ProbeReport, String>;
    /// An interruption so far does not concern the next measurement.
    fn resume(&mut self);
}

/// Serves requests from `input` until it ends, then clears the node. `interrupt` is called, from another thread, when a
/// measurement under way is for nobody any more: its asker has cancelled it, or the input has ended. It should then stop.
pub fn serve(
    input: impl BufRead + Send + 'static,
    output: &mut dyn Write,
    node: &mut dyn NodeControl,
    interrupt: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    let probing = Arc::new(Mutex::new(Probing::default()));
    let seen = Arc::clone(&probing);
    std::thread::Builder::new().name("session".to_owned()).stack_size(128 * 1024).spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            if let Some(line) = CancelLine::read(&line) {
                lock(&seen).cancel(line.cancel, &interrupt);
            } else if sender.send(line).is_err() {
                break;
            }
        }
        lock(&seen).ended = true;
        interrupt();
    })?;
    let served = answer_all(&receiver, output, node, &probing);
    let _ = node.clear();
    served
}

/// Which measurements are wanted. All numbers of requests grow.
#[derive(Default)]
struct Probing {
    under_way: Option<u64>,
    last: u64,
    cancelled: BTreeSet<u64>,
    ended: bool,
}

impl Probing {
    fn cancel(&mut self, id: u64, interrupt: &impl Fn()) {
        if self.under_way == Some(id) {
            interrupt();
        } else if id > self.last {
            self.cancelled.insert(id);
        }
    }

    /// False when nobody wants it any more.
    fn begin(&mut self, id: u64) -> bool {
        self.under_way = Some(id);
        self.last = id;
        !self.cancelled.remove(&id)
    }
}

/// A lock whose last holder panicked still guards plain values.
fn lock(probing: &Mutex<Probing>) -> MutexGuard<'_, Probing> {
    probing.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer_all(
    requests: &mpsc::Receiver<String>,
    output: &mut dyn Write,
    node: &mut dyn NodeControl,
    probing: &Mutex<Probing>,
) -> io::Result<()> {
    for line in requests {
        let answer = match serde_json::from_str::<RequestLine<Request>>(&line) {
            Ok(RequestLine { id, request: Request::Probe(order) }) => {
                ResponseLine { id, response: probe(id, &order, node, probing) }
            }
            Ok(line) => ResponseLine { id: line.id, response: answer(line.request, node) },
            Err(error) => {
                let message = format!("the request cannot be read: {error}");
                ResponseLine { id: request_id(&line), response: Response::Failed { message } }
            }
        };
        serde_json::to_writer(&mut *output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

fn probe(id: u64, order: &ProbeOrder, node: &mut dyn NodeControl, probing: &Mutex<Probing>) -> Response {
    let wanted = lock(probing).begin(id);
    let probed = if wanted { node.probe(order) } else { Err("the measurement was cancelled".to_owned()) };
    let mut probing = lock(probing);
    probing.under_way = None;
    if !probing.ended {
        node.resume();
    }
    probed.map_or_else(|message| Response::Failed { message }, Response::Probed)
}

/// The number of a request that cannot be read as a whole, so that its asker does not wait for ever.
fn request_id(line: &str) -> u64 {
    serde_json::from_str::<RequestLine<serde_json::Value>>(line).map_or(0, |line| line.id)
}

/// The running kernel's name for this boot; empty where it does not tell, which equals no other.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

fn now_realtime_ns() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn answer(request: Request, node: &mut dyn NodeControl) -> Response {
    let answered = match request {
        Request::Hello => node.place().map(|place| Response::Hello {
            version: env!("LONGHAUL_VERSION").to_owned(),
            abilities: Box::new(node.abilities()),
            boot: boot(),
            now_realtime_ns: now_realtime_ns(),
            place,
        }),
        Request::Ready => Ok(Response::Ready { now_realtime_ns: now_realtime_ns() }),
        Request::Apply { row, backend } => node.apply(&row, backend).map(Response::Applied),
        Request::Clear => node.clear().map(|operations| Response::Cleared { operations }),
        Request::Status => node.status().map(|status| Response::Status(Box::new(status))),
        // Carried out by `probe`, which knows whether it is still wanted.
        Request::Probe(_) => Err("a measurement cannot be part of another request".to_owned()),
    };
    answered.unwrap_or_else(|message| Response::Failed { message })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::measure::START_MISSED;
    use crate::units::Span;

    /// A node whose measurements last until they are interrupted.
    struct Endless {
        began: Sender<()>,
        interrupted: Receiver<()>,
    }

    impl NodeControl for Endless {
        fn abilities(&mut self) -> Abilities {
            Abilities::all()
        }
        fn place(&mut self) -> Result<Place, String> {
            Err("nowhere".to_owned())
        }
        fn apply(&mut self, _: &Row, _: BackendChoice) -> Result<Applied, String> {
            Err("not here".to_owned())
        }
        fn clear(&mut self) -> Result<usize, String> {
            Ok(7)
        }
        fn status(&mut self) -> Result<NodeStatus, String> {
            Err("not here".to_owned())
        }
        fn probe(&mut self, _: &ProbeOrder) -> Result<ProbeReport, String> {
            self.began.send(()).unwrap();
            self.interrupted.recv().unwrap();
            Err(START_MISSED.to_owned())
        }
        fn resume(&mut self) {
            while self.interrupted.try_recv().is_ok() {}
        }
    }

    fn line<T: serde::Serialize>(value: &T) -> Vec<u8> {
        let mut line = serde_json::to_vec(value).unwrap();
        line.push(b'\n');
        line
    }

    #[test]
    fn a_cancelled_measurement_makes_way_for_the_next_request() {
        let order = ProbeOrder {
            run: 1,
            me: 0,
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            probes: 1,
            warm_up: 0,
            interval: Span::ZERO,
            start_realtime_ns: 0,
            grace: Span::ZERO,
        };
        let (read, mut write) = std::io::pipe().unwrap();
        let ((began, started), (interrupt, interrupted)) = (channel(), channel());
        let session = std::thread::spawn(move || {
            let (mut output, mut node) = (Vec::new(), Endless { began, interrupted });
            serve(io::BufReader::new(read), &mut output, &mut node, move || interrupt.send(()).unwrap_or(())).unwrap();
            String::from_utf8(output).unwrap()
        });
        for id in [1, 2] {
            write.write_all(&line(&RequestLine { id, request: Request::Probe(order.clone()) })).unwrap();
        }
        started.recv().unwrap();
        // The second one waits, the first is under way; of a third nobody has heard.
        for cancel in [2, 1] {
            write.write_all(&line(&CancelLine { cancel })).unwrap();
        }
        write.write_all(&line(&RequestLine { id: 3, request: Request::Clear })).unwrap();
        write.write_all(&line(&RequestLine { id: 4, request: Request::Probe(order) })).unwrap();
        started.recv().unwrap();
        drop(write);
        let said = session.join().unwrap();
        let ids: Vec<&str> = said.lines().map(|line| &line[..7]).collect();
        assert_eq!(ids, [r#"{"id":1"#, r#"{"id":2"#, r#"{"id":3"#, r#"{"id":4"#], "{said}");
        assert!(said.contains("was cancelled") && said.contains(r#"{"cleared":{"operations":7}}"#), "{said}");
    }
}
