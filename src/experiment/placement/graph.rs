//! [`ServiceGraph`]: services, what they ask for and what they send one another; from a file or by lot.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::placement::problem::{Edge, MAX_SERVICES};
use crate::sim::unit_interval;
use crate::wording::{OneLine, excerpt};
use crate::yaml::{self, At, Spot};

/// The version of the file's format.
const VERSION: &str = "longhaul/v1";

/// Kilobytes are 1,000 bytes, as in the papers.
const KILOBYTE: u64 = 1_000;

/// Services and their traffic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceGraph {
    /// The services.
    pub services: Vec<GraphService>,
    /// Who sends to whom, by their places in the list.
    pub edges: Vec<Edge>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphService {
    /// Its name.
    pub name: String,
    /// What it asks for, in thousandths of a core.
    pub cpu: u64,
    /// What it asks for, in mebibytes.
    pub memory: u64,
}

/// A file that is no service graph.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}", OneLine(format_args!("{}: {}", .spot, .words)))]
pub struct GraphError {
    file: String,
    spot: Spot,
    words: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GraphDocument {
    api_version: At<String>,
    services: At<Vec<ServiceDocument>>,
    calls: Vec<At<CallDocument>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceDocument {
    name: At<String>,
    cpu: u64,
    memory: u64,
}

/// A service that calls another, with the kilobytes of requests and of responses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallDocument {
    from: String,
    to: String,
    request: u32,
    response: u32,
}

impl ServiceGraph {
    /// Reads a graph; `file` names it in errors.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, GraphError> {
        let wrong = |(spot, words): (Spot, String)| GraphError { file: file.to_owned(), spot, words };
        let document: GraphDocument =
            yaml::parse(bytes).map_err(|complaint| wrong((complaint.spot, complaint.words)))?;
        let version = &document.api_version;
        if version.value != VERSION {
            let words = format!("apiVersion is `{}`; this longhaul reads {VERSION}", excerpt(&version.value));
            return Err(wrong((version.spot, words)));
        }
        Self::built(&document).map_err(wrong)
    }

    fn built(document: &GraphDocument) -> Result<Self, (Spot, String)> {
        let services = &document.services.value;
        if !(1..=MAX_SERVICES).contains(&services.len()) {
            return Err((document.services.spot, format!("a graph has 1 to {MAX_SERVICES} services")));
        }
        let mut places = BTreeMap::new();
        for (place, service) in services.iter().enumerate() {
            if places.insert(service.name.value.as_str(), place).is_some() {
                let words = format!("there are two services called `{}`", excerpt(&service.name.value));
                return Err((service.name.spot, words));
            }
        }
        let edge = |call: &At<CallDocument>| {
            let place = |name: &str| {
                let unknown = || (call.spot, format!("there is no service `{}`", excerpt(name)));
                places.get(name).copied().ok_or_else(unknown)
            };
            let (from, to) = (place(&call.value.from)?, place(&call.value.to)?);
            if from == to {
                return Err((call.spot, format!("`{}` calls itself; leave that out", excerpt(&call.value.from))));
            }
            let bytes = |kilobytes: u32| u64::from(kilobytes) * KILOBYTE;
            Ok(Edge { from, to, request: bytes(call.value.request), response: bytes(call.value.response) })
        };
        let edges = document.calls.iter().map(edge).collect::<Result<_, _>>()?;
        let services = services.iter().map(|service| GraphService {
            name: service.name.value.clone(),
            cpu: service.cpu,
            memory: service.memory,
        });
        Ok(Self { services: services.collect(), edges })
    }

    /// How many calls there are.
    pub fn calls(&self) -> usize {
        self.edges.len()
    }
}

/// A recipe for graphs by lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generated {
    /// How many services.
    pub services: usize,
    /// How many services make an application, whose services call each other alone.
    pub application: usize,
    /// How many earlier services of its application call each one, or `None` if all call all.
    pub callers: Option<usize>,
    /// The most that flows each way, in kilobytes; what flows is even from 0 to that.
    pub kilobytes: u32,
    /// The most that a service asks for, in thousandths of a core; what it asks for is even from a quarter of that on.
    pub cpu: u32,
}

