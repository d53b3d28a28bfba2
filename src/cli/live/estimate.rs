//! How long trials in a lab take, about.

use std::time::Duration;

use super::stage::MEASURING;
use crate::experiment::plan::{Plan, Trial};
use crate::testbed::MeasureOptions;
use crate::units::Span;

/// From the start of a program until it is ready, on a machine that starts many of them.
const START: Duration = Duration::from_millis(60);

/// What a trial takes beside its programs and its own time.
const AROUND: Duration = Duration::from_secs(2);

/// What bringing up and measuring a lab take beside the probes.
const LAB: Duration = Duration::from_secs(3);

/// How long `trials` take, the labs of their topologies included.
pub(in crate::cli) fn estimate(plan: &Plan, trials: &[Trial]) -> Duration {
    let mut labs: Vec<(usize, usize)> = trials.iter().map(|trial| (trial.id.point, trial.id.topology)).collect();
    labs.dedup();
    let own: Duration = trials.iter().map(|trial| one(plan, trial)).sum();
    let nodes = |(point, topology): &(usize, usize)| {
        plan.points.get(*point).and_then(|point| point.topologies.get(*topology)).map_or(0, |one| one.matrix.len())
    };
    own + labs.iter().map(|which| LAB + measuring(nodes(which))).sum::<Duration>()
}

fn one(plan: &Plan, trial: &Trial) -> Duration {
    let duration = trial.balancing().map_or(Span::ZERO, |(balancing, _)| balancing.duration);
    // A proxy and a load a node, and services on some.
    let programs = u32::try_from(2 * trial.topology.matrix.len()).unwrap_or(u32::MAX);
    plan.time_scale.on_testbed(duration).as_duration() + AROUND + START * programs
}

fn measuring(nodes: usize) -> Duration {
    let schedule = |probes: u32| {
        let (warm_up, interval, grace) = (1, MEASURING.1, Span::ZERO);
        MeasureOptions { probes, warm_up, interval, grace, ipv6: false, run: 0 }.schedule(nodes).as_duration()
    };
    schedule(MEASURING.0.0) + schedule(MEASURING.0.1)
}

/// `about 23 min`, to be read.
pub(in crate::cli) fn about(duration: Duration) -> String {
    let seconds = duration.as_secs().max(1);
    if seconds < 120 { format!("about {seconds} s") } else { format!("about {} min", (seconds + 30) / 60) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn an_estimate_is_the_time_of_the_trials_on_the_testbed_and_some_more() {
        let text = "apiVersion: longhaul/v1\nname: it\nquestion: what\ntestbed: lab\ntimeScale: 0.25\nrepetitions: 3\n\
                    topologies: [{random: {nodes: 4, base: 5ms, addition: 20ms}, seed: 1}]\n\
                    strategies: [{policy: round-robin}, {policy: qedgeproxy}]\nbalancing:\n  duration: 20s\n\
                    \x20 service: {time: {fixed: 5ms}}\n  instances: {on: [n1]}\n\
                    \x20 clients: {each: 2, rate: 10/s, arrivals: fixed}\n  qos: {within: 80ms, atLeast: 90%, window: 10s}\n";
        let plan = Plan::load(Path::new("plan.yaml"), |_| Ok(text.as_bytes().to_vec())).expect("a plan");
        let trials: Vec<Trial> = plan.trials().collect();
        // 2 strategies × 3 repetitions × 20 s, four times as long.
        let least = Duration::from_secs(480);
        let estimate = estimate(&plan, &trials);
        assert!((least..least + Duration::from_secs(40)).contains(&estimate), "{estimate:?}");
        assert_eq!([about(estimate), about(Duration::from_millis(300))], ["about 8 min", "about 1 s"]);
    }
}
