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
