//! The line's thread: capture, hold, emit, wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::alarm::{self, Alarm};
use super::buffer::{Packet, Pool};
use super::capture::Capture;
use super::clock::{self, Converter};
use super::emit::Emit;
use super::error::LineError;
use super::frame;
use super::moment::Moment;
use super::rhythm::{self, Round, Wait};
use super::schedule::{Arrival, Offered, Schedule};
use super::shared::{Order, Shared, add};
use crate::units::Span;

/// System calls on one socket before due packets get their turn.
const BATCHES: usize = 8;
/// Packets that leave later than this after their time are counted as late.
const LATE: Span = Span::from_millis(1);
/// Packets from this size on make the thread return memory when it comes to rest.
const LARGE: usize = 4096;
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
    /// Positions of sockets that have packets.
    ready: Vec<usize>,
    emptied: Moment,
    flowing: bool,
    /// Whether memory should be returned at rest.
    stretched: bool,
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
            schedule: Schedule::new(memory),
            pool,
            converter: Converter::new(clock::read()),
            alarm,
            shared,
            plan: Wait { until: None, empty_at: None },
            ready: Vec::new(),
            emptied: Moment::START,
            flowing: false,
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
        let listening = self.plan.empty_at.is_none();
        let others = [Some(std::os::fd::AsFd::as_fd(self.shared.wake())), listening.then(|| self.capture.readable())];
        let [ordered, arrived] = self
            .alarm
            .wait(self.plan.until, others)
            .map_err(|source| LineError::kernel("wait for", "the line", source))?;
        if ordered && !self.obey()? {
            return Ok(false);
        }
        let more =
            if arrived || self.plan.empty_at.is_some_and(|at| at <= clock::now()) { self.empty()? } else { false };
        let (emitted, again) = self.emit_due(clock::now())?;
        let now = clock::now();
        let next_due = self.schedule.next_due();
        let round = Round { now, emptied: self.emptied, flowing: self.flowing, emitted, next_due };
        self.plan = rhythm::wait(round, rhythm::quantum(self.schedule.shortest_delay()));
        if more {
            self.plan = Wait { until: Some(now), empty_at: Some(now) };
        } else if let Some(again) = again {
            self.plan.until = Some(self.plan.until.map_or(again, |until| until.min(again)));
        }
        self.rest();
        Ok(true)
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
        let result = self.capture.ready(&mut ready).map_err(|source| LineError::kernel("watch", "the capture", source));
        let (mut more, mut held, mut unmatched) = (false, 0, 0);
        if result.is_ok() {
            for position in &ready {
                more |= self.take_in(*position, &mut held, &mut unmatched)?;
            }
        }
        self.ready = ready;
        self.flowing = held > 0 && unmatched == 0;
        add(&self.shared.numbers.unmatched, unmatched);
        self.count_held();
        result.map(|()| more)
    }

    /// Takes in what waits in one socket; whether there is more.
    fn take_in(&mut self, position: usize, held: &mut u64, unmatched: &mut u64) -> Result<bool, LineError> {
        let numbers = &self.shared.numbers;
        for _ in 0..BATCHES {
            let (converter, schedule, stretched) = (&mut self.converter, &mut self.schedule, &mut self.stretched);
            let mut full = 0;
            let batch = self.capture.receive(position, &mut self.pool, |stamp, packet| {
                let stamp = converter.moment(stamp, clock::now());
                *stretched |= packet.bytes().len() > LARGE;
                let (destination, size) = (frame::destination(packet.frame()), packet.size());
                match schedule.offer(Arrival { stamp, destination, size, packet }) {
                    Offered::Held => *held += 1,
                    Offered::Unmatched => *unmatched += 1,
                    Offered::Dropped => full += 1,
                }
            });
            let batch = match batch {
                Ok(batch) => batch,
                // The interface was taken down; packets come again when it is up.
                Err(_) if self.capture.is_alive() => return Ok(false),
                Err(source) => return Err(LineError::kernel("capture from", "the line's interface", source)),
            };
            add(&numbers.captured, batch.packets as u64);
            add(&numbers.dropped_memory, full);
            add(&numbers.dropped_unsupported, batch.refused);
            if !batch.more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Emits what is due at `now`; whether something went out, and when to try again what did not.
    fn emit_due(&mut self, now: Moment) -> Result<(bool, Option<Moment>), LineError> {
        let mut late = 0;
        while let Some(held) = self.schedule.pop_due(now) {
            late += u64::from(now.since(held.due) > LATE);
            self.emit.push(held.packet);
        }
        if self.emit.is_empty() {
            return Ok((false, None));
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
        Ok((flush.emitted > 0, flush.again))
    }

    fn count_held(&self) {
        let held = self.schedule.len() + self.emit.len();
        self.shared.numbers.held.store(held as u64, Ordering::Release);
    }

    /// Emits everything at once, in order.
    fn finish(&mut self) -> Result<(), LineError> {
        let start = clock::now();
        while self.empty()? && clock::now().since(start) < LAST_WORDS {}
        let end_of_time = Moment::from_nanos(u64::MAX);
        while let Some(held) = self.schedule.pop_due(end_of_time) {
            self.emit.push(held.packet);
        }
        while let (_, Some(again)) = self.emit_due(clock::now())? {
            self.alarm.wait(Some(again), []).map_err(|source| LineError::kernel("wait for", "the line", source))?;
        }
        Ok(())
    }

    /// Returns memory when nothing is held and nothing is expected.
    fn rest(&mut self) {
        if self.stretched && self.plan.until.is_none() && self.schedule.len() == 0 {
            self.capture.shrink(&mut self.pool);
            self.schedule.shrink();
            self.stretched = false;
        }
    }
}
