//! The line's thread: capture, hold, emit, wait.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::alarm::{self, Alarm};
use super::buffer::{self, Packet, Pool};
use super::capture::Capture;
use super::clock::{self, Converter};
use super::emit::Emit;
use super::error::LineError;
use super::frame;
use super::moment::Moment;
use super::rhythm::{self, Emission, Lead, Round, Wait};
use super::schedule::{Arrival, Offered, Schedule};
use super::shared::{Order, Shared, add};
use crate::units::Span;

/// So many packets at once are a flow, for which it pays to let more of them gather.
const FLOW: u64 = 2;
/// Packets taken from a single socket before due packets get their turn.
const TURN: u64 = 256;
/// Packets and bytes given out before the capture gets its turn.
const PORTION_PACKETS: usize = 64;
const PORTION_BYTES: usize = 1 << 20;
/// Packets that leave later than this after their time are counted as late.
const LATE: Span = Span::from_millis(1);
/// Packets from this size on, or so many at once, make the thread return memory when it comes to rest.
const LARGE: usize = 4096;
const MANY: usize = 4096;
/// How often unneeded memory is returned under traffic.
const TRIM_EVERY: Span = Span::from_millis(1_000);
/// How often a capture interface that is down is looked at.
const LOOK_EVERY: Span = Span::from_millis(100);
/// How long a line that stops goes on emitting.
const LAST_WORDS: Span = Span::from_millis(1_000);

/// Everything the thread owns.
#[derive(Debug)]
pub(super) struct Worker {
    capture: Capture,
    emit: Emit,
    schedule: Schedule<Packet>,
    pool: Pool,
    converter: Converter,
    alarm: Alarm,
    shared: Arc<Shared>,
    /// What the thread waits for next.
    plan: Wait,
    lead: Lead,
    /// Positions of sockets that have packets.
    ready: Vec<usize>,
    /// When the capture was last emptied.
    emptied: Moment,
    /// All packets captured until then are in the schedule, as far as order matters.
    complete: Moment,
    flowing: bool,
    /// Whether the capture interface was down when last heard of.
    down: bool,
    /// When unneeded memory was last returned.
    trimmed: Moment,
    /// Whether memory should be returned at rest.
    stretched: bool,
}

/// What emptying the capture gave.
#[derive(Debug, Default)]
struct Taken {
    held: u64,
    unmatched: u64,
    dropped: u64,
    lost: u64,
    doubled: u64,
    refused: u64,
    more: bool,
}

impl Taken {
    fn count(&mut self, offered: Offered) {
        match offered {
            Offered::Held => self.held += 1,
            Offered::Unmatched => self.unmatched += 1,
            Offered::Dropped => self.dropped += 1,
            Offered::Lost => self.lost += 1,
            Offered::Doubled => {
                self.held += 1;
                self.doubled += 1;
            }
        }
    }

    /// All packets that were captured.
    fn captured(&self) -> u64 {
        self.held + self.unmatched + self.dropped + self.lost
    }
}

/// What emitting did.
#[derive(Debug)]
struct Sent {
    emission: Emission,
    /// When to try again what the driver did not take.
    again: Option<Moment>,
}

impl Worker {
    /// Takes the sockets over.
    pub(super) fn new(
        capture: Capture,
        emit: Emit,
        pool: Pool,
        memory: usize,
        shared: Arc<Shared>,
    ) -> Result<Self, LineError> {
        let alarm = Alarm::new().map_err(|source| LineError::kernel("make a timer for", "the line", source))?;
        Ok(Self {
            capture,
            emit,
            schedule: Schedule::new(memory, RandomState::new().build_hasher().finish()),
            pool,
            converter: Converter::new(clock::read()),
            alarm,
            shared,
            plan: Wait { until: None, exact: false, empty_at: None },
            lead: Lead::new(),
            ready: Vec::new(),
            emptied: Moment::START,
            complete: Moment::END,
            flowing: false,
            down: false,
            trimmed: Moment::START,
            stretched: false,
        })
    }

