//! Tests: what holds for every policy, whatever happens in whatever order; and a hand to drive one.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Given, Kind, Parameters};
use crate::units::{Moment, Rtt, Span};

use super::{Balancer, Completion, InstanceId, Outcome, POLICIES, Policy, Qos, RequestId, Setting, build, find};

/// That of the evaluation of paper 004.
pub(super) const QOS: Qos = Qos { within: Span::from_millis(80), at_least: 0.9, window: Span::from_secs(10) };

fn setting(policy: &Policy, given: &[(&str, &str)]) -> Setting {
    let given: Given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let parameters = Parameters::new(policy.name, policy.parameters, &given).expect("allowed");
    Setting { qos: QOS, parameters, stream: ChaCha8Rng::seed_from_u64(1) }
}

/// The policy of that name with what is given, and the stream of seed 1.
pub(super) fn balancer(name: &str, given: &[(&str, &str)]) -> Box<dyn Balancer> {
    let policy = find(name).expect("a policy");
    build(policy, setting(policy, given))
}

pub(super) fn rtt(ms: f64) -> Rtt {
    Rtt::from_millis_f64(ms).expect("a round trip")
}

/// A balancer with its clock and its requests.
pub(super) struct Driven<B: ?Sized = dyn Balancer> {
    pub(super) now: Moment,
    requests: u64,
    under_way: Vec<(RequestId, InstanceId)>,
    pub(super) balancer: Box<B>,
}

impl<B: Balancer + ?Sized> Driven<B> {
    pub(super) fn new(balancer: Box<B>, instances: &[u32]) -> Self {
        let mut driven = Self { now: Moment::START, requests: 0, under_way: Vec::new(), balancer };
        for instance in instances {
            driven.add(*instance, None);
        }
        driven
    }

    pub(super) fn add(&mut self, instance: u32, ms: Option<f64>) {
        self.balancer.add(self.now, InstanceId(instance), ms.map(rtt));
    }

    pub(super) fn remove(&mut self, instance: u32) {
        self.balancer.remove(self.now, InstanceId(instance));
    }

    pub(super) fn measured(&mut self, instance: u32, ms: f64) {
        self.balancer.measured(self.now, InstanceId(instance), rtt(ms));
    }

    pub(super) fn maintain(&mut self) {
        self.balancer.maintain(self.now);
    }

    pub(super) fn pick(&mut self) -> Option<u32> {
        let request = RequestId(self.requests);
        self.requests += 1;
        let picked = self.balancer.pick(self.now, request)?;
        self.under_way.push((request, picked));
        Some(picked.0)
    }

    /// That many requests, which stay under way; their instances.
    pub(super) fn picks(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.pick().expect("an instance")).collect()
    }

    /// Ends a request that is under way; nothing, if there is none of that place.
    pub(super) fn end(&mut self, place: usize, ms: f64, outcome: Outcome) {
        if place < self.under_way.len() {
            let (request, instance) = self.under_way.remove(place);
            let latency = Span::from_millis_f64(ms).expect("a latency");
            self.balancer.complete(self.now, &Completion { request, instance, latency, outcome });
        }
    }

    /// Ends all of an instance's requests, in a millisecond.
    pub(super) fn finish_all(&mut self, instance: u32) {
        while let Some(place) = self.under_way.iter().position(|(_, picked)| picked.0 == instance) {
            self.end(place, 1.0, Outcome::Answered);
        }
    }

    /// One request, answered after what that instance takes; the instance.
    pub(super) fn served_in(&mut self, ms: impl Fn(u32) -> f64) -> u32 {
        let picked = self.pick().expect("an instance");
        self.end(self.under_way.len() - 1, ms(picked), Outcome::Answered);
        picked
    }

    /// One request, answered in a millisecond; its instance.
    pub(super) fn served(&mut self) -> u32 {
        self.served_in(|_| 1.0)
    }

    /// One request that fails after so long; its instance.
    pub(super) fn failed_in(&mut self, ms: f64) -> u32 {
        let picked = self.pick().expect("an instance");
        self.end(self.under_way.len() - 1, ms, Outcome::Failed);
        picked
    }
}

/// Something that happens to a balancer.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Add(u32, Option<f64>),
    Remove(u32),
    Measured(u32, f64),
    Pick,
    /// Which of those under way, as a share of them; its latency; its outcome.
    End(f64, f64, Outcome),
    /// A request that nobody picked, at an instance that may not exist.
    Foreign(u32, f64),
    Maintain,
    Pass(f64),
}

pub(super) fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    let ms = || prop_oneof![Just(0.0), (0.0f64..120.0)];
    let outcome = prop_oneof![4 => Just(Outcome::Answered), 1 => Just(Outcome::Failed), 1 => Just(Outcome::TimedOut)];
    let event = prop_oneof![
        3 => (0u32..6, prop::option::of(ms())).prop_map(|(instance, ms)| Event::Add(instance, ms)),
        1 => (0u32..6).prop_map(Event::Remove),
        1 => (0u32..6, ms()).prop_map(|(instance, ms)| Event::Measured(instance, ms)),
        12 => Just(Event::Pick),
        10 => (0.0f64..1.0, 0.0f64..200.0, outcome).prop_map(|(which, ms, how)| Event::End(which, ms, how)),
        1 => (0u32..9, 0.0f64..200.0).prop_map(|(instance, ms)| Event::Foreign(instance, ms)),
        2 => Just(Event::Maintain),
        3 => (0.0f64..6000.0).prop_map(Event::Pass),
    ];
    prop::collection::vec(event, 1..most)
}

