//! Pure: what becomes of a packet on a path with dice or a bottleneck, decided as netem decides it, step by step.
//!
//! Duplicate? Lost? Corrupt? Sent ahead? Otherwise held for delay and jitter and, with a rate, for its own length's time
//! after the packet before it. Jitter reorders, as in netem; a rate keeps the order. A copy meets its own loss,
//! corruption and delay, but is not copied again. All acts on packets as captured: large segments count as one.

use std::sync::Arc;

use super::moment::Moment;
use crate::shaping::{Damage, Impairment, Netem, PathDice};
use crate::units::{Delay, Span};

const NS_PER_SECOND: u128 = 1_000_000_000;

/// Dice, state and bottleneck of the paths that share one impairment.
#[derive(Debug)]
pub(super) struct Lane {
    impairment: Impairment,
    netem: Netem,
    dice: PathDice,
    /// Packets since the last one that was sent ahead.
    counter: u32,
    /// When the last packet leaves the bottleneck.
    last: Moment,
    /// One clone per packet that is held: they count themselves.
    held: Arc<()>,
}

/// What becomes of one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It leaves at that time, perhaps damaged.
    Leaves {
        /// When.
        due: Moment,
        /// What is flipped.
        damage: Option<Damage>,
        /// Kept as long as the packet is held.
        place: Arc<()>,
    },
    /// The dice took it.
    Lost,
    /// The queue in front of the bottleneck is full.
    Overflow,
}

impl Lane {
    /// The lane of `impairment`; `chance` starts the dice where the impairment has no seed.
    pub(super) fn new(impairment: Impairment, chance: u64) -> Self {
        let netem = impairment.netem();
        let dice = PathDice::seeded(&netem, impairment.seed.unwrap_or(chance));
        Self { counter: 0, last: Moment::START, held: Arc::new(()), impairment, netem, dice }
    }

    /// Whose lane it is.
    pub(super) fn impairment(&self) -> &Impairment {
        &self.impairment
    }

    /// Decides on a packet of `length` bytes captured at `stamp`, and on its copy if it gets one.
    pub(super) fn decide(&mut self, stamp: Moment, length: usize) -> (Fate, Option<Fate>) {
        let doubled = self.dice.doubles(&self.netem);
        let lost = self.dice.loses(&self.netem);
        match (doubled, lost) {
            (false, true) => (Fate::Lost, None),
            // As in netem, loss takes the copy, and the packet itself goes on.
            (true, true) | (false, false) => (self.hold(stamp, length), None),
            (true, false) => {
                let copy = if self.dice.loses(&self.netem) { Fate::Lost } else { self.hold(stamp, length) };
                (self.hold(stamp, length), Some(copy))
            }
        }
    }

    fn hold(&mut self, stamp: Moment, length: usize) -> Fate {
        let damage = self.dice.damages(&self.netem);
        if Arc::strong_count(&self.held) > self.netem.limit as usize {
            return Fate::Overflow;
        }
        let due = if self.goes_ahead() {
            self.counter = 0;
            stamp
        } else {
            self.counter = self.counter.saturating_add(1);
            self.due(stamp, length)
        };
        Fate::Leaves { due, damage, place: Arc::clone(&self.held) }
    }

    fn goes_ahead(&mut self) -> bool {
        let gap = self.netem.gap;
        gap != 0 && self.counter >= gap - 1 && self.dice.sends_ahead(&self.netem)
    }

    fn due(&mut self, stamp: Moment, length: usize) -> Moment {
        let delay = self.dice.delays(&self.netem);
        let Some(shape) = self.netem.rate else { return moved(stamp, delay) };
        let own = length as u128 * NS_PER_SECOND / u128::from(shape.rate.bytes_per_second().max(1));
        let own = Span::from_nanos(u64::try_from(own).unwrap_or(u64::MAX));
        let due = if self.last > stamp {
            let waited = i64::try_from(self.last.since(stamp).as_nanos()).unwrap_or(i64::MAX);
            moved(self.last, delay.saturating_sub(waited).max(0)).plus(own)
        } else {
            moved(stamp, delay).plus(own)
        };
        self.last = self.last.max(due);
        due
    }
}

/// `moment` plus signed nanoseconds; what lies before it is it.
fn moved(moment: Moment, ns: i64) -> Moment {
    moment.after(Delay::from_nanos(u64::try_from(ns).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
