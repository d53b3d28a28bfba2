//! The files as they are written.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Wrong;
use crate::wording::excerpt;
use crate::yaml::{self, At, Ordered};

/// The version of the format.
const VERSION: &str = "longhaul/v1";

/// Amounts by resource.
pub(super) type Quantities = Ordered<At<String>>;

/// Nodes by name.
pub(super) type Nodes = Ordered<Node>;

/// Nodes by service.
pub(super) type Current = Ordered<At<String>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NodesDocument {
    api_version: At<String>,
    nodes: Nodes,
}

/// One node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) capacity: Quantities,
    #[serde(default)]
    pub(super) used: Quantities,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ServicesDocument {
    api_version: At<String>,
    #[serde(default)]
    requests: Quantities,
    services: Ordered<ServiceEntry>,
}

/// All services, and what each asks for unless it says so itself.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) requests: Quantities,
    pub(super) services: Ordered<ServiceEntry>,
}

/// One service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceEntry {
    #[serde(default)]
    pub(super) requests: Quantities,
    pub(super) nodes: Option<At<Vec<At<String>>>>,
    pub(super) group: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CurrentDocument {
    api_version: At<String>,
    placement: Current,
}

pub(super) fn nodes(bytes: &[u8]) -> Result<Nodes, Wrong> {
    let document: NodesDocument = parse(bytes)?;
    version(&document.api_version)?;
    Ok(document.nodes)
}

pub(super) fn services(bytes: &[u8]) -> Result<Services, Wrong> {
    let document: ServicesDocument = parse(bytes)?;
    version(&document.api_version)?;
    Ok(Services { requests: document.requests, services: document.services })
}

pub(super) fn current(bytes: &[u8]) -> Result<Current, Wrong> {
    let document: CurrentDocument = parse(bytes)?;
    version(&document.api_version)?;
    Ok(document.placement)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Wrong> {
    yaml::parse(bytes).map_err(|complaint| (complaint.spot, complaint.words))
}

fn version(version: &At<String>) -> Result<(), Wrong> {
    if version.value == VERSION {
        return Ok(());
    }
    Err((version.spot, format!("apiVersion is `{}`; this longhaul reads {VERSION}", excerpt(&version.value))))
}