impl<B: Balancer + ?Sized> Driven<B> {
    /// Lets something happen; what was picked, where that was it and there was one.
    pub(super) fn play(&mut self, event: &Event) -> Option<u32> {
        match event {
            Event::Add(instance, ms) => self.add(*instance, *ms),
            Event::Remove(instance) => self.remove(*instance),
            Event::Measured(instance, ms) => self.measured(*instance, *ms),
            Event::Pick => return self.pick(),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Event::End(which, ms, outcome) => self.end((which * self.under_way.len() as f64) as usize, *ms, *outcome),
            Event::Foreign(instance, ms) => {
                let latency = Span::from_millis_f64(*ms).expect("a latency");
                let (request, instance) = (RequestId(u64::MAX - self.requests), InstanceId(*instance));
                self.balancer
                    .complete(self.now, &Completion { request, instance, latency, outcome: Outcome::Answered });
            }
            Event::Maintain => self.maintain(),
            Event::Pass(ms) => self.now += Span::from_millis_f64(*ms).expect("a time"),
        }
        None
    }
}

/// Values worth trying of a parameter: every word, both bounds.
fn extremes(definition: &Definition) -> Vec<String> {
    match definition.kind {
        Kind::Flag => vec!["true".to_owned(), "false".to_owned()],
        Kind::Count(least, most) => vec![least.to_string(), most.to_string()],
        Kind::Number(least, most) => vec![least.to_string(), most.to_string()],
        Kind::Time(least, most) => vec![least.to_string(), most.to_string()],
        Kind::Choice(words) => words.iter().map(|word| (*word).to_owned()).collect(),
    }
}

/// What a policy did after an event: its pick, if that was one, and its weights.
type Deed = (Option<u32>, Vec<(InstanceId, f64)>);

/// Plays the events to a policy, looking after each whether it still is one; what it did.
fn played(policy: &Policy, given: &[(&str, &str)], events: &[Event]) -> Vec<Deed> {
    let mut driven = Driven::new(build(policy, setting(policy, given)), &[]);
    let (mut there, mut did) = (std::collections::BTreeSet::new(), Vec::new());
    for event in events {
        match event {
            Event::Add(instance, _) => _ = there.insert(*instance),
            Event::Remove(instance) => _ = there.remove(instance),
            _ => {}
        }
        let context = || format!("{} with {given:?} after {event:?}", policy.name);
        let picked = driven.play(event);
        if matches!(event, Event::Pick) {
            assert!(picked.is_none() == there.is_empty(), "{}: {picked:?} of {there:?}", context());
            assert!(picked.is_none_or(|picked| there.contains(&picked)), "{}: {picked:?} of {there:?}", context());
        }
        let weights = driven.balancer.weights();
        assert!(weights.iter().map(|(instance, _)| instance.0).eq(there.iter().copied()), "{}: {weights:?}", context());
        let sum: f64 = weights.iter().map(|(_, share)| share).sum();
        assert!(there.is_empty() || (sum - 1.0).abs() < 1e-9, "{}: {weights:?}", context());
        assert!(weights.iter().all(|(_, share)| *share >= -1e-12), "{}: {weights:?}", context());
        did.push((picked, weights));
    }
    did
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// With every policy and every extreme of its parameters: an instance is picked if there is one, and one that is there;
    /// weights are shares of exactly those that are there; the same again gives the same.
    #[test]
    fn every_policy_survives_every_order_of_events(events in events(120)) {
        for policy in POLICIES {
            played(policy, &[], &events);
            for definition in policy.parameters {
                for text in extremes(definition) {
                    let given = [(definition.name, text.as_str())];
                    let once = played(policy, &given, &events);
                    prop_assert!(once == played(policy, &given, &events), "{} with {given:?}", policy.name);
                }
            }
        }
    }
}

/// Parameters that only count beside another.
const BESIDE: [(&str, &str, (&str, &str)); 1] = [("proximity", "interval", ("weights", "followed"))];

/// Parameters that only tell for a value that rows of events do not hit, and have a test of their own.
const ELSEWHERE: [(&str, &str); 1] = [("qedgeproxy", "exceeding")];

/// What is declared is also read: each parameter's extremes make some difference in some row of events.
#[test]
fn every_parameter_does_something() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let rows: Vec<Vec<Event>> =
        (0..200).map(|_| events(400).new_tree(&mut runner).expect("events").current()).collect();
    for policy in POLICIES {
        let elsewhere = |name| ELSEWHERE.contains(&(policy.name, name));
        for definition in policy.parameters.iter().filter(|definition| !elsewhere(definition.name)) {
            let beside = BESIDE.iter().find(|(of, name, _)| (*of, *name) == (policy.name, definition.name));
            let texts = extremes(definition);
            let given = |text| beside.map(|(_, _, beside)| *beside).into_iter().chain([(definition.name, text)]);
            let given: Vec<Vec<(&str, &str)>> = texts.iter().map(|text| given(text).collect()).collect();
            let differs = |row: &Vec<Event>| {
                let first = played(policy, &given[0], row);
                given[1..].iter().any(|given| played(policy, given, row) != first)
            };
            // How often maintenance is wanted shows only in what the policy asks for.
            let asked = |given: &Vec<(&str, &str)>| build(policy, setting(policy, given)).interval();
            let asks = asked(&given[0]) != asked(&given[given.len() - 1]);
            assert!(asks || rows.iter().any(differs), "{} of {} does nothing", definition.name, policy.name);
        }
    }
}
