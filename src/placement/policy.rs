//! The list of policies, and how one is made from its name and its parameters.

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Parameters};

use super::{Placement, Problem, Rank, exact, kubernetes, netmarks, pga, plugins, random, search, stay};

/// A way to place services: what the command line and plans know of it.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub what: &'static str,
    /// What can be set.
    pub parameters: &'static [Definition],
    /// Makes a placer.
    pub build: fn(Setting) -> Box<dyn Placer>,
}

/// What a placer is made from.
#[derive(Debug)]
pub struct Setting {
    /// Its parameters, all of them.
    pub parameters: Parameters,
    /// Where its randomness comes from; nobody else draws from it.
    pub stream: ChaCha8Rng,
}

/// Says whether the time is up. Policies are pure: who calls them has the clock. Asked often, so it must be cheap; workers ask
/// it at once. A result is the same on every machine where this never says yes.
pub type TimeUp<'a> = &'a (dyn Fn() -> bool + Sync);

/// Time without end: the policy stops by its own parameters.
pub const NO_HURRY: TimeUp<'static> = &|| false;

/// Hears of what a policy would return now, whenever that gets better, and of what it only looks at: who listens keeps the best.
/// Several workers may tell at once.
pub type Told<'a> = &'a (dyn Fn(Rank) + Sync);

/// Nobody listens.
pub const UNHEARD: Told<'static> = &|_| ();

/// What a policy came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The placement. It keeps to the nodes that services are allowed on; whether it keeps capacities is in its value.
    pub placement: Placement,
    /// Whether no placement is better: only where the policy has proved it.
    pub proven: bool,
    /// How much was tried: rounds, kicks, ants or nodes of a search tree, by policy.
    pub tried: u64,
    /// How many services a simpler rule placed instead of the policy: there was too much for it, or the time was up.
    pub makeshift: usize,
}

/// What a reader has to know of [`Placed::makeshift`], after how many services it is of.
pub const MAKESHIFT: &str = "services were not placed by the policy but one after the other by a simpler rule: there was too much \
                             for it, or the time was up.";

/// Places the services of a problem.
pub trait Placer: Send {
    /// A placement, also where the time is up at once.
    fn place(&mut self, problem: &Problem, time_up: TimeUp<'_>) -> Placed;

    /// The same placement; `told` hears on the way what would be returned. A policy that has nothing before its end tells nothing.
    fn place_telling(&mut self, problem: &Problem, time_up: TimeUp<'_>, told: Told<'_>) -> Placed {
        let _ = told;
        self.place(problem, time_up)
    }
}

/// All policies. A new one is a file and a line here.
pub const POLICIES: &[&Policy] = &[
    &search::POLICY,
    &pga::POLICY,
    &netmarks::POLICY,
    &netmarks::ONE_SERVICE,
    &kubernetes::POLICY,
    &plugins::argmax::PLUGIN.policy,
    &plugins::annealing::PLUGIN.policy,
    &plugins::aco::PLUGIN.policy,
    &plugins::ilp::PLUGIN.policy,
    &plugins::nsga2::PLUGIN.policy,
    &plugins::tiered::PLUGIN.policy,
    &random::POLICY,
    &stay::POLICY,
    &exact::POLICY,
];

/// The policy of that name.
pub fn find(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name).copied()
}

/// A placer by `policy`.
pub fn build(policy: &Policy, setting: Setting) -> Box<dyn Placer> {
    (policy.build)(setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_are_values_that_may_be_given() {
        for (place, policy) in POLICIES.iter().enumerate() {
            assert!(POLICIES[..place].iter().all(|other| other.name != policy.name), "{}", policy.name);
            for definition in policy.parameters {
                let parsed = definition.parse(&definition.default.to_string());
                assert_eq!(parsed.as_ref(), Ok(&definition.default), "{} of {}", definition.name, policy.name);
            }
        }
    }
}
