//! The list of policies, and how one is made from its name and its parameters.

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Parameters};

use super::{Balancer, Qos, dec_sarsa, least_outstanding, p2c_ewma, proximity, qedge, round_robin};

/// A way to balance: what plans and `longhaul policies` know of it.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Its name in plans.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub what: &'static str,
    /// What can be set.
    pub parameters: &'static [Definition],
    /// Makes a balancer for one node.
    pub build: fn(Setting) -> Box<dyn Balancer>,
}

/// What a balancer is made from.
#[derive(Debug)]
pub struct Setting {
    /// What the service is to keep.
    pub qos: Qos,
    /// Its parameters, all of them.
    pub parameters: Parameters,
    /// Where its randomness comes from; nobody else draws from it.
    pub stream: ChaCha8Rng,
}

/// All policies. A new one is a file and a line here.
pub const POLICIES: [&Policy; 6] = [
    &round_robin::POLICY,
    &least_outstanding::POLICY,
    &p2c_ewma::POLICY,
    &proximity::POLICY,
    &dec_sarsa::POLICY,
    &qedge::POLICY,
];

/// The policy of that name.
pub fn find(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name).copied()
}

/// A balancer by `policy`.
pub fn build(policy: &Policy, setting: Setting) -> Box<dyn Balancer> {
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
