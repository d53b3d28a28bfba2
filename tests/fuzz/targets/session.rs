//! The session protocol: single lines, and a whole session that is fed anything.

use std::cell::RefCell;
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use longhaul::agent::protocol::{
    Applied, BeatLine, CancelLine, Compared, NodeStatus, Place, ReplayOrder, ReplayPhase, ReplayState, Request,
    RequestLine, Response, ResponseLine, TakeUp,
};
use longhaul::agent::session::{Measuring, NodeControl, serve};
use longhaul::measure::{ProbeOrder, ProbeReport};
use longhaul::shaping::{Abilities, Backend, BackendChoice, Row, State, desired};

use crate::claims;

pub(crate) const WORDS: &[&str] = &[
    "{\"id\":1,\"request\":",
    "\"hello\"",
    "\"ready\"",
    "\"clear\"",
    "\"status\"",
    "{\"apply\":{\"row\":{\"paths\":[],\"exclusions\":[]},\"backend\":\"auto\"}}",
    "{\"probe\":{",
    "{\"replay\":{\"steps\":[{\"at\":0,\"change\":{\"whole\":{\"paths\":[]}}}],",
    "\"pace\":{\"length\":null,\"repeat\":{\"times\":1},\"until\":null},\"backend\":\"auto\"}",
    "{\"begin_replay\":{\"start_realtime_ns\":1}}",
    "{\"switches\":{\"from\":1}}",
    "{\"cancel\":1}",
    "{\"alive\":true}",
    "{\"beat\":7}",
    "{\"detach\":{\"seconds\":1}}",
    "\n",
    "\"selectors\":[\"10.0.0.2/32 tcp:22\"]",
    "\"prefixes\":[\"10.0.0.2/32\"]",
    "\"impairment\":{\"delay\":10000000}",
    "\"jitter\":{\"span\":1}",
    "\"loss\":{\"random\":{\"probability\":1000000000}}",
    "\"rate\":8",
    "\"addresses\":[\"10.0.0.1\"]",
    "\"probes\":4294967295",
    "}",
    "]",
    ",",
    ":",
    "null",
    "{\"id\":1,\"response\":",
    "{\"failed\":{\"message\":\"no\"}}",
];

/// What a request leads to must not fail either: the state of the kernel or the line that it asks for, or a refusal.
fn carry_out(request: &Request) {
    let Request::Apply { row, .. } = request else { return };
    for backend in [Backend::Netem, Backend::Userspace] {
        if let Err(error) = desired(row, backend, &Abilities::all(), &State::default()) {
            claims::message(&error);
        }
    }
}

/// A request's line is written and read the same.
pub(crate) fn request(bytes: &[u8]) {
    match serde_json::from_slice::<RequestLine<Request>>(bytes) {
        Err(error) => drop(error.to_string()),
        Ok(line) => {
            let text = serde_json::to_string(&line).unwrap();
            let again: RequestLine<Request> = serde_json::from_str(&text).unwrap();
            assert_eq!((again.id, &again.request), (line.id, &line.request), "{text}");
            carry_out(&line.request);
        }
    }
    if let Some(CancelLine { cancel }) = std::str::from_utf8(bytes).ok().and_then(CancelLine::read) {
        let line = serde_json::to_string(&CancelLine { cancel }).unwrap();
        assert_eq!(CancelLine::read(&line).map(|line| line.cancel), Some(cancel));
    }
}

/// A response's line is written and read the same.
pub(crate) fn response(bytes: &[u8]) {
    if let Ok(line) = serde_json::from_slice::<ResponseLine<Response>>(bytes) {
        let text = serde_json::to_string(&line).unwrap();
        let again: ResponseLine<Response> = serde_json::from_str(&text).unwrap();
        assert_eq!((again.id, again.response), (line.id, line.response), "{text}");
    }
}

/// A node that does nothing but count.
#[derive(Default)]
struct Counting {
    calls: RefCell<usize>,
    cleared: bool,
}

impl NodeControl for Counting {
    fn abilities(&mut self) -> Abilities {
        Abilities::all()
    }
    fn place(&mut self) -> Result<Place, String> {
        Err("nowhere".to_owned())
    }
    fn apply(&mut self, _: &Row, _: BackendChoice) -> Result<Applied, String> {
        *self.calls.borrow_mut() += 1;
        Err("not here".to_owned())
    }
    fn clear(&mut self) -> Result<usize, String> {
        self.cleared = true;
        Ok(0)
    }
    fn status(&mut self) -> Result<NodeStatus, String> {
        Err("not here".to_owned())
    }
    fn compare(&mut self, _: &Row, _: BackendChoice) -> Result<Compared, String> {
        Err("not here".to_owned())
    }
    fn replay(&mut self, _: ReplayOrder) -> Result<Response, String> {
        Err("not here".to_owned())
    }
    fn begin_replay(&mut self, _: u64) -> Result<(), String> {
        Err("not here".to_owned())
    }
    fn switches(&mut self, _: u64) -> ReplayState {
        ReplayState { phase: ReplayPhase::None, stamps: Vec::new(), gaps: Vec::new() }
    }
    fn stop_replay(&mut self) {}
    fn take_up(&mut self, _: TakeUp) -> Result<ReplayState, String> {
        Err("not here".to_owned())
    }
}

/// Measures nothing.
struct Idle;

impl Measuring for Idle {
    fn probe(&mut self, _: &ProbeOrder) -> Result<ProbeReport, String> {
        Err("not here".to_owned())
    }
    fn resume(&mut self) {}
}

/// What the session writes, also from its own thread.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whatever the lines are, each but the silent ones has at most one answer, which can be read, and the node is cleared.
pub(crate) fn whole(bytes: &[u8]) {
    let (mut node, output) = (Counting::default(), Output::default());
    serve(Cursor::new(bytes.to_vec()), output.clone(), &mut node, Idle, |_| {}).unwrap();
    assert!(node.cleared, "the node is not cleared");
    let said = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    for line in said.lines().filter(|line| BeatLine::read(line).is_none()) {
        let answer: ResponseLine<Response> = serde_json::from_str(line).unwrap();
        if let Response::Failed { message } = answer.response {
            claims::message(&message);
        }
    }
    let asked = bytes.split(|byte| *byte == b'\n').count();
    assert!(said.lines().count() <= asked, "{} answers to {asked} lines", said.lines().count());
}
