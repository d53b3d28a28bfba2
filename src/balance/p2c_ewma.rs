//! The better of two: two instances by lot, and of these the one whose expected latency, times what it has under way, is less.
//!
//! The latency is a peak-sensitive moving average, as in Finagle and linkerd: a latency above the average becomes the average at
//! once, one below pulls it down with the age of the last observation, e^(−age/decay). Between observations it goes down
//! towards nothing in the same way, so that an instance that was slow once is tried again.

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};
use crate::units::{Moment, Rtt, Span};

use super::dice::below;
use super::flight::Flights;
use super::roster::{Roster, Ticket};
use super::{Balancer, Completion, InstanceId, Outcome, Policy, RequestId, Setting};

/// How fast observations are forgotten.
const DECAY: Definition = Definition {
    name: "decay",
    what: "after this time an observation counts for 1/e of what it did",
    kind: Kind::Time(Span::from_millis(1), Span::from_secs(3600)),
    default: Value::Time(Span::from_secs(10)),
};

/// The first estimate where nothing is known.
const FIRST: Definition = Definition {
    name: "first",
    what: "the latency that an instance of unknown distance begins with; others begin with their round trip",
    kind: Kind::Time(Span::ZERO, Span::from_secs(60)),
    default: Value::Time(Span::from_millis(30)),
};

/// The better of two.
pub(super) const POLICY: Policy = Policy {
    name: "p2c-ewma",
    what: "of two instances by lot, the one with less expected latency times requests under way",
    parameters: &[DECAY, FIRST],
    build: |setting| Box::new(BetterOfTwo::new(setting)),
};

/// What is known of an instance.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// The average, in nanoseconds, as it was at `at`.
    latency: f64,
    at: Moment,
    /// Whether `latency` is an observation, and not only a guess from the distance.
    observed: bool,
    outstanding: u32,
}

impl Load {
    fn new(now: Moment, guess: Span) -> Self {
        Self { latency: guess.as_nanos() as f64, at: now, observed: false, outstanding: 0 }
    }

    /// What is left of the average by now.
    fn kept(&self, now: Moment, decay: Span) -> f64 {
        libm::exp(-(now.since(self.at).as_nanos() as f64) / decay.as_nanos() as f64)
    }

    /// Takes in a latency.
    fn observe(&mut self, now: Moment, latency: Span, decay: Span) {
        let (new, kept) = (latency.as_nanos() as f64, self.kept(now, decay));
        let average = self.latency * kept + new * (1.0 - kept);
        // The first observation replaces a guess, whichever is greater.
        self.latency = if self.observed { average.max(new) } else { new };
        (self.at, self.observed) = (now, true);
    }

    /// What another request would cost here. A guess does not fade: it says how far the instance is.
    fn cost(&self, now: Moment, decay: Span) -> f64 {
        let latency = if self.observed { self.latency * self.kept(now, decay) } else { self.latency };
        // A nanosecond, so that among instances without any latency those with less under way still win.
        latency.max(1.0) * (f64::from(self.outstanding) + 1.0)
    }
}

/// Estimates by instance.
#[derive(Debug)]
struct BetterOfTwo {
    instances: Roster<Load>,
    flights: Flights<Ticket>,
    stream: ChaCha8Rng,
    decay: Span,
    first: Span,
    /// What a failure counts as at least: an instance that fails fast must not look like a fast one.
    within: Span,
    /// The last moment heard of, for weights.
    now: Moment,
}

impl BetterOfTwo {
    fn new(setting: Setting) -> Self {
        Self {
            instances: Roster::default(),
            flights: Flights::default(),
            stream: setting.stream,
            decay: setting.parameters.time(DECAY.name),
            first: setting.parameters.time(FIRST.name),
            within: setting.qos.within,
            now: Moment::START,
        }
    }

    /// One instance, or the better of two different ones.
    fn choose(&mut self, now: Moment) -> Option<usize> {
        let count = self.instances.len();
        if count < 2 {
            return count.checked_sub(1);
        }
        let one = below(&mut self.stream, count);
        let other = below(&mut self.stream, count - 1);
        let other = other + usize::from(other >= one);
        let cost = |place: usize| self.instances.kept()[place].cost(now, self.decay);
        Some(if cost(other) < cost(one) { other } else { one })
    }
}

impl Balancer for BetterOfTwo {
    fn add(&mut self, now: Moment, instance: InstanceId, rtt: Option<Rtt>) {
        self.instances.insert(instance, Load::new(now, rtt.map_or(self.first, Span::from)));
    }

    fn remove(&mut self, _now: Moment, instance: InstanceId) {
        self.instances.remove(instance);
    }

