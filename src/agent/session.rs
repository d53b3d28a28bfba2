//! An agent's session: reads requests, answers them in order, and clears the node when the asker goes away.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use super::lines::{Line, MAX_LINE, TOO_LONG, read_line};
use super::protocol::{
    Applied, BeatLine, CancelLine, Compared, NodeStatus, Place, ReplayOrder, ReplayState, Request, RequestLine,
    Response, ResponseLine, TakeUp, is_alive,
};
use super::replay::now_ns;
use crate::measure::{ProbeOrder, ProbeReport};
use crate::shaping::{Abilities, BackendChoice, Row};
use crate::wording::OneLine;

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
    /// What [`apply`](Self::apply) would do.
    fn compare(&mut self, row: &Row, backend: BackendChoice) -> Result<Compared, String>;
    /// Checks a timeline as a whole and keeps it; gives the answer to [`Request::Replay`].
    fn replay(&mut self, order: ReplayOrder) -> Result<Response, String>;
    /// Starts what was kept.
    fn begin_replay(&mut self, start_realtime_ns: u64) -> Result<(), String>;
    /// How far the replay is, with the stamps from this number on.
    fn switches(&mut self, from: u64) -> ReplayState;
    /// Ends the replay.
    fn stop_replay(&mut self);
    /// Goes on with a replay that another agent began.
    fn take_up(&mut self, taken: TakeUp) -> Result<ReplayState, String>;
}

/// What measures from a node, beside everything else that is asked of it.
pub trait Measuring: Send + 'static {
    /// Probes the other nodes.
    fn probe(&mut self, order: &ProbeOrder) -> Result<ProbeReport, String>;
    /// An interruption so far does not concern the next measurement.
    fn resume(&mut self);
}

/// Why a measurement under way should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// It is for nobody any more: its asker has cancelled it, or the input has ended.
    Abandon,
    /// What there is so far is wanted.
    Finish,
}

/// Serves requests from `input` until it ends, then clears the node. `interrupt` is called, from another thread, when a
/// measurement under way should stop.
/// That thread also answers beats, so that a long request does not look like a hanging agent. Measurements have a thread of
/// their own: other requests are answered while one goes on.
pub fn serve(
    mut input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    node: &mut dyn NodeControl,
    measuring: impl Measuring,
    interrupt: impl Fn(Interrupt) + Send + Sync + 'static,
) -> io::Result<()> {
    let interrupt = Arc::new(interrupt);
    let (sender, receiver) = mpsc::channel();
    let (probing, output) = (Arc::new(Mutex::new(Probing::default())), Arc::new(Mutex::new(output)));
    let (seen, answers, abandon) = (Arc::clone(&probing), Arc::clone(&output), Arc::clone(&interrupt));
    std::thread::Builder::new().name("session".to_owned()).stack_size(128 * 1024).spawn(move || {
        while let Ok(Some(line)) = read_line(&mut input, MAX_LINE) {
            let line = match line {
                // What is no text is no request either, and is told so.
                Line::Whole(line) => String::from_utf8(line)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
                Line::TooLong(beginning) => {
                    let response = Response::Failed { message: TOO_LONG.to_owned() };
                    let _ = write_line(&answers, &ResponseLine { id: id_at_the_beginning(&beginning), response });
                    continue;
                }
            };
            if let Some(line) = CancelLine::read(&line) {
                lock(&seen).cancel(line.cancel, &*abandon);
            } else if let Some(beat) = BeatLine::read(&line) {
                // Who cannot be told will be seen to be gone by its input.
                let _ = write_line(&answers, &beat);
            } else if !is_alive(&line) && sender.send(line).is_err() {
                break;
            }
        }
        lock(&seen).ended = true;
        abandon(Interrupt::Abandon);
    })?;
    let (orders, waiting) = mpsc::channel();
    let (answers, seen) = (Arc::clone(&output), Arc::clone(&probing));
    let prober = std::thread::Builder::new().name("probes".to_owned()).spawn(move || {
        measure_all(&waiting, &answers, measuring, &probing);
    })?;
    let finish = |run| lock(&seen).finish(run, &*interrupt);
    let served = answer_all(&receiver, &output, node, (&orders, &finish));
    drop(orders);
    // It has reported its panic itself.
    let _ = prober.join();
    let _ = node.clear();
    served
}

