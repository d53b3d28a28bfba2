//! Proximity: instances by lot, the nearer the likelier; what paper 004 compares with as proxy-mity.
//!
//! wᵢ = (1 − α)/N + α · e^(−lᵢ/s) / Σⱼ e^(−lⱼ/s), with round trips lᵢ of at least `floor` and the scale s; or, strictly, all of α
//! to the nearest.

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};
use crate::units::{Moment, Rtt, Span};

use super::dice::unit_interval;
use super::roster::Roster;
use super::{Balancer, InstanceId, Policy, RequestId, Setting};

/// How much distance counts.
const ALPHA: Definition = Definition {
    name: "alpha",
    what: "the share that goes by distance; the rest goes to all alike (α)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.8),
};

/// All to the nearest.
const NEAREST: Definition = Definition {
    name: "nearest",
    what: "whether the share by distance is all for the nearest, and not spread by an exponential",
    kind: Kind::Flag,
    default: Value::Flag(false),
};

/// How fast the exponential falls.
const SCALE: Definition = Definition {
    name: "scale",
    what: "so much more round trip divides a share by e",
    kind: Kind::Time(Span::from_micros(1), Span::from_secs(60)),
    default: Value::Time(Span::from_millis(2)),
};

/// Below which all are as near.
const FLOOR: Definition = Definition {
    name: "floor",
    what: "shorter round trips count as this one",
    kind: Kind::Time(Span::ZERO, Span::from_secs(60)),
    default: Value::Time(Span::from_millis(3)),
};

/// Whether distances may change.
const WEIGHTS: Definition = Definition {
    name: "weights",
    what: "whether shares stay those of the round trips first known, or follow them at every interval",
    kind: Kind::Choice(&["fixed", "followed"]),
    default: Value::Choice("fixed"),
};

/// How often they are followed.
const INTERVAL: Definition = Definition {
    name: "interval",
    what: "how often shares are computed anew where they are followed",
    kind: Kind::Time(Span::from_millis(1), Span::from_secs(86_400)),
    default: Value::Time(Span::from_secs(120)),
};

/// Proximity.
pub(super) const POLICY: Policy = Policy {
    name: "proximity",
    what: "by lot, the nearer the likelier; or strictly the nearest",
    parameters: &[ALPHA, NEAREST, SCALE, FLOOR, WEIGHTS, INTERVAL],
    build: |setting| Box::new(Proximity::new(setting)),
};

/// Shares by distance.
#[derive(Debug)]
struct Proximity {
    /// Round trips, as far as they are known and count.
    instances: Roster<Option<Rtt>>,
    /// The share of each place and all before it.
    upto: Vec<f64>,
    rule: Rule,
    /// `None` for shares that stay.
    interval: Option<Span>,
    stream: ChaCha8Rng,
}

/// How round trips become shares.
#[derive(Debug, Clone, Copy)]
struct Rule {
    alpha: f64,
    nearest: bool,
    scale: Span,
    floor: Rtt,
}

impl Rule {
    /// The shares, by place. An instance at an unknown distance has what all have alike, and nothing by distance; where no
    /// distance is known, all have the same.
    fn shares(self, rtts: &[Option<Rtt>]) -> Vec<f64> {
        let even = 1.0 / rtts.len() as f64;
        let Some(least) = rtts.iter().flatten().min().copied() else { return vec![even; rtts.len()] };
        let first = rtts.iter().position(|rtt| *rtt == Some(least));
        let near = |(place, rtt): (usize, &Option<Rtt>)| match rtt {
            None => 0.0,
            Some(_) if self.nearest => f64::from(u8::from(Some(place) == first)),
            // Measured from the nearest: the same shares, and no sum that is too small to be divided by.
            Some(rtt) => {
                let further = (*rtt).max(self.floor).deviation(least.max(self.floor));
                libm::exp(-further.as_millis_f64() / self.scale.as_millis_f64())
            }
        };
        let near: Vec<f64> = rtts.iter().enumerate().map(near).collect();
        let sum: f64 = near.iter().sum();
        near.into_iter().map(|near| (1.0 - self.alpha) * even + self.alpha * near / sum).collect()
    }
}

impl Proximity {
    fn new(setting: Setting) -> Self {
        let parameters = &setting.parameters;
        let rule = Rule {
            alpha: parameters.number(ALPHA.name),
            nearest: parameters.flag(NEAREST.name),
            scale: parameters.time(SCALE.name),
            floor: Rtt::from_nanos(parameters.time(FLOOR.name).as_nanos()),
        };
        let followed = parameters.choice(WEIGHTS.name) == "followed";
        let interval = followed.then(|| parameters.time(INTERVAL.name));
        Self { instances: Roster::default(), upto: Vec::new(), rule, interval, stream: setting.stream }
    }

    fn compute(&mut self) {
        self.upto.clear();
        let mut sum = 0.0;
        self.upto.extend(self.rule.shares(self.instances.kept()).into_iter().map(|share| {
            sum += share;
            sum
        }));
    }
}

