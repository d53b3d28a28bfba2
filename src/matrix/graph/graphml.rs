//! GraphML: nodes and edges in XML, their attributes in `<data>` elements whose `<key>` names them, read to a [`Graph`].

use std::collections::HashMap;

use roxmltree::{Document, Node};

use super::{DIRECT, Edge, Graph, GraphProblem, LATENCY, UNSUPPORTED, Vertex};
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
    let mut graph = Graph { direct: reader.text(list, DIRECT.0) == Some(DIRECT.1), ..Graph::default() };
    let own = |name| reader.text(list, name).map(ToOwned::to_owned);
    (graph.metadata.source, graph.metadata.date) = (own("source"), own("date"));
    graph.metadata.comments = own("comment").into_iter().flat_map(|text| lines_of(&text)).collect();
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
    /// What an edge has that does not say otherwise, by the name of the attribute, with its line.
    defaults: HashMap<&'a str, (String, u64)>,
    /// Where each line ends. Asking the document for a line would count from its start each time.
    line_ends: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn of(text: &str, root: Node<'a, '_>) -> Self {
        let key = |key: Node<'a, '_>| Some((key.attribute("id")?, key.attribute("attr.name").or(key.attribute("id"))?));
        let mut reader = Self {
            keys: elements(root, "key").filter_map(key).collect(),
            defaults: HashMap::new(),
            line_ends: text.match_indices('\n').map(|(place, _)| place).collect(),
        };
        for of in elements(root, "key").filter(|key| matches!(key.attribute("for"), Some("edge" | "all") | None)) {
            let default = elements(of, "default").next().map(|text| (trimmed(text), reader.line(text)));
            if let (Some((_, name)), Some(default)) = (key(of), default) {
                reader.defaults.insert(name, default);
            }
        }
        reader
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
            latency: LATENCY.iter().find_map(|name| self.data_or_default(edge, name)),
            unsupported: UNSUPPORTED.iter().filter_map(unsupported).collect(),
            line: self.line(edge),
        })
    }

    /// The text of the attribute `name` and its line.
    fn data(&self, node: Node<'_, '_>, name: &str) -> Option<(String, u64)> {
        self.element(node, name).map(|found| (trimmed(found), self.line(found)))
    }

    fn data_or_default(&self, edge: Node<'_, '_>, name: &str) -> Option<(String, u64)> {
        self.data(edge, name).or_else(|| self.defaults.get(name).cloned())
    }

    /// The text of the attribute `name` with its blanks.
    fn text<'n>(&self, node: Node<'n, '_>, name: &str) -> Option<&'n str> {
        self.element(node, name).map(|found| found.text().unwrap_or_default())
    }

    fn element<'n, 'i>(&self, node: Node<'n, 'i>, name: &str) -> Option<Node<'n, 'i>> {
        elements(node, "data").find(|data| {
            let key = data.attribute("key").unwrap_or_default();
            self.keys.get(key).copied().unwrap_or(key) == name
        })
    }

    fn required(&self, node: Node<'_, '_>, element: &'static str, key: &'static str) -> Result<String, Failure> {
        let found = node.attribute(key).map(ToOwned::to_owned);
        found.ok_or_else(|| (self.line(node), GraphProblem::Missing { element, key }.into()))
    }
}

fn trimmed(element: Node<'_, '_>) -> String {
    element.text().unwrap_or_default().trim().to_owned()
}

fn lines_of(text: &str) -> Vec<String> {
    text.split('\n').map(ToOwned::to_owned).collect()
}

fn elements<'a, 'input>(parent: Node<'a, 'input>, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
    parent.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}
