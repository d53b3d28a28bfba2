//! Dec-SARSA: learns by average-reward SARSA, request by request, which instance answers in time.
//!
//! A state is what a balancer sees of each instance: how long it lately took beside the way (a moving average), and how far it
//! is, both in bins. An action is an instance; its value is that of its own pair of bins. A reward is 1 for an answer within τ,
//! else 0. When a request with value q(s, a) has ended with reward r, the next decision (s′, a′) of this balancer teaches
//!
//! δ = r − R̄ + q(s′, a′) − q(s, a);  R̄ ← R̄ + β·δ;  q(s, a) ← q(s, a) + α·δ.
//!
//! Only differences of values count, so it makes no difference what they all begin with (0); to be optimistic early means to
//! begin with a high R̄.

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Parameters, Value};
use crate::units::{Moment, Rtt, Span};

use super::dice::{below, unit_interval};
use super::flight::Flights;
use super::roster::{Roster, Ticket};
use super::{Balancer, Completion, InstanceId, Outcome, Policy, Qos, RequestId, Setting};

const ALPHA: Definition = Definition {
    name: "alpha",
    what: "how far a value moves by what it is taught (α)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.1),
};

const BETA: Definition = Definition {
    name: "beta",
    what: "how far the average reward moves by what it is taught (β)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.01),
};

const EPSILON: Definition = Definition {
    name: "epsilon",
    what: "the share of requests that go to any instance by lot (ε)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.05),
};

const AVERAGE: Definition = Definition {
    name: "average",
    what: "the average reward to begin with; 1 takes what is not better than good for bad, and so tries others early (R̄₀)",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.0),
};

const SMOOTHING: Definition = Definition {
    name: "smoothing",
    what: "what the newest request counts in the moving average of processing times",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.2),
};

const PROCESSING_BIN: Definition = Definition {
    name: "processing-bin",
    what: "how wide the bins of processing times are",
    kind: Kind::Time(Span::from_micros(1), Span::from_secs(60)),
    default: Value::Time(Span::from_millis(10)),
};

const PROCESSING_BINS: Definition = Definition {
    name: "processing-bins",
    what: "how many there are; the last takes all above",
    kind: Kind::Count(1, 1000),
    default: Value::Count(16),
};

const DISTANCE_BIN: Definition = Definition {
    name: "distance-bin",
    what: "how wide the bins of round trips are",
    kind: Kind::Time(Span::from_micros(1), Span::from_secs(60)),
    default: Value::Time(Span::from_millis(10)),
};

const DISTANCE_BINS: Definition = Definition {
    name: "distance-bins",
    what: "how many there are, beside one for unknown round trips; the last takes all above",
    kind: Kind::Count(1, 1000),
    default: Value::Count(16),
};

const TABLE: Definition = Definition {
    name: "table",
    what: "whether all instances share one table of values, or each has its own",
    kind: Kind::Choice(&["shared", "own"]),
    default: Value::Choice("shared"),
};

/// Dec-SARSA.
pub(super) const POLICY: Policy = Policy {
    name: "dec-sarsa",
    what: "learns by average-reward SARSA which instance answers in time",
    parameters: &[
        ALPHA,
        BETA,
        EPSILON,
        AVERAGE,
        SMOOTHING,
        PROCESSING_BIN,
        PROCESSING_BINS,
        DISTANCE_BIN,
        DISTANCE_BINS,
        TABLE,
    ],
    build: |setting| Box::new(DecSarsa::new(setting)),
};

/// What is seen of an instance.
#[derive(Debug)]
struct Seen {
    rtt: Option<Rtt>,
    /// The moving average, in nanoseconds; 0 until something has ended there.
    processing: f64,
    any: bool,
    /// The pair of bins that these fall into.
    cell: usize,
    /// Its own values; empty where all share.
    values: Vec<f64>,
}

/// A decision, and what came of it.
#[derive(Debug, Clone, Copy)]
struct Lesson {
    who: Ticket,
    cell: usize,
    reward: f64,
}

/// How things seen become a cell.
#[derive(Debug, Clone, Copy)]
struct Bins {
    processing: (Span, usize),
    distance: (Span, usize),
}

