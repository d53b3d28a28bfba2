//! Tests: the test vectors of paper 001's system, and hands to build problems.
#![allow(clippy::float_cmp)] // Whole kilobytes times whole milliseconds are exact.

use crate::units::Delay;

use super::problem::{Draft, Edge, Host, Resource, Service, Weights};
use super::{Evaluator, Objective, Placement, Problem};

/// The 27 services of `DeathStarBench`'s social network, sorted.
pub(super) const SERVICES: [&str; 27] = [
    "compose-post-service",
    "home-timeline-redis",
    "home-timeline-service",
    "jaeger",
    "media-frontend",
    "media-memcached",
    "media-mongodb",
    "media-service",
    "nginx-thrift",
    "post-storage-memcached",
    "post-storage-mongodb",
    "post-storage-service",
    "social-graph-mongodb",
    "social-graph-redis",
    "social-graph-service",
    "text-service",
    "unique-id-service",
    "url-shorten-memcached",
    "url-shorten-mongodb",
    "url-shorten-service",
    "user-memcached",
    "user-mention-service",
    "user-mongodb",
    "user-service",
    "user-timeline-mongodb",
    "user-timeline-redis",
    "user-timeline-service",
];

/// The example traffic, in kilobytes.
const TRAFFIC: [(&str, &str, u64); 17] = [
    ("compose-post-service", "text-service", 2007),
    ("post-storage-service", "post-storage-mongodb", 1844),
    ("user-timeline-service", "user-timeline-mongodb", 1749),
    ("compose-post-service", "post-storage-service", 1451),
    ("text-service", "url-shorten-service", 1064),
    ("nginx-thrift", "compose-post-service", 1056),
    ("url-shorten-service", "url-shorten-mongodb", 957),
    ("compose-post-service", "media-service", 372),
    ("compose-post-service", "user-service", 310),
    ("text-service", "user-mention-service", 306),
    ("compose-post-service", "home-timeline-service", 262),
    ("compose-post-service", "user-timeline-service", 252),
    ("compose-post-service", "unique-id-service", 228),
    ("home-timeline-service", "social-graph-service", 220),
    ("user-mention-service", "user-memcached", 173),
    ("user-timeline-service", "user-timeline-redis", 111),
    ("user-service", "user-mongodb", 1),
];

/// Table I, milliseconds one way.
const M1: [[u64; 9]; 9] = [
    [0, 3, 8, 10, 14, 6, 27, 13, 21],
    [8, 0, 4, 13, 14, 18, 38, 31, 29],
    [4, 12, 0, 8, 18, 11, 4, 12, 15],
    [17, 15, 7, 0, 5, 6, 22, 13, 25],
    [20, 12, 11, 10, 0, 9, 7, 4, 9],
    [17, 26, 18, 16, 6, 0, 5, 10, 5],
    [20, 10, 10, 9, 11, 5, 0, 5, 9],
    [21, 25, 4, 10, 12, 15, 10, 0, 6],
    [36, 22, 40, 9, 25, 8, 7, 6, 0],
];

/// Nodes `n1`, `n2`, … with that much processor time each.
pub(super) fn hosts(count: usize, cpu: u64) -> Vec<Host> {
    let name = |number| crate::topology::NodeName::numbered(number);
    (1..=count).map(|number| Host { name: name(number), capacity: vec![cpu], used: vec![0] }).collect()
}

/// Processor time in thousandths of a core.
pub(super) fn cpu() -> Vec<Resource> {
    vec![Resource { name: "cpu".to_owned(), unit: 1000 }]
}

/// A service that may run anywhere.
pub(super) fn service(name: &str, cpu: u64, current: Option<usize>) -> Service {
    Service { name: name.to_owned(), demand: vec![cpu], allowed: None, current, group: 0 }
}

/// Equation (1) as it stands: stress from u to v times the delay from u to v.
pub(super) const ONE_WAY: Weights = Weights { request: 1.0, response: 0.0 };

/// The example: P₀(i) = i mod 9, requests of 150m (compose-post 300m), so much free on each node.
pub(super) fn social(round_trips: bool, free: u64, objective: Objective) -> Problem {
    let place = |name: &str| SERVICES.iter().position(|service| *service == name).expect("a service");
    let asks = |name: &str| if name == "compose-post-service" { 300 } else { 150 };
    let services = SERVICES.iter().enumerate().map(|(i, name)| service(name, asks(name), Some(i % 9))).collect();
    let edge =
        |(from, to, kb): &(&str, &str, u64)| Edge { from: place(from), to: place(to), request: kb * 1000, response: 0 };
    let delay = |i: usize| M1[i / 9][i % 9] + if round_trips { M1[i % 9][i / 9] } else { 0 };
    let delays = (0..81).map(|i| Delay::from_millis(delay(i))).collect();
    let edges = TRAFFIC.iter().map(edge).collect();
    let draft = Draft { resources: cpu(), hosts: hosts(9, free), services, edges, delays, weights: ONE_WAY, objective };
    Problem::new(draft).expect("a problem")
}

fn tiny() -> Problem {
    let edge = |from, to, kb: u64| Edge { from, to, request: kb * 1000, response: 0 };
    let services = ["u", "v", "w"].map(|name| service(name, 1, None)).to_vec();
    let draft = Draft {
        resources: cpu(),
        hosts: hosts(2, 3),
        services,
        edges: vec![edge(0, 1, 100), edge(1, 0, 40), edge(0, 2, 10)],
        delays: [0, 5, 9, 0].map(Delay::from_millis).to_vec(),
        weights: ONE_WAY,
        objective: Objective::default(),
    };
    Problem::new(draft).expect("a problem")
}

#[test]
fn the_tiny_example_costs_what_it_costs() {
    let problem = tiny();
    let cost =
        |nodes: [usize; 3]| Evaluator::new(&problem, Placement::new(nodes.to_vec())).valuation().traffic.as_kb_ms();
    assert_eq!([[0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]].map(cost), [910.0, 50.0, 0.0, 1190.0]);
}

#[test]
fn the_example_begins_where_the_table_says() {
    for (round_trips, cost) in [(false, 180_585.0), (true, 355_866.0)] {
        let problem = social(round_trips, 4000, Objective::default());
        let begin = problem.current().expect("all run");
        assert_eq!(Evaluator::new(&problem, begin).valuation().traffic.as_kb_ms(), cost);
    }
}
