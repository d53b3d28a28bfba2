//! Graphs to matrices and back.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::matrix::parse;

fn read(text: &str) -> Result<DelayMatrix, String> {
    parse("g.gml", text.as_bytes(), ReadOptions::default()).map_err(|error| error.to_string())
}

fn table(matrix: &DelayMatrix) -> (Vec<&str>, Vec<f64>) {
    let names = matrix.names().iter().map(NodeName::as_str).collect();
    (names, matrix.delays().iter().map(|delay| delay.as_millis_f64()).collect())
}

const SHADOW: &str = r#"# a comment
Creator "somebody"
graph [
  directed 0
  node [ id 0 label "caf&#233; &quot;x&quot;" host_bandwidth_up "1 Gbit" ]
  node [ id 7 ]
  node [ id 2 label "c" graphics [ x 1.5 y -2e3 ] ]
  edge [ source 0 target 0 latency "1 ms" packet_loss 0.0 ]
  edge [ source 0 target 7 latency "10 ms" jitter "0 ms" packet_loss 0.0 ]
  edge [ source 7 target 2 latency "2500 microseconds" packet_loss 0.0 ]
  edge [ source 0 target 2 latency "1 s" ]
]
"#;

#[test]
fn a_graph_becomes_the_matrix_of_its_shortest_ways() {
    let matrix = read(SHADOW).unwrap();
    let expected = vec![0.0, 10.0, 12.5, 10.0, 0.0, 2.5, 12.5, 2.5, 0.0];
    assert_eq!(table(&matrix), (vec!["café \"x\"", "7", "c"], expected));
    assert_eq!(matrix.metadata.comments, ["dropped: edges from a node to itself, where a matrix has 0: 1"]);
}

#[test]
fn a_directed_graph_has_ways_in_one_direction() {
    let message = read(&SHADOW.replace("directed 0", "directed 1")).unwrap_err();
    assert_eq!(message, "g.gml: there is no way from `7` to `café \"x\"` over the edges; add edges that connect them");
}

const GRAPHML: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d7" for="edge" attr.name="latency" attr.type="string"/>
  <key id="d9" for="edge" attr.name="packetloss" attr.type="double"/>
  <key id="d1" for="node" attr.name="label" attr.type="string"/>
  <graph edgedefault="directed">
    <node id="a"><data key="d1">Paris &amp; Lyon</data></node>
    <node id="b"/>
    <edge source="a" target="b"><data key="d7">10.000001 ms</data><data key="d9">0.25</data></edge>
    <edge source="b" target="a"><data key="d7">12</data></edge>
  </graph>
</graphml>
"#;

#[test]
fn graphml_says_what_its_keys_mean() {
    let refused = |text: &str, options| parse("g.xml", text.as_bytes(), options).unwrap_err().to_string();
    assert_eq!(
        refused(GRAPHML, ReadOptions::default()),
        "g.xml:9: `packetloss` is 0.25, and a delay matrix holds delays only; \
         set it to 0, or drop it with `matrix convert --ignore-unsupported`"
    );
    let options = ReadOptions { ignore_unsupported: true, ..ReadOptions::default() };
    assert_eq!(
        refused(GRAPHML, options),
        "g.xml:10: latency `12` has no unit; write \"12 ms\", \
         or say the unit of all with `matrix convert --latency-unit ms`"
    );
    let options = ReadOptions { latency_unit: Some(DelayUnit::Us), ..options };
    let matrix = parse("g.xml", GRAPHML.as_bytes(), options).unwrap();
    assert_eq!(table(&matrix), (vec!["Paris & Lyon", "b"], vec![0.0, 10.000_001, 0.012, 0.0]));
    assert_eq!(matrix.metadata.comments, ["dropped: packetloss of edges: 1"]);
}

