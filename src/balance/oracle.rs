//! What could be done at best: shares by a program that sees everything, and regret against them.
//!
//! Paper 004 measures learners by what they lose against the best shares, equations (8) and (9), and assumes that there are shares
//! which keep every balancer's target. [`best_shares`] finds them, or those that miss it least: a linear program over all
//! balancers. Congestion enters as a limit: up to it an instance processes as it does at the limit, beyond it nothing is in
//! time. So what it says can be done can be done, though a little more may be.

use good_lp::{Expression, ProblemVariables, Solution, SolverModel, Variable, constraint, microlp, variable};

use crate::units::{Rtt, Span};

use super::Qos;

/// How often something happens, by the second.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct PerSecond(pub f64);

/// What missing the target counts, for each request that misses it beyond what is allowed, against one late request.
const PRIORITY: f64 = 1000.0;

/// What is wrong with a question to the oracle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OracleError {
    /// Lists that belong together have different lengths.
    #[error("balancer {balancer} has {found} chances, but there are {instances} instances; give one for each")]
    Shape {
        /// The balancer, from 0.
        balancer: usize,
        /// How many chances it has.
        found: usize,
        /// How many instances there are.
        instances: usize,
    },
    /// The solver gave up.
    #[error("best shares of {balancers} balancers among {instances} instances: {reason}")]
    Solver {
        /// How many balancers there are.
        balancers: usize,
        /// How many instances there are.
        instances: usize,
        /// What the solver says.
        reason: String,
    },
}

/// How long an instance works on a request: lognormal, one at a time, in the order of coming.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceTime {
    /// The mean.
    pub mean: Span,
    /// The coefficient of variation: standard deviation by mean.
    pub variation: f64,
}

impl ServiceTime {
    /// How many requests come when the instance is at work for a share `load` of the time.
    pub fn rate(&self, load: f64) -> PerSecond {
        PerSecond(load / self.mean.as_secs_f64())
    }

    /// The share of requests that are done `within` a time, waiting included, when they come at random and the instance is at
    /// work for a share `load` of the time, below 1.
    ///
    /// Who waits, which is a share `load`, waits exponentially, with the mean that Pollaczek and Khinchine give; exact for
    /// exponential service times, an approximation for others.
    pub fn done(&self, within: Span, load: f64) -> f64 {
        const CELLS: u32 = 512;
        let (mean, squared) = (self.mean.as_millis_f64(), self.variation * self.variation);
        let load = load.clamp(0.0, 0.999);
        let wait = mean * (1.0 + squared) / (2.0 * (1.0 - load));
        let waited = |time: f64| if load > 0.0 && wait > 0.0 { 1.0 - load * libm::exp(-time / wait) } else { 1.0 };
        let bound = within.as_millis_f64();
        if squared <= 0.0 {
            return if bound >= mean { waited(bound - mean) } else { 0.0 };
        }
        let width = bound / f64::from(CELLS);
        let cell = |place: u32| {
            let (from, to) = (f64::from(place) * width, f64::from(place + 1) * width);
            (self.served(to) - self.served(from)) * waited(bound - f64::midpoint(from, to))
        };
        (0..CELLS).map(cell).sum()
    }

    /// The share of service times up to so many milliseconds.
    fn served(&self, ms: f64) -> f64 {
        if ms <= 0.0 {
            return 0.0;
        }
        let variance = libm::log1p(self.variation * self.variation);
        let middle = libm::log(self.mean.as_millis_f64()) - variance / 2.0;
        0.5 * libm::erfc(-(libm::log(ms) - middle) / (2.0 * variance).sqrt())
    }
}

/// A balancer's chances: how likely each instance answers it in time (μ, equation (5)) when it is at its limit.
pub fn chances(qos: &Qos, rtts: &[Rtt], service: ServiceTime, load: f64) -> Vec<f64> {
    let left = |rtt: &Rtt| qos.within.saturating_sub((*rtt).into());
    rtts.iter().map(|rtt| if left(rtt) > Span::ZERO { service.done(left(rtt), load) } else { 0.0 }).collect()
}

/// One balancer, as the oracle sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// The requests that come to it.
    pub rate: PerSecond,
    /// How likely each instance answers it in time: μ.
    pub chances: Vec<f64>,
}

/// The best that can be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// By balancer, by instance: the share of its requests that is served there. Less than 1 together where limits leave
    /// requests over.
    pub shares: Vec<Vec<f64>>,
    /// By balancer: how far it stays below the target; 0 where it meets it.
    pub missed: Vec<f64>,
}

