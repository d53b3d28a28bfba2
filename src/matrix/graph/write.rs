//! Writing a delay matrix as a complete directed graph in GML or GraphML.

use std::fmt::Write as _;

use super::DIRECT;
use crate::matrix::{DelayMatrix, DelayUnit};

/// The matrix as GML: one node each, labelled with its name, and one edge for each path with its `latency`. The mark
/// `paths "direct"` says that no path goes over others, so reading it back gives the same nanoseconds.
pub fn to_gml(matrix: &DelayMatrix) -> String {
    let mut text = format!("graph [\n  directed 1\n  {} \"{}\"\n", DIRECT.0, DIRECT.1);
    let metadata = &matrix.metadata;
    let comments = metadata.comments.iter().map(|comment| ("comment", comment));
    let once = [("source", &metadata.source), ("date", &metadata.date)];
    let once = once.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| (key, value)));
    for (key, value) in once.chain(comments) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  {key} \"{}\"", escaped(value));
    }
    for (id, name) in matrix.names().iter().enumerate() {
        let _ = writeln!(text, "  node [\n    id {id}\n    label \"{}\"\n  ]", escaped(name.as_str()));
    }
    for (from, to) in matrix.paths() {
        let latency = DelayUnit::Ms.format(matrix.delay(from, to).as_nanos());
        let _ = writeln!(
            text,
            "  edge [\n    source {from}\n    target {to}\n    latency \"{latency} ms\"\n    packet_loss 0.0\n  ]"
        );
    }
    text.push_str("]\n");
    text
}

/// The matrix as GraphML, with the same nodes, edges and mark as [`to_gml`].
pub fn to_graphml(matrix: &DelayMatrix) -> String {
    let mut text =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n"
            .to_owned();
    let metadata = &matrix.metadata;
    let comments = (!metadata.comments.is_empty()).then(|| metadata.comments.join("\n"));
    let direct = Some(DIRECT.1.to_owned());
    let whole = [(DIRECT.0, &direct), ("source", &metadata.source), ("date", &metadata.date), ("comment", &comments)];
    let whole = || whole.iter().filter_map(|(key, value)| value.as_ref().map(|value| (*key, value)));
    let keys = whole().map(|(key, _)| ("graph", key)).chain([("node", "label"), ("edge", "latency")]);
    for (of, key) in keys {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  <key id=\"{key}\" for=\"{of}\" attr.name=\"{key}\" attr.type=\"string\"/>");
    }
    text.push_str("  <graph edgedefault=\"directed\">\n");
    for (key, value) in whole() {
        let _ = writeln!(text, "    <data key=\"{key}\">{}</data>", in_xml(value));
    }
    for (id, name) in matrix.names().iter().enumerate() {
        let label = in_xml(name.as_str());
        let _ = writeln!(text, "    <node id=\"{id}\"><data key=\"label\">{label}</data></node>");
    }
    for (from, to) in matrix.paths() {
        let latency = DelayUnit::Ms.format(matrix.delay(from, to).as_nanos());
        let data = format!("<data key=\"latency\">{latency} ms</data>");
        let _ = writeln!(text, "    <edge source=\"{from}\" target=\"{to}\">{data}</edge>");
    }
    text.push_str("  </graph>\n</graphml>\n");
    text
}

fn in_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The text in the 7-bit characters that GML has.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => result.push_str("&quot;"),
            '&' => result.push_str("&amp;"),
            ' '..='~' => result.push(c),
            _ => {
                let _ = write!(result, "&#{};", u32::from(c));
            }
        }
    }
    result
}
