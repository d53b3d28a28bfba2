//! [`GraphProblem`]: what is wrong with a graph that should become a matrix.

use crate::topology::NodeName;

/// What is wrong with a graph.
#[derive(Debug, thiserror::Error)]
pub enum GraphProblem {
    /// GML that breaks its own grammar.
    #[error("is not GML: {found} where {expected} is expected")]
    Syntax {
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// Lists in lists in lists.
    #[error("has lists nested deeper than {0}; a graph needs two")]
    TooDeep(usize),
    /// XML that is none.
    #[error("is not XML: {0}")]
    Xml(String),
    /// XML of another kind.
    #[error("is XML with the root <{0}>; give GraphML, whose root is <graphml>")]
    NotGraphMl(String),
    /// No graph in the file.
    #[error("has no graph; write `graph [ … ]` in GML, <graph> in GraphML")]
    NoGraph,
    /// A node or an edge without what identifies it.
    #[error("{element} has no `{key}`; give it one")]
    Missing {
        /// A node or an edge.
        element: &'static str,
        /// What it lacks.
        key: &'static str,
    },
    /// Two nodes with one id.
    #[error("node id `{id}` stands already in line {first}; give each node an id of its own")]
    IdTwice {
        /// The id.
        id: String,
        /// Where it stands first.
        first: u64,
    },
    /// Two nodes with one label.
    #[error("node label `{label}` stands already in line {first}; give each node a label of its own")]
    LabelTwice {
        /// The label, or the id where there is none.
        label: NodeName,
        /// Where it stands first.
        first: u64,
    },
    /// An edge from or to a node that is none.
    #[error("the edge names node `{0}`, and no node has this id; add the node or mend the edge")]
    UnknownId(String),
    /// No edge has a latency.
    #[error(
        "no edge has a `latency` or `delay` (graphs of the Internet Topology Zoo have none); \
         add `latency \"10 ms\"` to each edge"
    )]
    NoLatencies,
    /// Some edge has none.
    #[error("the edge from `{from}` to `{to}` has no `latency`; add one, such as \"10 ms\"")]
    NoLatency {
        /// The id of its source.
        from: String,
        /// The id of its target.
        to: String,
    },
    /// A latency without a unit.
    #[error(
        "latency `{0}` has no unit; write \"{0} ms\", or say the unit of all with `matrix convert --latency-unit ms`"
    )]
    NoUnit(String),
    /// An impairment that a matrix cannot hold.
    #[error(
        "`{key}` is {value}, and a delay matrix holds delays only; \
         set it to 0, or drop it with `matrix convert --ignore-unsupported`"
    )]
    Unsupported {
        /// The attribute.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// Two nodes without a way between them.
    #[error("there is no way from `{from}` to `{to}` over the edges; add edges that connect them")]
    NoWay {
        /// The sender.
        from: NodeName,
        /// The receiver.
        to: NodeName,
    },
}