/// The shares that miss the target least, and among these serve most requests in time. `limits` are the most requests that
/// instances can take, `target` is the share of good requests that each balancer is to have (ρ).
pub fn best_shares(demands: &[Demand], limits: &[PerSecond], target: f64) -> Result<Best, OracleError> {
    for (balancer, demand) in demands.iter().enumerate() {
        let (found, instances) = (demand.chances.len(), limits.len());
        if found != instances {
            return Err(OracleError::Shape { balancer, found, instances });
        }
    }
    let total: f64 = demands.iter().map(|demand| demand.rate.0).sum();
    let mut variables = ProblemVariables::new();
    let mut fraction = |_| variables.add(variable().min(0.0).max(1.0));
    let shares: Vec<Vec<Variable>> =
        demands.iter().map(|demand| demand.chances.iter().map(&mut fraction).collect()).collect();
    let missed: Vec<Variable> = demands.iter().map(|_| fraction(&0.0)).collect();
    let good = |balancer: usize| -> Expression {
        shares[balancer].iter().zip(&demands[balancer].chances).map(|(share, chance)| *chance * *share).sum()
    };
    let part = |balancer: usize| if total > 0.0 { demands[balancer].rate.0 / total } else { 1.0 };
    let cost: Expression = (0..demands.len()).map(|k| part(k) * (PRIORITY * missed[k] - good(k))).sum();
    let mut model = variables.minimise(cost).using(microlp);
    for (balancer, miss) in missed.iter().enumerate() {
        model.add_constraint(constraint!(good(balancer) + *miss >= target));
        let served: Expression = shares[balancer].iter().sum();
        model.add_constraint(constraint!(served <= 1.0));
    }
    for (instance, limit) in limits.iter().enumerate() {
        let load: Expression = demands.iter().zip(&shares).map(|(of, shares)| of.rate.0 * shares[instance]).sum();
        model.add_constraint(constraint!(load <= limit.0));
    }
    let solution = model.solve().map_err(|error| OracleError::Solver {
        balancers: demands.len(),
        instances: limits.len(),
        reason: error.to_string(),
    })?;
    // A solver's zero may be a little less.
    let value = |variable: &Variable| solution.value(*variable).max(0.0);
    let shares = shares.iter().map(|shares| shares.iter().map(value).collect()).collect();
    Ok(Best { shares, missed: missed.iter().map(value).collect() })
}

/// All requests to the instance with the best chance, the first of equals: what is best for one balancer whose choice
/// changes nothing for others.
pub fn best_alone(chances: &[f64]) -> Vec<f64> {
    let best = |best: usize, place: usize| if chances[place] > chances[best] { place } else { best };
    let first = (0..chances.len()).fold(0, best);
    (0..chances.len()).map(|place| f64::from(u8::from(place == first))).collect()
}

/// What one balancer loses in one step: equation (8) without its sum over time. Sums over steps and balancers are the
/// regrets of equations (8) and (9).
pub fn regret(best: &[f64], chosen: &[f64], chances: &[f64]) -> f64 {
    best.iter().zip(chosen).zip(chances).map(|((best, chosen), chance)| (best - chosen) * chance).sum()
}

