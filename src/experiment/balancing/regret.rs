//! Regret: what an oracle with fixed weights would have kept more. It knows every client's pace, every distance and the
//! service times, and chooses once; see [`crate::balance::oracle`].

use crate::balance::oracle::{self, Best, Demand, PerSecond};
use crate::experiment::outcome::Outcome;
use crate::experiment::plan::Trial;
use crate::sim::Network;
use crate::workload::ServiceTime;

use super::layout::Layout;
use super::{Balancing, Discipline};

/// The loads that the oracle may bring instances to, the same for all; the best is taken.
const LOADS: [f64; 10] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];

/// A program of more weights than this takes longer than the trial.
const MOST_WEIGHTS: usize = 10_000;

/// The share of requests that the oracle expects to be answered in time, 0 to 1. `None` where there is no such oracle: while
/// things change, with jitter or loss, with cores that are shared or several, without clients, and for worlds too large for the
/// program.
fn oracle_share(plan: &Balancing, trial: &Trial) -> Option<f64> {
    let steady = plan.events.is_empty() && trial.topology.impaired.is_none();
    let simple = steady && plan.service.discipline == Discipline::Fifo && plan.service.cores == 1;
    let layout = Layout::new(plan, &trial.topology.matrix, trial.layout);
    let nodes = trial.topology.matrix.len();
    if !simple || plan.clients.each == 0 || layout.instances.len() * nodes > MOST_WEIGHTS {
        return None;
    }
    let network = Network::new(&trial.topology.matrix, plan.local_rtt);
    let (mean, variation) = match plan.service.time {
        ServiceTime::Fixed(mean) => (mean, 0.0),
        ServiceTime::LogNormal { mean, cv } => (mean, cv),
        ServiceTime::Exponential(mean) => (mean, 1.0),
    };
    let service = oracle::ServiceTime { mean, variation };
    let rate = f64::from(plan.clients.each) * plan.clients.pace.per_second();
    let shares = LOADS.iter().filter_map(|load| {
        let demands: Vec<Demand> = (0..nodes)
            .map(|node| {
                let rtts: Vec<_> =
                    layout.instances.iter().map(|instance| network.round_trip(node, *instance)).collect();
                Demand { rate: PerSecond(rate), chances: oracle::chances(&plan.qos, &rtts, service, *load) }
            })
            .collect();
        let limits = vec![service.rate(*load); layout.instances.len()];
        let best = oracle::best_shares(&demands, &limits, plan.qos.at_least).ok()?;
        Some(kept(&demands, &best))
    });
    shares.reduce(f64::max)
}

/// What a trial gave, with its regret where there is one.
pub(super) fn with_regret(mut outcome: Outcome, plan: &Balancing, trial: &Trial) -> Outcome {
    let kept = outcome.metrics.get("requestsOk").copied();
    if let Some((best, kept)) = oracle_share(plan, trial).zip(kept) {
        outcome.metrics.insert("regret".to_owned(), best - kept);
    }
    outcome
}

/// What is answered in time, as a share of all requests; what is left over counts as late.
fn kept(demands: &[Demand], best: &Best) -> f64 {
    let good = demands.iter().zip(&best.shares).map(|(demand, shares)| {
        demand.rate.0 * shares.iter().zip(&demand.chances).map(|(share, chance)| share * chance).sum::<f64>()
    });
    let all: f64 = demands.iter().map(|demand| demand.rate.0).sum();
    good.sum::<f64>() / all
}

#[cfg(test)]
mod tests {
    use super::super::tests::{plan, plan_on};
    use super::*;
    use crate::experiment::plan::Plan;
    use crate::experiment::subject::Subject;

    const MEAN_MS: f64 = 5.0;

    fn oracle(plan: &Plan) -> Option<f64> {
        let trial = plan.trials().next().expect("one");
        let (balancing, _) = trial.balancing().expect("of this kind");
        oracle_share(balancing, &trial)
    }

    /// A service of 5 ms sharp: two nodes 10 ms apart, `each` clients on each at 10 requests a second.
    fn world(on: &str, each: u32, within: &str) -> Plan {
        let text = format!(
            "  service: {{time: {{fixed: 5ms}}}}\n  instances: {{on: [{on}]}}\n\
             \x20 clients: {{each: {each}, rate: 10/s, arrivals: poisson}}\n"
        );
        let mut plan = plan(&text, "");
        let Subject::Balancing(balancing) = &mut plan.points[0].subject else { panic!("of this kind") };
        balancing.qos.within = within.parse().expect("a time");
        plan
    }