    fn measured(&mut self, _now: Moment, instance: InstanceId, rtt: Rtt) {
        if let Some(load) = self.instances.get_mut(instance).filter(|load| !load.observed) {
            load.latency = rtt.as_nanos() as f64;
        }
    }

    fn pick(&mut self, now: Moment, request: RequestId) -> Option<InstanceId> {
        self.now = now;
        let place = self.choose(now)?;
        self.instances.kept_mut()[place].outstanding += 1;
        self.flights.leave(request, self.instances.ticket(place));
        Some(self.instances.id(place))
    }

    fn complete(&mut self, now: Moment, completion: &Completion) {
        self.now = now;
        let Some(ticket) = self.flights.end(completion.request) else { return };
        let Some(place) = self.instances.find(ticket) else { return };
        let failed = completion.outcome != Outcome::Answered;
        let latency = if failed { completion.latency.max(self.within) } else { completion.latency };
        let load = &mut self.instances.kept_mut()[place];
        load.outstanding -= 1;
        load.observe(now, latency, self.decay);
    }

    /// How likely each is to be picked next: one that is better than b of the n others wins b of the n − 1 pairs that it may
    /// be drawn into, and half of those with its equals.
    fn weights(&self) -> Vec<(InstanceId, f64)> {
        let costs: Vec<f64> = self.instances.kept().iter().map(|load| load.cost(self.now, self.decay)).collect();
        let mut ascending = costs.clone();
        ascending.sort_by(f64::total_cmp);
        let count = costs.len();
        let share = |cost: &f64| {
            let better = ascending.partition_point(|other| other < cost);
            let equal = ascending.partition_point(|other| other <= cost) - better;
            let wins = (count - better - equal) as f64 + (equal - 1) as f64 / 2.0;
            if count == 1 { 1.0 } else { wins * 2.0 / (count * (count - 1)) as f64 }
        };
        self.instances.ids().iter().zip(&costs).map(|(instance, cost)| (*instance, share(cost))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::contract::{Driven, balancer};

    fn close(one: f64, other: f64) -> bool {
        (one / other - 1.0).abs() < 1e-9
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let (decay, ms) = (Span::from_secs(10), Moment::from_millis);
        let mut load = Load::new(ms(0), Span::from_millis(5));
        // The guess does not fade.
        assert!(close(load.cost(ms(60_000), decay), 5e6));
        load.observe(ms(0), Span::from_millis(2), decay);
        assert!(close(load.cost(ms(0), decay), 2e6), "{load:?}");
        load.observe(ms(1), Span::from_millis(100), decay);
        assert!(close(load.latency, 100e6));
        // Ten seconds later 1/e of the peak is left, and the rest is the new one.
        load.observe(ms(10_001), Span::from_millis(20), decay);
        let expected = 100e6 / std::f64::consts::E + 20e6 * (1.0 - 1.0 / std::f64::consts::E);
        assert!(close(load.latency, expected), "{load:?}");
        load.outstanding = 3;
        assert!(close(load.cost(ms(20_001), decay), 4.0 * expected / std::f64::consts::E));
    }

    /// Drawn pairs, counted, against the probabilities that the weights claim.
    #[test]
    fn weights_are_the_probabilities_of_picks() {
        let mut driven = Driven::new(balancer("p2c-ewma", &[]), &[]);
        for (instance, rtt) in [(1, 5.0), (2, 9.0), (3, 9.0), (4, 40.0)] {
            driven.add(instance, Some(rtt));
        }
        let claimed: Vec<f64> = driven.balancer.weights().iter().map(|(_, share)| *share).collect();
        let mut had = [0.0; 4];
        for _ in 0..40_000 {
            // Answered in what is expected anyway, at once, so that costs stay.
            let picked = driven.served_in(|instance| [5.0, 9.0, 9.0, 40.0][instance as usize - 1]);
            had[picked as usize - 1] += 1.0 / 40_000.0;
        }
        for (claimed, had) in claimed.iter().zip(had) {
            assert!((claimed - had).abs() < 0.01, "claimed {claimed}, had {had}");
        }
        assert!((claimed[0] - 0.5).abs() < 1e-12 && claimed[3].abs() < 1e-12, "{claimed:?}");
    }

    #[test]
    fn an_instance_that_fails_fast_does_not_look_fast() {
        let mut driven = Driven::new(balancer("p2c-ewma", &[]), &[]);
        driven.add(1, Some(1.0));
        driven.add(2, Some(30.0));
        assert_eq!(driven.failed_in(1.0), 1);
        assert_eq!(driven.picks(1), [2]);
    }
}
