//! Whose turn it is to change the node. A command that changes several hosts takes the turn of each before it changes any, so
//! that what two of them leave is the rows of one, never a mixture. A turn goes with its session, however that ends.

use std::time::SystemTime;

use serde_json::Value;

use super::Keeper;
use crate::agent::protocol::{Request, Response};
use crate::wording::OneLine;

/// A session's turn.
#[derive(Debug)]
pub(super) struct Turn {
    session: u64,
    /// Who it says that it is.
    by: String,
    since: SystemTime,
}

/// What changes the node, or what is to be changed: by the name of the request.
const CHANGES: [&str; 6] = ["apply", "clear", "replay", "begin_replay", "stop_replay", "take_up"];

impl Keeper<'_> {
    /// The answer to a request that is about turns, or that is not this session's to make now; `None` for all others.
    pub(super) fn answer_by_turn(&mut self, session: u64, request: &Value) -> Option<Response> {
        let name = request.as_str().or_else(|| request.as_object()?.keys().next().map(String::as_str))?;
        match name {
            "reserve" => {
                let by = match serde_json::from_value(request.clone()) {
                    Ok(Request::Reserve { by }) => by,
                    Ok(_) => return Some(Response::Failed { message: "the request cannot be read".to_owned() }),
                    Err(error) => {
                        return Some(Response::Failed { message: format!("the request cannot be read: {error}") });
                    }
                };
                Some(self.taken_by_other(session).unwrap_or_else(|| {
                    self.turn = Some(Turn { session, by: OneLine(by).to_string(), since: SystemTime::now() });
                    Response::Reserved
                }))
            }
            "release" => {
                self.end_turn(session);
                Some(Response::Released)
            }
            name if CHANGES.contains(&name) => self.taken_by_other(session).map(|taken| match taken {
                Response::Taken { by, since } => {
                    Response::Failed { message: format!("it is being changed by {by} since {since}") }
                }
                other => other,
            }),
            _ => None,
        }
    }

    /// Its turn, if it has it, is over.
    pub(super) fn end_turn(&mut self, session: u64) {
        self.turn.take_if(|turn| turn.session == session);
    }

    fn taken_by_other(&self, session: u64) -> Option<Response> {
        let turn = self.turn.as_ref().filter(|turn| turn.session != session)?;
        let since = humantime::format_rfc3339_seconds(turn.since).to_string();
        Some(Response::Taken { by: turn.by.clone(), since })
    }
}