impl Bins {
    #[allow(clippy::cast_possible_truncation)]
    fn new(parameters: &Parameters) -> Self {
        let of = |width: &Definition, count: &Definition| {
            (parameters.time(width.name), parameters.count(count.name) as usize)
        };
        Self { processing: of(&PROCESSING_BIN, &PROCESSING_BINS), distance: of(&DISTANCE_BIN, &DISTANCE_BINS) }
    }

    fn cells(self) -> usize {
        self.processing.1 * (self.distance.1 + 1)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn cell(self, processing: f64, rtt: Option<Rtt>) -> usize {
        let bin =
            |value: f64, (width, count): (Span, usize)| ((value / width.as_nanos() as f64) as usize).min(count - 1);
        let far = rtt.map_or(self.distance.1, |rtt| bin(rtt.as_nanos() as f64, self.distance));
        bin(processing, self.processing) * (self.distance.1 + 1) + far
    }
}

/// A learner, one for each balancer; they tell each other nothing.
#[derive(Debug)]
struct DecSarsa {
    instances: Roster<Seen>,
    /// The values that all share; empty where each has its own.
    values: Vec<f64>,
    shared: bool,
    average: f64,
    /// Decisions by request, until it ends: what was seen then may be different by its end.
    flights: Flights<(Ticket, usize)>,
    /// Lessons of ended requests, which the next decision completes.
    ended: Vec<Lesson>,
    bins: Bins,
    rates: Rates,
    qos: Qos,
    stream: ChaCha8Rng,
}

/// The numbers that learning goes by.
#[derive(Debug, Clone, Copy)]
struct Rates {
    alpha: f64,
    beta: f64,
    epsilon: f64,
    smoothing: f64,
}

impl DecSarsa {
    fn new(setting: Setting) -> Self {
        let (parameters, bins) = (&setting.parameters, Bins::new(&setting.parameters));
        let number = |definition: &Definition| parameters.number(definition.name);
        let rates = Rates {
            alpha: number(&ALPHA),
            beta: number(&BETA),
            epsilon: number(&EPSILON),
            smoothing: number(&SMOOTHING),
        };
        let shared = parameters.choice(TABLE.name) == "shared";
        Self {
            instances: Roster::default(),
            values: if shared { vec![0.0; bins.cells()] } else { Vec::new() },
            shared,
            average: parameters.number(AVERAGE.name),
            flights: Flights::default(),
            ended: Vec::new(),
            bins,
            rates,
            qos: setting.qos,
            stream: setting.stream,
        }
    }

    /// What choosing an instance is worth, as it is now.
    fn value(&self, seen: &Seen) -> f64 {
        if self.shared { self.values[seen.cell] } else { seen.values[seen.cell] }
    }

    /// The greatest value, and how many have it.
    fn best(&self) -> (f64, usize) {
        self.instances.kept().iter().fold((f64::NEG_INFINITY, 0), |(most, ties), seen| {
            let value = self.value(seen);
            if value > most { (value, 1) } else { (most, ties + usize::from(value >= most)) }
        })
    }

    /// ε-greedy; of several with the greatest value, one by lot.
    fn choose(&mut self) -> Option<usize> {
        let count = self.instances.len();
        if count == 0 {
            return None;
        }
        if unit_interval(&mut self.stream) < self.rates.epsilon {
            return Some(below(&mut self.stream, count));
        }
        let (most, ties) = self.best();
        let which = if ties > 1 { below(&mut self.stream, ties) } else { 0 };
        let equals = self.instances.kept().iter().enumerate().filter(|(_, seen)| self.value(seen) >= most);
        equals.map(|(place, _)| place).nth(which)
    }

