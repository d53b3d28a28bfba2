//! What a decision costs: every policy among 10, 100 and 1,000 instances.
//!
//! `cargo bench --bench balance_decisions` prints one line for each: the time of a pick, of a completion and of a maintenance, as
//! median and 99th percentile of rounds of 64 requests. What
//! is above that is the machine doing something else.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use longhaul::balance::{Completion, InstanceId, Outcome, POLICIES, Policy, Qos, RequestId, Setting, build};
use longhaul::parameters::{Given, Parameters};
use longhaul::units::{Moment, Rtt, Span};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const ROUND: u64 = 64;
const ROUNDS: u64 = 4_000;

fn main() {
    println!("policy              instances   pick ns p50/p99  complete ns p50/p99   maintain us p50/p99");
    for policy in POLICIES {
        for instances in [10, 100, 1000] {
            measure(policy, instances);
        }
    }
}

fn measure(policy: &Policy, instances: u32) {
    let qos = Qos { within: Span::from_millis(80), at_least: 0.9, window: Span::from_secs(10) };
    let parameters = Parameters::new(policy.name, policy.parameters, &Given::new()).unwrap();
    let mut balancer = build(policy, Setting { qos, parameters, stream: ChaCha8Rng::seed_from_u64(1) });
    let mut now = Moment::START;
    for instance in 0..instances {
        balancer.add(now, InstanceId(instance), Some(Rtt::from_micros(u64::from(instance % 70) * 1000 + 500)));
    }
    let (mut picks, mut completions, mut maintenances) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start = Instant::now();
        let picked: Vec<InstanceId> =
            (0..ROUND).map(|request| balancer.pick(now, RequestId(round * ROUND + request)).unwrap()).collect();
        picks.push(nanos(start) / ROUND);
        // 2,000 requests a second; every instance is a little late now and then.
        now += Span::from_millis(32);
        let ended: Vec<Completion> =
            (round * ROUND..).zip(picked).map(|(request, instance)| end(request, instance)).collect();
        let start = Instant::now();
        for completion in &ended {
            balancer.complete(now, black_box(completion));
        }
        completions.push(nanos(start) / ROUND);
        let due = balancer.interval().is_some_and(|interval| round % (interval.as_nanos() / 32_000_000).max(1) == 0);
        if due {
            let start = Instant::now();
            balancer.maintain(now);
            maintenances.push(nanos(start) / 1000);
        }
    }
    let [picks, completions, maintenances] = [picks, completions, maintenances].map(spread);
    println!("{:18} {instances:10}  {picks:>16}  {completions:>19}  {maintenances:>20}", policy.name);
}

fn end(request: u64, instance: InstanceId) -> Completion {
    let late = u64::from(instance.0 % 70) + 8 + request % 16;
    Completion { request: RequestId(request), instance, latency: Span::from_millis(late), outcome: Outcome::Answered }
}

fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap()
}

/// Median and 99th percentile, for reading.
fn spread(mut values: Vec<u64>) -> String {
    values.sort_unstable();
    match values[..] {
        [] => "-".to_owned(),
        _ => format!("{}/{}", values[values.len() / 2], values[values.len() * 99 / 100]),
    }
}
