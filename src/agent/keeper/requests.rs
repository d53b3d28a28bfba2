//! What sessions ask of a keeper, and what the worker answers: one request at a time, in the order in which they came.

use serde_json::Value;

use super::{Keeper, Moment};
use crate::agent::protocol::{BeatLine, CancelLine, Request, RequestLine, Response, ResponseLine, is_alive};

/// A request that the worker has yet to answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pending {
    /// A session's.
    Asked {
        session: u64,
        /// The session's own number.
        id: u64,
        /// What is remembered of it.
        what: What,
    },
    /// Our own: put the row in place again.
    Again,
    /// Our own: is everything in place?
    Look,
    /// Our own: nobody wants anything any more.
    Clear,
}

/// What a keeper must know of a session's request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// It puts this in place, as it was asked.
    Apply(Value),
    /// It clears the node.
    Clear,
    /// It orders this timeline.
    Replay(String),
    /// It begins the timeline that was ordered last, at this instant.
    Begin(u64),
    /// It ends a replay.
    Stop,
    /// It asks how far a replay is.
    Switches,
    /// Its answer tells of our restarts too.
    Status,
    /// Nothing.
    Other,
}

impl What {
    fn of(request: &Value) -> Self {
        let begins = || request.pointer("/begin_replay/start_realtime_ns").and_then(Value::as_u64);
        match request.as_str() {
            Some("clear") => Self::Clear,
            Some("status") => Self::Status,
            Some("stop_replay") => Self::Stop,
            _ if request.get("apply").is_some() => Self::Apply(request.clone()),
            _ if request.get("switches").is_some() => Self::Switches,
            _ => match (request.get("replay"), begins()) {
                (Some(order), _) => Self::Replay(order.to_string()),
                (None, Some(start_ns)) => Self::Begin(start_ns),
                (None, None) => Self::Other,
            },
        }
    }
}

impl Pending {
    pub(super) const fn session(&self) -> Option<u64> {
        match self {
            Self::Asked { session, .. } => Some(*session),
            _ => None,
        }
    }

    pub(super) const fn id(&self) -> Option<u64> {
        match self {
            Self::Asked { id, .. } => Some(*id),
            _ => None,
        }
    }
}

impl Keeper<'_> {
    /// A line of a session that has been let in.
    pub(super) fn hear(&mut self, session: u64, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if is_alive(&text) {
            return;
        }
        if BeatLine::read(&text).is_some() {
            return self.say(session, line);
        }
        if let Some(line) = CancelLine::read(&text) {
            return self.cancel(session, line.cancel);
        }
        match serde_json::from_str::<RequestLine<Value>>(&text) {
            Ok(line) => self.ask(session, line),
            Err(error) => {
                let message = format!("the request cannot be read: {error}");
                self.answer(session, 0, Response::Failed { message });
            }
        }
    }

    fn cancel(&mut self, session: u64, id: u64) {
        let theirs = |pending: &Pending| pending.session() == Some(session) && pending.id() == Some(id);
        let Some(cancel) = self.pending.iter().find(|(_, pending)| theirs(pending)).map(|(cancel, _)| *cancel) else {
            return;
        };
        if let (Some(worker), Ok(text)) = (&mut self.worker, serde_json::to_vec(&CancelLine { cancel })) {
            // As with requests, a failure shows as the worker's end.
            let _ = worker.lines.write_line(&text);
        }
    }

    fn ask(&mut self, session: u64, line: RequestLine<Value>) {
        let id = line.id;
        if let Some(response) = self.answer_by_turn(session, &line.request) {
            return self.answer(session, id, response);
        }
        if line.request.get("detach").is_some() {
            let response = match serde_json::from_value(line.request) {
                Ok(Request::Detach { seconds }) => {
                    let seconds = self.leases.detach(session, std::time::Duration::from_secs(seconds)).as_secs();
                    Response::Detached { seconds }
                }
                Ok(_) => Response::Failed { message: "the request cannot be read".to_owned() },
                Err(error) => Response::Failed { message: format!("the request cannot be read: {error}") },
            };
            return self.answer(session, id, response);
        }
        let what = What::of(&line.request);
        self.send(Pending::Asked { session, id, what }, line.request);
    }

    /// Hands a request to the worker.
    pub(super) fn send(&mut self, pending: Pending, request: Value) {
        if self.worker.is_none() {
            let _ = self.start_worker();
        }
        self.next_request += 1;
        let line = RequestLine { id: self.next_request, request };
        let sent = match (&mut self.worker, serde_json::to_vec(&line)) {
            (Some(worker), Ok(text)) => {
                // A failure shows as the worker's end at the next turn.
                let _ = worker.lines.write_line(&text);
                true
            }
            _ => false,
        };
        if sent {
            self.pending.insert(self.next_request, pending);
        } else if let Pending::Asked { session, id, .. } = pending {
            let message = "there is no worker, and none could be started".to_owned();
            self.answer(session, id, Response::Failed { message });
        }
    }

    /// An answer of the worker.
    pub(super) fn answered(&mut self, line: &[u8], now: Moment) {
        let Ok(line) = serde_json::from_slice::<ResponseLine<Value>>(line) else { return };
        let Some(pending) = self.pending.remove(&line.id) else { return };
        let mut response = line.response;
        match pending {
            Pending::Again => self.upkeep.put_again(&response, now + self.limit),
            Pending::Look => self.looked(&response),
            Pending::Clear => {
                if failure(&response).is_some() {
                    self.clear_without_worker();
                }
                self.upkeep.cleared();
            }
            Pending::Asked { session, id, what } => {
                self.note(what, &mut response);
                if let Ok(text) = serde_json::to_vec(&ResponseLine { id, response }) {
                    self.say(session, &text);
                }
                self.close_if_answered(session);
            }
        }
    }

    /// Takes in what the answer to a session's request says of what is in place, and adds what only we know.
    fn note(&mut self, what: What, response: &mut Value) {
        match (what, failure(response)) {
            (What::Apply(request), None) => self.upkeep.applied(request),
            // Whatever it did is judged by looking.
            (What::Apply(_), Some(_)) => {
                self.upkeep.stopped(response);
                self.upkeep.look = true;
            }
            (What::Clear, None) => {
                self.upkeep.stopped(response);
                self.upkeep.wanted = None;
                self.leases.cleared();
            }
            (What::Replay(order), _) => self.upkeep.ordered(order, response),
            (What::Begin(start_ns), None) => self.upkeep.begun(start_ns),
            (What::Stop, _) | (What::Clear, Some(_)) => self.upkeep.stopped(response),
            (What::Switches, _) => {
                if let Some(why) = self.upkeep.waits_with_a_timeline() {
                    let message = format!("{}: the replay is not taken up yet: {why}", self.order.interface);
                    *response = serde_json::json!({ "failed": { "message": message } });
                }
            }
            (What::Status, _) => self.upkeep.tell(response),
            (What::Begin(_), Some(_)) | (What::Other, _) => {}
        }
    }
}

/// Why a request failed, in the worker's words; `None` when it did not.
pub(super) fn failure(response: &Value) -> Option<String> {
    response.get("failed").map(|failed| failed.get("message").and_then(Value::as_str).unwrap_or("failed").to_owned())
}