impl Balancer for Proximity {
    fn add(&mut self, _now: Moment, instance: InstanceId, rtt: Option<Rtt>) {
        if self.instances.insert(instance, rtt).is_some() {
            self.compute();
        }
    }

    fn remove(&mut self, _now: Moment, instance: InstanceId) {
        if self.instances.remove(instance).is_some() {
            self.compute();
        }
    }

    fn measured(&mut self, _now: Moment, instance: InstanceId, rtt: Rtt) {
        let Some(known) = self.instances.get_mut(instance) else { return };
        let first = known.is_none();
        if first || self.interval.is_some() {
            *known = Some(rtt);
        }
        if first {
            self.compute();
        }
    }

    fn interval(&self) -> Option<Span> {
        self.interval
    }

    fn maintain(&mut self, _now: Moment) {
        self.compute();
    }

    fn pick(&mut self, _now: Moment, _request: RequestId) -> Option<InstanceId> {
        let last = self.upto.len().checked_sub(1)?;
        // The sum may be a last bit off 1, and nobody without a share is picked: the lot falls below the sum itself.
        let lot = unit_interval(&mut self.stream) * self.upto[last];
        let place = self.upto.partition_point(|upto| *upto <= lot).min(last);
        Some(self.instances.id(place))
    }

    fn weights(&self) -> Vec<(InstanceId, f64)> {
        let before = std::iter::once(&0.0).chain(&self.upto);
        let shares = self.upto.iter().zip(before).map(|(upto, before)| upto - before);
        self.instances.ids().iter().copied().zip(shares).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::contract::{Driven, balancer};

    fn shares(driven: &Driven) -> Vec<f64> {
        driven.balancer.weights().iter().map(|(_, share)| *share).collect()
    }

    fn assert_close(shares: &[f64], expected: &[f64]) {
        let close = shares.len() == expected.len() && shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close, "{shares:?}, not {expected:?}");
    }

    fn driven(given: &[(&str, &str)], rtts: &[Option<f64>]) -> Driven {
        let mut driven = Driven::new(balancer("proximity", given), &[]);
        (1..).zip(rtts).for_each(|(instance, rtt)| driven.add(instance, *rtt));
        driven
    }

    #[test]
    fn shares_are_those_of_the_known_examples() {
        let rtts = [2.0, 5.0, 9.0, 40.0].map(Some);
        for (alpha, expected) in [
            ("1", [0.705_385, 0.259_496, 0.035_119, 0.0]),
            ("0.9", [0.659_846, 0.258_547, 0.056_607, 0.025]),
            ("0.8", [0.614_308, 0.257_597, 0.078_095, 0.05]),
        ] {
            assert_close(&shares(&driven(&[("alpha", alpha)], &rtts)), &expected);
        }
        assert_close(&shares(&driven(&[("alpha", "0.8"), ("nearest", "true")], &rtts)), &[0.85, 0.05, 0.05, 0.05]);
    }

    #[test]
    fn strictly_nearest_is_the_nearest_and_the_lowest_of_equals() {
        let mut driven = driven(&[("alpha", "1"), ("nearest", "true")], &[None, Some(9.0), Some(4.0), Some(4.0)]);
        assert_eq!(driven.picks(50), [3; 50]);
        driven.remove(3);
        assert_eq!(driven.picks(50), [4; 50]);
    }

    #[test]
    fn unknown_distances_have_what_all_have_alike() {
        assert_close(&shares(&driven(&[], &[None, None])), &[0.5, 0.5]);
        let mut driven = driven(&[], &[Some(3.0), None]);
        assert_close(&shares(&driven), &[0.9, 0.1]);
        // Known at last, that counts at once; known anew, it does not, as shares are fixed.
        driven.measured(2, 3.0);
        assert_close(&shares(&driven), &[0.5, 0.5]);
        driven.measured(2, 90.0);
        driven.maintain();
        assert_close(&shares(&driven), &[0.5, 0.5]);
    }

    #[test]
    fn shares_that_follow_do_so_at_the_interval() {
        let mut driven = driven(&[("weights", "followed"), ("alpha", "1")], &[Some(3.0), Some(3.0)]);
        assert_eq!(driven.balancer.interval(), Some(Span::from_secs(120)));
        driven.measured(2, 5.0);
        assert_close(&shares(&driven), &[0.5, 0.5]);
        driven.maintain();
        assert_close(&shares(&driven), &[0.731_059, 0.268_941]);
    }

    #[test]
    fn picks_come_in_the_proportion_of_shares() {
        let mut driven = driven(&[], &[2.0, 5.0, 9.0, 40.0].map(Some));
        let picks = driven.picks(40_000);
        for (instance, share) in (1..).zip(shares(&driven)) {
            let had = picks.iter().filter(|picked| **picked == instance).count() as f64 / 40_000.0;
            assert!((had - share).abs() < 0.01, "{instance}: {had}, not {share}");
        }
    }
}