    /// Works until it is told to stop or an interface has gone.
    pub(super) fn run(mut self) {
        self.shared.numbers.niceness.store(alarm::hurry(), Ordering::Relaxed);
        let reason = loop {
            match self.round() {
                Ok(true) => {}
                Ok(false) => break "it was told to".to_owned(),
                Err(error) => {
                    let reason = error.to_string();
                    self.shared.fail(reason.clone());
                    break reason;
                }
            }
        };
        self.shared.end(reason);
    }

    /// Waits and does what there is to do; false when told to stop.
    fn round(&mut self) -> Result<bool, LineError> {
        let [ordered, arrived] = self.sleep()?;
        if ordered && !self.obey()? {
            return Ok(false);
        }
        if self.down {
            self.check_alive(nix::errno::Errno::ENODEV)?;
        }
        let called = arrived || self.plan.empty_at.is_some_and(|at| at <= clock::now());
        let more = called && self.empty()?;
        let sent = self.emit_due(clock::now())?;
        self.plan = self.next(more, &sent);
        self.rest();
        Ok(true)
    }

    /// Sleeps as planned; whether there are orders, and whether packets have come.
    fn sleep(&mut self) -> Result<[bool; 2], LineError> {
        let listening = self.plan.empty_at.is_none();
        let others = [Some(self.shared.wake().as_fd()), listening.then(|| self.capture.readable())];
        let due = self.plan.until.filter(|_| self.plan.exact);
        let set = due.map_or(self.plan.until, |due| Some(self.lead.before(due, clock::now())));
        let woken = self.alarm.wait(set, others).map_err(|source| LineError::kernel("wait for", "the line", source))?;
        if let (Some(due), Some(set), [false, false]) = (due, set, woken) {
            let mut now = clock::now();
            if set < due {
                self.lead.learn(now.since(set));
            }
            while now < due {
                std::hint::spin_loop();
                now = clock::now();
            }
        }
        Ok(woken)
    }

    /// What to wait for after packets were taken in and sent.
    fn next(&self, more: bool, sent: &Sent) -> Wait {
        let round = Round {
            now: clock::now(),
            emptied: self.emptied,
            flowing: self.flowing,
            more,
            emission: sent.emission,
            next_due: self.schedule.next_due(),
        };
        let mut wait = rhythm::wait(round, rhythm::quantum(self.schedule.shortest_delay()));
        if let Some(again) = sent.again {
            // Until then nothing can go out, whatever is due.
            wait.until = Some(wait.empty_at.map_or(again, |empty_at| empty_at.min(again)));
            wait.exact = false;
        }
        if self.down {
            let look = round.now.plus(LOOK_EVERY);
            wait.until = Some(wait.until.map_or(look, |until| until.min(look)));
            wait.exact = false;
        }
        wait
    }

    /// Carries an order out; false when it is to stop.
    fn obey(&mut self) -> Result<bool, LineError> {
        match self.shared.order() {
            Some(Order::Replace(paths)) => {
                self.schedule.replace(paths);
                self.shared.done();
                Ok(true)
            }
            Some(Order::Stop) => self.finish().map(|()| false),
            None => Ok(true),
        }
    }

    /// Takes in what was captured; whether there is more.
    fn empty(&mut self) -> Result<bool, LineError> {
        self.converter.update(clock::read());
        self.emptied = clock::now();
        let mut ready = std::mem::take(&mut self.ready);
        self.capture.ready(&mut ready).map_err(|source| LineError::kernel("watch", "the capture", source))?;
        let mut taken = Taken::default();
        for position in &ready {
            self.take_in(*position, &mut taken)?;
        }
        self.ready = ready;
        self.stretched |= self.schedule.len() > MANY;
        self.complete = if self.capture.is_single() { Moment::END } else { self.emptied };
        self.down &= taken.held + taken.unmatched + taken.lost == 0;
        self.flowing = taken.held >= FLOW && taken.unmatched == 0;
        let numbers = &self.shared.numbers;
        add(&numbers.captured, taken.captured());
        add(&numbers.lost, taken.lost);
        add(&numbers.doubled, taken.doubled);
        add(&numbers.unmatched, taken.unmatched);
        add(&numbers.dropped_memory, taken.dropped);
        add(&numbers.dropped_unsupported, taken.refused);
        self.count_held();
        Ok(taken.more)
    }

