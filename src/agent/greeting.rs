//! What a session's front and its keeper say to each other before the session protocol begins: one line each way.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Changes when fronts and keepers of different versions cannot work together.
pub const PROTOCOL: u32 = 1;

/// The first line of whoever connects to a keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Greeting {
    /// Let me in as a session.
    Join {
        /// [`PROTOCOL`] of the front.
        protocol: u32,
        /// The testbed that the session belongs to.
        testbed: String,
        /// How long it may be silent.
        lease_ms: u64,
    },
    /// Who are you?
    Who,
    /// Clear the node and end, whatever anybody wants.
    End,
}

/// The keeper's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Welcome {
    /// The session protocol follows.
    Joined,
    /// Not let in, and why.
    Refused {
        /// In words.
        message: String,
    },
    /// Who holds the interface.
    Holder(Holder),
    /// It ends; the connection lasts until it has.
    Ending,
}

/// A line of a keeper that is no answer: why it ends a session; empty when the session has asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarewellLine {
    /// In words.
    pub farewell: String,
}

impl FarewellLine {
    /// Reads a line; `None` when it is an answer.
    pub fn read(line: &[u8]) -> Option<Self> {
        if line.starts_with(br#"{"farewell":"#) { serde_json::from_slice(line).ok() } else { None }
    }
}

/// Who holds an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The interface.
    pub interface: String,
    /// The testbed that it belongs to.
    pub testbed: String,
    /// The user whose keeper it is.
    pub user: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// The keeper's process.
    pub keeper: i32,
    /// The process that does the work, if it is there.
    pub worker: Option<i32>,
    /// The process that tidies up when the keeper cannot.
    pub guardian: Option<i32>,
    /// How many sessions there are.
    pub sessions: usize,
    /// For how many more seconds something stays without a session.
    pub detached_seconds: Option<u64>,
}

impl Holder {
    /// Why somebody else is not let in, and what can be done.
    pub fn refusal(&self) -> String {
        let sessions = match self.sessions {
            0 => "no session".to_owned(),
            1 => "1 session".to_owned(),
            more => format!("{more} sessions"),
        };
        let detached = self.detached_seconds.map_or_else(String::new, |seconds| {
            format!(", detached for another {}", humantime::format_duration(Duration::from_secs(seconds)))
        });
        format!(
            "{} of this network namespace is held by testbed `{}` of user {} since {} (keeper process {}, {sessions}{detached}); \
             to share it use that name, as `testbed` of the inventory or `--testbed` of an agent; or end its sessions, or \
             free it with `longhaul panic` on that host",
            self.interface, self.testbed, self.user, self.since, self.keeper
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refusal_says_who_and_what_to_do() {
        let holder = Holder {
            interface: "eth0".to_owned(),
            testbed: "alpha".to_owned(),
            user: "root".to_owned(),
            since: "2026-11-22T01:00:00Z".to_owned(),
            keeper: 4711,
            worker: Some(4713),
            guardian: Some(4712),
            sessions: 0,
            detached_seconds: Some(90),
        };
        assert_eq!(
            holder.refusal(),
            "eth0 of this network namespace is held by testbed `alpha` of user root since 2026-11-22T01:00:00Z (keeper process \
             4711, no session, detached for another 1m 30s); to share it use that name, as `testbed` of the inventory or \
             `--testbed` of an agent; or end its sessions, or free it with `longhaul panic` on that host"
        );
    }

    #[test]
    fn the_lines_are_these() {
        let join = Greeting::Join { protocol: 1, testbed: "t".to_owned(), lease_ms: 10_000 };
        let text = r#"{"join":{"protocol":1,"testbed":"t","lease_ms":10000}}"#;
        assert_eq!(serde_json::to_string(&join).unwrap(), text);
        assert_eq!(serde_json::to_string(&Greeting::End).unwrap(), r#""end""#);
        assert_eq!(FarewellLine::read(br#"{"farewell":"x"}"#).unwrap().farewell, "x");
        assert_eq!(FarewellLine::read(br#"{"id":1,"response":"ready"}"#), None);
    }
}
