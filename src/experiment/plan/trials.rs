//! Trials: each strategy on each topology, as often as asked, at each point of the sweep.

use std::fmt;

use super::{Plan, Point, Strategy, Topology};
use crate::experiment::balancing::Balancing;
use crate::experiment::placement::Placing;
use crate::experiment::subject::{Policy, Subject};
use crate::sim::Streams;
use crate::{balance, placement};

/// Which trial of a plan: all numbers from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrialId {
    /// The point of the sweep.
    pub point: usize,
    /// The topology.
    pub topology: usize,
    /// The repetition.
    pub repetition: u32,
    /// The strategy.
    pub strategy: usize,
}

impl fmt::Display for TrialId {
    /// As a folder is called: `p0-t1-r2-s3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}-t{}-r{}-s{}", self.point, self.topology, self.repetition, self.strategy)
    }
}

/// One strategy, once.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Which.
    pub id: TrialId,
    /// The point of the sweep.
    pub point: &'a Point,
    /// Where.
    pub topology: &'a Topology,
    /// What is tried.
    pub strategy: &'a Strategy,
    /// Its random numbers. Strategies of one topology and repetition have the same, at every point: they meet the same
    /// clients, instances and service times, so that differences between them are theirs.
    pub streams: Streams,
    /// What the placement of things on the topology draws from: the same in all repetitions.
    pub layout: Streams,
}

impl<'a> Trial<'a> {
    /// What is done and by which policy, where requests are balanced.
    pub fn balancing(&self) -> Option<(&'a Balancing, &'static balance::Policy)> {
        match (&self.point.subject, self.strategy.policy) {
            (Subject::Balancing(balancing), Policy::Balancing(policy)) => Some((balancing, policy)),
            _ => None,
        }
    }

    /// What is placed and by which policy, where services are given nodes.
    pub fn placing(&self) -> Option<(&'a Placing, &'static placement::Policy)> {
        match (&self.point.subject, self.strategy.policy) {
            (Subject::Placement(placing), Policy::Placement(policy)) => Some((placing, policy)),
            _ => None,
        }
    }
}

impl Plan {
    /// All trials; the strategies of one repetition lie together, so that what is left after an interruption compares.
    pub fn trials(&self) -> impl Iterator<Item = Trial<'_>> {
        let root = Streams::new(self.seed);
        let places = self.points.iter().enumerate().flat_map(|(number, point)| {
            point.topologies.iter().enumerate().map(move |(place, topology)| (number, point, place, topology))
        });
        places.flat_map(move |(point_number, point, topology_number, topology)| {
            let layout = root.below("topology", topology_number as u64);
            (0..self.repetitions).flat_map(move |repetition| {
                let streams = layout.below("repetition", u64::from(repetition));
                point.strategies.iter().enumerate().map(move |(number, strategy)| Trial {
                    id: TrialId { point: point_number, topology: topology_number, repetition, strategy: number },
                    point,
                    topology,
                    strategy,
                    streams,
                    layout,
                })
            })
        })
    }
}
