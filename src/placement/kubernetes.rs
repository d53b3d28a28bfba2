//! Kubernetes' default scoring: `NodeResourcesFit` (`LeastAllocated`) and `NodeResourcesBalancedAllocation`, weight 1 each. The
//! other default plug-ins give all nodes the same score where services have one instance and no affinity, taint or image.

use crate::parameters::{Definition, Kind, Value};
use crate::topology::NodeIndex;

use super::problem::ServiceIndex;
use super::scheduling::{Cluster, OneByOne, Scorer, Ties};
use super::{Placer, Policy, Problem, Setting};

/// Who wins among equals.
pub(super) const TIES: Definition = Definition {
    name: "ties",
    what: "which of several nodes with the highest score is taken",
    kind: Kind::Choice(&["lowest", "random"]),
    default: Value::Choice("lowest"),
};

/// What happens to services that run already.
pub(super) const ANEW: Definition = Definition {
    name: "anew",
    what: "schedule what runs already as well, as if the cluster were empty",
    kind: Kind::Flag,
    default: Value::Flag(false),
};

/// Kubernetes' default.
pub(super) const POLICY: Policy = Policy {
    name: "kubernetes",
    what: "Kubernetes' default scores: the emptiest and most evenly used node, one service after the other; no look at traffic",
    parameters: &[ANEW, TIES],
    build: |setting| build(setting),
};

fn build(setting: Setting) -> Box<dyn Placer> {
    let anew = setting.parameters.flag(ANEW.name);
    Box::new(OneByOne { scorer: Kubernetes, anew, ties: ties(setting) })
}

/// What a setting says of ties.
pub(super) fn ties(setting: Setting) -> Ties {
    match setting.parameters.choice(TIES.name) {
        "random" => Ties::Random(Box::new(setting.stream)),
        _ => Ties::Lowest,
    }
}

/// The scorer: the sum of both plug-ins, halved to lie within 0 and 100.
#[derive(Debug)]
pub struct Kubernetes;

impl Scorer for Kubernetes {
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        let problem = cluster.problem();
        let mut asked: Vec<Vec<u64>> = problem.hosts().iter().map(|host| host.used.clone()).collect();
        for (placed, node) in cluster.placed() {
            asked[node].iter_mut().zip(scored(problem, placed)).for_each(|(asked, demand)| *asked += demand);
        }
        let score = |node: &NodeIndex| {
            let shares = asked[*node].iter().zip(scored(problem, service)).zip(&problem.hosts()[*node].capacity);
            let shares: Vec<(u64, u64)> =
                shares.map(|((asked, demand), capacity)| (asked + demand, *capacity)).collect();
            f64::midpoint(least_allocated(&shares) as f64, balanced(&shares).floor())
        };
        nodes.iter().map(score).collect()
    }
}

/// What a service counts as in scores: without a request, a tenth of a core and 200 MiB.
fn scored(problem: &Problem, service: ServiceIndex) -> impl Iterator<Item = u64> + '_ {
    problem.resources().iter().zip(problem.demand(service)).map(|(resource, demand)| {
        match (resource.name.as_str(), *demand) {
            ("cpu", 0) => resource.unit / 10,
            ("memory", 0) => resource.unit / 1024 * 200,
            (_, demand) => demand,
        }
    })
}

/// The mean of what is left of each resource, in whole percent; of pairs of what is asked for and what there is.
fn least_allocated(shares: &[(u64, u64)]) -> u64 {
    let left = |(asked, capacity): &(u64, u64)| {
        let left = u128::from(capacity.saturating_sub(*asked)) * 100;
        u64::try_from(left.checked_div(u128::from(*capacity)).unwrap_or(0)).unwrap_or(100)
    };
    shares.iter().map(left).sum::<u64>() / (shares.len() as u64).max(1)
}

/// 100 less the standard deviation of the used shares in percent.
fn balanced(shares: &[(u64, u64)]) -> f64 {
    let used =
        |(asked, capacity): &(u64, u64)| if *capacity == 0 { 1.0 } else { (*asked as f64 / *capacity as f64).min(1.0) };
    let used: Vec<f64> = shares.iter().map(used).collect();
    let count = (used.len() as f64).max(1.0);
    let mean = used.iter().sum::<f64>() / count;
    let variance = used.iter().map(|share| (share - mean) * (share - mean)).sum::<f64>() / count;
    (1.0 - variance.sqrt()) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GOLDEN: (4000 mCPU, 16384 MiB), of which (1150, 2048) would be asked for.
    #[test]
    fn scores_are_those_of_the_scheduler() {
        let shares = [(1150, 4000), (2048, 16_384)];
        assert_eq!(least_allocated(&shares), 79);
        assert!((balanced(&shares) - 91.875).abs() < 1e-9, "{}", balanced(&shares));
        assert_eq!(least_allocated(&[(5000, 4000), (0, 0)]), 0);
    }
}
