//! From what a plan says to [`Placing`], checked against every topology.

use std::path::Path;

use crate::experiment::plan::{PlanProblem, Topology, Wrong};
use crate::placement::problem::{MAX_SERVICES, Weights};
use crate::units::{Delay, Span};
use crate::yaml::{At, Spot};

use super::document::{AlikeDocument, GeneratedDocument, NodesDocument, PlacementDocument, ServicesDocument};
use super::{Capacity, Generated, Placing, ServiceGraph, Services, Start};

/// The most calls of a graph where every service calls every other.
const MOST_CALLS: usize = 4_000_000;

/// What the plan says, if it can be done on all `topologies`; `graph` reads a service graph.
pub(crate) fn placing<E: From<Wrong>>(
    document: &PlacementDocument,
    topologies: &[Topology],
    graph: impl Fn(&Path) -> Result<ServiceGraph, E>,
) -> Result<Placing, E> {
    let services = services(&document.services, topologies, graph)?;
    Ok(Placing {
        services,
        capacity: capacity(&document.nodes)?,
        start: start(document.start.as_ref())?,
        time: time(document.time.as_ref())?,
        overload_price: document.overload_price.as_ref().map(|at| amount(at, "overloadPrice")).transpose()?,
        weights: weights(document)?,
        round_trips: document.round_trips,
        same_node: document.same_node.map_or(Delay::ZERO, |text| text.0),
    })
}

fn bounds(spot: Spot, what: &'static str, value: &dyn ToString, wanted: &'static str) -> Wrong {
    (spot, PlanProblem::Bounds { what, value: value.to_string(), wanted })
}

fn services<E: From<Wrong>>(
    at: &At<ServicesDocument>,
    topologies: &[Topology],
    graph: impl Fn(&Path) -> Result<ServiceGraph, E>,
) -> Result<Services, E> {
    Ok(match &at.value {
        ServicesDocument::Graph(path) => {
            let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            Services::Graph { file, graph: graph(path)? }
        }
        ServicesDocument::Generated(document) => generated(document, at.spot)?,
        ServicesDocument::Alike(document) => alike(document, topologies, at.spot)?,
    })
}

fn generated(document: &GeneratedDocument, spot: Spot) -> Result<Services, Wrong> {
    let most = if document.callers.0.0.is_none() { MOST_CALLS.isqrt() } else { MAX_SERVICES };
    if !(1..=most).contains(&document.services) {
        let wanted = if most == MAX_SERVICES { "from 1 to 100000" } else { "from 1 to 2000 where all call all" };
        return Err(bounds(spot, "services", &document.services, wanted));
    }
    if document.cpu == 0 {
        return Err(bounds(spot, "cpu", &document.cpu, "at least 1"));
    }
    let (services, callers) = (document.services, document.callers.0.0);
    let application = document.application.unwrap_or(services);
    if application == 0 {
        return Err(bounds(spot, "application", &application, "at least 1"));
    }
    let (kilobytes, cpu) = (document.kilobytes, document.cpu);
    Ok(Services::Generated(Generated { services, application, callers, kilobytes, cpu }))
}

fn alike(document: &AlikeDocument, topologies: &[Topology], spot: Spot) -> Result<Services, Wrong> {
    let at = &document.count;
    let counts = match at.value.as_slice() {
        [one] => vec![*one; topologies.len()],
        each if each.len() == topologies.len() => each.to_vec(),
        other => {
            let found = format!("a list of {}", other.len());
            return Err(bounds(at.spot, "count", &found, "one number, or one for each topology"));
        }
    };
    let most = if document.kilobytes > 0 { MOST_CALLS.isqrt() } else { MAX_SERVICES };
    if let Some(count) = counts.iter().find(|count| !(1..=most).contains(*count)) {
        let wanted = if most == MAX_SERVICES { "from 1 to 100000" } else { "from 1 to 2000 where all send to all" };
        return Err(bounds(at.spot, "count", count, wanted));
    }
    if document.cpu == 0 {
        return Err(bounds(spot, "cpu", &document.cpu, "at least 1"));
    }
    let (cpu, memory) = (document.cpu, document.memory);
    Ok(Services::Alike { counts, cpu, memory, kilobytes: document.kilobytes })
}

fn capacity(at: &At<NodesDocument>) -> Result<Capacity, Wrong> {
    match (at.value.cpu, at.value.memory, &at.value.slack) {
        (Some(cpu), Some(memory), None) => Ok(Capacity::Fixed { cpu, memory }),
        (None, None, Some(slack)) if (1.0..=1e6).contains(&slack.value) => Ok(Capacity::Slack(slack.value)),
        (None, None, Some(slack)) => Err(bounds(slack.spot, "slack", &slack.value, "from 1 to 1000000")),
        _ => Err((at.spot, PlanProblem::Nodes)),
    }
}

fn start(at: Option<&At<String>>) -> Result<Start, Wrong> {
    match at.map(|at| (at, at.value.as_str())) {
        None | Some((_, "spread")) => Ok(Start::Spread),
        Some((_, "random")) => Ok(Start::Random),
        Some((_, "nowhere")) => Ok(Start::Nowhere),
        Some((at, other)) => {
            let known = "; there are spread, random and nowhere".to_owned();
            Err((at.spot, PlanProblem::Unknown { what: "start", name: other.to_owned(), known }))
        }
    }
}

fn time(at: Option<&At<crate::yaml::Text<Span>>>) -> Result<Option<Span>, Wrong> {
    match at {
        Some(at) if !(Span::from_micros(1)..=Span::from_secs(86_400)).contains(&at.value.0) => {
            Err(bounds(at.spot, "time", &at.value.0, "from 1us to 86400s"))
        }
        at => Ok(at.map(|at| at.value.0)),
    }
}

fn amount(at: &At<f64>, what: &'static str) -> Result<f64, Wrong> {
    if (0.0..=1e15).contains(&at.value) {
        Ok(at.value)
    } else {
        Err(bounds(at.spot, what, &at.value, "from 0 to 1e15"))
    }
}

fn weights(document: &PlacementDocument) -> Result<Weights, Wrong> {
    let Some(at) = &document.weights else { return Ok(Weights::default()) };
    let weight = |value| amount(&At { value, spot: at.spot }, "a weight");
    Ok(Weights { request: weight(at.value.request)?, response: weight(at.value.response)? })
}
