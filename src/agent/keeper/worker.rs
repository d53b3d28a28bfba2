//! The worker as its keeper sees it: starting it, watching it, and what follows its end.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::PollTimeout;

use super::requests::Pending;
use super::{Keeper, LONG_STEP, Moment};
use crate::agent::lines::Lines;
use crate::agent::process::{Process, close_all_but, fork_off, outlast_signals, set_name};
use crate::agent::protocol::{BeatLine, Response};
use crate::agent::pulse::{Finding, Pulse};

/// A worker at work.
pub(super) struct Worker {
    pub(super) process: Process,
    pub(super) lines: Lines,
    pub(super) pulse: Pulse,
}

impl Worker {
    /// Lets it end by itself, which it does when its requests end; kills it when it does not.
    pub(super) fn finish(self, patience: Duration) {
        drop(self.lines);
        let _ = self.process.end(PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX));
    }
}

impl Keeper<'_> {
    /// Starts a worker. The guardian knows of it before it gets its first request.
    pub(super) fn start_worker(&mut self) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let kept = [theirs.as_raw_fd(), self.listener.as_raw_fd()];
        let ground = &mut *self.ground;
        let pid = fork_off(move || {
            close_all_but(&kept);
            set_name("lh-worker");
            outlast_signals();
            ground.work(theirs)
        })?;
        let process = Process::open(pid)?;
        if let Some(guardian) = &self.guardian {
            guardian.watch(&process);
        }
        // Until it is first heard of it has much to do.
        let pulse = Pulse::new(self.limit.max(LONG_STEP), self.now());
        self.worker = Some(Worker { process, lines: Lines::new(ours)?, pulse });
        Ok(())
    }

    /// Takes in what the worker says; notices its end.
    pub(super) fn serve_worker(&mut self) {
        let now = self.now();
        let Some(worker) = &mut self.worker else { return };
        let written = worker.lines.flush();
        let (lines, end) = worker.lines.read_lines();
        if !lines.is_empty() {
            worker.pulse.heard(now);
            worker.pulse.set_limit(self.limit);
        }
        for line in lines {
            if BeatLine::read(&String::from_utf8_lossy(&line)).is_none() {
                self.answered(&line, now);
            }
        }
        if written.is_err() || end.is_some() {
            self.lose_worker(None);
        }
    }

    /// Asks a worker that was silent for a while whether it lives; ends one that does not answer.
    pub(super) fn watch_worker(&mut self, now: Moment) {
        let Some(worker) = &mut self.worker else { return };
        if worker.process.ends_within(PollTimeout::ZERO) {
            // Its last answers first.
            self.serve_worker();
            return self.lose_worker(None);
        }
        match worker.pulse.look(now) {
            Finding::Hangs => {
                let since = worker.pulse.silence(now);
                self.upkeep.timeline_stood_still(since);
                self.lose_worker(Some("it did not answer within its lease"));
            }
            Finding::Ask => {
                worker.pulse.asked(now);
                let beat = serde_json::to_vec(&BeatLine { beat: self.next_request }).unwrap_or_default();
                let _ = worker.lines.write_line(&beat);
            }
            Finding::Fine(_) => {}
        }
    }

    /// The last clear failed: ends the worker, whose line may hold packets of the rules, and clears without it.
    pub(super) fn clear_without_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            let _ = worker.process.end(PollTimeout::ZERO);
        }
        self.assure(self.limit.max(LONG_STEP));
        // Nobody is left to tell; the next keeper begins by clearing again.
        let _ = self.ground.sweep();
    }

    /// The worker is lost, or is to go: clears the node, tells whoever waits, and begins anew with what is wanted.
    pub(super) fn lose_worker(&mut self, why: Option<&str>) {
        let Some(worker) = self.worker.take() else { return };
        let end = worker.process.end(if why.is_some() { PollTimeout::ZERO } else { PollTimeout::from(1_000u16) });
        let what = match why {
            Some(why) => format!("the worker was replaced: {why}"),
            None => format!("the worker {end}"),
        };
        self.assure(self.limit.max(LONG_STEP));
        let swept = self.ground.sweep();
        let pending = std::mem::take(&mut self.pending);
        for (session, id) in pending.values().filter_map(|one| one.session().zip(one.id())) {
            let message = format!("{}: {what} while this was under way", self.order.interface);
            self.answer(session, id, Response::Failed { message });
        }
        let clearing = pending.values().any(|one| *one == Pending::Clear);
        let again = pending.values().any(|one| *one == Pending::Again);
        if clearing {
            self.upkeep.cleared();
        }
        let started = self.start_worker().map_err(|error| error.to_string());
        self.upkeep.lost(what, &swept.and(started), again);
        self.assure(self.limit);
        let ended: Vec<u64> = self.sessions.keys().copied().collect();
        for session in ended {
            self.close_if_answered(session);
        }
    }
}