impl Generated {
    /// A graph. With a number of callers it has no circles, and the first service of an application reaches all others of it: a
    /// request that comes in there can go everywhere.
    pub fn graph(&self, dice: &mut ChaCha8Rng) -> ServiceGraph {
        let cpu = u64::from(self.cpu);
        let services = (0..self.services).map(|number| GraphService {
            name: format!("s{}", number + 1),
            cpu: cpu / 4 + below(dice, cpu - cpu / 4 + 1),
            memory: 64,
        });
        let services = services.collect();
        let mut edges = Vec::new();
        for to in 0..self.services {
            for from in self.callers_of(to, dice) {
                let mut bytes = || below(dice, u64::from(self.kilobytes) + 1) * KILOBYTE;
                edges.push(Edge { from, to, request: bytes(), response: bytes() });
            }
        }
        ServiceGraph { services, edges }
    }

    fn callers_of(&self, service: usize, dice: &mut ChaCha8Rng) -> Vec<usize> {
        let first = service / self.application * self.application;
        let Some(callers) = self.callers else {
            let last = (first + self.application).min(self.services);
            return (first..last).filter(|other| *other != service).collect();
        };
        let mut chosen: Vec<usize> = Vec::new();
        while chosen.len() < callers.min(service - first) {
            #[allow(clippy::cast_possible_truncation)] // below the number of services
            let one = first + below(dice, (service - first) as u64) as usize;
            if !chosen.contains(&one) {
                chosen.push(one);
            }
        }
        chosen
    }
}

/// A whole number below `bound`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of the bound
pub(super) fn below(dice: &mut ChaCha8Rng, bound: u64) -> u64 {
    ((unit_interval(dice) * bound as f64) as u64).min(bound.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Streams;

    fn graph(generated: Generated, seed: u64) -> ServiceGraph {
        generated.graph(&mut Streams::new(seed).stream("graph", 0))
    }

    #[test]
    fn generated_graphs_have_what_was_asked_for_and_repeat() {
        let generated = Generated { services: 40, application: 40, callers: Some(3), kilobytes: 29, cpu: 400 };
        let one = graph(generated, 1);
        assert_eq!(one, graph(generated, 1));
        assert_ne!(one, graph(generated, 2));
        assert_eq!((one.services.len(), one.calls()), (40, 1 + 2 + 37 * 3));
        assert!(one.edges.iter().all(|edge| edge.from < edge.to && edge.request <= 29_000 && edge.response <= 29_000));
        assert!(one.services.iter().all(|service| (100..=400).contains(&service.cpu)));
        let dense = graph(Generated { callers: None, services: 7, application: 5, ..generated }, 1);
        assert_eq!(dense.calls(), 5 * 4 + 2);
        let apart = graph(Generated { application: 10, ..generated }, 1);
        assert!(apart.edges.iter().all(|edge| edge.from / 10 == edge.to / 10) && apart.calls() == 4 * (1 + 2 + 7 * 3));
    }

    #[test]
    fn what_is_wrong_in_a_graph_is_said_with_its_place() {
        let said = |text: &str| ServiceGraph::parse("g.yaml", text.as_bytes()).expect_err("wrong").to_string();
        let head = "apiVersion: longhaul/v1\nservices: [{name: a, cpu: 1, memory: 1}, {name: b, cpu: 1, memory: 1}]\n";
        let call =
            |from: &str, to: &str| format!("{head}calls: [{{from: {from}, to: {to}, request: 1, response: 1}}]\n");
        assert_eq!(said(&call("a", "c")), "g.yaml:3:9: there is no service `c`");
        assert_eq!(said(&call("b", "b")), "g.yaml:3:9: `b` calls itself; leave that out");
        let twice = call("a", "b").replace("name: b", "name: a");
        assert_eq!(said(&twice), "g.yaml:2:49: there are two services called `a`");
        let version = call("a", "b").replace("longhaul/v1", "longhaul/v2");
        assert_eq!(said(&version), "g.yaml:1:13: apiVersion is `longhaul/v2`; this longhaul reads longhaul/v1");
        let graph = ServiceGraph::parse("g.yaml", call("a", "b").as_bytes()).expect("a graph");
        assert_eq!(graph.edges, [Edge { from: 0, to: 1, request: 1000, response: 1000 }]);
    }
}
