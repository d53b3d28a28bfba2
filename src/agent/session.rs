//! An agent's session: reads requests, answers them in order, and clears the node when the asker goes away.

use std::io::{self, BufRead, Write};
use std::sync::mpsc;

use super::protocol::{Applied, NodeStatus, Request, RequestLine, Response, ResponseLine};
use crate::measure::{ProbeOrder, ProbeReport};
use crate::shaping::{Abilities, BackendChoice, Row};

/// What a session does to its node. Errors are texts: they travel to the command line as they are.
pub trait NodeControl {
    /// What the node's kernel and user can do.
    fn abilities(&mut self) -> Abilities;
    /// Makes the node do `row` and nothing else.
    fn apply(&mut self, row: &Row, backend: BackendChoice) -> Result<Applied, String>;
    /// Removes everything; returns the number of operations.
    fn clear(&mut self) -> Result<usize, String>;
    /// Desired against actual.
    fn status(&mut self) -> Result<NodeStatus, String>;
    /// Probes the other nodes.
    fn probe(&mut self, order: &ProbeOrder) -> Result<ProbeReport, String>;
}

/// Serves requests from `input` until it ends, then clears the node. `ended` is called, from another thread, as soon as
/// the input ends: a measurement under way is then for nobody and should stop.
pub fn serve(
    input: impl BufRead + Send + 'static,
    output: &mut dyn Write,
    node: &mut dyn NodeControl,
    ended: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("session".to_owned()).stack_size(128 * 1024).spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        ended();
    })?;
    let served = answer_all(&receiver, output, node);
    let _ = node.clear();
    served
}

fn answer_all(requests: &mpsc::Receiver<String>, output: &mut dyn Write, node: &mut dyn NodeControl) -> io::Result<()> {
    for line in requests {
        let answer = match serde_json::from_str::<RequestLine<Request>>(&line) {
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

/// The number of a request that cannot be read as a whole, so that its asker does not wait for ever.
fn request_id(line: &str) -> u64 {
    serde_json::from_str::<RequestLine<serde_json::Value>>(line).map_or(0, |line| line.id)
}

fn answer(request: Request, node: &mut dyn NodeControl) -> Response {
    let answered = match request {
        Request::Hello => {
            Ok(Response::Hello { version: env!("CARGO_PKG_VERSION").to_owned(), abilities: Box::new(node.abilities()) })
        }
        Request::Ready => Ok(Response::Ready),
        Request::Apply { row, backend } => node.apply(&row, backend).map(Response::Applied),
        Request::Clear => node.clear().map(|operations| Response::Cleared { operations }),
        Request::Status => node.status().map(|status| Response::Status(Box::new(status))),
        Request::Probe(order) => node.probe(&order).map(Response::Probed),
    };
    answered.unwrap_or_else(|message| Response::Failed { message })
}
