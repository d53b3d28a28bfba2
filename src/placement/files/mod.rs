//! Problems from files: nodes, services and a current placement in YAML, traffic in CSV. Every complaint says file, place and
//! what to change.
//!
//! ```yaml
//! apiVersion: longhaul/v1
//! nodes:
//!   n1: {capacity: {cpu: 4, memory: 16Gi}, used: {cpu: 500m}}
//! ```

mod document;
mod quantity;
mod traffic;

use std::collections::BTreeMap;

use crate::matrix::DelayMatrix;
use crate::topology::NodeName;
use crate::wording::{OneLine, excerpt};
use crate::yaml::{At, Spot};

use super::problem::{Draft, Host, Resource, Service};

pub use quantity::shown;

/// What is wrong with a file, where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{spot}: {}", OneLine(message))]
pub struct FileError {
    /// The file.
    pub file: String,
    /// Where in it.
    pub spot: Spot,
    /// In words.
    pub message: String,
}

/// A complaint before its file is known.
type Wrong = (Spot, String);

/// A file's name for errors and its content.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What errors call it.
    pub name: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

impl Source<'_> {
    fn error(&self, (spot, message): Wrong) -> FileError {
        FileError { file: self.name.to_owned(), spot, message }
    }
}

/// The files of a problem.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// Who talks to whom.
    pub traffic: Source<'a>,
    /// Nodes with capacities.
    pub nodes: Source<'a>,
    /// Services with requests.
    pub services: Source<'a>,
    /// Where services run now.
    pub current: Option<Source<'a>>,
}

impl Files<'_> {
    /// The draft of a problem with the delays of a matrix, which has at least the nodes of the file.
    pub fn draft(&self, matrix: &DelayMatrix) -> Result<Draft, FileError> {
        let nodes = document::nodes(self.nodes.bytes).map_err(|wrong| self.nodes.error(wrong))?;
        let resources = resources(&nodes);
        let hosts = hosts(&nodes, &resources).map_err(|wrong| self.nodes.error(wrong))?;
        let delays = delays(&nodes, &hosts, matrix).map_err(|wrong| self.nodes.error(wrong))?;
        let entries = document::services(self.services.bytes).map_err(|wrong| self.services.error(wrong))?;
        let mut services = services(&entries, &resources, &hosts).map_err(|wrong| self.services.error(wrong))?;
        if let Some(source) = &self.current {
            let entries = document::current(source.bytes).map_err(|wrong| source.error(wrong))?;
            place(&mut services, &entries, &hosts).map_err(|wrong| source.error(wrong))?;
        }
        let edges = traffic::edges(self.traffic.bytes, &services).map_err(|wrong| self.traffic.error(wrong))?;
        Ok(Draft { resources, hosts, services, edges, delays, ..Draft::default() })
    }
}

/// What capacities are of, in the order of the file.
fn resources(nodes: &document::Nodes) -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    for (name, _) in nodes.0.iter().flat_map(|(_, node)| &node.capacity.0) {
        if resources.iter().all(|known| known.name != name.value) {
            resources.push(Resource { name: name.value.clone(), unit: quantity::unit(&name.value) });
        }
    }
    resources
}

/// Quantities by resource; zero of what is not mentioned.
fn quantities(given: &document::Quantities, resources: &[Resource], who: &str) -> Result<Vec<u64>, Wrong> {
    let mut quantities = vec![0; resources.len()];
    for (name, text) in &given.0 {
        let Some(place) = resources.iter().position(|resource| resource.name == name.value) else {
            let known = resources.iter().map(|resource| resource.name.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("no node has any `{}`, which {who} wants; nodes have {known}", excerpt(&name.value));
            return Err((name.spot, message));
        };
        quantities[place] = quantity::parse(&name.value, &text.value).map_err(|message| (text.spot, message))?;
    }
    Ok(quantities)
}

fn hosts(nodes: &document::Nodes, resources: &[Resource]) -> Result<Vec<Host>, Wrong> {
    let host = |(name, node): &(At<String>, document::Node)| {
        let parsed: NodeName = name.value.parse().map_err(|error| (name.spot, format!("{error}")))?;
        Ok(Host {
            capacity: quantities(&node.capacity, resources, &name.value)?,
            used: quantities(&node.used, resources, &name.value)?,
            name: parsed,
        })
    };
    nodes.0.iter().map(host).collect()
}

fn delays(nodes: &document::Nodes, hosts: &[Host], matrix: &DelayMatrix) -> Result<Vec<crate::units::Delay>, Wrong> {
    let mut places = Vec::with_capacity(hosts.len());
    for (host, (written, _)) in hosts.iter().zip(&nodes.0) {
        let Some(place) = matrix.names().iter().position(|name| *name == host.name) else {
            let known: Vec<&str> = matrix.names().iter().take(5).map(NodeName::as_str).collect();
            let more = if matrix.len() > known.len() { ", …" } else { "" };
            let message = format!(
                "the delay matrix has no node `{}`; it has {}{more}",
                excerpt(host.name.as_str()),
                known.join(", ")
            );
            return Err((written.spot, message));
        };
        places.push(place);
    }
    Ok(places.iter().flat_map(|from| places.iter().map(|to| matrix.delay(*from, *to))).collect())
}

fn services(entries: &document::Services, resources: &[Resource], hosts: &[Host]) -> Result<Vec<Service>, Wrong> {
    let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
    let mut services = Vec::with_capacity(entries.services.0.len());
    for (name, entry) in &entries.services.0 {
        let mut demand = quantities(&entries.requests, resources, "each service")?;
        for (written, _) in &entry.requests.0 {
            if let Some(place) = resources.iter().position(|resource| resource.name == written.value) {
                demand[place] = 0;
            }
        }
        let own = quantities(&entry.requests, resources, &name.value)?;
        demand.iter_mut().zip(own).for_each(|(demand, own)| *demand += own);
        let allowed = entry.nodes.as_ref().map(|nodes| {
            if nodes.value.is_empty() {
                return Err((
                    nodes.spot,
                    format!("`{}` is allowed on no node; name some, or leave `nodes` out", excerpt(&name.value)),
                ));
            }
            nodes.value.iter().map(|node| known_host(node, hosts)).collect::<Result<Vec<_>, _>>()
        });
        let next = u32::try_from(groups.len()).unwrap_or(u32::MAX);
        let group = *groups.entry(entry.group.as_deref().unwrap_or_default()).or_insert(next);
        services.push(Service {
            name: name.value.clone(),
            demand,
            allowed: allowed.transpose()?,
            current: None,
            group,
        });
    }
    Ok(services)
}

fn known_host(name: &At<String>, hosts: &[Host]) -> Result<usize, Wrong> {
    let place = hosts.iter().position(|host| host.name.as_str() == name.value.trim());
    place.ok_or_else(|| (name.spot, format!("there is no node `{}` in the file of nodes", excerpt(&name.value))))
}

fn place(services: &mut [Service], entries: &document::Current, hosts: &[Host]) -> Result<(), Wrong> {
    let by_name: BTreeMap<String, usize> =
        services.iter().enumerate().map(|(place, service)| (service.name.clone(), place)).collect();
    for (name, node) in &entries.0 {
        let Some(service) = by_name.get(&name.value) else {
            return Err((name.spot, format!("there is no service `{}` in the file of services", excerpt(&name.value))));
        };
        services[*service].current = Some(known_host(node, hosts)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
