//! Matrices in every format: what is read, is written and read the same; what is refused, is refused in a line.

use longhaul::matrix::csv::{CsvOptions, Delimiter, to_csv};
use longhaul::matrix::{DelayMatrix, DelayUnit, ReadOptions, RttSplit, parse, to_gml, to_json};

use crate::claims;

pub(crate) const CSV: &[&str] = &[
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    "\"",
    "# unit: us\n",
    "# unit: s\n",
    "# kind: rtt\n",
    "# kind: one-way\n",
    "# source: a\n",
    "# date: 2024\n",
    "#",
    "ms",
    "us",
    "ns",
    "s",
    "min",
    " ",
    "0",
    "n1",
    "-",
    ".",
    "5e3",
    "\n\n",
];
pub(crate) const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"names\"",
    "\"delays_ns\"",
    "\"unit\"",
    "\"source\"",
    "\"date\"",
    "\"comments\"",
    "\"ns\"",
    "\"a\"",
    "null",
    "true",
    "\\n",
    "\\u001b",
    "[[0,1],[1,0]]",
    "60000000000",
    "-1",
    "1.0",
];
pub(crate) const GML: &[&str] = &[
    "graph [",
    "node [",
    "edge [",
    "]",
    "id ",
    "label ",
    "source ",
    "target ",
    "latency ",
    "directed 1",
    "paths \"direct\"",
    "\"10 ms\"",
    "\"",
    "&quot;",
    "&#27;",
    "&#10;",
    "&",
    ";",
    "packet_loss 0.0",
    "jitter 1",
    "comment \"c\"",
    "Creator \"x\"\n",
    "#",
    "date \"d\"",
    "\n",
];
pub(crate) const GRAPHML: &[&str] = &[
    "<graphml>",
    "</graphml>",
    "<graph edgedefault=\"undirected\">",
    "</graph>",
    "<node id=\"a\"/>",
    "<edge source=\"a\" target=\"b\">",
    "</edge>",
    "<data key=\"latency\">1ms</data>",
    "<key id=\"d0\" attr.name=\"latency\"/>",
    "<?xml version=\"1.0\"?>",
    "<!--",
    "-->",
    "<!DOCTYPE x [<!ENTITY a \"b\">]>",
    "&a;",
    "&#27;",
    "&amp;",
    "<![CDATA[",
    "]]>",
    "\"",
    "<",
    ">",
    "/>",
    "key=",
    "\n",
];

/// By what is read, so that all units are tried.
fn unit(bytes: &[u8]) -> Option<DelayUnit> {
    [None, Some(DelayUnit::Ns), Some(DelayUnit::Us), Some(DelayUnit::Ms), Some(DelayUnit::S)][bytes.len() % 5]
}

/// Everything allowed.
pub(crate) fn lenient(bytes: &[u8]) -> ReadOptions {
    ReadOptions { split_rtt: Some(RttSplit::Halves), latency_unit: unit(bytes), ignore_unsupported: true }
}

/// Reads with nothing allowed and with everything; a matrix that is read without leave is the same with it.
pub(crate) fn any(bytes: &[u8]) {
    let strict = parse("file", bytes, ReadOptions::default());
    let lenient = parse("file", bytes, lenient(bytes));
    for result in [&strict, &lenient] {
        match result {
            Ok(matrix) => written_and_read(matrix),
            Err(error) => claims::refusal(error, bytes),
        }
    }
    if let Ok(strict) = strict {
        assert_eq!(Some(strict), lenient.ok());
    }
}

/// Every written form gives the same nanoseconds.
pub(crate) fn written_and_read(matrix: &DelayMatrix) {
    // A short list may name many nodes; writing all their paths is not what is being bounded.
    if matrix.len() > 64 {
        return;
    }
    let read = |what: &str, text: &str| {
        parse(what, text.as_bytes(), ReadOptions::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    assert_eq!(read("json", &to_json(matrix)), *matrix);
    for unit in [DelayUnit::Ns, DelayUnit::Us, DelayUnit::Ms, DelayUnit::S] {
        for delimiter in [Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab] {
            let text = to_csv(matrix, CsvOptions { unit, names: true, delimiter });
            let again = read("csv", &text);
            assert_eq!((again.names(), again.delays()), (matrix.names(), matrix.delays()), "{text}");
            assert_eq!(to_csv(&again, CsvOptions { unit, names: true, delimiter }), text, "metadata change");
        }
        let text = to_csv(matrix, CsvOptions { unit, names: false, delimiter: Delimiter::Comma });
        assert_eq!(read("csv", &text).delays(), matrix.delays(), "{text}");
    }
    let text = to_gml(matrix);
    let again = read("gml", &text);
    assert_eq!(
        (again.names(), again.delays(), &again.metadata),
        (matrix.names(), matrix.delays(), &matrix.metadata),
        "{text}"
    );
}
