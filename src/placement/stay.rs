//! Doing nothing: everything stays where it runs. The measure for all others.

use super::kubernetes::Kubernetes;
use super::scheduling::{OneByOne, Ties};
use super::{NO_HURRY, Placement, Placer, Policy, Problem};

/// Nothing moves.
pub(super) const POLICY: Policy = Policy {
    name: "stay",
    what: "nothing moves; what is new goes where Kubernetes would put it",
    parameters: &[],
    build: |_| Box::new(stay()),
};

fn stay() -> OneByOne<Kubernetes> {
    OneByOne { scorer: Kubernetes, anew: false, ties: Ties::Lowest }
}

/// Where improving begins (P0 of paper 001): where everything runs now, and Kubernetes' choice for the rest.
pub fn start(problem: &Problem) -> Placement {
    stay().place(problem, NO_HURRY).placement
}
