//! [`PathDice`]: what chance decides of packets on a path, as netem decides it. The delay line and the simulation throw the same.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{LossChain, LossShare, Netem, TABLE_SCALE};
use crate::units::Span;

/// The dice of a path, with what they remember of the packets before.
#[derive(Debug, Clone)]
pub struct PathDice {
    dice: ChaCha8Rng,
    jitter: Correlated,
    loss: Correlated,
    duplicate: Correlated,
    corrupt: Correlated,
    reorder: Correlated,
    /// The state of the chain of losses.
    state: State,
    /// What delays stray by, where they do: looked up once, not for every packet.
    strays: Option<Arc<[i16]>>,
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
#[derive(Debug, Clone)]
struct Correlated {
    correlation: u32,
    last: u32,
}

/// One flipped bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// A number whose remainder by the packet's length chooses the byte.
    pub byte: u32,
    /// The bit within it, 0 to 7.
    pub bit: u8,
}

impl PathDice {
    /// Dice for paths that do what `netem` says, starting from `seed`.
    pub fn seeded(netem: &Netem, seed: u64) -> Self {
        Self::new(netem, ChaCha8Rng::seed_from_u64(seed))
    }

    /// The same with a stream of random numbers of one's own.
    pub fn new(netem: &Netem, mut dice: ChaCha8Rng) -> Self {
        let mut correlated = |correlation| Correlated { correlation, last: dice.next_u32() };
        Self {
            jitter: correlated(netem.delay_correlation),
            loss: correlated(netem.loss.correlation),
            duplicate: correlated(netem.duplicate.correlation),
            corrupt: correlated(netem.corrupt.correlation),
            reorder: correlated(netem.reorder.correlation),
            state: State::Good,
            strays: (netem.jitter > Span::ZERO).then(|| netem.distribution.table()),
            dice,
        }
    }

    /// Whether the next packet arrives twice.
    pub fn doubles(&mut self, netem: &Netem) -> bool {
        hit(netem.duplicate, &mut self.duplicate, &mut self.dice)
    }

    /// Whether the next packet is lost.
    pub fn loses(&mut self, netem: &Netem) -> bool {
        match netem.chain {
            None => hit(netem.loss, &mut self.loss, &mut self.dice),
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

    /// What is flipped in the next packet, if anything.
    pub fn damages(&mut self, netem: &Netem) -> Option<Damage> {
        let damaged = hit(netem.corrupt, &mut self.corrupt, &mut self.dice);
        damaged.then(|| Damage { byte: self.dice.next_u32(), bit: (self.dice.next_u32() % 8).to_le_bytes()[0] })
    }

    /// Whether a candidate for overtaking overtakes.
    pub fn sends_ahead(&mut self, netem: &Netem) -> bool {
        hit(netem.reorder, &mut self.reorder, &mut self.dice)
    }

    /// The delay of the next packet in nanoseconds; below zero where a wide jitter reaches below its mean.
    pub fn delays(&mut self, netem: &Netem) -> i64 {
        let mean = i64::try_from(netem.delay.as_nanos()).unwrap_or(i64::MAX);
        mean.saturating_add(self.strays(netem))
    }

    /// How far the delay of the next packet is from the mean, in nanoseconds.
    pub fn strays(&mut self, netem: &Netem) -> i64 {
        let jitter = i64::try_from(netem.jitter.as_nanos()).unwrap_or(i64::MAX);
        let Some(table) = &self.strays else { return 0 };
        let entry = table[self.jitter.draw(&mut self.dice) as usize % table.len()];
        jitter.saturating_mul(i64::from(entry)) / i64::from(TABLE_SCALE)
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
fn hit(wanted: LossShare, draws: &mut Correlated, dice: &mut ChaCha8Rng) -> bool {
    wanted.share != 0 && wanted.share >= draws.draw(dice)
}
