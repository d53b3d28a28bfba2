//! [`Impairment`]: what a path does to packets, with one meaning on both delay elements: netem's.
//!
//! Loss, duplication, corruption, reordering and rate act on what the sending host gives to its interface. With
//! segmentation offload that is up to 64 KiB of one TCP stream at once; switch offloads off where the wire's packets count.
//! Jitter reorders, as two packets may be held for different times; with a rate they keep their order.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Distribution, LossChain, LossShare, Netem, OwnTable, RateShape, limit_at, limit_for};
use crate::units::{Delay, Probability, Rate, Span};

/// The widest jitter that the kernel's arithmetic has room for: 2^31 − 1 ns.
const MAX_JITTER: Span = Span::from_nanos(i32::MAX as u64);
/// The slowest rate: the kernel counts in whole bytes per second.
const MIN_RATE: Rate = Rate::from_bits_per_second(8);

/// What a path does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impairment {
    /// How long each packet is held. Nanoseconds on the wire of the session protocol.
    pub delay: Delay,
    /// How far single delays stray from it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter: Jitter,
    /// Packets that vanish.
    #[serde(default, skip_serializing_if = "is_default")]
    pub loss: Loss,
    /// Packets that arrive twice; each copy meets its own loss, corruption and delay.
    #[serde(default, skip_serializing_if = "is_default")]
    pub duplicate: Share,
    /// Packets in which one bit is flipped.
    #[serde(default, skip_serializing_if = "is_default")]
    pub corrupt: Share,
    /// Packets that are not held at all and so overtake others.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reorder: Option<Reorder>,
    /// The rate that packets leave at: each takes its length's time after the one before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate: Option<Rate>,
    /// Where the dice start, for repeatable jitter and loss; `None` for dice that nobody can repeat.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seed: Option<u64>,
    /// Which dice and which bottleneck: paths that are equal, this number included, share them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stream: u16,
}

/// How far single delays stray.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Jitter {
    /// What the distribution calls one.
    pub span: Span,
    /// How delays are distributed.
    #[serde(default)]
    pub distribution: Distribution,
    /// How much a draw resembles the one before it. netem takes a remainder of the correlated draw, which leaves little of
    /// the resemblance unless the jitter is near its maximum; so do we.
    #[serde(default)]
    pub correlation: Probability,
}

/// A share of packets, drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub probability: Probability,
    /// How much a draw resembles the one before it. Resembling draws keep to the middle, so small shares become smaller.
    #[serde(default)]
    pub correlation: Probability,
}

/// Which packets vanish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with the same probability.
    Random(Share),
    /// In bursts, by a chain of two states.
    Gilbert(GilbertElliott),
    /// In bursts and alone, by a chain of four states.
    States(FourState),
}

/// The Gilbert–Elliott model: a good and a bad state, each with its own loss. A packet is lost by the state before its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GilbertElliott {
    /// From good to bad, per packet (p).
    pub to_bad: Probability,
    /// From bad to good, per packet (r).
    pub to_good: Probability,
    /// Loss in the bad state (1 − h).
    pub bad_loss: Probability,
    /// Loss in the good state (1 − k).
    pub good_loss: Probability,
}

/// The four-state model of netem: 1 good, 2 good within a burst of losses, 3 lost within it, 4 lost alone. Each packet makes
/// one step and is lost when that leads to state 3 or 4. From state 4 the next step always leads to 1; what is not said
/// stays in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FourState {
    /// From good into a burst.
    pub p13: Probability,
    /// From a burst's loss to good: the burst's end.
    pub p31: Probability,
    /// From a burst's loss to good within the burst.
    pub p32: Probability,
    /// From good within a burst back to loss.
    pub p23: Probability,
    /// From good to a loss alone.
    pub p14: Probability,
}

/// Packets that overtake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reorder {
    /// How many of the candidates.
    pub share: Share,
    /// Every how many packets there is a candidate; 1 makes each packet one.
    pub gap: u32,
}

/// A part of an impairment, for telling which one is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// How long packets are held.
    Delay,
    /// How far delays stray.
    Jitter,
    /// Packets that vanish.
    Loss,
    /// Packets that arrive twice.
    Duplicate,
    /// Packets with a flipped bit.
    Corrupt,
    /// Packets that overtake.
    Reorder,
    /// The bottleneck.
    Rate,
}