#[test]
fn graphml_has_defaults_and_other_names_for_latency() {
    let text = GRAPHML
        .replace("\"latency\" attr.type=\"string\"/>", "\"delay\" attr.type=\"string\"><default>3 ms</default></key>");
    let text = text.replace("<data key=\"d7\">12</data>", "").replace("0.25", "0");
    assert_eq!(table(&read(&text).unwrap()).1, vec![0.0, 10.000_001, 3.0, 0.0]);
    assert_eq!(table(&read(&SHADOW.replace(" latency ", " delay ")).unwrap()), table(&read(SHADOW).unwrap()));
}

#[test]
fn deep_texts_are_refused_and_not_followed() {
    let deep = format!("graph [ {}", "a [ ".repeat(100_000));
    assert_eq!(read(&deep).unwrap_err(), "g.gml:1: has lists nested deeper than 16; a graph needs two");
    assert!(read(&format!("<?xml version=\"1.0\"?>{}", "<a>".repeat(100_000))).is_err());
}

fn matrices() -> impl Strategy<Value = DelayMatrix> {
    (2usize..6).prop_flat_map(|n| {
        let names = prop::collection::btree_set("[a-z\"&#;é東\\[\\] ]{0,6}[a-z]", n);
        let delays = prop::collection::vec(0u64..=60_000_000_000, n * n);
        (names, delays, prop::option::of("\\PC{0,12}"), prop::collection::vec("\\PC{0,12}", 0..3)).prop_map(
            move |(names, mut ns, source, comments)| {
                (0..n).for_each(|node| ns[node * n + node] = 0);
                let names: Vec<NodeName> =
                    names.iter().enumerate().map(|(place, name)| format!("{name}{place}").parse().unwrap()).collect();
                let mut matrix = DelayMatrix::new(names, ns.into_iter().map(Delay::from_nanos).collect()).unwrap();
                matrix.metadata = Metadata { source, date: None, comments };
                matrix
            },
        )
    })
}

#[test]
fn only_what_is_short_enough_to_name_a_character_is_one() {
    let label = "&#1114111;&#00000000065;&amp;&&quot;&;";
    let text =
        format!("graph [ node [ id 1 label \"{label}\" ] node [ id 2 ] edge [ source 1 target 2 latency \"1 ms\" ] ]");
    assert_eq!(read(&text).unwrap().names()[0].as_str(), "\u{10ffff}&#00000000065;&&\"&;");
}

#[test]
fn a_long_text_of_ampersands_takes_no_longer_than_any_other() {
    // Searching the rest for a semicolon at each would take minutes.
    let text = format!("graph [ node [ id 1 label \"{}\" ] ]", "&".repeat(4_000_000));
    assert!(read(&text).unwrap_err().contains("is longer than 253 characters"));
}

#[test]
fn graphml_tells_the_line_of_each_element() {
    let text = "<graphml>\r\n<graph>\n<node id='a'/><node\n id='b'/>\n\n  <edge source='a'\n target='c'><data key='latency'>1ms</data></edge></graph></graphml>";
    assert_eq!(
        read(text).unwrap_err(),
        "g.gml:6: the edge names node `c`, and no node has this id; add the node or mend the edge"
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_back_whole(matrix in matrices()) {
        prop_assert_eq!(read(&to_gml(&matrix)), Ok(matrix.clone()));
        prop_assert_eq!(read(&to_graphml(&matrix)), Ok(matrix));
    }

    #[test]
    fn any_text_after_a_graph_is_read_or_refused(text in "([\\[\\]\"#&; \n]|node|edge|id|source|target|latency|[0-9]|\\PC){0,40}") {
        let _ = read(&format!("graph [ {text}"));
        let _ = read(&format!("graph [ {text} ]"));
    }

    #[test]
    fn any_xml_like_text_is_read_or_refused(text in "(<graphml>|<graph>|<node id=\"a\"/>|<edge|<data|>|/>|&|</|\\PC){0,30}") {
        let _ = read(&format!("<?xml version=\"1.0\"?>{text}"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse("g", &[b"graph [".as_slice(), &bytes].concat(), ReadOptions::default());
        let _ = parse("g", &[b"<graphml>".as_slice(), &bytes].concat(), ReadOptions::default());
    }
}
