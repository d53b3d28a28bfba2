//! The nodes of a file and their regions: who is meant by a name, a pattern or a region.

use super::document::{Document, Ends, RegionDelays};
use super::error::FileProblem;
use crate::matrix::DelayMatrix;
use crate::topology::{NodeIndex, NodeName};
use crate::units::Delay;
use crate::yaml::{At, Spot};

/// What is wrong, and where in the impairment file.
pub(super) type Wrong = (Spot, FileProblem);

/// What stands in front of a region's name where a node could be meant.
const REGION: &str = "region:";

/// Nodes and regions.
#[derive(Debug)]
pub(super) struct Nodes {
    names: Vec<NodeName>,
    /// Each with whether a node is in it.
    regions: Vec<(String, Vec<bool>)>,
}

impl Nodes {
    /// The nodes that the regions of a file list, for a file without a matrix.
    pub(super) fn listed(document: &Document) -> Result<Vec<NodeName>, Wrong> {
        let mut names: Vec<NodeName> = Vec::new();
        for end in document.regions.0.iter().flat_map(|(_, members)| &members.value) {
            if end.value.contains('*') {
                return Err((end.spot, FileProblem::PatternWithoutMatrix(end.value.clone())));
            }
            let name = end.value.parse().map_err(|error| (end.spot, FileProblem::Name(error)))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The nodes called `names` with the regions of a file.
    pub(super) fn new(names: &[NodeName], document: &Document) -> Result<Self, Wrong> {
        let mut nodes = Self { names: names.to_vec(), regions: Vec::new() };
        for (region, members) in &document.regions.0 {
            if names.iter().any(|name| name.as_str() == region.value) {
                return Err((region.spot, FileProblem::RegionIsNode(region.value.clone())));
            }
            let mut inside = vec![false; names.len()];
            for member in &members.value {
                nodes.add_named(&mut inside, &member.value, member.spot)?;
            }
            nodes.regions.push((region.value.clone(), inside));
        }
        Ok(nodes)
    }

    /// Which nodes are meant; all of them when nothing is said.
    pub(super) fn meant(&self, ends: Option<&At<Ends>>) -> Result<Vec<bool>, Wrong> {
        let Some(ends) = ends else { return Ok(vec![true; self.names.len()]) };
        let mut meant = vec![false; self.names.len()];
        match &ends.value {
            Ends::One(text) => self.add(&mut meant, text, ends.spot)?,
            Ends::Several(texts) => texts.iter().try_for_each(|text| self.add(&mut meant, &text.value, text.spot))?,
        }
        Ok(meant)
    }

    /// The one node of that name.
    pub(super) fn named(&self, name: &At<String>) -> Result<NodeIndex, Wrong> {
        let place = self.names.iter().position(|known| known.as_str() == name.value);
        place.ok_or_else(|| (name.spot, FileProblem::UnknownNode(name.value.clone())))
    }

    fn add(&self, meant: &mut [bool], text: &str, spot: Spot) -> Result<(), Wrong> {
        let name = text.strip_prefix(REGION);
        let region = self.regions.iter().find(|(known, _)| known == name.unwrap_or(text));
        match (region, name) {
            (Some((_, inside)), _) => meant.iter_mut().zip(inside).for_each(|(meant, inside)| *meant |= inside),
            (None, Some(name)) => return Err((spot, FileProblem::UnknownRegion(name.to_owned()))),
            (None, None) => self.add_named(meant, text, spot)?,
        }
        Ok(())
    }

    fn add_named(&self, meant: &mut [bool], pattern: &str, spot: Spot) -> Result<(), Wrong> {
        let mut found = false;
        for (meant, name) in meant.iter_mut().zip(&self.names) {
            let fits = fits(pattern, name.as_str());
            found |= fits;
            *meant |= fits;
        }
        if found { Ok(()) } else { Err((spot, FileProblem::UnknownNode(pattern.to_owned()))) }
    }

    /// The delays between nodes by those between their regions, row-major; `None` where nothing is said. The way back is
    /// as long unless the file says otherwise.
    pub(super) fn delays(&self, delays: &At<RegionDelays>) -> Result<Vec<Option<Delay>>, Wrong> {
        let region = |name: &At<String>| {
            let place = self.regions.iter().position(|(known, _)| *known == name.value);
            place.ok_or_else(|| (name.spot, FileProblem::UnknownRegion(name.value.clone())))
        };
        let count = self.regions.len();
        let mut between: Vec<Option<Delay>> = vec![None; count * count];
        for (from, row) in &delays.value.0 {
            let from = region(from)?;
            for (to, delay) in &row.0 {
                between[from * count + region(to)?] = Some(delay.value.0);
            }
        }
        let homes = self.homes(delays.spot)?;
        let delay = |from: NodeIndex, to: NodeIndex| {
            let (from, to) = (homes[from]?, homes[to]?);
            between[from * count + to].or(between[to * count + from])
        };
        let nodes = 0..self.names.len();
        Ok(nodes.clone().flat_map(|from| nodes.clone().map(move |to| (from, to))).map(|(f, t)| delay(f, t)).collect())
    }

    /// The region of each node.
    fn homes(&self, spot: Spot) -> Result<Vec<Option<usize>>, Wrong> {
        let mut homes = vec![None; self.names.len()];
        for (region, (_, inside)) in self.regions.iter().enumerate() {
            for (node, _) in inside.iter().enumerate().filter(|(_, inside)| **inside) {
                if let Some(first) = homes[node].replace(region) {
                    let name: &(String, Vec<bool>) = &self.regions[first];
                    return Err((spot, FileProblem::InTwoRegions(self.names[node].clone(), name.0.clone())));
                }
            }
        }
        Ok(homes)
    }

    /// The matrix of a file that has none, by the delays between its regions.
    pub(super) fn matrix(&self, delays: &At<RegionDelays>) -> Result<DelayMatrix, Wrong> {
        let n = self.names.len();
        let known = self.delays(delays)?;
        let home = |node: NodeIndex| {
            let inside = self.regions.iter().find(|(_, inside)| inside[node]);
            inside.map_or_else(String::new, |(name, _)| name.clone())
        };
        let mut all = vec![Delay::ZERO; n * n];
        for (place, delay) in known.iter().enumerate().filter(|(place, _)| place / n != place % n) {
            let missing = || FileProblem::NoRegionDelay(home(place / n), home(place % n));
            all[place] = delay.ok_or_else(|| (delays.spot, missing()))?;
        }
        DelayMatrix::new(self.names.clone(), all).map_err(|error| (delays.spot, error.into()))
    }
}

/// Whether a name fits a pattern with at most one `*`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((head, tail)) => name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail),
    }
}
