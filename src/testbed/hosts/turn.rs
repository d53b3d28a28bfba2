//! Taking the turn of every host before any is changed, so that two commands never leave a mixture of their rows.
//!
//! Hosts are taken in the order of their names, and whoever waits for one holds only those before it: nobody waits in a circle.
//! All that are left are tried at once; those beyond the first that is taken are given back. So an undisturbed command needs
//! one round trip, however many hosts there are.

use std::time::{Duration, Instant};

use nix::unistd::{Uid, gethostname};
use serde_json::Value;

use super::{FIRST_ANSWER, Hosts, HostsError, Link};
use crate::agent::claim::user_name;
use crate::agent::protocol::{Request, RequestLine, Response};
use crate::topology::NodeIndex;
use crate::wording::OneLine;

/// How long to wait for whoever changes a host.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Who asks, in words.
fn own_name() -> String {
    let machine = gethostname().map_or_else(|_| "?".to_owned(), |name| name.to_string_lossy().into_owned());
    format!("user {} on {machine} (process {})", user_name(Uid::current()), std::process::id())
}

/// Who has the turn of a host.
struct Taken {
    node: NodeIndex,
    by: String,
    since: String,
}

impl Hosts {
    /// Takes the turn of every host that there is a session with.
    pub(super) fn take_turns(&mut self) -> Result<(), HostsError> {
        let mut order: Vec<NodeIndex> = (0..self.links.len()).collect();
        order.sort_by(|one, other| self.nodes[*one].name.cmp(&self.nodes[*other].name));
        let deadline = Instant::now() + PATIENCE;
        let (mut held, mut tried) = (0, order.len());
        while held < order.len() {
            match self.try_turns(&order[held..tried])? {
                // The one that was waited for is ours: now all the others.
                None => (held, tried) = (tried, order.len()),
                Some((place, taken)) if Instant::now() > deadline => {
                    self.give_turns_back(&order[..held + place]);
                    let (by, since) = (OneLine(taken.by).to_string(), OneLine(taken.since).to_string());
                    let node = self.nodes[taken.node].name.clone();
                    return Err(HostsError::Busy { node, by, since, waited: PATIENCE });
                }
                Some((place, _)) => {
                    held += place;
                    tried = held + 1;
                    std::thread::sleep(PAUSE);
                }
            }
        }
        Ok(())
    }

    /// Tries to take all of these; the place of the first that somebody else has, with what comes after it given back.
    fn try_turns(&mut self, nodes: &[NodeIndex]) -> Result<Option<(usize, Taken)>, HostsError> {
        let request = serde_json::to_value(Request::Reserve { by: own_name() })?;
        let requests = nodes.iter().map(|node| (*node, request.clone())).collect();
        let answers = self.ask_values(requests, FIRST_ANSWER)?;
        let mut first = None;
        for (place, (node, answer)) in nodes.iter().zip(answers).enumerate() {
            // A host that is lost has no turn to be taken; what it is then asked for says so.
            let Ok(answer) = answer else { continue };
            let message = match serde_json::from_value(answer.value) {
                Ok(Response::Reserved) => continue,
                Ok(Response::Taken { by, since }) => {
                    first = first.or(Some((place, Taken { node: *node, by, since })));
                    continue;
                }
                Ok(Response::Failed { message }) => message,
                Ok(other) => format!("an unexpected answer: {other:?}"),
                Err(error) => error.to_string(),
            };
            self.give_turns_back(nodes);
            let message = OneLine(message).to_string();
            return Err(HostsError::NoTurn { node: self.nodes[*node].name.clone(), message });
        }
        if let Some((place, _)) = &first {
            self.give_turns_back(&nodes[*place..]);
        }
        Ok(first)
    }

    /// Ends the turns of these hosts, where they are ours. Nobody waits for the answers: a session's end does the same.
    pub(super) fn give_turns_back(&mut self, nodes: &[NodeIndex]) {
        for node in nodes {
            self.last_id += 1;
            let line = RequestLine { id: self.last_id, request: Value::from("release") };
            if let (Link::Up(session), Ok(line)) = (&self.links[*node], serde_json::to_string(&line)) {
                session.send(line);
            }
        }
    }
}
