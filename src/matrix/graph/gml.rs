//! GML: keys with numbers, texts and lists in brackets, read to a [`Graph`].

use super::{DIRECT, Edge, Graph, GraphProblem, LATENCY, UNSUPPORTED, Vertex};
use crate::matrix::csv::cell::excerpt;
use crate::matrix::error::Problem;

/// How deep lists may nest; graphs with drawing attributes need four.
const MAX_DEPTH: usize = 16;

/// A problem and its line.
type Failure = (u64, Problem);

/// A key and its value.
struct Entry<'a> {
    key: &'a str,
    value: Value<'a>,
    line: u64,
}

enum Value<'a> {
    Number(&'a str),
    Text(String),
    List(Vec<Entry<'a>>),
}

impl Value<'_> {
    fn text(&self) -> Option<String> {
        match self {
            Self::Number(number) => Some((*number).to_owned()),
            Self::Text(text) => Some(text.clone()),
            Self::List(_) => None,
        }
    }
}

pub(super) fn starts_as_gml(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("graph") {
            let rest = rest.trim_start();
            return rest.starts_with('[') || rest.is_empty() && lines.next().is_some_and(|next| next.starts_with('['));
        }
        let preamble = ["Creator", "Version", "Vendor", "comment"];
        if !preamble.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '\t']))) {
            return false;
        }
    }
    false
}

/// Reads a graph.
pub(super) fn parse(text: &str) -> Result<Graph, Failure> {
    let mut reader = Reader { rest: text, line: 1 };
    let entries = reader.entries(0)?;
    let graph = entries.iter().find_map(|entry| match &entry.value {
        Value::List(list) if entry.key == "graph" => Some(list),
        _ => None,
    });
    let Some(list) = graph else { return Err((1, GraphProblem::NoGraph.into())) };
    graph_of(list)
}

fn graph_of(list: &[Entry<'_>]) -> Result<Graph, Failure> {
    let mut graph = Graph::default();
    let directed = attribute(list, "directed").is_some_and(|value| value == "1");
    for entry in list {
        match (entry.key, &entry.value) {
            ("node", Value::List(node)) => graph.vertices.push(Vertex {
                id: required(node, entry.line, "a node", "id")?,
                label: attribute(node, "label"),
                line: entry.line,
            }),
            ("edge", Value::List(edge)) => graph.edges.push(edge_of(edge, entry.line, !directed)?),
            ("source", value) => graph.metadata.source = value.text(),
            ("date", value) => graph.metadata.date = value.text(),
            ("comment", value) => graph.metadata.comments.extend(value.text()),
            _ => {}
        }
    }
    graph.direct = attribute(list, DIRECT.0).is_some_and(|value| value == DIRECT.1);
    Ok(graph)
}

fn edge_of(list: &[Entry<'_>], line: u64, both_ways: bool) -> Result<Edge, Failure> {
    let latency = LATENCY.iter().find_map(|name| list.iter().find(|entry| entry.key == *name));
    Ok(Edge {
        source: required(list, line, "an edge", "source")?,
        target: required(list, line, "an edge", "target")?,
        both_ways,
        latency: latency.and_then(|entry| entry.value.text().map(|text| (text, entry.line))),
        unsupported: UNSUPPORTED.iter().filter_map(|key| attribute(list, key).map(|value| (*key, value))).collect(),
        line,
    })
}

fn attribute(list: &[Entry<'_>], key: &str) -> Option<String> {
    list.iter().find(|entry| entry.key == key).and_then(|entry| entry.value.text())
}

fn required(list: &[Entry<'_>], line: u64, element: &'static str, key: &'static str) -> Result<String, Failure> {
    attribute(list, key).ok_or_else(|| (line, GraphProblem::Missing { element, key }.into()))
}

/// What has not been read yet.
struct Reader<'a> {
    rest: &'a str,
    line: u64,
}

impl<'a> Reader<'a> {
    /// Entries up to the bracket that closes them, or to the end at the outermost level.
    fn entries(&mut self, depth: usize) -> Result<Vec<Entry<'a>>, Failure> {
        if depth > MAX_DEPTH {
            return Err((self.line, GraphProblem::TooDeep(MAX_DEPTH).into()));
        }
        let mut entries = Vec::new();
        loop {
            self.skip_blanks();
            match self.rest.chars().next() {
                None if depth == 0 => return Ok(entries),
                None => return Err(self.unexpected("a key or `]`")),
                Some(']') if depth > 0 => {
                    self.rest = &self.rest[1..];
                    return Ok(entries);
                }
                Some(c) if c.is_ascii_alphabetic() || c == '_' => {}
                Some(_) => return Err(self.unexpected(if depth > 0 { "a key or `]`" } else { "a key" })),
            }
            let line = self.line;
            let key = self.take(|c| c.is_ascii_alphanumeric() || c == '_');
            entries.push(Entry { key, value: self.value(depth)?, line });
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Failure> {
        self.skip_blanks();
        match self.rest.chars().next() {
            Some('[') => {
                self.rest = &self.rest[1..];
                self.entries(depth + 1).map(Value::List)
            }
            Some('"') => self.text().map(Value::Text),
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => {
                Ok(Value::Number(self.take(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))))
            }
            // Some writers leave infinities and the like without quotation marks.
            Some(c) if c.is_ascii_alphabetic() => {
                Ok(Value::Number(self.take(|c| c.is_ascii_alphanumeric() || c == '_')))
            }
            _ => Err(self.unexpected("a number, a text in quotation marks or `[`")),
        }
    }

    fn text(&mut self) -> Result<String, Failure> {
        let inside = &self.rest[1..];
        let Some(end) = inside.find('"') else {
            let problem = GraphProblem::Syntax { found: "the end of the file".to_owned(), expected: "a closing `\"`" };
            return Err((self.line, problem.into()));
        };
        let text = &inside[..end];
        self.line += text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        self.rest = &inside[end + 1..];
        Ok(unescaped(text))
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_blanks(&mut self) {
        loop {
            let blanks = self.take(char::is_whitespace);
            self.line += blanks.bytes().filter(|byte| *byte == b'\n').count() as u64;
            if !self.rest.starts_with('#') {
                return;
            }
            self.take(|c| c != '\n');
        }
    }

    fn unexpected(&self, expected: &'static str) -> Failure {
        let word: String = self.rest.split_whitespace().next().unwrap_or_default().to_owned();
        let found = if word.is_empty() { "the end of the file".to_owned() } else { format!("`{}`", excerpt(&word)) };
        (self.line, GraphProblem::Syntax { found, expected }.into())
    }
}

/// The longest name of a character, with its semicolon: `#1114111;`. Behind a lone `&` no more is searched for one.
const LONGEST_ENTITY: usize = 10;

/// The text with `&quot;`, `&amp;`, `&#233;` and the like as the characters they mean; what means none stays.
fn unescaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        result.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.bytes().take(LONGEST_ENTITY).position(|byte| byte == b';');
        let meant = end.and_then(|end| entity(&rest[1..end]).map(|c| (c, end)));
        let length = if let Some((c, end)) = meant {
            result.push(c);
            end + 1
        } else {
            result.push('&');
            1
        };
        rest = &rest[length..];
    }
    result.push_str(rest);
    result
}

fn entity(name: &str) -> Option<char> {
    match name {
        "quot" => Some('"'),
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "apos" => Some('\''),
        _ => name.strip_prefix('#')?.parse().ok().and_then(char::from_u32),
    }
}