fn write_line(output: &Mutex<impl Write>, line: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut output = lock(output);
    output.write_all(&text)?;
    output.flush()
}

/// Which measurements are wanted. All numbers of requests grow.
#[derive(Default)]
struct Probing {
    /// The number of the request and the name of the measurement.
    under_way: Option<(u64, u64)>,
    last: u64,
    cancelled: BTreeSet<u64>,
    ended: bool,
}

impl Probing {
    fn cancel(&mut self, id: u64, interrupt: &impl Fn(Interrupt)) {
        if self.under_way.is_some_and(|(known, _)| known == id) {
            interrupt(Interrupt::Abandon);
        } else if id > self.last {
            self.cancelled.insert(id);
        }
    }

    fn finish(&self, run: u64, interrupt: &impl Fn(Interrupt)) {
        if self.under_way.is_some_and(|(_, known)| known == run) {
            interrupt(Interrupt::Finish);
        }
    }

    /// False when nobody wants it any more.
    fn begin(&mut self, id: u64, run: u64) -> bool {
        self.under_way = Some((id, run));
        self.last = id;
        !self.cancelled.remove(&id)
    }
}

/// A lock whose last holder panicked still guards plain values.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the measuring thread does next, with the number of the request: a measurement, or only the answer that those before
/// are over.
type Measure = (u64, Option<ProbeOrder>);

fn answer_all(
    requests: &mpsc::Receiver<String>,
    output: &Mutex<impl Write>,
    node: &mut dyn NodeControl,
    (measuring, finish): (&mpsc::Sender<Measure>, &dyn Fn(u64)),
) -> io::Result<()> {
    for line in requests {
        let answer = match serde_json::from_str::<RequestLine<Request>>(&line) {
            // When that thread is gone, it has reported its panic, and the asker's patience ends.
            Ok(RequestLine { id, request: Request::Probe(order) }) => {
                let _ = measuring.send((id, Some(order)));
                continue;
            }
            Ok(RequestLine { id, request: Request::Ready }) => {
                let _ = measuring.send((id, None));
                continue;
            }
            Ok(RequestLine { id, request: Request::FinishProbe { run } }) => {
                finish(run);
                ResponseLine { id, response: Response::ProbeFinishes }
            }
            Ok(line) => ResponseLine { id: line.id, response: answer(line.request, node) },
            Err(error) => {
                let message = OneLine(format_args!("the request cannot be read: {error}")).to_string();
                ResponseLine { id: request_id(&line), response: Response::Failed { message } }
            }
        };
        write_line(output, &answer)?;
    }
    Ok(())
}

fn measure_all(
    orders: &mpsc::Receiver<Measure>,
    output: &Mutex<impl Write>,
    mut measuring: impl Measuring,
    probing: &Mutex<Probing>,
) {
    for (id, order) in orders {
        let response = match order {
            None => Response::Ready { now_realtime_ns: now_ns() },
            Some(order) => probe(id, &order, &mut measuring, probing),
        };
        // Who cannot be told will be seen to be gone by its input.
        let _ = write_line(output, &ResponseLine { id, response });
    }
}

fn probe(id: u64, order: &ProbeOrder, measuring: &mut impl Measuring, probing: &Mutex<Probing>) -> Response {
    let wanted = lock(probing).begin(id, order.run);
    let probed = if wanted { measuring.probe(order) } else { Err("the measurement was cancelled".to_owned()) };
    let mut probing = lock(probing);
    probing.under_way = None;
    if !probing.ended {
        measuring.resume();
    }
    probed.map_or_else(|message| Response::Failed { message }, Response::Probed)
}