    /// The share in time at an instance that is busy for `load` of the time and `rtt` away: who waits, waits exponentially, for
    /// mean / (2 (1 − load)) where service times are all the same.
    fn chance(within: f64, rtt: f64, load: f64) -> f64 {
        let left = within - rtt - MEAN_MS;
        if left < 0.0 { 0.0 } else { 1.0 - load * (-left * 2.0 * (1.0 - load) / MEAN_MS).exp() }
    }

    /// The most that any split in twentieths keeps, with every load tried; both nodes send `rate` a second.
    fn brute_force(rtts: [[f64; 2]; 2], rate: f64, within: f64) -> f64 {
        let splits: Vec<[f64; 2]> = (0..=20)
            .flat_map(|one| (0..=20 - one).map(move |two| [f64::from(one) / 20.0, f64::from(two) / 20.0]))
            .collect();
        let mut most = 0.0f64;
        for load in LOADS {
            let limit = load * 1e3 / MEAN_MS + 1e-9;
            let chances = rtts.map(|row| row.map(|rtt| chance(within, rtt, load)));
            for first in &splits {
                for second in &splits {
                    if (0..2).all(|at| rate * (first[at] + second[at]) <= limit) {
                        let good = |split: &[f64; 2], of: usize| split[0] * chances[of][0] + split[1] * chances[of][1];
                        most = most.max(f64::midpoint(good(first, 0), good(second, 1)));
                    }
                }
            }
        }
        most
    }

    #[test]
    fn the_oracle_keeps_what_the_best_of_all_splits_keeps() {
        let (near, far, own) = (0.5, 20.0, [[0.5, 20.0], [20.0, 0.5]]);
        for (on, rtts, each, within, ms) in [
            // Both have one at hand; both share the one of n1; the same with too little time for the way.
            ("n1, n2", own, 1, "80ms", 80.0),
            ("n1, n1", [[near, near], [far, far]], 1, "80ms", 80.0),
            ("n1, n1", [[near, near], [far, far]], 1, "12ms", 12.0),
            // Twice as many requests as both can take, with little time to wait.
            ("n1, n2", own, 40, "30ms", 30.0),
            ("n1, n1", [[near, near], [far, far]], 40, "80ms", 80.0),
        ] {
            let found = oracle(&world(on, each, within)).expect("there is one");
            let most = brute_force(rtts, f64::from(each) * 10.0, ms);
            assert!(found >= most - 1e-6 && found <= most + 0.03, "{on}, {each}, {within}: {found}, not {most}");
        }
    }

    #[test]
    fn the_oracle_says_what_comes_out_by_hand() {
        let near = |found: Option<f64>, expected: f64| {
            let found = found.expect("there is one");
            assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        };
        // n2 is 20 ms away from the only instance, so none of its requests is done within 12 ms; of those of n1 is, at load 0.5,
        // 1 − 0.5 e^(−6.5 / 5).
        near(oracle(&world("n1", 1, "12ms")), (1.0 - 0.5 * (-6.5f64 / 5.0).exp()) / 2.0);
        // 800 requests a second for 400: each instance serves its own node's at the load L that makes L · c(L) greatest, which is
        // 0.8 with c = 1 − 0.8 e^(−24.5 · 0.4 / 5); that is 160 of each node's 400.
        near(oracle(&world("n1, n2", 40, "30ms")), 0.4 * (1.0 - 0.8 * (-24.5f64 * 0.4 / 5.0).exp()));
    }

    #[test]
    fn there_is_no_oracle_where_it_would_guess() {
        let text = |service: &str, each: u32| {
            format!(
                "  service: {{time: {{fixed: 5ms}}{service}}}\n  instances: {{on: [n1]}}\n\
                 \x20 clients: {{each: {each}, rate: 10/s, arrivals: fixed}}\n"
            )
        };
        assert!(oracle(&plan(&text("", 1), "")).is_some());
        assert_eq!(oracle(&plan(&text("", 0), "")), None);
        assert_eq!(oracle(&plan(&text(", cores: 2", 1), "")), None);
        assert_eq!(oracle(&plan(&text(", discipline: sharing", 1), "")), None);
        assert_eq!(oracle(&plan(&text("", 1), "timeline: [{at: 1s, do: {cut: n2}}]\n")), None);
        assert_eq!(oracle(&plan_on("matrix: m.csv, jitter: 1ms", &text("", 1), "")), None);
    }
}
