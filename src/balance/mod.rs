//! Request balancing: which instance of a service gets the next request. Pure: time comes as an argument, randomness from a
//! stream that is given at the start, so that a simulation and a proxy run the same code.
//!
//! A policy is one file with a [`Policy`] (name, parameters, constructor) and one line in [`POLICIES`].

#[cfg(test)]
mod contract;
mod dec_sarsa;
mod dice;
mod flight;
mod kde;
mod least_outstanding;
pub mod oracle;
mod p2c_ewma;
mod policy;
mod proximity;
mod qedge;
mod roster;
mod round_robin;
mod swrr;

pub use policy::{POLICIES, Policy, Setting, build, find};

use crate::units::{Moment, Rtt, Span};

/// An instance of a service: a number that a run, or a proxy's life, gives out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u32);

/// A request: a number that its balancer sees once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a service is to keep: at least a share `at_least` of the requests of each client answered `within` this time,
/// seen over a sliding `window` (τ, ρ and W of paper 004).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Qos {
    /// The longest time, sent to answered, that is good: τ.
    pub within: Span,
    /// The least share of good requests, 0 to 1: ρ.
    pub at_least: f64,
    /// Over how long the share is taken: W.
    pub window: Span,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// With an error of the instance or of the way to it.
    Failed,
    /// Without an answer in the time allowed; its latency is that time.
    TimedOut,
}

/// The end of a request that a balancer gave to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The request.
    pub request: RequestId,
    /// Who had it.
    pub instance: InstanceId,
    /// From the balancer's sending until the end, the ways included: l of equation (3) of paper 004.
    pub latency: Span,
    /// How it ended.
    pub outcome: Outcome,
}

impl Completion {
    /// Whether the request was answered in time.
    pub fn is_good(&self, qos: &Qos) -> bool {
        self.outcome == Outcome::Answered && self.latency <= qos.within
    }
}

/// Chooses an instance for each request of one node. Its caller tells it what appears and disappears, how far instances are
/// and how requests ended; moments never go back.
pub trait Balancer: Send {
    /// An instance is there to be chosen; `rtt` is how far its node is, where that is known.
    fn add(&mut self, now: Moment, instance: InstanceId, rtt: Option<Rtt>);

    /// An instance is gone. Requests that it still has complete as they do.
    fn remove(&mut self, now: Moment, instance: InstanceId);

    /// A probe has measured how far an instance's node is.
    fn measured(&mut self, _now: Moment, _instance: InstanceId, _rtt: Rtt) {}

    /// How often [`maintain`](Self::maintain) wants to be called; `None` for a policy that decides by request alone.
    fn interval(&self) -> Option<Span> {
        None
    }

    /// What is done at every [`interval`](Self::interval).
    fn maintain(&mut self, _now: Moment) {}

    /// The instance for a request; `None` if there is none.
    fn pick(&mut self, now: Moment, request: RequestId) -> Option<InstanceId>;

    /// A request has ended.
    fn complete(&mut self, _now: Moment, _completion: &Completion) {}

    /// The share of requests that each known instance is to get as things are, for plots and metrics; a policy that keeps
    /// no weights gives its best description. In the order of the instances' numbers, adding up to 1 unless empty.
    fn weights(&self) -> Vec<(InstanceId, f64)>;
}
