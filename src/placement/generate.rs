//! Problems by lot, for benches and tests: call graphs like those of large applications on nodes in regions.

use rand_chacha::ChaCha8Rng;

use crate::topology::NodeName;
use crate::units::Delay;

use super::dice::{below, unit_interval};
use super::problem::{Draft, Edge, Host, Resource, Service, ServiceIndex};

/// How a problem by lot looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// How many services.
    pub services: usize,
    /// How many nodes.
    pub nodes: usize,
    /// How many services belong to one application; they talk to each other, and rarely to those of others.
    pub application: usize,
    /// How many edges for each service, about.
    pub edges: f64,
    /// Which share of all capacity is asked for, 0 to 1.
    pub fill: f64,
}

/// A problem of that shape: each service but the first is called by an earlier one, some by more; traffic spans three decades;
/// nodes lie in regions on a plane, so delays obey the triangle inequality about, and differ by direction.
pub fn generate(shape: Shape, stream: &mut ChaCha8Rng) -> Draft {
    let between = |low: f64, high: f64, stream: &mut ChaCha8Rng| low + (high - low) * unit_interval(stream);
    let demands: Vec<u64> = (0..shape.services).map(|_| whole(between(50.0, 500.0, stream))).collect();
    let asked: u64 = demands.iter().sum();
    let each = whole(asked as f64 / shape.fill / shape.nodes as f64) + 1;
    let host = |number| Host { name: NodeName::numbered(number), capacity: vec![each], used: vec![0] };
    let service = |(place, demand): (usize, &u64)| Service {
        name: format!("s{}", place + 1),
        demand: vec![*demand],
        allowed: None,
        current: Some(place % shape.nodes),
        group: 0,
    };
    Draft {
        resources: vec![Resource { name: "cpu".to_owned(), unit: 1000 }],
        hosts: (1..=shape.nodes).map(host).collect(),
        services: demands.iter().enumerate().map(service).collect(),
        edges: edges(shape, stream),
        delays: delays(shape.nodes, stream),
        ..Draft::default()
    }
}

fn edges(shape: Shape, stream: &mut ChaCha8Rng) -> Vec<Edge> {
    let edge = |from: ServiceIndex, to: ServiceIndex, stream: &mut ChaCha8Rng| {
        let bytes = |stream: &mut ChaCha8Rng| whole(1000.0 * libm::pow(10.0, 3.0 * unit_interval(stream)));
        Edge { from, to, request: bytes(stream), response: bytes(stream) }
    };
    let size = shape.application.max(1);
    let callers = (0..shape.services).filter(|to| to % size > 0);
    let mut edges: Vec<Edge> = Vec::with_capacity(shape.services);
    for to in callers {
        edges.push(edge(to / size * size + below(stream, to % size), to, stream));
    }
    let more = whole((shape.edges - 1.0).max(0.0) * shape.services as f64);
    for _ in 0..more {
        let from = below(stream, shape.services);
        let first = from / size * size;
        // One in ten goes to any application.
        let near = below(stream, 10) > 0;
        let to =
            if near { first + below(stream, size.min(shape.services - first)) } else { below(stream, shape.services) };
        if from != to {
            edges.push(edge(from, to, stream));
        }
    }
    edges
}

/// Half a millisecond within a region, a millisecond for each step between regions, and up to a fifth more by path.
fn delays(nodes: usize, stream: &mut ChaCha8Rng) -> Vec<Delay> {
    let regions = nodes.div_ceil(8);
    let at: Vec<(f64, f64)> =
        (0..regions).map(|_| (40.0 * unit_interval(stream), 40.0 * unit_interval(stream))).collect();
    let mut delays = Vec::with_capacity(nodes * nodes);
    for (from, to) in (0..nodes * nodes).map(|place| (place / nodes, place % nodes)) {
        let ((x, y), (over, up)) = (at[from % regions], at[to % regions]);
        let ms = 0.5 + libm::hypot(x - over, y - up);
        let ms = ms * (1.0 + 0.2 * unit_interval(stream));
        let delay = Delay::from_millis_f64(ms).unwrap_or(Delay::ZERO);
        delays.push(if from == to { Delay::ZERO } else { delay });
    }
    delays
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::Problem;
    use rand::SeedableRng;

    #[test]
    fn problems_by_lot_are_problems_and_repeat() {
        let shape = Shape { services: 50, nodes: 9, application: 50, edges: 2.0, fill: 0.7 };
        let problem = |seed| generate(shape, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(problem(1), problem(1));
        assert_ne!(problem(1), problem(2));
        let problem = Problem::new(problem(1)).expect("a problem");
        let asked: u64 = (0..50).map(|service| problem.demand(service)[0]).sum();
        let free: u64 = (0..9).map(|node| problem.free(node)[0]).sum();
        assert!((asked as f64 / free as f64 - 0.7).abs() < 0.01);
        assert!((90..=99).contains(&problem.edges().len()), "{}", problem.edges().len());
    }
}
