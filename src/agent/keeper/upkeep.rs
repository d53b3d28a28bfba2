//! What a keeper keeps up: the row that is wanted, in place again after a worker was lost or somebody changed what it needs.

use std::collections::BTreeSet;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::requests::{Pending, failure};
use super::timeline::{Kept, last_switch_ns};
use super::{Keeper, Moment};
use crate::agent::keeper::guardian::Guardian;
use crate::agent::pulse::Finding;
use crate::agent::replay::now_ns;
use crate::shaping::OwnTable;

/// How often a row may take its worker with it before it is given up.
const ATTEMPTS: u32 = 3;

/// How many reasons of restarts are remembered.
const REMEMBERED: usize = 8;

/// What is wanted, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// What put in place what sessions want.
    pub(super) wanted: Option<Wanted>,
    /// A timeline that was accepted and may begin.
    ordered: Option<String>,
    /// The interface's index when we last looked.
    pub(super) index: Option<u32>,
    /// Something may have changed.
    pub(super) look: bool,
    /// When to try again what failed.
    pub(super) again: Option<Moment>,
    /// Why there were restarts, the latest last.
    restarts: Vec<String>,
    /// Whether the last thing to do is under way, or done.
    clearing: Clearing,
}

/// A row, or a timeline of rows, that sessions want.
#[derive(Debug)]
pub(super) struct Wanted {
    what: Kind,
    /// Why it is not in place; `None` when it is.
    missing: Option<String>,
    /// How many workers were lost while they put it in place.
    attempts: u32,
}

#[derive(Debug)]
enum Kind {
    /// The request that put a row in place.
    Row(Value),
    /// A replay.
    Timeline(Kept),
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Clearing {
    #[default]
    No,
    UnderWay,
    Done,
}

impl Upkeep {
    /// A session's row is in place.
    pub(super) fn applied(&mut self, request: Value) {
        self.wanted = Some(Wanted { what: Kind::Row(request), missing: None, attempts: 0 });
        (self.again, self.ordered) = (None, None);
    }

    /// A timeline was accepted, or refused; either way one before it has ended.
    pub(super) fn ordered(&mut self, order: String, response: &Value) {
        self.stopped(response);
        self.ordered = response.get("replaying").map(|_| order);
    }

    /// The timeline that was accepted last begins, or begins anew.
    pub(super) fn begun(&mut self, start_ns: u64) {
        let Some(order) = self.ordered.take() else {
            if let Some(Wanted { what: Kind::Timeline(kept), .. }) = &mut self.wanted {
                kept.begins(start_ns);
            }
            return;
        };
        let before = self.wanted.take().and_then(|wanted| match wanted.what {
            Kind::Row(request) => Some(request),
            Kind::Timeline(_) => None,
        });
        let kept = Kept::new(order, start_ns, before);
        self.wanted = Some(Wanted { what: Kind::Timeline(kept), missing: None, attempts: 0 });
        self.again = None;
    }

    /// A replay has ended, if there was one: what was switched to last stays.
    pub(super) fn stopped(&mut self, response: &Value) {
        self.ordered = None;
        let Some(Wanted { what: what @ Kind::Timeline(_), .. }) = &mut self.wanted else { return };
        let Kind::Timeline(kept) = &*what else { return };
        if let Some(request) = kept.row(last_switch_ns(response).unwrap_or_else(now_ns)) {
            *what = Kind::Row(request);
        } else {
            (self.wanted, self.again) = (None, None);
        }
        // The timeline was read for that; what is wanted is kept as it was written.
        OwnTable::keep_only(&BTreeSet::new());
    }

    /// Whether a timeline is wanted that no worker has taken up.
    pub(super) fn waits_with_a_timeline(&self) -> Option<&str> {
        let wanted = self.wanted.as_ref().filter(|wanted| matches!(wanted.what, Kind::Timeline(_)));
        wanted.and_then(|wanted| wanted.missing.as_deref())
    }

    /// What is wanted was put in place again, or not, which is tried again at `next`.
    pub(super) fn put_again(&mut self, response: &Value, next: Moment) {
        let Some(wanted) = &mut self.wanted else { return };
        let failure = failure(response);
        if let Kind::Timeline(kept) = &mut wanted.what {
            kept.taken_up(response);
        }
        wanted.attempts = 0;
        self.again = failure.is_some().then_some(next);
        wanted.missing = failure;
    }

    /// The node was cleared because nobody wants anything any more.
    pub(super) fn cleared(&mut self) {
        self.wanted = None;
        self.again = None;
        self.clearing = Clearing::Done;
    }

    /// A worker was lost, for the reason `why`; `renewed` says whether there is a new one on a clear node.
    pub(super) fn lost(&mut self, why: String, renewed: &Result<(), String>, again: bool) {
        let mut note = format!("{}: {why}", humantime::format_rfc3339_seconds(SystemTime::now()));
        if let Err(error) = renewed {
            note = format!("{note}; {error}");
        }
        self.ordered = None;
        if let Some(wanted) = &mut self.wanted {
            if let Kind::Timeline(kept) = &mut wanted.what {
                kept.lost(&why, now_ns());
            }
            wanted.attempts += u32::from(again);
            wanted.missing = Some(why);
            self.again = Some(Moment::ZERO);
        }
        if self.wanted.as_ref().is_some_and(|wanted| wanted.attempts >= ATTEMPTS) {
            note = format!("{note}; the row was given up after {ATTEMPTS} attempts");
            self.wanted = None;
            self.again = None;
        }
        self.restarts.push(note);
        if self.restarts.len() > REMEMBERED {
            self.restarts.remove(0);
        }
    }

