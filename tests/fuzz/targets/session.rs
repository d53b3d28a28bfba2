//! The session protocol: single lines, and a whole session that is fed anything.

use std::io::Cursor;

use longhaul::agent::protocol::{BeatLine, CancelLine, Request, RequestLine, Response, ResponseLine};
use longhaul::agent::session::{Measuring, serve};
use longhaul::measure::{ProbeOrder, ProbeReport};
use longhaul::shaping::{Abilities, Backend, State, desired};

use crate::claims;
use crate::idle_node::{IdleNode, Said};

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

/// Measures nothing.
struct Idle;

impl Measuring for Idle {
    fn probe(&mut self, _: &ProbeOrder) -> Result<ProbeReport, String> {
        Err("not here".to_owned())
    }
    fn resume(&mut self) {}
}

/// Whatever the lines are, each but the silent ones has at most one answer, which can be read, and the node is cleared.
pub(crate) fn whole(bytes: &[u8]) {
    let (mut node, output) = (IdleNode::default(), Said::default());
    serve(Cursor::new(bytes.to_vec()), output.clone(), &mut node, Idle, |_| {}).unwrap();
    assert!(node.cleared, "the node is not cleared");
    let said = output.text();
    for line in said.lines().filter(|line| BeatLine::read(line).is_none()) {
        let answer: ResponseLine<Response> = serde_json::from_str(line).unwrap();
        if let Response::Failed { message } = answer.response {
            claims::message(&message);
        }
    }
    let asked = bytes.split(|byte| *byte == b'\n').count();
    assert!(said.lines().count() <= asked, "{} answers to {asked} lines", said.lines().count());
}