    /// Completes the lessons of all that ended with the decision for the instance at a place.
    fn learn(&mut self, place: usize) {
        for index in 0..self.ended.len() {
            let Lesson { who, cell, reward } = self.ended[index];
            let next = self.value(&self.instances.kept()[place]);
            let known = self.instances.find(who);
            let value = match known {
                _ if self.shared => &mut self.values[cell],
                Some(place) => &mut self.instances.kept_mut()[place].values[cell],
                None => continue,
            };
            let surprise = reward - self.average + next - *value;
            *value += self.rates.alpha * surprise;
            self.average += self.rates.beta * surprise;
        }
        self.ended.clear();
    }
}

impl Balancer for DecSarsa {
    fn add(&mut self, _now: Moment, instance: InstanceId, rtt: Option<Rtt>) {
        let values = if self.shared { Vec::new() } else { vec![0.0; self.bins.cells()] };
        let cell = self.bins.cell(0.0, rtt);
        self.instances.insert(instance, Seen { rtt, processing: 0.0, any: false, cell, values });
    }

    fn remove(&mut self, _now: Moment, instance: InstanceId) {
        self.instances.remove(instance);
    }

    fn measured(&mut self, _now: Moment, instance: InstanceId, rtt: Rtt) {
        let bins = self.bins;
        if let Some(seen) = self.instances.get_mut(instance) {
            seen.rtt = Some(rtt);
            seen.cell = bins.cell(seen.processing, seen.rtt);
        }
    }

    fn pick(&mut self, _now: Moment, request: RequestId) -> Option<InstanceId> {
        let place = self.choose()?;
        self.learn(place);
        self.flights.leave(request, (self.instances.ticket(place), self.instances.kept()[place].cell));
        Some(self.instances.id(place))
    }

    fn complete(&mut self, _now: Moment, completion: &Completion) {
        let Some((who, cell)) = self.flights.end(completion.request) else { return };
        let good = completion.is_good(&self.qos);
        self.ended.push(Lesson { who, cell, reward: f64::from(u8::from(good)) });
        let Some(place) = self.instances.find(who) else { return };
        let (bins, smoothing) = (self.bins, self.rates.smoothing);
        let seen = &mut self.instances.kept_mut()[place];
        // What failed fast has not been processed fast.
        let failed = completion.outcome != Outcome::Answered;
        let latency = if failed { completion.latency.max(self.qos.within) } else { completion.latency };
        let processing = latency.saturating_sub(seen.rtt.map_or(Span::ZERO, Span::from)).as_nanos() as f64;
        seen.processing =
            if seen.any { seen.processing + smoothing * (processing - seen.processing) } else { processing };
        seen.any = true;
        seen.cell = bins.cell(seen.processing, seen.rtt);
    }