/// How far a balancer's chances move from one step to the next: a term of the variation budget, equation (10).
pub fn variation(before: &[f64], after: &[f64]) -> f64 {
    before.iter().zip(after).map(|(before, after)| (after - before).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::contract::QOS;
    use crate::balance::dice::unit_interval;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, LogNormal};

    fn demand(rate: f64, chances: &[f64]) -> Demand {
        Demand { rate: PerSecond(rate), chances: chances.to_vec() }
    }

    /// The cost that the program minimises, by its definition.
    fn cost(demands: &[Demand], shares: &[Vec<f64>], target: f64) -> f64 {
        let total: f64 = demands.iter().map(|demand| demand.rate.0).sum();
        let each = demands.iter().zip(shares).map(|(demand, shares)| {
            let good: f64 = shares.iter().zip(&demand.chances).map(|(share, chance)| share * chance).sum();
            demand.rate.0 / total * (PRIORITY * (target - good).max(0.0) - good)
        });
        each.sum()
    }

    /// Every split of two balancers among two instances in steps of a twentieth, within the limits; the least cost.
    fn brute_force(demands: &[Demand], limits: [f64; 2], target: f64) -> f64 {
        let splits: Vec<Vec<f64>> = (0..=20)
            .flat_map(|one| (0..=20 - one).map(move |two| vec![f64::from(one) / 20.0, f64::from(two) / 20.0]))
            .collect();
        let mut least = f64::INFINITY;
        for first in &splits {
            for second in &splits {
                let load = |at: usize| demands[0].rate.0 * first[at] + demands[1].rate.0 * second[at];
                if load(0) <= limits[0] + 1e-9 && load(1) <= limits[1] + 1e-9 {
                    least = least.min(cost(demands, &[first.clone(), second.clone()], target));
                }
            }
        }
        least
    }

    /// Rates and limits are such that the corners of what is possible lie on the brute force's grid, chances such that also
    /// targets that are just met do.
    #[test]
    fn best_shares_are_those_of_brute_force() {
        for (chances, limits, target) in [
            ([[1.0, 0.5], [1.0, 0.5]], [20.0, 40.0], 0.75),
            ([[1.0, 0.5], [1.0, 0.0]], [20.0, 40.0], 0.9),
            ([[1.0, 0.5], [0.5, 1.0]], [40.0, 40.0], 0.9),
            ([[0.8, 0.4], [0.8, 0.8]], [10.0, 15.0], 0.8),
            ([[0.0, 0.0], [0.8, 0.4]], [10.0, 15.0], 0.4),
            ([[1.0, 0.5], [0.5, 1.0]], [0.0, 0.0], 0.9),
        ] {
            let demands = [demand(20.0, &chances[0]), demand(20.0, &chances[1])];
            let best = best_shares(&demands, &limits.map(PerSecond), target).expect("solved");
            let (found, least) = (cost(&demands, &best.shares, target), brute_force(&demands, limits, target));
            assert!((found - least).abs() < 1e-6, "{chances:?} {limits:?}: {found}, not {least}");
            for (instance, limit) in limits.iter().enumerate() {
                let load: f64 = best.shares.iter().map(|shares| 20.0 * shares[instance]).sum();
                assert!(load <= limit + 1e-6, "{load} at {instance}");
            }
        }
    }

    #[test]
    fn a_well_provisioned_service_misses_nothing() {
        // 30 balancers, 10 instances; every third balancer is near enough to three of them only.
        let near = |k: usize, m: usize| if !k.is_multiple_of(3) || (k + m) % 10 < 3 { 0.98 } else { 0.2 };
        let demands: Vec<Demand> =
            (0..30).map(|k| demand(40.0, &(0..10).map(|m| near(k, m)).collect::<Vec<_>>())).collect();
        let best = best_shares(&demands, &[PerSecond(125.0); 10], 0.9).expect("solved");
        assert!(best.missed.iter().all(|missed| *missed < 1e-9), "{:?}", best.missed);
        for (shares, demand) in best.shares.iter().zip(&demands) {
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6);
            assert!(regret(&best_alone(&demand.chances), shares, &demand.chances) < 1e-6);
        }
        let refusal = best_shares(&demands, &[PerSecond(1.0)], 0.9).map_err(|error| error.to_string());
        assert_eq!(refusal, Err("balancer 0 has 10 chances, but there are 1 instances; give one for each".to_owned()));
    }

    #[test]
    fn regret_is_what_is_lost_against_the_best() {
        let chances = [0.5, 0.9, 0.9];
        assert_eq!(best_alone(&chances), [0.0, 1.0, 0.0]);
        assert!((regret(&best_alone(&chances), &[0.5, 0.25, 0.25], &chances) - 0.2).abs() < 1e-12);
        assert!((variation(&chances, &[0.6, 0.9, 0.6]) - 0.3).abs() < 1e-12);
    }

    /// Against a server that works through random arrivals.
    #[test]
    fn shares_done_in_time_are_those_of_a_server() {
        let service = ServiceTime { mean: Span::from_micros(5500), variation: 0.35 };
        let variance = (1.0f64 + 0.35 * 0.35).ln();
        let times = LogNormal::new(5.5f64.ln() - variance / 2.0, variance.sqrt()).expect("finite");
        let mut stream = ChaCha8Rng::seed_from_u64(1);
        for load in [0.0, 0.3, 0.7, 0.9] {
            let mut wait = 0.0f64;
            let mut stays: Vec<f64> = Vec::new();
            for _ in 0..200_000 {
                let work = times.sample(&mut stream);
                stays.push(wait + work);
                let gap =
                    if load > 0.0 { -5.5 / load * (1.0 - unit_interval(&mut stream)).ln() } else { f64::INFINITY };
                wait = (wait + work - gap).max(0.0);
            }
            for bound in [4u32, 6, 10, 20, 40] {
                let seen = stays.iter().filter(|stay| **stay <= f64::from(bound)).count() as f64 / stays.len() as f64;
                let told = service.done(Span::from_millis(u64::from(bound)), load);
                assert!((seen - told).abs() < 0.03, "load {load}, {bound} ms: {told}, but {seen} were");
            }
        }
        let exact = ServiceTime { mean: Span::from_millis(5), variation: 0.0 };
        assert!(exact.done(Span::from_millis(4), 0.5) < 1e-12);
        assert!((exact.done(Span::from_millis(5), 0.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn chances_fall_with_distance() {
        let service = ServiceTime { mean: Span::from_micros(5500), variation: 0.35 };
        let rtts = [1, 60, 70, 80, 200].map(Rtt::from_millis);
        let chances = chances(&QOS, &rtts, service, 0.66);
        assert!(chances.is_sorted_by(|near, far| near >= far), "{chances:?}");
        assert!(chances[0] > 0.99 && chances[3..].iter().all(|chance| *chance == 0.0), "{chances:?}");
        assert!((service.rate(0.66).0 - 120.0).abs() < 1e-9);
    }
}
