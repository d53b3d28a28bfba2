//! Graphs with latency on their edges, GML and GraphML: read and collapsed to a matrix, and a matrix written as one.

mod gml;
mod graphml;
mod problem;
mod write;

pub use problem::GraphProblem;
pub use write::{to_gml, to_graphml};

use std::collections::{BTreeMap, HashMap};

use super::csv::cell;
use super::delay_matrix::{DelayMatrix, MAX_NODES, Metadata};
use super::error::{Kind, Place, Problem, ReadError};
use super::generate::shortest_ways;
use super::read::ReadOptions;
use super::unit::DelayUnit;
use crate::topology::{NodeIndex, NodeName};
use crate::units::Delay;

/// A graph as a file gives it.
#[derive(Debug, Default)]
struct Graph {
    vertices: Vec<Vertex>,
    edges: Vec<Edge>,
    /// Whether each edge is a whole path, so that none goes over others: what [`to_gml`] and [`to_graphml`] write.
    direct: bool,
    metadata: Metadata,
}

#[derive(Debug)]
struct Vertex {
    id: String,
    label: Option<String>,
    line: u64,
}

#[derive(Debug)]
struct Edge {
    source: String,
    target: String,
    both_ways: bool,
    /// The text of the latency and its line.
    latency: Option<(String, u64)>,
    /// Impairments that a matrix has no place for, with their values.
    unsupported: Vec<(&'static str, String)>,
    line: u64,
}

/// Attributes of an edge that impair packets otherwise than by delay, in the spellings of the known simulators.
const UNSUPPORTED: [&str; 4] = ["packet_loss", "packetloss", "loss", "jitter"];

/// What the latency of an edge is called, the usual name first.
const LATENCY: [&str; 3] = ["latency", "Latency", "delay"];

/// How [`to_gml`] and [`to_graphml`] mark a graph whose edges are whole paths.
const DIRECT: (&str, &str) = ("paths", "direct");

/// Whether the text is GML by its first words, past comments and the name of its maker.
pub(super) fn is_gml(text: &str) -> bool {
    gml::starts_as_gml(text)
}

/// Whether the text is XML by its first characters.
pub(super) fn is_xml(text: &str) -> bool {
    let text = text.trim_start();
    ["<?xml", "<!--", "<!DOCTYPE", "<graphml"].iter().any(|start| text.starts_with(start))
}

/// Reads GML; `file` is what errors call it.
pub(super) fn parse_gml(file: &str, text: &str, options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    let graph = gml::parse(text).map_err(|(line, problem)| ReadError::new(file, Place::Line(line), problem))?;
    collapse(file, graph, options)
}

/// Reads GraphML; `file` is what errors call it.
pub(super) fn parse_graphml(file: &str, text: &str, options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    let graph = graphml::parse(text).map_err(|(line, problem)| ReadError::new(file, Place::Line(line), problem))?;
    collapse(file, graph, options)
}

/// The matrix of the shortest ways over the edges.
fn collapse(file: &str, graph: Graph, options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    let at = |line, problem: Problem| ReadError::new(file, Place::Line(line), problem);
    let at_file = |problem: Problem| ReadError::new(file, Place::File, problem);
    if graph.vertices.len() > MAX_NODES {
        return Err(at_file(Problem::TooManyNodes));
    }
    if !graph.edges.is_empty() && graph.edges.iter().all(|edge| edge.latency.is_none()) {
        return Err(at_file(GraphProblem::NoLatencies.into()));
    }
    let (names, places) = names(&graph.vertices).map_err(|(line, problem)| at(line, problem))?;
    let edges = Edges::read(&graph, &places, options).map_err(|(line, problem)| at(line, problem))?;
    let delays = edges.delays(&names, graph.direct).map_err(|problem| at_file(problem.into()))?;
    let mut matrix = DelayMatrix::new(names, delays).map_err(|error| at_file(error.into()))?;
    matrix.metadata = graph.metadata;
    matrix.metadata.comments.extend(edges.notes);
    Ok(matrix)
}

type Places<'a> = HashMap<&'a str, NodeIndex>;

/// The name of each vertex, its label or else its id, and the place of each id.
fn names(vertices: &[Vertex]) -> Result<(Vec<NodeName>, Places<'_>), (u64, Problem)> {
    let (mut names, mut places) = (Vec::with_capacity(vertices.len()), Places::new());
    let mut lines: HashMap<NodeName, u64> = HashMap::new();
    for (place, vertex) in vertices.iter().enumerate() {
        let name: NodeName =
            vertex.label.as_ref().unwrap_or(&vertex.id).parse().map_err(|error| (vertex.line, Problem::Name(error)))?;
        if let Some(first) = places.insert(&vertex.id, place) {
            let (id, first) = (cell::excerpt(&vertex.id), vertices[first].line);
            return Err((vertex.line, GraphProblem::IdTwice { id, first }.into()));
        }
        if let Some(first) = lines.insert(name.clone(), vertex.line) {
            return Err((vertex.line, GraphProblem::LabelTwice { label: name, first }.into()));
        }
        names.push(name);
    }
    Ok((names, places))
}

/// The edges between places.
#[derive(Default)]
struct Edges {
    neighbours: Vec<Vec<(NodeIndex, Delay)>>,
    notes: Vec<String>,
}

impl Edges {
    fn read(graph: &Graph, places: &Places<'_>, options: ReadOptions) -> Result<Self, (u64, Problem)> {
        let mut edges = Self { neighbours: vec![Vec::new(); graph.vertices.len()], notes: Vec::new() };
        let mut dropped: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut loops = 0;
        for edge in &graph.edges {
            let place = |id: &String| {
                let unknown = || (edge.line, GraphProblem::UnknownId(cell::excerpt(id)).into());
                places.get(id.as_str()).copied().ok_or_else(unknown)
            };
            let (source, target) = (place(&edge.source)?, place(&edge.target)?);
            for (key, value) in edge.unsupported.iter().filter(|(_, value)| !is_zero(value)) {
                if !options.ignore_unsupported {
                    let problem = GraphProblem::Unsupported { key, value: cell::excerpt(value) };
                    return Err((edge.line, problem.into()));
                }
                *dropped.entry(key).or_default() += 1;
            }
            if source == target {
                loops += 1;
                continue;
            }
            let delay = latency(edge, options)?;
            edges.neighbours[source].push((target, delay));
            if edge.both_ways {
                edges.neighbours[target].push((source, delay));
            }
        }
        edges.notes.extend(dropped.iter().map(|(key, count)| format!("dropped: {key} of edges: {count}")));
        if loops > 0 {
            edges.notes.push(format!("dropped: edges from a node to itself, where a matrix has 0: {loops}"));
        }
        Ok(edges)
    }

