//! From what a plan says to [`Balancing`], checked against every topology.

use crate::balance::Qos;
use crate::experiment::plan::{CrowdDocument, EventDocument, PlanProblem, Topology, Wrong};
use crate::intended::is_impairment_file;
use crate::matrix::DelayMatrix;
use crate::topology::NodeName;
use crate::units::{Moment, Rtt, Span};
use crate::workload::{Arrivals, ServiceTime};
use crate::yaml::{At, Spot};

use super::document::{BalancingDocument, InstancesDocument, TimeDocument};
use super::layout::find;
use super::{Balancing, Change, Clients, Connections, Crowd, Discipline, Event, Instances, Nodes, Service};

/// The most clients of a node that come at once.
const MOST_CLIENTS: u32 = 10_000;

/// An entry of the timeline with its instant.
pub(crate) type Entry<'a> = (Span, &'a At<EventDocument>);

/// What the plan says, if it can be done on all `topologies`; `matrix` reads a delay matrix that an event names.
pub(crate) fn balancing<E: From<Wrong>>(
    document: &BalancingDocument,
    timeline: &[Entry],
    topologies: &[Topology],
    matrix: impl Fn(&std::path::Path) -> Result<DelayMatrix, E>,
) -> Result<Balancing, E> {
    let duration = bounded(&document.duration, "duration", Span::from_millis(1), Span::from_secs(1_000_000))?;
    let warm_up = match &document.warm_up {
        Some(at) if at.value.0 >= duration => {
            let value = at.value.0.to_string();
            return Err(
                (at.spot, PlanProblem::Bounds { what: "warmUp", value, wanted: "shorter than the duration" }).into()
            );
        }
        at => at.as_ref().map_or(Span::ZERO, |at| at.value.0),
    };
    let second = Span::from_secs(1);
    let qos = Qos {
        within: document.qos.within.0,
        at_least: document.qos.at_least.0.as_f64(),
        window: bounded(&document.qos.window, "window", second, Span::from_secs(3_600))?,
    };
    let mut built = Balancing {
        duration,
        warm_up,
        service: service(document)?,
        instances: instances(&document.instances, topologies)?,
        clients: clients(document)?,
        qos,
        timeout: document.timeout.map_or(second, |text| text.0),
        local_rtt: document.local_rtt.map_or(Rtt::from_micros(500), |text| text.0),
        connections: connections(document)?,
        probe_every: document.probe_every.map_or(Span::from_secs(5), |text| text.0.max(Span::from_millis(1))),
        events: Vec::new(),
    };
    let mut instances = match &built.instances {
        Instances::KCenter { count, .. } => *count,
        Instances::On(nodes) => nodes.len(),
    };
    for (at, event) in timeline {
        if *at > duration {
            return Err((event.spot, PlanProblem::AfterEnd { at: *at, end: duration }).into());
        }
        let change = change(event, &mut instances, topologies, &matrix)?;
        built.events.push(Event { at: Moment::START + *at, change });
    }
    built.events.sort_by_key(|event| event.at);
    Ok(built)
}

fn bounded(at: &At<crate::yaml::Text<Span>>, what: &'static str, least: Span, most: Span) -> Result<Span, Wrong> {
    let span = at.value.0;
    if (least..=most).contains(&span) {
        return Ok(span);
    }
    Err((at.spot, PlanProblem::Bounds { what, value: span.to_string(), wanted: wanted(what) }))
}

fn wanted(what: &str) -> &'static str {
    if what == "window" { "from 1s to 3600s" } else { "from 1ms to 1000000s" }
}

fn service(document: &BalancingDocument) -> Result<Service, Wrong> {
    let At { value: time, spot } = &document.service.time;
    let time = match time {
        TimeDocument::Fixed(time) => ServiceTime::Fixed(time.0),
        TimeDocument::Exponential(mean) => ServiceTime::Exponential(mean.0),
        TimeDocument::LogNormal(document) if (0.0..=10.0).contains(&document.cv) => {
            ServiceTime::LogNormal { mean: document.mean.0, cv: document.cv }
        }
        TimeDocument::LogNormal(document) => {
            let value = document.cv.to_string();
            return Err((*spot, PlanProblem::Bounds { what: "cv", value, wanted: "from 0 to 10" }));
        }
    };
    let cores = match &document.service.cores {
        Some(at) if !(1..=1_024).contains(&at.value) => {
            let value = at.value.to_string();
            return Err((at.spot, PlanProblem::Bounds { what: "cores", value, wanted: "from 1 to 1024" }));
        }
        at => at.as_ref().map_or(1, |at| at.value as usize),
    };
    let discipline = document.service.discipline.as_ref();
    let discipline = word(discipline, "discipline", &[("fifo", Discipline::Fifo), ("sharing", Discipline::Sharing)])?;
    Ok(Service { time, cores, discipline })
}

fn connections(document: &BalancingDocument) -> Result<Connections, Wrong> {
    let words = [("ready", Connections::Ready), ("opened", Connections::Opened)];
    word(document.connections.as_ref(), "way of connections", &words)
}

fn clients(document: &BalancingDocument) -> Result<Clients, Wrong> {
    let arrivals = [("poisson", Arrivals::Poisson), ("fixed", Arrivals::Fixed)];
    let clients = &document.clients;
    if clients.each.value > MOST_CLIENTS {
        let value = clients.each.value.to_string();
        return Err((clients.each.spot, PlanProblem::Bounds { what: "each", value, wanted: "from 0 to 10000" }));
    }
    let arrivals = word(Some(&clients.arrivals), "kind of arrivals", &arrivals)?;
    Ok(Clients { each: clients.each.value, pace: clients.rate.0, arrivals })
}

