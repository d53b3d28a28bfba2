//! GraphML: nodes and edges in XML, their attributes in `<data>` elements whose `<key>` names them, read to a [`Graph`].

use std::collections::HashMap;

use roxmltree::{Document, Node};

use super::{Edge, Graph, GraphProblem, UNSUPPORTED, Vertex};
use crate::matrix::error::Problem;

/// A problem and its line.
type Failure = (u64, Problem);

/// Reads the first graph.
pub(super) fn parse(text: &str) -> Result<Graph, Failure> {
    let document = Document::parse(text)
        .map_err(|error| (u64::from(error.pos().row), GraphProblem::Xml(error.to_string()).into()))?;
    let root = document.root_element();
    let reader = Reader::of(text, root);
    if root.tag_name().name() != "graphml" {
        return Err((reader.line(root), GraphProblem::NotGraphMl(root.tag_name().name().to_owned()).into()));
    }
    let list = elements(root, "graph").next().ok_or((reader.line(root), Problem::Graph(GraphProblem::NoGraph)))?;
    let both_ways = list.attribute("edgedefault") == Some("undirected");
    let mut graph = Graph::default();
    for node in elements(list, "node") {
        graph.vertices.push(reader.vertex(node)?);
    }
    for edge in elements(list, "edge") {
        graph.edges.push(reader.edge(edge, both_ways)?);
    }
    Ok(graph)
}

/// What is needed to read a node or an edge.
struct Reader<'a> {
    /// The name of each attribute by the id of its key.
    keys: HashMap<&'a str, &'a str>,
    /// Where each line ends. Asking the document for a line would count from its start each time.
    line_ends: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn of(text: &str, root: Node<'a, '_>) -> Self {
        let key = |key: Node<'a, '_>| Some((key.attribute("id")?, key.attribute("attr.name").or(key.attribute("id"))?));
        Self {
            keys: elements(root, "key").filter_map(key).collect(),
            line_ends: text.match_indices('\n').map(|(place, _)| place).collect(),
        }
    }

    fn line(&self, node: Node<'_, '_>) -> u64 {
        self.line_ends.partition_point(|end| *end < node.range().start) as u64 + 1
    }

    fn vertex(&self, node: Node<'_, '_>) -> Result<Vertex, Failure> {
        let label = self.data(node, "label").or_else(|| self.data(node, "name"));
        Ok(Vertex {
            id: self.required(node, "a node", "id")?,
            label: label.map(|(text, _)| text),
            line: self.line(node),
        })
    }

    fn edge(&self, edge: Node<'_, '_>, both_ways: bool) -> Result<Edge, Failure> {
        let unsupported = |key: &&'static str| self.data(edge, key).map(|(value, _)| (*key, value));
        Ok(Edge {
            source: self.required(edge, "an edge", "source")?,
            target: self.required(edge, "an edge", "target")?,
            both_ways: edge.attribute("directed").map_or(both_ways, |directed| directed == "false"),
            latency: self.data(edge, "latency"),
            unsupported: UNSUPPORTED.iter().filter_map(unsupported).collect(),
            line: self.line(edge),
        })
    }

    /// The text of the attribute `name` and its line.
    fn data(&self, node: Node<'_, '_>, name: &str) -> Option<(String, u64)> {
        let found = elements(node, "data").find(|data| {
            let key = data.attribute("key").unwrap_or_default();
            self.keys.get(key).copied().unwrap_or(key) == name
        })?;
        Some((found.text().unwrap_or_default().trim().to_owned(), self.line(found)))
    }

    fn required(&self, node: Node<'_, '_>, element: &'static str, key: &'static str) -> Result<String, Failure> {
        let found = node.attribute(key).map(ToOwned::to_owned);
        found.ok_or_else(|| (self.line(node), GraphProblem::Missing { element, key }.into()))
    }
}

fn elements<'a, 'input>(parent: Node<'a, 'input>, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
    parent.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}
