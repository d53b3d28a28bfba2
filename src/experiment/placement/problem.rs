//! The problem of a trial: the same for all strategies of one topology and repetition.

use crate::experiment::plan::Trial;
use crate::placement::problem::{Draft, Edge, Host, Resource, Service};
use crate::placement::{Cost, Objective, Overload, Problem, ProblemError};
use crate::sim::Streams;
use crate::topology::NodeIndex;
use crate::units::Delay;

use super::graph::below;
use super::{Capacity, GraphService, Placing, ServiceGraph, Services, Start};

/// The problem that `trial` is to solve.
pub(super) fn problem(placing: &Placing, trial: &Trial) -> Result<Problem, ProblemError> {
    let matrix = &trial.topology.matrix;
    let graph = graph(&placing.services, trial.id.topology, trial.streams);
    let (cpu, memory) = capacity(placing.capacity, &graph.services, matrix.len());
    let host =
        |name: &crate::topology::NodeName| Host { name: name.clone(), capacity: vec![cpu, memory], used: vec![0, 0] };
    let begun = begin(placing.start, graph.services.len(), matrix.len(), trial.streams);
    let services = graph.services.into_iter().zip(begun).map(|(service, current)| Service {
        name: service.name,
        demand: vec![service.cpu, service.memory],
        allowed: None,
        current,
        group: 0,
    });
    let overload =
        placing.overload_price.map_or(Overload::Forbidden, |price| Overload::Priced(Cost::from_kb_ms(price)));
    Problem::new(Draft {
        resources: vec![
            Resource { name: "cpu".to_owned(), unit: 1000 },
            Resource { name: "memory".to_owned(), unit: 1024 },
        ],
        hosts: matrix.names().iter().map(host).collect(),
        services: services.collect(),
        edges: graph.edges,
        delays: delays(placing, matrix),
        weights: placing.weights,
        objective: Objective { overload, ..Objective::default() },
    })
}

fn delays(placing: &Placing, matrix: &crate::matrix::DelayMatrix) -> Vec<Delay> {
    let nodes = matrix.len();
    let delay = |place: usize| {
        let (from, to) = (place / nodes, place % nodes);
        match (from == to, placing.round_trips) {
            (true, _) => placing.same_node,
            (false, false) => matrix.delay(from, to),
            (false, true) => Delay::from_nanos(matrix.round_trip(from, to).as_nanos()),
        }
    };
    (0..nodes * nodes).map(delay).collect()
}

fn graph(services: &Services, topology: usize, streams: Streams) -> ServiceGraph {
    match services {
        Services::Graph { graph, .. } => graph.clone(),
        Services::Generated(generated) => generated.graph(&mut streams.stream("graph", 0)),
        Services::Alike { counts, cpu, memory, kilobytes } => {
            let count = counts.get(topology).copied().unwrap_or(1);
            let service = |number| GraphService { name: format!("p{number}"), cpu: *cpu, memory: *memory };
            let bytes = u64::from(*kilobytes) * 1_000;
            let pairs = (0..count).flat_map(|from| (from + 1..count).map(move |to| (from, to)));
            let pairs = pairs.filter(|_| bytes > 0);
            let edges = pairs.map(|(from, to)| Edge { from, to, request: bytes, response: bytes });
            ServiceGraph { services: (1..=count).map(service).collect(), edges: edges.collect() }
        }
    }
}

/// What each of `nodes` nodes has: thousandths of a core and mebibytes.
fn capacity(capacity: Capacity, services: &[GraphService], nodes: usize) -> (u64, u64) {
    match capacity {
        Capacity::Fixed { cpu, memory } => (cpu, memory),
        Capacity::Slack(slack) => {
            let each = |asked: fn(&GraphService) -> u64| {
                let sum: u64 = services.iter().map(asked).sum();
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive, and saturating
                let share = (slack * sum as f64 / nodes as f64).ceil() as u64;
                share.max(services.iter().map(asked).max().unwrap_or(0))
            };
            (each(|service| service.cpu), each(|service| service.memory))
        }
    }
}

fn begin(start: Start, services: usize, nodes: usize, streams: Streams) -> Vec<Option<NodeIndex>> {
    let mut dice = streams.stream("start", 0);
    #[allow(clippy::cast_possible_truncation)] // below the number of nodes
    let one = |service: usize| match start {
        Start::Spread => Some(service % nodes),
        Start::Random => Some(below(&mut dice, nodes as u64) as usize),
        Start::Nowhere => None,
    };
    (0..services).map(one).collect()
}