/// Why an impairment makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImpairmentError {
    /// The jitter is more than the delay.
    #[error("a jitter of {jitter} is more than the delay of {delay}; a packet cannot arrive before it is sent")]
    JitterAboveDelay {
        /// The jitter.
        jitter: Span,
        /// The delay.
        delay: Delay,
    },
    /// The jitter is beyond the kernel's arithmetic.
    #[error("a jitter of {jitter} is more than {MAX_JITTER}")]
    JitterTooWide {
        /// The jitter.
        jitter: Span,
    },
    /// Something is said about something that is not there.
    #[error("{what} needs {needed}")]
    Needs {
        /// Of what.
        aspect: Aspect,
        /// What was said.
        what: &'static str,
        /// What it needs.
        needed: &'static str,
    },
    /// Two ways out of a state that add up to more than always.
    #[error("{first} of {first_share} and {second} of {second_share} add up to more than 100%")]
    MoreThanAlways {
        /// One way.
        first: &'static str,
        /// How often it is taken.
        first_share: Probability,
        /// The other way.
        second: &'static str,
        /// How often it is taken.
        second_share: Probability,
    },
    /// A rate below what can be counted.
    #[error("a rate of {rate} is less than {MIN_RATE}")]
    TooSlow {
        /// The rate.
        rate: Rate,
    },
}

impl ImpairmentError {
    /// Which part of the impairment is wrong.
    pub const fn aspect(&self) -> Aspect {
        match self {
            Self::JitterAboveDelay { .. } | Self::JitterTooWide { .. } => Aspect::Jitter,
            Self::Needs { aspect, .. } => *aspect,
            Self::MoreThanAlways { .. } => Aspect::Loss,
            Self::TooSlow { .. } => Aspect::Rate,
        }
    }
}

impl Impairment {
    /// A delay and nothing else.
    pub fn delay(delay: Delay) -> Self {
        Self { delay, ..Self::default() }
    }

    /// Whether packets are left alone.
    pub fn is_nothing(&self) -> bool {
        *self == Self { seed: self.seed, stream: self.stream, ..Self::default() }
    }

    /// Whether packets depend on dice or on the packets before them, so that a path needs dice and a bottleneck of its own.
    pub fn has_memory(&self) -> bool {
        *self != Self { seed: self.seed, stream: self.stream, ..Self::delay(self.delay) }
    }

    /// This impairment if it makes sense.
    pub fn checked(self) -> Result<Self, ImpairmentError> {
        let Jitter { span, distribution, correlation } = self.jitter;
        if span > MAX_JITTER {
            return Err(ImpairmentError::JitterTooWide { jitter: span });
        }
        if span.as_nanos() > self.delay.as_nanos() {
            return Err(ImpairmentError::JitterAboveDelay { jitter: span, delay: self.delay });
        }
        if let Some(rate) = self.rate.filter(|rate| *rate < MIN_RATE) {
            return Err(ImpairmentError::TooSlow { rate });
        }
        if let Loss::States(states) = self.loss {
            states.checked()?;
        }
        let still = span == Span::ZERO;
        let idle = |share: Share| share.probability == Probability::ZERO && share.correlation != Probability::ZERO;
        let nothing = "a probability above 0%";
        let rules = [
            (still && distribution != Distribution::Uniform, Aspect::Jitter, "a distribution of delays", "a jitter"),
            (still && correlation != Probability::ZERO, Aspect::Jitter, "a correlation of delays", "a jitter"),
            (matches!(self.loss, Loss::Random(share) if idle(share)), Aspect::Loss, "a correlation of losses", nothing),
            (idle(self.duplicate), Aspect::Duplicate, "a correlation of duplicates", nothing),
            (idle(self.corrupt), Aspect::Corrupt, "a correlation of corruption", nothing),
            (
                self.reorder.is_some() && self.delay == Delay::ZERO,
                Aspect::Reorder,
                "reordering",
                "a delay, or there is nothing to overtake",
            ),
            (
                self.reorder.is_some_and(|reorder| reorder.gap == 0),
                Aspect::Reorder,
                "reordering",
                "a gap of 1 packet or more",
            ),
            (
                self.reorder.is_some_and(|one| one.share.probability == Probability::ZERO),
                Aspect::Reorder,
                "reordering",
                nothing,
            ),
        ];
        match rules.into_iter().find(|(broken, ..)| *broken) {
            Some((_, aspect, what, needed)) => Err(ImpairmentError::Needs { aspect, what, needed }),
            None => Ok(self),
        }
    }

    /// The table of one's own that delays are drawn from, if there is one.
    pub fn own_table(&self) -> Option<OwnTable> {
        if let Distribution::Own(table) = self.jitter.distribution { Some(table) } else { None }
    }