    fn delays(&self, names: &[NodeName], direct: bool) -> Result<Vec<Delay>, GraphProblem> {
        let mut delays = Vec::with_capacity(names.len() * names.len());
        for from in 0..names.len() {
            let ways = if direct { self.direct_ways(from) } else { shortest_ways(&self.neighbours, from) };
            for (to, way) in ways.into_iter().enumerate() {
                let (from, to) = (&names[from], &names[to]);
                delays.push(way.ok_or_else(|| GraphProblem::NoWay { from: from.clone(), to: to.clone() })?);
            }
        }
        Ok(delays)
    }

    fn direct_ways(&self, from: NodeIndex) -> Vec<Option<Delay>> {
        let mut ways = vec![None; self.neighbours.len()];
        ways[from] = Some(Delay::ZERO);
        for (to, delay) in &self.neighbours[from] {
            ways[*to] = Some(ways[*to].map_or(*delay, |known: Delay| known.min(*delay)));
        }
        ways
    }
}

/// Whether the value of an impairment means that there is none: `0.0`, `0 ms`, `0%`.
fn is_zero(value: &str) -> bool {
    let number = value.trim().trim_end_matches(|c: char| c.is_alphabetic() || c == '%' || c == ' ');
    number.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'+' | b'-'))
}

fn latency(edge: &Edge, options: ReadOptions) -> Result<Delay, (u64, Problem)> {
    let Some((text, line)) = &edge.latency else {
        let (from, to) = (cell::excerpt(&edge.source), cell::excerpt(&edge.target));
        return Err((edge.line, GraphProblem::NoLatency { from, to }.into()));
    };
    let text = short_unit(text);
    let bare = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !text.is_empty();
    if bare && options.latency_unit.is_none() {
        return Err((*line, GraphProblem::NoUnit(cell::excerpt(&text)).into()));
    }
    let unit = options.latency_unit.unwrap_or(DelayUnit::Ms);
    cell::parse(&text, Kind::OneWay, unit).map(Delay::from_nanos).map_err(|problem| (*line, problem))
}

/// The text with the long name of its unit, as simulators and traffic tools allow them, made short.
pub(super) fn short_unit(text: &str) -> String {
    let text = text.trim();
    let start = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(start);
    let short = match unit {
        "nsec" | "nsecs" | "nanosecond" | "nanoseconds" => "ns",
        "μs" | "usec" | "usecs" | "microsecond" | "microseconds" => "us",
        "msec" | "msecs" | "millisecond" | "milliseconds" => "ms",
        "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "mins" | "minute" | "minutes" => "min",
        other => other,
    };
    format!("{number}{short}")
}

#[cfg(test)]
mod tests;