/// What a word stands for; the first where there is none.
fn word<T: Copy>(given: Option<&At<String>>, what: &'static str, words: &[(&str, T)]) -> Result<T, Wrong> {
    let Some(at) = given else { return Ok(words[0].1) };
    let found = words.iter().find(|(word, _)| *word == at.value).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" and ");
        (at.spot, PlanProblem::Unknown { what, name: at.value.clone(), known: format!("; there are {known}") })
    })
}

fn instances(document: &At<InstancesDocument>, topologies: &[Topology]) -> Result<Instances, Wrong> {
    let spot = document.spot;
    match &document.value {
        InstancesDocument::On(names) if names.is_empty() => Err((spot, PlanProblem::NoneOf("instance"))),
        InstancesDocument::On(names) => {
            let names = names.iter().map(|name| node(&name.value, name.spot, topologies));
            Ok(Instances::On(names.collect::<Result<_, _>>()?))
        }
        InstancesDocument::KCenter(document) => {
            let most = topologies.iter().map(|topology| topology.matrix.len()).min().unwrap_or(0);
            if !(1..=most).contains(&document.count) {
                let value = document.count.to_string();
                let wanted = "from 1 to the number of nodes";
                return Err((spot, PlanProblem::Bounds { what: "count", value, wanted }));
            }
            let random = document.first.value == "random";
            let first = (!random).then(|| node(&document.first.value, document.first.spot, topologies)).transpose()?;
            Ok(Instances::KCenter { count: document.count, first })
        }
    }
}

/// A node that all topologies have.
fn node(name: &str, spot: Spot, topologies: &[Topology]) -> Result<NodeName, Wrong> {
    let unknown = |known: String| {
        let name = name.to_owned();
        (spot, PlanProblem::Unknown { what: "node", name, known })
    };
    let parsed: NodeName = name.parse().map_err(|_| unknown(String::new()))?;
    match topologies.iter().find(|topology| find(&topology.matrix, &parsed).is_none()) {
        Some(topology) => Err(unknown(format!(" in {}", topology.name))),
        None => Ok(parsed),
    }
}

fn change<E: From<Wrong>>(
    event: &At<EventDocument>,
    instances: &mut usize,
    topologies: &[Topology],
    matrix: &impl Fn(&std::path::Path) -> Result<DelayMatrix, E>,
) -> Result<Change, E> {
    let spot = event.spot;
    Ok(match &event.value {
        EventDocument::Join(document) => Change::Join(crowd(document, spot, topologies)?),
        EventDocument::Leave(document) => Change::Leave(crowd(document, spot, topologies)?),
        EventDocument::Add(name) => {
            *instances += 1;
            Change::Add(node(name, spot, topologies)?)
        }
        EventDocument::Remove(name) => Change::Remove(instance(name, spot, *instances)?),
        EventDocument::Fail(name) => Change::Fail(instance(name, spot, *instances)?),
        EventDocument::Cut(name) => Change::Cut(node(name, spot, topologies)?),
        EventDocument::Rejoin(name) => Change::Rejoin(node(name, spot, topologies)?),
        EventDocument::Matrix(path) if is_impairment_file(path) => {
            return Err((spot, PlanProblem::EventImpairments).into());
        }
        EventDocument::Matrix(path) => {
            let matrix = matrix(path)?;
            if let Some(topology) = topologies.iter().find(|topology| topology.matrix.names() != matrix.names()) {
                let (name, known) = (path.display().to_string(), format!(" with the nodes of {}", topology.name));
                return Err((spot, PlanProblem::Unknown { what: "matrix", name, known }).into());
            }
            for intended in topologies.iter().filter_map(|topology| topology.impaired.as_ref()) {
                intended.check_with_delays(&matrix).map_err(|problem| (spot, problem.into()))?;
            }
            Change::Matrix(matrix)
        }
    })
}

fn crowd(document: &CrowdDocument, spot: Spot, topologies: &[Topology]) -> Result<Crowd, Wrong> {
    if document.each > MOST_CLIENTS {
        let value = document.each.to_string();
        return Err((spot, PlanProblem::Bounds { what: "each", value, wanted: "from 0 to 10000" }));
    }
    let nodes = match (document.nodes, document.on.as_slice()) {
        (Some(count), []) if count > 0 => Nodes::Drawn(count),
        (None, names @ [_, ..]) => {
            Nodes::Named(names.iter().map(|name| node(name, spot, topologies)).collect::<Result<_, _>>()?)
        }
        _ => return Err((spot, PlanProblem::NoneOf("node: `nodes: 15` or `on: [a, b]`"))),
    };
    Ok(Crowd { nodes, each: document.each })
}

/// `i3` is the third.
fn instance(name: &str, spot: Spot, instances: usize) -> Result<usize, Wrong> {
    let number = name.strip_prefix('i').and_then(|digits| digits.parse::<usize>().ok());
    number.filter(|number| (1..=instances).contains(number)).map(|number| number - 1).ok_or_else(|| {
        let known = format!("; there are i1 to i{instances}");
        (spot, PlanProblem::Unknown { what: "instance", name: name.to_owned(), known })
    })
}
