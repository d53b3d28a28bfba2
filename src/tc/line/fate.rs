//! Pure: what becomes of a packet on a path with dice or a bottleneck, decided as netem decides it, step by step.
//!
//! Duplicate? Lost? Corrupt? Sent ahead? Otherwise held for delay and jitter and, with a rate, for its own length's time
//! after the packet before it. Jitter reorders, as in netem; a rate keeps the order. A copy meets its own loss,
//! corruption and delay, but is not copied again. All acts on packets as captured: large segments count as one.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::moment::Moment;
use crate::shaping::{Impairment, LossChain, Netem, TABLE_SCALE};
use crate::units::{Delay, Span};

const NS_PER_SECOND: u128 = 1_000_000_000;

/// Dice, state and bottleneck of the paths that share one impairment.
#[derive(Debug)]
pub(super) struct Lane {
    impairment: Impairment,
    netem: Netem,
    dice: ChaCha8Rng,
    jitter: Correlated,
    loss: Correlated,
    duplicate: Correlated,
    corrupt: Correlated,
    reorder: Correlated,
    /// The state of the chain of losses.
    state: State,
    /// Packets since the last one that was sent ahead.
    counter: u32,
    /// When the last packet leaves the bottleneck.
    last: Moment,
    /// One clone per packet that is held: they count themselves.
    held: Arc<()>,
}

/// The states of netem's chains; the Gilbert–Elliott chain has the good one and that of a burst's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    GoodInBurst,
    LostInBurst,
    LostAlone,
}

/// Draws that resemble the ones before them.
#[derive(Debug)]
struct Correlated {
    correlation: u32,
    last: u32,
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

/// One flipped bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// A number whose remainder by the packet's length chooses the byte.
    pub(super) byte: u32,
    /// The bit within it, 0 to 7.
    pub(super) bit: u8,
}

impl Lane {
    /// The lane of `impairment`; `chance` starts the dice where the impairment has no seed.
    pub(super) fn new(impairment: Impairment, chance: u64) -> Self {
        let netem = impairment.netem();
        let mut dice = ChaCha8Rng::seed_from_u64(impairment.seed.unwrap_or(chance));
        let mut correlated = |correlation| Correlated { correlation, last: dice.next_u32() };
        Self {
            jitter: correlated(netem.delay_correlation),
            loss: correlated(netem.loss.correlation),
            duplicate: correlated(netem.duplicate.correlation),
            corrupt: correlated(netem.corrupt.correlation),
            reorder: correlated(netem.reorder.correlation),
            state: State::Good,
            counter: 0,
            last: Moment::START,
            held: Arc::new(()),
            impairment,
            netem,
            dice,
        }
    }

    /// Whose lane it is.
    pub(super) fn impairment(&self) -> &Impairment {
        &self.impairment
    }

    /// Decides on a packet of `length` bytes captured at `stamp`, and on its copy if it gets one.
    pub(super) fn decide(&mut self, stamp: Moment, length: usize) -> (Fate, Option<Fate>) {
        let doubled = hit(self.netem.duplicate.share, &mut self.duplicate, &mut self.dice);
        let lost = self.is_lost();
        match (doubled, lost) {
            (false, true) => (Fate::Lost, None),
            // As in netem, loss takes the copy, and the packet itself goes on.
            (true, true) | (false, false) => (self.hold(stamp, length), None),
            (true, false) => {
                let copy = if self.is_lost() { Fate::Lost } else { self.hold(stamp, length) };
                (self.hold(stamp, length), Some(copy))
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        match self.netem.chain {
            None => hit(self.netem.loss.share, &mut self.loss, &mut self.dice),
            Some(LossChain::Gilbert([to_bad, to_good, bad_survival, good_loss])) => {
                let (step, fall) = (self.dice.next_u32(), self.dice.next_u32());
                if self.state == State::Good {
                    self.state = if step < to_bad { State::LostInBurst } else { State::Good };
                    fall < good_loss
                } else {
                    self.state = if step < to_good { State::Good } else { State::LostInBurst };
                    fall > bad_survival
                }
            }
            Some(LossChain::FourState(chain)) => {
                self.state = next_of_four(self.state, chain, self.dice.next_u32());
                matches!(self.state, State::LostInBurst | State::LostAlone)
            }
        }
    }

    fn hold(&mut self, stamp: Moment, length: usize) -> Fate {
        let damaged = hit(self.netem.corrupt.share, &mut self.corrupt, &mut self.dice);
        let damage =
            damaged.then(|| Damage { byte: self.dice.next_u32(), bit: (self.dice.next_u32() % 8).to_le_bytes()[0] });
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
        gap != 0 && self.counter >= gap - 1 && hit(self.netem.reorder.share, &mut self.reorder, &mut self.dice)
    }

    fn due(&mut self, stamp: Moment, length: usize) -> Moment {
        let delay = self.delay();
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

    /// The delay of one packet in nanoseconds; below zero where a wide jitter reaches below its mean.
    fn delay(&mut self) -> i64 {
        let mean = i64::try_from(self.netem.delay.as_nanos()).unwrap_or(i64::MAX);
        let jitter = i64::try_from(self.netem.jitter.as_nanos()).unwrap_or(i64::MAX);
        if jitter == 0 {
            return mean;
        }
        let table = self.netem.distribution.table();
        let entry = table[self.jitter.draw(&mut self.dice) as usize % table.len()];
        mean.saturating_add(jitter.saturating_mul(i64::from(entry)) / i64::from(TABLE_SCALE))
    }
}

impl Correlated {
    /// A number that is so much the last one and the rest a new one.
    #[allow(clippy::cast_possible_truncation)] // a weighted mean of two numbers of 32 bits
    fn draw(&mut self, dice: &mut ChaCha8Rng) -> u32 {
        let fresh = u64::from(dice.next_u32());
        if self.correlation == 0 {
            return fresh as u32;
        }
        let weight = u128::from(self.correlation) + 1;
        let mixed = u128::from(fresh) * ((1 << 32) - weight) + u128::from(self.last) * weight;
        self.last = (mixed >> 32) as u32;
        self.last
    }
}

/// One step of the chain of four states. Where the dice fall on the very border of two ways, netem takes neither.
fn next_of_four(state: State, [p13, p31, p32, p14, p23]: [u32; 5], dice: u32) -> State {
    match state {
        State::Good if dice < p14 => State::LostAlone,
        State::Good if dice > p14 && dice < p13.saturating_add(p14) => State::LostInBurst,
        State::Good | State::LostAlone => State::Good,
        State::GoodInBurst if dice < p23 => State::LostInBurst,
        State::GoodInBurst => State::GoodInBurst,
        State::LostInBurst if dice < p32 => State::GoodInBurst,
        State::LostInBurst if dice > p32 && dice < p31.saturating_add(p32) => State::Good,
        State::LostInBurst => State::LostInBurst,
    }
}

/// Whether a share of packets includes this one; a share of nothing throws no dice.
fn hit(share: u32, draws: &mut Correlated, dice: &mut ChaCha8Rng) -> bool {
    share != 0 && share >= draws.draw(dice)
}

/// `moment` plus signed nanoseconds; what lies before it is it.
fn moved(moment: Moment, ns: i64) -> Moment {
    moment.after(Delay::from_nanos(u64::try_from(ns).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
