//! [`Expected`]: what measuring a path will show if its impairment does exactly what it should.
//!
//! The median of a delay with jitter is not the delay: a Pareto distribution lies mostly below its mean, packets that go ahead
//! pull it down, a rate adds each packet's own time. All of it follows from the tables that both delay elements draw from.

use super::chain::{Draws, MarkovChain, inflation};
use super::{Impairment, Loss, Share, TABLE_SCALE};
use crate::units::{Delay, Probability, Span};

/// What the first arrivals of packets of one length show, and how many arrive not at all or twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// The median of their delays.
    pub median: Delay,
    /// The mean.
    pub mean: Delay,
    /// The standard deviation.
    pub deviation: Span,
    /// The fourth moment in units of the squared variance, which says how far a measured deviation strays; 3 for the normal one.
    pub kurtosis: f64,
    /// Packets that do not arrive.
    pub lost: SeenShare,
    /// Packets that arrive twice.
    pub doubled: SeenShare,
}

/// A share of packets as a measurement will find it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SeenShare {
    /// The least that it can be.
    pub least: f64,
    /// The most: a packet with a flipped bit may or may not count as lost.
    pub most: f64,
    /// How many times wider than independent ones such draws stray, as variance: bursts count as fewer packets.
    pub inflation: f64,
}

impl SeenShare {
    fn of(least: f64, most: f64, inflation: f64) -> Self {
        Self { least, most, inflation }
    }
}

impl Impairment {
    /// What measuring with packets of `length` bytes, Ethernet header included, will show.
    pub fn expected(&self, length: usize) -> Expected {
        let (lost, doubled) = self.expected_shares();
        let delays = self.expected_delays(length, doubled.most);
        let median = delays.quantile(0.5);
        let (mean, deviation, kurtosis) = delays.moments();
        Expected { median, mean, deviation, kurtosis, lost, doubled }
    }

    /// The median, and between which delays the median of `count` arrivals lies: but for chances beyond `deviations`
    /// standard deviations of the binomial distribution of arrivals below it.
    pub fn expected_median(&self, length: usize, count: f64, deviations: f64) -> (Delay, (Delay, Delay)) {
        let delays = self.expected_delays(length, self.expected_shares().1.most);
        let reach = (deviations * 0.5 / count.max(1.0).sqrt()).min(0.5);
        (delays.quantile(0.5), (delays.quantile(0.5 - reach), delays.quantile(0.5 + reach)))
    }

    /// The share of packets that vanishes in the long run, correlation and chains included.
    pub fn expected_loss(&self) -> f64 {
        self.loss.seen().0
    }

    fn expected_shares(&self) -> (SeenShare, SeenShare) {
        let (taken, inflation) = self.loss.seen();
        let (copied, _) = self.duplicate.seen();
        let (damaged, _) = self.corrupt.seen();
        // Of a packet that is both doubled and lost, netem delivers one.
        let lost = taken * (1.0 - copied);
        let whole = 1.0 - damaged;
        let (twice, at_most) = (copied * (1.0 - taken).powi(2) * whole.powi(2), copied * (1.0 - taken));
        let lost = SeenShare::of(lost, lost + (1.0 - lost) * damaged, inflation);
        (lost, SeenShare::of(twice, at_most, self.duplicate.seen().1))
    }

    /// The share of packets that go ahead.
    fn ahead(&self) -> f64 {
        let Some(reorder) = self.reorder else { return 0.0 };
        let (share, _) = reorder.share.seen();
        if share == 0.0 { 0.0 } else { 1.0 / (f64::from(reorder.gap.saturating_sub(1)) + 1.0 / share) }
    }

    fn expected_delays(&self, length: usize, doubled: f64) -> Delays {
        let own = self.rate.map_or(0.0, |rate| length as f64 * 8e9 / rate.bits_per_second().max(1) as f64);
        let (mean, jitter) = (self.delay.as_nanos() as f64, self.jitter.span.as_nanos() as f64);
        let ahead = self.ahead();
        let mut table =
            if self.jitter.span == Span::ZERO { vec![0] } else { self.jitter.distribution.table().to_vec() };
        table.sort_unstable();
        let each = (1.0 - ahead) / table.len() as f64;
        let stray = |entry: i16| (mean + jitter * f64::from(entry) / f64::from(TABLE_SCALE)).max(0.0) + own;
        let held = table.into_iter().map(|entry| (stray(entry), each));
        Delays::of((ahead > 0.0).then_some((0.0, ahead)).into_iter().chain(held), doubled)
    }
}