    /// The netem that does it.
    pub fn netem(&self) -> Netem {
        let (loss, chain) = match self.loss {
            Loss::None => (LossShare::default(), None),
            Loss::Random(share) => (share.in_kernel(), None),
            Loss::Gilbert(model) => (LossShare::default(), Some(LossChain::Gilbert(model.in_kernel()))),
            Loss::States(model) => (LossShare::default(), Some(LossChain::FourState(model.in_kernel()))),
        };
        Netem {
            delay: self.delay,
            jitter: self.jitter.span,
            distribution: self.jitter.distribution,
            delay_correlation: self.jitter.correlation.of_u32(),
            limit: self.limit(),
            loss,
            chain,
            duplicate: self.duplicate.in_kernel(),
            reorder: self.reorder.map(|reorder| reorder.share.in_kernel()).unwrap_or_default(),
            gap: self.reorder.map_or(0, |reorder| reorder.gap),
            corrupt: self.corrupt.in_kernel(),
            rate: self.rate.map(RateShape::plain),
            seed: self.seed,
            stream: self.stream,
        }
    }

    /// How many packets may be held at once; more are dropped. Delays reach beyond their mean by four jitters at most.
    pub fn limit(&self) -> u32 {
        let longest =
            Delay::from_nanos(self.delay.as_nanos().saturating_add(self.jitter.span.as_nanos().saturating_mul(4)));
        self.rate.map_or_else(|| limit_for(longest), |rate| limit_at(rate, longest))
    }

    /// The shortest time that a packet may be held.
    pub fn shortest_delay(&self) -> Delay {
        let stray = self.jitter.span.as_nanos().saturating_mul(4);
        let shortest = Delay::from_nanos(self.delay.as_nanos().saturating_sub(stray));
        if self.reorder.is_some() { Delay::ZERO } else { shortest }
    }
}

impl Share {
    /// Independent draws.
    pub const fn of(probability: Probability) -> Self {
        Self { probability, correlation: Probability::ZERO }
    }

    fn in_kernel(self) -> LossShare {
        LossShare { share: self.probability.of_u32(), correlation: self.correlation.of_u32() }
    }
}

impl GilbertElliott {
    /// As the kernel counts: p, r, h and 1 − k.
    fn in_kernel(self) -> [u32; 4] {
        [self.to_bad, self.to_good, self.bad_loss.complement(), self.good_loss].map(Probability::of_u32)
    }
}

impl FourState {
    fn checked(self) -> Result<(), ImpairmentError> {
        for (first, first_share, second, second_share) in
            [("p13", self.p13, "p14", self.p14), ("p31", self.p31, "p32", self.p32)]
        {
            if first_share > second_share.complement() {
                return Err(ImpairmentError::MoreThanAlways { first, first_share, second, second_share });
            }
        }
        Ok(())
    }

    /// In the kernel's order. Two that make up a whole are rounded so that their sum has room in 32 bits.
    fn in_kernel(self) -> [u32; 5] {
        let [p13, p31, p32, p14, p23] = [self.p13, self.p31, self.p32, self.p14, self.p23].map(Probability::of_u32);
        [p13.min(u32::MAX - p14), p31.min(u32::MAX - p32), p32, p14, p23]
    }
}

impl fmt::Display for Impairment {
    /// Everything that is not as without: `10ms jitter 1ms normal loss 0.5%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.delay)?;
        if self.jitter.span != Span::ZERO {
            write!(f, " jitter {} {}", self.jitter.span, self.jitter.distribution)?;
            resemblance(f, self.jitter.correlation)?;
        }
        match self.loss {
            Loss::None | Loss::States(_) => {}
            Loss::Random(share) => show(f, "loss", share)?,
            Loss::Gilbert(GilbertElliott { to_bad, to_good, bad_loss, good_loss }) => {
                write!(f, " loss in bursts {to_bad} {to_good} {bad_loss} {good_loss}")?;
            }
        }
        if let Loss::States(FourState { p13, p31, p32, p23, p14 }) = self.loss {
            write!(f, " loss by states {p13} {p31} {p32} {p23} {p14}")?;
        }
        show(f, "duplicate", self.duplicate)?;
        show(f, "corrupt", self.corrupt)?;
        if let Some(Reorder { share, gap }) = self.reorder {
            show(f, "reorder", share)?;
            write!(f, " gap {gap}")?;
        }
        self.rate.map_or(Ok(()), |rate| write!(f, " rate {rate}"))
    }
}

fn show(f: &mut fmt::Formatter<'_>, what: &str, share: Share) -> fmt::Result {
    if share == Share::default() {
        return Ok(());
    }
    write!(f, " {what} {}", share.probability)?;
    resemblance(f, share.correlation)
}