    fn weights(&self) -> Vec<(InstanceId, f64)> {
        let (most, ties) = self.best();
        let any = self.rates.epsilon / self.instances.len() as f64;
        let greedy = (1.0 - self.rates.epsilon) / ties as f64;
        let share = |seen: &Seen| any + if self.value(seen) >= most { greedy } else { 0.0 };
        self.instances
            .ids()
            .iter()
            .zip(self.instances.kept())
            .map(|(instance, seen)| (*instance, share(seen)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::contract::{Driven, QOS};
    use rand::SeedableRng;
    use std::collections::BTreeMap;

    fn learner(given: &[(&str, &str)]) -> Driven<DecSarsa> {
        let given: BTreeMap<_, _> = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let parameters = Parameters::new(POLICY.name, POLICY.parameters, &given).expect("allowed");
        let stream = ChaCha8Rng::seed_from_u64(1);
        Driven::new(Box::new(DecSarsa::new(Setting { qos: QOS, parameters, stream })), &[])
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-12
    }

    /// By hand: α 0.5, β 0.1, no exploration, one instance, so that a′ is a.
    #[test]
    fn values_and_the_average_move_by_the_formula() {
        let mut driven = learner(&[("alpha", "0.5"), ("beta", "0.1"), ("epsilon", "0")]);
        driven.add(1, Some(15.0));
        let far = driven.balancer.bins.cell(0.0, Some(crate::balance::contract::rtt(15.0)));
        assert_eq!(far, 1);
        driven.picks(2);
        driven.end(0, 50.0, Outcome::Answered);
        assert_eq!(driven.balancer.ended.len(), 1, "a lesson waits for the next decision");
        driven.picks(1);
        // δ = 1 − 0 + q(bin of 35 ms, which is 0) − 0.
        let values = driven.balancer.values.clone();
        assert!(close(values[far], 0.5) && close(driven.balancer.average, 0.1), "{}", driven.balancer.average);
        // The second request was chosen with the first bins; it fails: δ = 0 − 0.1 + 0 − 0.5.
        driven.end(0, 50.0, Outcome::Failed);
        driven.picks(1);
        assert!(close(driven.balancer.values[far], 0.2) && close(driven.balancer.average, 0.04));
        // 35 ms, then a failure that counts as τ: 65 ms; 35 + 0.2 · 30 = 41.
        assert!(close(driven.balancer.instances.kept()[0].processing, 41e6));
        assert_eq!(driven.balancer.instances.kept()[0].cell, 4 * 17 + 1);
    }

    #[test]
    fn bins_end_with_one_for_all_above_and_the_unknown_have_their_own() {
        let driven = learner(&[]);
        let bins = driven.balancer.bins;
        let rtt = |ms| Some(Rtt::from_millis(ms));
        assert_eq!(bins.cells(), 16 * 17);
        assert_eq!([bins.cell(0.0, rtt(9)), bins.cell(0.0, rtt(10)), bins.cell(0.0, rtt(9999))], [0, 1, 15]);
        assert_eq!([bins.cell(0.0, None), bins.cell(19e6, rtt(0)), bins.cell(1e18, None)], [16, 17, 16 * 17 - 1]);
    }

    /// Two instances, one always late: after a while all but the explorers go to the other. Both tables learn it.
    #[test]
    fn it_learns_who_answers_in_time() {
        for table in ["shared", "own"] {
            let mut driven = learner(&[("table", table)]);
            driven.add(1, Some(5.0));
            driven.add(2, Some(5.0));
            let late = |instance| if instance == 1 { 120.0 } else { 20.0 };
            (0..500).for_each(|_| _ = driven.served_in(late));
            let good = (0..1000).filter(|_| driven.served_in(late) == 2).count();
            assert!(good > 900, "{table}: {good}");
            let weights = driven.balancer.weights();
            assert!(close(weights[0].1, 0.025) && close(weights[1].1, 0.975), "{table}: {weights:?}");
        }
    }

    /// The good one turns bad and the bad one good.
    #[test]
    fn it_learns_anew() {
        let mut driven = learner(&[]);
        driven.add(1, Some(5.0));
        driven.add(2, Some(5.0));
        for turn in 0..4 {
            let late = |instance| if (instance == 1) == (turn % 2 == 0) { 120.0 } else { 20.0 };
            (0..2000).for_each(|_| _ = driven.served_in(late));
            let good = (0..500).filter(|_| (driven.served_in(late) == 2) == (turn % 2 == 0)).count();
            assert!(good > 400, "turn {turn}: {good}");
        }
    }

    /// Why there is no parameter for the first values: all of them shifted, every decision and the average stay.
    #[test]
    fn what_all_values_begin_with_makes_no_difference() {
        let run = |shift: f64| {
            let mut driven = learner(&[]);
            driven.balancer.values.iter_mut().for_each(|value| *value += shift);
            [3.0, 15.0, 42.0].iter().zip(1..).for_each(|(rtt, instance)| driven.add(instance, Some(*rtt)));
            let late = |instance| [120.0, 60.0, 20.0][instance as usize - 1];
            let picks: Vec<u32> = (0..300).map(|_| driven.served_in(late)).collect();
            (picks, driven.balancer.average)
        };
        // A power of two, so that the shift costs no bits that matter.
        let ((picks, average), (shifted, same)) = (run(0.0), run(2.0));
        assert_eq!(picks, shifted);
        assert!((average - same).abs() < 1e-9);
    }

    #[test]
    fn what_is_taught_by_instances_that_are_gone_does_no_harm() {
        let mut driven = learner(&[("table", "own"), ("epsilon", "0")]);
        driven.add(1, None);
        driven.picks(2);
        driven.remove(1);
        driven.end(0, 5.0, Outcome::Answered);
        driven.add(1, None);
        driven.picks(1);
        assert!(driven.balancer.instances.kept()[0].values.iter().all(|value| close(*value, 0.0)));
    }
}