    /// Takes in what waits in one socket: a turn of a single one, whose packets are in order; of several sockets
    /// everything that was there when emptying began, because the others may hold older packets.
    fn take_in(&mut self, position: usize, taken: &mut Taken) -> Result<(), LineError> {
        let turn = if self.capture.is_single() { TURN } else { u64::MAX };
        let mut last = Moment::START;
        while taken.captured() < turn {
            let (converter, schedule, stretched) = (&mut self.converter, &mut self.schedule, &mut self.stretched);
            let batch = self.capture.receive(position, &mut self.pool, |stamp, packet| {
                last = converter.moment(stamp, clock::now());
                *stretched |= packet.bytes().len() > LARGE;
                let (flow, size) = (frame::flow(packet.frame()), packet.size());
                taken.count(schedule.offer(Arrival { stamp: last, flow, size, packet }));
            });
            match batch {
                Ok(batch) => {
                    taken.refused += batch.refused;
                    if !batch.more || last > self.emptied && !self.capture.is_single() {
                        return Ok(());
                    }
                }
                Err(source) => {
                    self.check_alive(source)?;
                    self.down = true;
                    return Ok(());
                }
            }
        }
        taken.more = true;
        Ok(())
    }

    /// An interface that was taken down gives one error, and packets again when it is up; its removal right after gives
    /// none. So one that is down is looked at from time to time.
    fn check_alive(&self, source: impl Into<std::io::Error>) -> Result<(), LineError> {
        if self.capture.is_alive() { Ok(()) } else { Err(self.capture.failed(source.into())) }
    }

    /// Emits what is due at `now`, but only so much that the capture does not wait for long.
    fn emit_due(&mut self, now: Moment) -> Result<Sent, LineError> {
        let (mut late, mut packets, mut bytes) = (0, 0, 0);
        while self.emit.len() < PORTION_PACKETS
            && bytes < PORTION_BYTES
            && let Some(held) = self.schedule.pop_due(now, self.complete)
        {
            late += u64::from(now.since(held.due) > LATE);
            packets += 1;
            bytes += held.size;
            self.emit.push(held.packet);
        }
        let emission = match self.schedule.next_due() {
            Some(due) if due > now => Emission::of(packets),
            Some(_) if self.emit.len() < PORTION_PACKETS && bytes < PORTION_BYTES => Emission::Blocked,
            Some(_) => Emission::Unfinished,
            None => Emission::of(packets),
        };
        if self.emit.is_empty() {
            return Ok(Sent { emission, again: None });
        }
        let flush = self.emit.flush(now, &mut self.pool)?;
        let numbers = &self.shared.numbers;
        add(&numbers.late, late);
        add(&numbers.emitted, flush.emitted);
        add(&numbers.dropped_emit, flush.dropped);
        if let Some(failure) = flush.failure {
            self.shared.fail(failure);
        }
        self.count_held();
        Ok(Sent { emission, again: flush.again })
    }

    fn count_held(&self) {
        let held = self.schedule.len() + self.emit.len();
        self.shared.numbers.held.store(held as u64, Ordering::Release);
    }

    /// Emits everything at once, in order.
    fn finish(&mut self) -> Result<(), LineError> {
        let start = clock::now();
        while self.empty()? && clock::now().since(start) < LAST_WORDS {}
        while let Some(held) = self.schedule.pop_due(Moment::END, Moment::END) {
            self.emit.push(held.packet);
        }
        while let Some(again) = self.emit_due(clock::now())?.again {
            self.alarm.wait(Some(again), []).map_err(|source| LineError::kernel("wait for", "the line", source))?;
        }
        Ok(())
    }

    /// Returns memory: what was not needed for a while, and nearly all when nothing is held and nothing is expected.
    fn rest(&mut self) {
        if self.emptied.since(self.trimmed) > TRIM_EVERY {
            self.trimmed = self.emptied;
            self.pool.trim();
        }
        if self.stretched && self.plan.until.is_none() && self.schedule.len() == 0 {
            self.capture.shrink(&mut self.pool);
            self.schedule.shrink();
            buffer::release();
            self.stretched = false;
        }
    }
}