fn resemblance(f: &mut fmt::Formatter<'_>, correlation: Probability) -> fmt::Result {
    if correlation == Probability::ZERO { Ok(()) } else { write!(f, " correlation {correlation}") }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn percent(text: &str) -> Probability {
        text.parse().unwrap()
    }

    fn ten() -> Impairment {
        Impairment::delay(Delay::from_millis(10))
    }

    #[test]
    fn a_plain_delay_is_written_as_ever() {
        assert_eq!(serde_json::to_string(&ten()).unwrap(), r#"{"delay":10000000}"#);
        assert_eq!(serde_json::from_str::<Impairment>(r#"{"delay":10000000}"#).unwrap(), ten());
        assert_eq!(ten().netem(), Netem::delay(Delay::from_millis(10)));
        assert!(!ten().has_memory() && !ten().is_nothing() && Impairment::default().is_nothing());
    }

    #[test]
    fn everything_survives_the_wire() {
        let all = Impairment {
            jitter: Jitter {
                span: Span::from_millis(2),
                distribution: Distribution::ParetoNormal,
                correlation: percent("25%"),
            },
            loss: Loss::Gilbert(GilbertElliott {
                to_bad: percent("1%"),
                to_good: percent("10%"),
                bad_loss: percent("50%"),
                good_loss: percent("0.1%"),
            }),
            duplicate: Share { probability: percent("1%"), correlation: percent("5%") },
            corrupt: Share::of(percent("0.1%")),
            reorder: Some(Reorder { share: Share::of(percent("3%")), gap: 5 }),
            rate: Some("10mbit".parse().unwrap()),
            seed: Some(7),
            stream: 3,
            ..ten()
        };
        assert_eq!(all.checked(), Ok(all));
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Impairment>(&text).unwrap(), all);
        assert_eq!(
            all.to_string(),
            "10ms jitter 2ms paretonormal correlation 25% loss in bursts 1% 10% 50% 0.1% duplicate 1% correlation 5% \
             corrupt 0.1% reorder 3% gap 5 rate 10mbit"
        );
        assert_eq!(all.netem().chain, Some(LossChain::Gilbert([0x028f_5c29, 0x1999_999a, 0x8000_0000, 0x0041_8937])));
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        let jitter = |ms| Jitter { span: Span::from_millis(ms), ..Jitter::default() };
        let reorder = |gap| Some(Reorder { share: Share::of(percent("5%")), gap });
        let normal = Jitter { distribution: Distribution::Normal, ..Jitter::default() };
        let correlated = Share { correlation: percent("5%"), ..Share::default() };
        for (wrong, message) in [
            (
                Impairment { jitter: jitter(11), ..ten() },
                "a jitter of 11ms is more than the delay of 10ms; a packet cannot arrive before it is sent",
            ),
            (
                Impairment { jitter: jitter(3_000), ..Impairment::delay(Delay::from_millis(5_000)) },
                "a jitter of 3s is more than 2.147483647s",
            ),
            (Impairment { jitter: normal, ..ten() }, "a distribution of delays needs a jitter"),
            (
                Impairment { reorder: reorder(1), ..Impairment::default() },
                "reordering needs a delay, or there is nothing to overtake",
            ),
            (Impairment { reorder: reorder(0), ..ten() }, "reordering needs a gap of 1 packet or more"),
            (Impairment { duplicate: correlated, ..ten() }, "a correlation of duplicates needs a probability above 0%"),
            (Impairment { rate: Some(Rate::from_bits_per_second(7)), ..ten() }, "a rate of 7bit is less than 8bit"),
        ] {
            assert_eq!(wrong.checked().map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }

    #[test]
    fn queues_hold_what_the_rate_sends_in_the_longest_delay() {
        let rate = |text: &str| Impairment { rate: Some(text.parse().unwrap()), ..ten() };
        assert_eq!(rate("10mbit").limit(), 1_000);
        assert_eq!(rate("10gbit").limit(), 10_417);
        assert_eq!(ten().limit(), 100_000);
        // The least and the most that can be said: neither overflows, nor leaves a queue of nothing.
        let [least, most] = [1, u64::MAX].map(Rate::from_bits_per_second);
        let extreme = |rate, delay, span| Impairment {
            rate,
            jitter: Jitter { span: Span::from_nanos(span), ..Jitter::default() },
            ..Impairment::delay(Delay::from_nanos(delay))
        };
        assert_eq!(extreme(Some(least), 0, 0).limit(), 1_000);
        assert_eq!(extreme(Some(least), u64::MAX, u64::MAX).limit(), 1_000_000, "a bit a second for centuries");
        assert_eq!(extreme(Some(most), u64::MAX, u64::MAX).limit(), 1_000_000);
        assert_eq!(extreme(Some(most), 1, 0).limit(), 1_000_000);
        assert_eq!(extreme(None, 0, 0).limit(), 100_000);
        assert_eq!(extreme(None, u64::MAX, u64::MAX).limit(), 1_000_000);
        // 1 Gbit/s for a second is 83,334 packets of 1,500 bytes, and a quarter more; jitter counts four times.
        assert_eq!(extreme(Some(Rate::from_gigabits(1)), 1_000_000_000, 0).limit(), 104_167);
        assert_eq!(extreme(Some(Rate::from_gigabits(1)), 200_000_000, 200_000_000).limit(), 104_167);
    }
}
