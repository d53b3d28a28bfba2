//! GraphML: nodes and edges in XML, their attributes in `<data>` elements whose `<key>` names them, read to a [`Graph`].

use std::collections::HashMap;

use roxmltree::{Document, Node};

use super::{Edge, Graph, GraphProblem, UNSUPPORTED, Vertex};
use crate::matrix::error::Problem;

/// A problem and its line.
type Failure = (u64, Problem);

/// The name of each attribute by the id of its key.
type Keys<'a> = HashMap<&'a str, &'a str>;

/// Reads the first graph.
pub(super) fn parse(text: &str) -> Result<Graph, Failure> {
    let document = Document::parse(text)
        .map_err(|error| (u64::from(error.pos().row), GraphProblem::Xml(error.to_string()).into()))?;
    let root = document.root_element();
    if root.tag_name().name() != "graphml" {
        return Err((line(&root), GraphProblem::NotGraphMl(root.tag_name().name().to_owned()).into()));
    }
    let keys: Keys<'_> = elements(root, "key")
        .filter_map(|key| Some((key.attribute("id")?, key.attribute("attr.name").or(key.attribute("id"))?)))
        .collect();
    let list = elements(root, "graph").next().ok_or((line(&root), Problem::Graph(GraphProblem::NoGraph)))?;
    let both_ways = list.attribute("edgedefault") == Some("undirected");
    let mut graph = Graph::default();
    for node in elements(list, "node") {
        let id = required(&node, "a node", "id")?.to_owned();
        let label = data(&node, &keys, "label").or_else(|| data(&node, &keys, "name"));
        graph.vertices.push(Vertex { id, label: label.map(|(text, _)| text), line: line(&node) });
    }
    for edge in elements(list, "edge") {
        graph.edges.push(edge_of(&edge, &keys, both_ways)?);
    }
    Ok(graph)
}

fn edge_of(edge: &Node<'_, '_>, keys: &Keys<'_>, both_ways: bool) -> Result<Edge, Failure> {
    let unsupported =
        UNSUPPORTED.iter().filter_map(|key| data(edge, keys, key).map(|(value, _)| (*key, value))).collect();
    Ok(Edge {
        source: required(edge, "an edge", "source")?.to_owned(),
        target: required(edge, "an edge", "target")?.to_owned(),
        both_ways: edge.attribute("directed").map_or(both_ways, |directed| directed == "false"),
        latency: data(edge, keys, "latency"),
        unsupported,
        line: line(edge),
    })
}

fn elements<'a, 'input>(parent: Node<'a, 'input>, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
    parent.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The text of the attribute `name` and its line.
fn data(node: &Node<'_, '_>, keys: &Keys<'_>, name: &str) -> Option<(String, u64)> {
    let found = elements(*node, "data").find(|data| {
        let key = data.attribute("key").unwrap_or_default();
        keys.get(key).copied().unwrap_or(key) == name
    })?;
    Some((found.text().unwrap_or_default().trim().to_owned(), line(&found)))
}

fn required<'a>(node: &'a Node<'_, '_>, element: &'static str, key: &'static str) -> Result<&'a str, Failure> {
    node.attribute(key).ok_or_else(|| (line(node), GraphProblem::Missing { element, key }.into()))
}

fn line(node: &Node<'_, '_>) -> u64 {
    u64::from(node.document().text_pos_at(node.range().start).row)
}
