//! What a report needs to know of a placement experiment beside its words.

use serde::{Deserialize, Serialize};

use super::{Placing, Services};

/// The numbers of a placement experiment that figures are drawn by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementFacts {
    /// Whether all services are the same and belong together, as the pods of paper 003.
    pub alike: bool,
    /// How many services there are on each topology.
    pub services: Vec<usize>,
    /// Whether policies are told to stop after some time.
    pub timed: bool,
}

impl PlacementFacts {
    /// Those of `placing`.
    pub fn new(placing: &Placing) -> Self {
        let services = match &placing.services {
            Services::Graph { graph, .. } => vec![graph.services.len()],
            Services::Generated(generated) => vec![generated.services],
            Services::Alike { counts, .. } => counts.clone(),
        };
        Self { alike: placing.is_alike(), services, timed: placing.time.is_some() }
    }
}