    /// Its worker hangs, and was last heard of so long ago.
    pub(super) fn timeline_stood_still(&mut self, since: std::time::Duration) {
        if let Some(Wanted { what: Kind::Timeline(kept), .. }) = &mut self.wanted {
            let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            kept.lost("the worker was replaced: it did not answer within its lease", now_ns().saturating_sub(since));
        }
    }

    /// Adds to a status what only the keeper knows.
    pub(super) fn tell(&self, response: &mut Value) {
        let missing = self.wanted.as_ref().and_then(|wanted| wanted.missing.as_ref());
        let missing = missing.map(|why| format!("the row is not in place: {why}"));
        if let (Some(Value::String(message)), Some(missing)) = (response.pointer_mut("/failed/message"), &missing) {
            *message = format!("{message}; {missing}");
        }
        let Some(status) = response.get_mut("status").and_then(Value::as_object_mut) else { return };
        if !self.restarts.is_empty() {
            status.insert("restarts".to_owned(), json!(self.restarts));
        }
        if let (Some(missing), Some(Value::Array(differences))) = (missing, status.get_mut("differences")) {
            differences.push(json!(missing));
        }
    }
}

impl Keeper<'_> {
    /// Keeps a guardian, and shows it that we live.
    pub(super) fn watch_guardian(&mut self, now: Moment) -> std::io::Result<()> {
        if let Some(guardian) = &mut self.guardian {
            let answers = guardian.answers(now);
            let finding = guardian.pulse.look(now);
            if answers && finding == Finding::Ask {
                guardian.pulse.asked(now);
                guardian.beat(self.limit);
            }
            if !answers || finding == Finding::Hangs || guardian.process.ends_within(nix::poll::PollTimeout::ZERO) {
                let _ = guardian.process.end(nix::poll::PollTimeout::ZERO);
                self.guardian = None;
            }
        }
        if self.guardian.is_none() {
            let guardian = Guardian::start(&self.listener, self.ground, self.limit, now)?;
            if let Some(worker) = &self.worker {
                guardian.watch(&worker.process);
            }
            self.guardian = Some(guardian);
        }
        Ok(())
    }

    /// Looks at what may have changed, and puts in place what is wanted and is not there.
    pub(super) fn look_after(&mut self, now: Moment) {
        if std::mem::take(&mut self.upkeep.look) {
            let index = self.ground.index();
            let before = std::mem::replace(&mut self.upkeep.index, index);
            let interface = self.order.interface.clone();
            match (before, index) {
                _ if self.upkeep.wanted.is_none() => {}
                (Some(before), Some(after)) if before != after => {
                    self.lose_worker(Some(&format!("{interface} was deleted and made anew")));
                }
                (Some(_), None) => self.lose_worker(Some(&format!("{interface} was deleted or renamed"))),
                (_, None) => {}
                // Not at once: what failed may itself have made the change that is looked at.
                _ if self.upkeep.wanted.as_ref().is_some_and(|wanted| wanted.missing.is_some()) => {
                    self.upkeep.again = Some(now + self.limit / 10);
                }
                _ => self.send_once(Pending::Look, "status".into()),
            }
        }
        if self.upkeep.again.is_some_and(|again| again <= now) {
            self.upkeep.again = None;
            if let Some(wanted) = &self.upkeep.wanted {
                let request = match &wanted.what {
                    Kind::Row(request) => request.clone(),
                    Kind::Timeline(kept) => kept.request(),
                };
                self.send_once(Pending::Again, request);
            }
        }
    }

    /// Sends a request of our own unless the like is under way.
    fn send_once(&mut self, pending: Pending, request: Value) {
        if !self.pending.values().any(|one| *one == pending) {
            self.send(pending, request);
        }
    }

    /// What the worker says of the node after something may have changed.
    pub(super) fn looked(&mut self, response: &Value) {
        if self.upkeep.wanted.as_ref().is_none_or(|wanted| wanted.missing.is_some()) {
            return;
        }
        let differences = response.pointer("/status/differences").and_then(Value::as_array);
        match (failure(response), differences.map_or(0, Vec::len)) {
            (None, 0) => {}
            (None, count) => self.lose_worker(Some(&format!("{count} objects of ours were changed by somebody else"))),
            (Some(message), _) => self.lose_worker(Some(&message)),
        }
    }

    /// Sees to it that the node is cleared once nobody wants anything; true when that has been done.
    pub(super) fn settle(&mut self, now: Moment) -> bool {
        let wanted = !self.told_to_end && self.leases.wanted(now);
        let under_way = self.pending.values().any(|pending| pending.session().is_some());
        match self.upkeep.clearing {
            Clearing::Done if wanted || under_way => {
                self.upkeep.clearing = Clearing::No;
                for number in self.sessions.keys().copied().collect::<Vec<_>>() {
                    self.close_if_answered(number);
                }
            }
            Clearing::Done => return true,
            Clearing::UnderWay => {}
            Clearing::No if wanted => {}
            Clearing::No => {
                if self.told_to_end {
                    let joined = self.sessions.iter().filter(|(_, session)| session.joined);
                    for number in joined.map(|(number, _)| *number).collect::<Vec<_>>() {
                        self.dismiss(number, "the keeper was told to end by `longhaul panic`");
                    }
                } else if under_way {
                    return false;
                }
                self.upkeep.clearing = Clearing::UnderWay;
                self.send(Pending::Clear, "clear".into());
            }
        }
        false
    }
}
