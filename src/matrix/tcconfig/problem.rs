//! [`TcconfigProblem`]: what is wrong with the JSON of tcconfig, or with a matrix that should become one.

use ipnet::IpNet;

use crate::topology::NodeName;
use crate::units::Delay;

/// What is wrong. `rule` is the text of a filter, such as `dst-network=10.0.0.2/32, protocol=ip`.
#[derive(Debug, thiserror::Error)]
pub enum TcconfigProblem {
    /// A file alone, where a matrix is expected.
    #[error(
        "is a file of tcconfig, the row of one host; make a matrix of all hosts' files with \
         `matrix convert --from tcconfig --addresses FILE NAME=FILE NAME=FILE …`"
    )]
    OneRow,
    /// JSON that is none, or of another shape.
    #[error("is not JSON of tcconfig: {0}")]
    Json(String),
    /// A direction that does not exist.
    #[error("`{0}` is not a direction; write outgoing or incoming")]
    Direction(String),
    /// Packets that come in.
    #[error(
        "rule `{0}` is for incoming packets, and a matrix delays what a host sends; \
         give the delay to the sender, or drop it with `--ignore-unsupported`"
    )]
    Incoming(String),
    /// A filter by something other than the destination.
    #[error(
        "rule `{rule}` selects by `{key}`, and a matrix knows destinations only; \
         remove the rule, or drop it with `--ignore-unsupported`"
    )]
    Selector {
        /// The rule.
        rule: String,
        /// What it selects by.
        key: String,
    },
    /// A network that is none.
    #[error("`{network}` in rule `{rule}` is not a network; write one such as 10.0.0.2/32 or fd00::2/128")]
    Network {
        /// The rule.
        rule: String,
        /// The text there.
        network: String,
    },
    /// Something other than a delay.
    #[error(
        "rule `{rule}` has `{key}`, and a delay matrix holds delays only; \
         remove it, or drop it with `--ignore-unsupported`"
    )]
    Attribute {
        /// The rule.
        rule: String,
        /// The attribute.
        key: String,
    },
    /// A delay that is neither a text nor a number.
    #[error("the delay of rule `{0}` is neither a text nor a number; write one such as \"10ms\"")]
    DelayType(String),
    /// One network, two delays.
    #[error("{network} has two rules, with {first} and {second}; keep one of the two")]
    RuleTwice {
        /// The network.
        network: IpNet,
        /// The delay that stands first.
        first: Delay,
        /// The other.
        second: Delay,
    },
    /// A node whose addresses are at different distances.
    #[error(
        "the addresses of `{name}` are at different distances, {first} and {second}; \
         a matrix holds one delay for each node, so make them equal or leave one out of the list of addresses"
    )]
    Ambiguous {
        /// The node.
        name: NodeName,
        /// The delay to one address.
        first: Delay,
        /// The delay to another.
        second: Delay,
    },
    /// A node that no packet could be sent to.
    #[error("node `{0}` has no address; add a line `{0},ADDRESS` to the list of addresses")]
    NoAddress(NodeName),
}