impl Loss {
    /// The share of packets lost in the long run, and how far beyond independent losses it strays.
    fn seen(self) -> (f64, f64) {
        match self {
            Self::None => (0.0, 1.0),
            Self::Random(share) => share.seen(),
            Self::Gilbert(model) => {
                let [to_bad, to_good, bad, good] =
                    [model.to_bad, model.to_good, model.bad_loss, model.good_loss].map(Probability::as_f64);
                MarkovChain::new([[1.0 - to_bad, to_bad], [to_good, 1.0 - to_good]], [good, bad]).seen()
            }
            Self::States(model) => {
                let [p13, p31, p32, p23, p14] =
                    [model.p13, model.p31, model.p32, model.p23, model.p14].map(Probability::as_f64);
                let steps = [
                    [1.0 - p13 - p14, 0.0, p13, p14],
                    [0.0, 1.0 - p23, p23, 0.0],
                    [p31, p32, 1.0 - p31 - p32, 0.0],
                    [1.0, 0.0, 0.0, 0.0],
                ];
                MarkovChain::new(steps, [0.0, 0.0, 1.0, 1.0]).seen()
            }
        }
    }
}

impl Share {
    /// The share of packets that correlated draws pick, and how far beyond independent ones it strays.
    fn seen(self) -> (f64, f64) {
        let (probability, correlation) = (self.probability.as_f64(), self.correlation.as_f64());
        let extreme = |share: Probability| share == Probability::ZERO || share == Probability::ONE;
        // Draws that never change pick all or nothing; draws without resemblance pick what they are told.
        if extreme(self.probability) || extreme(self.correlation) {
            return (probability, 1.0);
        }
        let draws = Draws::settled(correlation);
        let share = draws.below(probability);
        let mut after = draws.given_below(probability);
        let later = std::iter::from_fn(|| {
            after = after.stepped(correlation);
            Some(after.below(probability))
        });
        (share, inflation(share, later))
    }
}

/// Delays in nanoseconds with the share of first arrivals that each has, ascending.
struct Delays(Vec<(f64, f64)>);

impl Delays {
    /// From the shares of packets, ascending; of a packet that is doubled the earlier arrival counts.
    fn of(packets: impl Iterator<Item = (f64, f64)>, doubled: f64) -> Self {
        let earlier = |below: f64| below + doubled * below * (1.0 - below);
        let mut below = 0.0;
        let arrivals = packets.map(|(delay, share)| {
            let before = earlier(below);
            below = (below + share).min(1.0);
            (delay, earlier(below) - before)
        });
        Self(arrivals.collect())
    }

    /// The least delay that at least that share of packets does not exceed.
    fn quantile(&self, rank: f64) -> Delay {
        let mut sum = 0.0;
        let found = self.0.iter().find(|(_, share)| {
            sum += share;
            // A hair's breadth for the rounding of thousands of summands.
            sum >= rank - 1e-9
        });
        nanos(found.or(self.0.last()).map_or(0.0, |(delay, _)| *delay))
    }

    /// Mean, standard deviation and kurtosis.
    fn moments(&self) -> (Delay, Span, f64) {
        let mean: f64 = self.0.iter().map(|(delay, share)| delay * share).sum();
        let central = |power: i32| self.0.iter().map(|(delay, share)| (delay - mean).powi(power) * share).sum::<f64>();
        let variance = central(2);
        let kurtosis = if variance > 0.25 { central(4) / variance.powi(2) } else { 3.0 };
        (nanos(mean), Span::from_nanos(nanos(variance.max(0.0).sqrt()).as_nanos()), kurtosis)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative, and delays end at minutes
fn nanos(value: f64) -> Delay {
    Delay::from_nanos(value.round() as u64)
}

#[cfg(test)]
mod tests;
