//! The nodes of a testbed that are there, as a testbed of their own.

use std::collections::BTreeMap;

use super::operations::{NodeFailure, failure_of};
use super::{Testbed, TestbedError};
use crate::agent::protocol::{Request, Response};
use crate::measure::Clocks;
use crate::topology::{Node, NodeIndex};

/// Some nodes of a testbed; they are counted anew.
pub struct Present<'a> {
    whole: &'a mut dyn Testbed,
    /// By our numbers the places in the whole testbed, ascending.
    places: Vec<NodeIndex>,
    nodes: Vec<Node>,
    missing: BTreeMap<NodeIndex, String>,
}

impl<'a> Present<'a> {
    /// Those that answer. Waits until they have done what they were asked before.
    pub fn of(whole: &'a mut dyn Testbed) -> Result<Self, TestbedError> {
        let answers = whole.ask((0..whole.nodes().len()).map(|node| (node, Request::Ready)).collect())?;
        let absent = answers.into_iter().enumerate().filter_map(|(node, answer)| match answer {
            Ok(Response::Ready { .. }) => None,
            other => Some((node, failure_of(other))),
        });
        let missing: BTreeMap<NodeIndex, String> = absent.collect();
        let places: Vec<NodeIndex> = (0..whole.nodes().len()).filter(|node| !missing.contains_key(node)).collect();
        let nodes = places.iter().map(|place| whole.nodes()[*place].clone()).collect();
        Ok(Self { whole, places, nodes, missing })
    }

    /// All of them, without asking.
    pub fn all(whole: &'a mut dyn Testbed) -> Self {
        let nodes = whole.nodes().to_vec();
        Self { places: (0..nodes.len()).collect(), whole, nodes, missing: BTreeMap::new() }
    }

    /// Where our nodes are in the whole testbed.
    pub fn places(&self) -> &[NodeIndex] {
        &self.places
    }

    /// The nodes of the whole testbed that are not here, and why.
    pub fn missing(&self) -> &BTreeMap<NodeIndex, String> {
        &self.missing
    }

    /// The nodes of the whole testbed.
    pub(super) fn whole_nodes(&self) -> &[Node] {
        self.whole.nodes()
    }

    /// The missing nodes as failures.
    pub fn failures(&self) -> Vec<NodeFailure> {
        let failure = |(node, why): (&NodeIndex, &String)| NodeFailure {
            node: self.whole.nodes()[*node].name.clone(),
            message: why.clone(),
        };
        self.missing.iter().map(failure).collect()
    }

    /// Of something for each node of the whole testbed what is ours.
    pub fn among<T>(&self, all: Vec<T>) -> Vec<T> {
        all.into_iter().enumerate().filter(|(node, _)| !self.missing.contains_key(node)).map(|(_, one)| one).collect()
    }
}

impl Testbed for Present<'_> {
    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn clocks(&mut self) -> Result<Clocks, TestbedError> {
        Ok(match self.whole.clocks()? {
            Clocks::One => Clocks::One,
            Clocks::Apart(hosts) => Clocks::Apart(self.among(hosts)),
        })
    }

    fn now_ns(&self) -> u64 {
        self.whole.now_ns()
    }

    fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError> {
        let placed = requests.into_iter().map(|(node, request)| (self.places[node], request));
        self.whole.ask(placed.collect())
    }

    fn is_lost(&self, node: NodeIndex) -> bool {
        self.whole.is_lost(self.places[node])
    }

    fn reserve(&mut self) -> Result<(), TestbedError> {
        self.whole.reserve()
    }

    fn release(&mut self) {
        self.whole.release();
    }
}
