//! What a plan says under `placement:`, as it is written.

use std::path::PathBuf;

use serde::Deserialize;

use crate::units::{Delay, Span};
use crate::yaml::{At, Text};

/// Services that are given nodes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlacementDocument {
    pub(super) services: At<ServicesDocument>,
    pub(super) nodes: At<NodesDocument>,
    /// Where services run at the start: `spread`, `random` or `nowhere`.
    pub(super) start: Option<At<String>>,
    /// After how long of real time a policy is to return; unless told it stops by itself.
    pub(super) time: Option<At<Text<Span>>>,
    /// What a core too much costs, in kilobytes times milliseconds; unless told there must be none.
    pub(super) overload_price: Option<At<f64>>,
    pub(super) weights: Option<At<WeightsDocument>>,
    /// Count the way there and back for each direction, as paper 001's measurer does.
    #[serde(default)]
    pub(super) round_trips: bool,
    /// The delay between two services of one node.
    pub(super) same_node: Option<Text<Delay>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum ServicesDocument {
    /// A file with services and what they send.
    Graph(PathBuf),
    Generated(GeneratedDocument),
    Alike(AlikeDocument),
}

/// Services by lot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct GeneratedDocument {
    pub(super) services: usize,
    /// How many services call each one: a number, or `all`.
    pub(super) callers: Text<CallersText>,
    /// How many services make an application, whose services call each other alone; all unless told.
    pub(super) application: Option<usize>,
    /// The most that flows each way, in kilobytes.
    pub(super) kilobytes: u32,
    /// The most that a service asks for, in thousandths of a core.
    pub(super) cpu: u32,
}

/// A number, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallersText(pub(super) Option<usize>);

impl std::str::FromStr for CallersText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "all" => Ok(Self(None)),
            number => match number.parse() {
                Ok(callers @ 1..=1_000) => Ok(Self(Some(callers))),
                _ => {
                    Err(format!("`{}` is no number of callers; write 1 to 1000, or all", crate::wording::excerpt(text)))
                }
            },
        }
    }
}

/// Services that are all the same and belong together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AlikeDocument {
    /// How many: one number for all topologies, or one for each.
    pub(super) count: At<Vec<usize>>,
    /// Thousandths of a core.
    pub(super) cpu: u64,
    /// Mebibytes.
    pub(super) memory: u64,
    /// What each sends to each other one, in kilobytes; nothing unless told.
    #[serde(default)]
    pub(super) kilobytes: u32,
}

/// What each node has: so much, or so many times an even share of what all services ask for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NodesDocument {
    /// Thousandths of a core.
    pub(super) cpu: Option<u64>,
    /// Mebibytes.
    pub(super) memory: Option<u64>,
    pub(super) slack: Option<At<f64>>,
}

/// How much the two directions of a call count.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightsDocument {
    pub(super) request: f64,
    pub(super) response: f64,
}