/// The number of a request that cannot be read as a whole, so that its asker does not wait for ever.
fn request_id(line: &str) -> u64 {
    serde_json::from_str::<RequestLine<serde_json::Value>>(line).map_or(0, |line| line.id)
}

/// The number of a request of which only the beginning is known.
fn id_at_the_beginning(line: &[u8]) -> u64 {
    let digits = line.strip_prefix(br#"{"id":"#).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |id: u64, digit| id.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

/// The running kernel's name for this boot; empty where it does not tell, which equals no other.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

fn answer(request: Request, node: &mut dyn NodeControl) -> Response {
    let answered = match request {
        Request::Hello => node.place().map(|place| Response::Hello {
            version: env!("LONGHAUL_VERSION").to_owned(),
            abilities: Box::new(node.abilities()),
            boot: boot(),
            now_realtime_ns: now_ns(),
            place,
        }),
        Request::Compare { row, backend } => {
            node.compare(&row, backend).map(|found| Response::Compared(Box::new(found)))
        }
        Request::Replay(order) => node.replay(order),
        Request::BeginReplay { start_realtime_ns } => {
            node.begin_replay(start_realtime_ns).map(|()| Response::ReplayBegun)
        }
        Request::Switches { from } => Ok(Response::Switched(node.switches(from))),
        Request::StopReplay => {
            node.stop_replay();
            Ok(Response::Switched(node.switches(0)))
        }
        Request::TakeUp(taken) => node.take_up(*taken).map(Response::Switched),
        Request::Apply { row, backend } => node.apply(&row, backend).map(Response::Applied),
        Request::Clear => node.clear().map(|operations| Response::Cleared { operations }),
        Request::Status => node.status().map(|status| Response::Status(Box::new(status))),
        // The measuring thread's.
        Request::Probe(_) | Request::Ready | Request::FinishProbe { .. } => {
            Err("a measurement cannot be part of another request".to_owned())
        }
        Request::Detach { .. } => Err("what is applied here lasts as long as the lab".to_owned()),
        Request::Reserve { .. } | Request::Release => Err("whose turn it is is known to the lab's holder".to_owned()),
    };
    answered.unwrap_or_else(|message| Response::Failed { message })
}

#[cfg(test)]
#[path = "../../tests/support/idle_node.rs"]
mod idle_node;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::idle_node::{IdleNode, Said};
    use super::*;
    use crate::measure::START_MISSED;
    use crate::shaping::{Impairment, RowPath};
    use crate::units::{Delay, Span};

    /// Measurements that last until they are interrupted.
    struct Endless {
        began: Sender<()>,
        interrupted: Receiver<()>,
    }

    impl Measuring for Endless {
        fn probe(&mut self, _: &ProbeOrder) -> Result<ProbeReport, String> {
            self.began.send(()).unwrap();
            self.interrupted.recv().unwrap();
            Err(START_MISSED.to_owned())
        }
        fn resume(&mut self) {
            while self.interrupted.try_recv().is_ok() {}
        }
    }

    fn order() -> ProbeOrder {
        ProbeOrder {
            run: 1,
            me: 0,
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            probes: 1,
            warm_up: 0,
            interval: Span::ZERO,
            pattern: crate::measure::Pattern::Rounds,
            start_realtime_ns: 0,
            grace: Span::ZERO,
        }
    }

    fn line<T: serde::Serialize>(value: &T) -> Vec<u8> {
        let mut line = serde_json::to_vec(value).unwrap();
        line.push(b'\n');
        line
    }

    #[test]
    fn a_cancelled_measurement_makes_way_for_the_next_request() {
        let order = order();
        let (read, mut write) = std::io::pipe().unwrap();
        let ((began, started), (interrupt, interrupted)) = (channel(), channel());
        let session = std::thread::spawn(move || {
            let (output, prober) = (Said::default(), Endless { began, interrupted });
            let interrupt = move |_| interrupt.send(()).unwrap_or(());
            serve(io::BufReader::new(read), output.clone(), &mut IdleNode::default(), prober, interrupt).unwrap();
            output.text()
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
        let mut ids: Vec<&str> = said.lines().map(|line| &line[..7]).collect();
        // What is no measurement does not wait for one.
        ids.sort_unstable();
        assert_eq!(ids, [r#"{"id":1"#, r#"{"id":2"#, r#"{"id":3"#, r#"{"id":4"#], "{said}");
        assert!(said.contains("was cancelled") && said.contains(r#"{"cleared":{"operations":7}}"#), "{said}");
    }

    #[test]
    fn long_rows_pass_and_longer_lines_are_refused() {
        let path = |n: u32| RowPath {
            selectors: vec![
                ipnet::IpNet::from(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))).to_string().parse().unwrap(),
            ],
            impairment: Impairment::delay(Delay::from_millis(u64::from(n) % 60)),
        };
        let row: Row = (0..10_000).map(path).collect();
        let apply = Request::Apply { row, backend: BackendChoice::Auto };
        let long = line(&RequestLine { id: 11, request: apply });
        assert!((500_000..MAX_LINE / 8).contains(&long.len()), "{}", long.len());
        let mut longer = br#"{"id":12,"request":"#.to_vec();
        longer.resize(MAX_LINE + 1, b' ');
        let ending = line(&RequestLine { id: 13, request: Request::Clear });
        let input = io::Cursor::new([&long[..], &longer, b"\n", &ending].concat());
        let (said, (began, _started), (_stop, interrupted)) = (Said::default(), channel(), channel());
        serve(input, said.clone(), &mut IdleNode::default(), Endless { began, interrupted }, |_| {}).unwrap();
        let said = said.text();
        assert_eq!(said.lines().count(), 3, "{said}");
        for answer in [
            r#"{"id":11,"response":{"failed":{"message":"not here"}}}"#.to_owned(),
            format!(r#"{{"id":12,"response":{{"failed":{{"message":"{TOO_LONG}"}}}}}}"#),
            r#"{"id":13,"response":{"cleared":{"operations":7}}}"#.to_owned(),
        ] {
            assert!(said.lines().any(|line| line == answer), "{answer} in {said}");
        }
    }

    #[test]
    fn beats_are_answered_while_a_measurement_is_under_way() {
        let (read, mut write) = std::io::pipe().unwrap();
        let (heard, mut hear) = std::io::pipe().unwrap();
        let ((began, started), (interrupt, interrupted)) = (channel(), channel());
        let session = std::thread::spawn(move || {
            let (prober, interrupt) = (Endless { began, interrupted }, move |_| interrupt.send(()).unwrap_or(()));
            serve(io::BufReader::new(read), hear.try_clone().unwrap(), &mut IdleNode::default(), prober, interrupt)
                .unwrap();
            hear.write_all(b"end\n").unwrap();
        });
        write.write_all(&line(&RequestLine { id: 1, request: Request::Probe(order()) })).unwrap();
        started.recv().unwrap();
        write.write_all(b"{\"alive\":true}\n{\"beat\":5}\n").unwrap();
        let mut heard = io::BufReader::new(heard).lines();
        assert_eq!(heard.next().unwrap().unwrap(), r#"{"beat":5}"#, "before the measurement's end");
        write.write_all(&line(&RequestLine { id: 2, request: Request::Clear })).unwrap();
        assert!(heard.next().unwrap().unwrap().starts_with(r#"{"id":2,"#), "before the measurement's end");
        drop(write);
        assert!(heard.next().unwrap().unwrap().starts_with(r#"{"id":1,"#));
        assert_eq!(heard.next().unwrap().unwrap(), "end");
        session.join().unwrap();
    }
}
