//! [`Netem`]: everything that a netem qdisc can be told, and the queue length that a delay needs.

use super::Distribution;
use super::own_table::OwnTable;
use crate::units::{Delay, Rate, Span};

/// The rate that a queue must hold for a whole delay without dropping: 10 Gbit/s.
const LINE_RATE: Rate = Rate::from_gigabits(10);
/// The packet size that this rate is reckoned in. Offloaded packets are larger and so need fewer places.
const PACKET_BITS: u128 = 1_500 * 8;
/// For short delays: what 10 Gbit/s sends in 0.1 s. A queue never holds more than its delay's worth, so this costs nothing;
/// but when a long delay is shortened, the packets of the long one must not fill the new queue.
const MIN_LIMIT: u128 = 100_000;
/// A million packets: what 10 Gbit/s fills in 1.2 s. Above that the kernel's memory is the nearer bound.
const MAX_LIMIT: u128 = 1_000_000;
/// In front of a slower line: what tc gives without being asked.
const MIN_LIMIT_AT_RATE: u128 = 1_000;

/// The options of a netem qdisc.
///
/// Correlations and shares are the kernel's fractions of 2^32 − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Netem {
    /// How long each packet is held.
    pub delay: Delay,
    /// How far single delays may stray from it.
    pub jitter: Span,
    /// How they are distributed. The kernel does not report it; our mark does.
    pub distribution: Distribution,
    /// How much a delay resembles the one before it.
    pub delay_correlation: u32,
    /// How many packets may be held at once; more are dropped.
    pub limit: u32,
    /// Packets that vanish.
    pub loss: LossShare,
    /// Packets that vanish by a chain of states, instead.
    pub chain: Option<LossChain>,
    /// Packets that arrive twice.
    pub duplicate: LossShare,
    /// Packets sent at once, ahead of those held.
    pub reorder: LossShare,
    /// Every how many packets one is sent ahead; 0 without reordering.
    pub gap: u32,
    /// Packets with one bit flipped.
    pub corrupt: LossShare,
    /// The rate that packets leave at; `None` without a limit.
    pub rate: Option<RateShape>,
    /// The seed of the kernel's dice, for repeatable jitter and loss.
    pub seed: Option<u64>,
    /// Tells apart netems that are otherwise equal, but must not share dice or a bottleneck. Only our mark carries it.
    pub stream: u16,
}

/// A share of packets, drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LossShare {
    /// The share, as a fraction of 2^32 − 1.
    pub share: u32,
    /// How much a draw resembles the one before it.
    pub correlation: u32,
}

/// A chain of states that takes packets, with its probabilities as fractions of 2^32 − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossChain {
    /// Two states: p, r, h and 1 − k of the Gilbert–Elliott model.
    Gilbert([u32; 4]),
    /// Four states: p13, p31, p32, p14 and p23.
    FourState([u32; 5]),
}

/// Netem's own rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateShape {
    /// The rate on the emulated line.
    pub rate: Rate,
    /// Bytes added to (or taken from) each packet's length.
    pub packet_overhead: i32,
    /// Bytes per cell, 0 without cells.
    pub cell_size: u32,
    /// Bytes added per cell.
    pub cell_overhead: i32,
}

impl Netem {
    /// A plain delay with a queue that holds it at 10 Gbit/s.
    pub fn delay(delay: Delay) -> Self {
        Self { delay, limit: limit_for(delay), ..Self::default() }
    }

    /// What the kernel would not report, as a number that it does: distribution, whether there is a seed, stream, and the tag
    /// of an own table.
    pub fn mark(&self) -> u32 {
        let tag = if let Distribution::Own(table) = self.distribution { table.tag() } else { 0 };
        u32::from(tag) << 19
            | u32::from(self.stream) << 3
            | u32::from(self.seed.is_some()) << 2
            | u32::from(self.distribution.code())
    }

    /// This netem as reported by a kernel, completed by its mark. A seed that nobody asked for is the kernel's own.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the mark has 16 bits of stream
    pub fn marked(self, mark: u32) -> Self {
        let coded = |one: &Distribution| u32::from(one.code()) == mark & 3;
        let distribution = match (mark >> 19) as u16 {
            0 => Distribution::ALL.into_iter().find(coded).unwrap_or_default(),
            tag => Distribution::Own(OwnTable::tagged(tag)),
        };
        Self { distribution, seed: self.seed.filter(|_| mark & 4 != 0), stream: (mark >> 3) as u16, ..self }
    }
}

impl RateShape {
    /// A rate that counts bytes as they are.
    pub const fn plain(rate: Rate) -> Self {
        Self { rate, packet_overhead: 0, cell_size: 0, cell_overhead: 0 }
    }
}

/// The packets in flight during `delay` on a 10 Gbit/s line of 1,500-byte packets, with a quarter to spare;
/// at least 100,000, at most 1,000,000 (reached at 0.96 s).
pub fn limit_for(delay: Delay) -> u32 {
    packets(LINE_RATE, delay, MIN_LIMIT)
}

/// The same for a line of another rate; at least 1,000, which also is what waits in front of it.
pub fn limit_at(rate: Rate, delay: Delay) -> u32 {
    packets(rate, delay, MIN_LIMIT_AT_RATE)
}

fn packets(rate: Rate, delay: Delay, least: u128) -> u32 {
    let bits = u128::from(rate.bits_per_second()) * u128::from(delay.as_nanos()) / 1_000_000_000;
    let packets = (bits * 5 / 4).div_ceil(PACKET_BITS).clamp(least, MAX_LIMIT);
    u32::try_from(packets).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_ten_gigabits_for_the_whole_delay() {
        for (ms, packets) in
            [(0, 100_000), (10, 100_000), (100, 104_167), (500, 520_834), (1_000, 1_000_000), (60_000, 1_000_000)]
        {
            assert_eq!(limit_for(Delay::from_millis(ms)), packets, "{ms} ms");
        }
    }
}
