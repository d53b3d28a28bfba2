//! What it costs to choose an instance: the policy alone, without a proxy around it.

use std::hint::black_box;
use std::time::Instant;

use crate::balance::{Completion, InstanceId, Outcome, Policy, Qos, RequestId, Setting, build};
use crate::cli::bench::figures::{Row, Series, Target, Unit};
use crate::parameters::{Given, Parameters};
use crate::sim::Streams;
use crate::units::{Moment, Rtt, Span};

/// How many instances there are, and how long a choice may take, in nanoseconds.
const SIZES: [(u32, f64); 2] = [(10, 200.0), (1_000, 2_000.0)];

/// Requests between two readings of the clock, which costs as much as a choice.
const ROUND: u64 = 64;

const ROUNDS: u64 = 1_000;

/// The name of this measurement.
pub(super) const NAME: &str = "decisions";

/// The rows of one policy.
pub(super) fn rows(policy: &Policy, repeat: u32) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (instances, target) in SIZES {
        let costs = (0..repeat).map(|_| costs(policy, instances)).collect::<anyhow::Result<Vec<_>>>()?;
        let among = |what: &str| format!("{what} among {instances} instances, {}", policy.name);
        let series = |of: fn(&Costs) -> f64| Series::new(Unit::Nanos, costs.iter().map(of));
        rows.push(Row::new(NAME, among("choice"), series(|one| one.choice)).reaching(Target::at_most(target)));
        rows.push(Row::new(NAME, among("what is learnt of an answer"), series(|one| one.answer)));
    }
    Ok(rows)
}

/// Nanoseconds, medians of rounds.
struct Costs {
    choice: f64,
    answer: f64,
}

fn costs(policy: &Policy, instances: u32) -> anyhow::Result<Costs> {
    let qos = Qos { within: Span::from_millis(80), at_least: 0.9, window: Span::from_secs(10) };
    let parameters = Parameters::new(policy.name, policy.parameters, &Given::new())?;
    let stream = Streams::new(1).stream("decisions", u64::from(instances));
    let mut balancer = build(policy, Setting { qos, parameters, stream });
    let mut now = Moment::START;
    for instance in 0..instances {
        balancer.add(now, InstanceId(instance), Some(Rtt::from_micros(u64::from(instance % 70) * 1_000 + 500)));
    }
    let mut maintained = now;
    let (mut choices, mut answers) = (Vec::new(), Vec::new());
    let mut chosen = Vec::new();
    for round in 0..ROUNDS {
        let begun = Instant::now();
        chosen.clear();
        chosen.extend((0..ROUND).filter_map(|request| balancer.pick(now, RequestId(round * ROUND + request))));
        choices.push(per_request(begun));
        // 2,000 requests a second, some of them late.
        now += Span::from_millis(32);
        let begun = Instant::now();
        for (request, instance) in (round * ROUND..).zip(&chosen) {
            let latency = Span::from_millis(u64::from(instance.0 % 70) + 8 + request % 16);
            let (request, instance) = (RequestId(request), *instance);
            balancer.complete(now, black_box(&Completion { request, instance, latency, outcome: Outcome::Answered }));
        }
        answers.push(per_request(begun));
        if balancer.interval().is_some_and(|interval| now.since(maintained) >= interval) {
            maintained = now;
            balancer.maintain(now);
        }
    }
    Ok(Costs { choice: middle(choices), answer: middle(answers) })
}

fn per_request(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e9 / ROUND as f64
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
