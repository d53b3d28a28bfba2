//! A keeper's sessions: letting them in, reading what they want, and their ends.

use std::io;
use std::time::Duration;

use super::{FOUNDER, Keeper, Moment};
use crate::agent::claim::Peer;
use crate::agent::greeting::{FarewellLine, Greeting, Holder, PROTOCOL, Welcome};
use crate::agent::lines::Lines;
use crate::agent::protocol::{CancelLine, Response, ResponseLine};

/// The shortest lease: below it a busy machine would look like a lost session.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// A connection.
pub(super) struct Session {
    pub(super) lines: Lines,
    peer: Peer,
    /// Whether it has been let in.
    pub(super) joined: bool,
    /// Whether no more requests come: answers to those that came may still go out.
    pub(super) ended: bool,
    /// Whether it waits for the keeper's end.
    waits: bool,
}

impl Keeper<'_> {
    pub(super) fn accept(&mut self) {
        let connected = self.listener.accept().and_then(|(stream, _)| Ok((Peer::of(&stream)?, Lines::new(stream)?)));
        match connected {
            Ok((peer, lines)) => {
                self.next_session += 1;
                let session = Session { lines, peer, joined: false, ended: false, waits: false };
                self.sessions.insert(self.next_session, session);
                // It must say what it wants soon: a connection that is silent is nobody's.
                self.leases.join(self.next_session, self.limit, self.now());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Out of files. The listener stays readable, so it is left alone until a session gives its file back.
            Err(_) => self.full = true,
        }
    }

    pub(super) fn serve_session(&mut self, number: u64) {
        let now = self.now();
        let Some(session) = self.sessions.get_mut(&number) else { return };
        if session.ended && !session.lines.wants_to_write() {
            // Nothing is waited for, so this is the other side going away altogether.
            return self.drop_session(number);
        }
        let (written, before) = (session.lines.flush(), session.lines.received());
        let (lines, end) = if session.ended { (Vec::new(), None) } else { session.lines.read_lines() };
        if session.joined && session.lines.received() > before {
            self.leases.renew(number, now);
        }
        for line in lines {
            match self.sessions.get(&number) {
                Some(session) if session.joined => self.hear(number, &line),
                Some(_) => self.greet(number, &line, now),
                None => return,
            }
        }
        if written.is_err() {
            self.drop_session(number);
        } else if let Some(error) = end {
            if error.kind() == io::ErrorKind::InvalidData {
                return self.dismiss(number, &error.to_string());
            }
            self.leave(number);
        }
    }

    /// The first line of a connection.
    fn greet(&mut self, number: u64, line: &[u8], now: Moment) {
        let Some(peer) = self.sessions.get(&number).map(|session| session.peer) else { return };
        let welcome = match serde_json::from_slice(line) {
            Err(error) => Welcome::Refused { message: format!("the greeting cannot be read: {error}") },
            Ok(Greeting::Who) => Welcome::Holder(self.holder()),
            Ok(_) if !peer.is_trusted() => {
                let (user, own) = (peer.user(), &self.user);
                Welcome::Refused { message: format!("user {user} may not use the keeper of user {own}") }
            }
            Ok(Greeting::End) => {
                self.told_to_end = true;
                Welcome::Ending
            }
            Ok(Greeting::Join { protocol, testbed, lease_ms }) => self.join(number, protocol, &testbed, lease_ms, now),
        };
        let Some(session) = self.sessions.get_mut(&number) else { return };
        session.joined = welcome == Welcome::Joined;
        session.waits = welcome == Welcome::Ending;
        let stays = session.joined || session.waits;
        let written =
            serde_json::to_vec(&welcome).map_err(io::Error::from).and_then(|text| session.lines.write_line(&text));
        if !session.joined {
            self.leases.leave(number, now);
        }
        if written.is_err() || !stays {
            self.drop_session(number);
        }
    }

    fn join(&mut self, number: u64, protocol: u32, testbed: &str, lease_ms: u64, now: Moment) -> Welcome {
        if protocol != PROTOCOL {
            let message = format!("{} (another version of longhaul)", self.holder().refusal());
            return Welcome::Refused { message };
        }
        if testbed != self.order.testbed {
            return Welcome::Refused { message: self.holder().refusal() };
        }
        if self.told_to_end {
            return Welcome::Refused { message: "the keeper was told to end".to_owned() };
        }
        let lease = Duration::from_millis(lease_ms).max(SHORTEST_LEASE);
        self.leases.join(number, lease, now);
        self.leases.leave(FOUNDER, now);
        self.set_limit();
        Welcome::Joined
    }

    /// Who holds the interface.
    pub(super) fn holder(&self) -> Holder {
        let left = self.leases.detached_until().and_then(|until| until.checked_sub(self.now()));
        Holder {
            interface: self.order.interface.clone(),
            testbed: self.order.testbed.clone(),
            user: self.user.clone(),
            since: self.since.clone(),
            keeper: nix::unistd::Pid::this().as_raw(),
            worker: self.worker.as_ref().map(|worker| worker.process.pid().as_raw()),
            guardian: self.guardian.as_ref().map(|guardian| guardian.process.pid().as_raw()),
            sessions: self.sessions.values().filter(|session| session.joined).count(),
            detached_seconds: left.map(|left| left.as_secs()),
        }
    }

    /// The session sends nothing more. What it has asked is still answered, but its measurements are for nobody.
    fn leave(&mut self, number: u64) {
        let now = self.now();
        self.leases.leave(number, now);
        self.end_turn(number);
        self.set_limit();
        self.cancel_requests_of(number);
        let Some(session) = self.sessions.get_mut(&number) else { return };
        session.ended = true;
        self.close_if_answered(number);
    }

    /// An ended session's connection lasts until it has all its answers; and if it was the last, until the node is clear.
    pub(super) fn close_if_answered(&mut self, number: u64) {
        let Some(session) = self.sessions.get(&number) else { return };
        let asked = self.pending.values().any(|pending| pending.session() == Some(number));
        let last = !self.leases.wanted(self.now());
        if session.ended && !asked && !session.lines.wants_to_write() && !last && !session.waits {
            self.bid_farewell(number, "");
            self.drop_session(number);
        }
    }

    /// Tells a session why it ends; no reason is the orderly end that it asked for.
    pub(super) fn bid_farewell(&mut self, number: u64, why: &str) {
        if let (Some(session), Ok(text)) =
            (self.sessions.get_mut(&number), serde_json::to_vec(&FarewellLine { farewell: why.to_owned() }))
        {
            let _ = session.lines.write_line(&text);
        }
    }

    pub(super) fn drop_session(&mut self, number: u64) {
        if self.sessions.remove(&number).is_none() {
            return;
        }
        self.full = false;
        let now = self.now();
        self.leases.leave(number, now);
        self.end_turn(number);
        self.set_limit();
        self.cancel_requests_of(number);
    }

    fn cancel_requests_of(&mut self, number: u64) {
        let theirs = self.pending.iter().filter(|(_, pending)| pending.session() == Some(number));
        let cancels: Vec<CancelLine> = theirs.map(|(cancel, _)| CancelLine { cancel: *cancel }).collect();
        for line in cancels {
            if let (Some(worker), Ok(text)) = (&mut self.worker, serde_json::to_vec(&line)) {
                // As with requests, a failure shows as the worker's end.
                let _ = worker.lines.write_line(&text);
            }
        }
    }

    /// Ends the sessions whose leases have run out.
    pub(super) fn expire(&mut self, now: Moment) {
        for number in self.leases.expired(now) {
            self.leases.leave(number, now);
            if !self.sessions.contains_key(&number) {
                continue;
            }
            self.dismiss(number, "the session was silent for longer than its lease");
        }
    }

    /// Tells a session why it ends, and ends it.
    pub(super) fn dismiss(&mut self, number: u64, why: &str) {
        let asked: Vec<u64> =
            self.pending.values().filter(|one| one.session() == Some(number)).filter_map(super::Pending::id).collect();
        for id in asked {
            self.answer(number, id, Response::Failed { message: why.to_owned() });
        }
        self.bid_farewell(number, why);
        self.drop_session(number);
    }

    /// Sends a session an answer of our own.
    pub(super) fn answer(&mut self, number: u64, id: u64, response: Response) {
        if let Ok(text) = serde_json::to_vec(&ResponseLine { id, response }) {
            self.say(number, &text);
        }
    }

    /// Sends a session a line.
    pub(super) fn say(&mut self, number: u64, line: &[u8]) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        if session.lines.write_line(line).is_err() {
            self.drop_session(number);
        }
    }

    /// The time in which failures must be noticed is that of the shortest lease.
    fn set_limit(&mut self) {
        self.limit = self.leases.shortest().unwrap_or(self.limit);
        if let Some(guardian) = &mut self.guardian {
            guardian.pulse.set_limit(self.limit);
        }
    }
}
