//! Logs of `ping` and `fping`: the median round trip of each pair, split to a matrix.

mod log;
mod problem;

pub use problem::PingProblem;

use std::collections::BTreeMap;

use super::addresses::AddressList;
use super::csv::half;
use super::delay_matrix::{DelayMatrix, MAX_NODES};
use super::error::{Place, Problem, ReadError};
use super::read::{ReadOptions, decode};
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Rtt};
use log::Target;

/// A log and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingLog {
    /// The node that pinged.
    pub from: NodeName,
    /// The node that was pinged, where the log has only one; otherwise its targets are nodes' names or addresses.
    pub to: Option<NodeName>,
    /// What errors call the file.
    pub file: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Makes a matrix of logs: half of the median round trip each way. A pair that only one end measured has the halves of that
/// for both ways. Lost probes are counted in the comments.
pub fn parse_pings(logs: &[PingLog], addresses: &AddressList, options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    let mut pairs = Pairs::default();
    for log in logs {
        for name in std::iter::once(&log.from).chain(&log.to) {
            pairs.place(name);
        }
    }
    for log in logs {
        let fail = |line, problem: PingProblem| ReadError::new(&log.file, place(line), problem);
        if options.split_rtt.is_none() {
            return Err(fail(0, PingProblem::SplitNeeded));
        }
        let text = decode(&log.bytes).map_err(|problem| ReadError::new(&log.file, Place::File, problem))?;
        let targets = log::read(text).map_err(|(line, problem)| ReadError::new(&log.file, place(line), problem))?;
        pairs.add(log, &targets, addresses).map_err(|(line, problem)| fail(line, problem))?;
    }
    let file = logs.first().map_or("<none>", |log| &log.file);
    let fail = |problem: Problem| ReadError::new(file, Place::File, problem);
    if pairs.names.len() > MAX_NODES {
        return Err(fail(Problem::TooManyNodes));
    }
    let (delays, comments) = pairs.delays().map_err(|problem| fail(problem.into()))?;
    let mut matrix = DelayMatrix::new(pairs.names, delays).map_err(|error| fail(error.into()))?;
    matrix.metadata.comments = comments;
    Ok(matrix)
}

fn place(line: u64) -> Place {
    if line == 0 { Place::File } else { Place::Line(line) }
}

/// What all logs together say.
#[derive(Default)]
struct Pairs {
    names: Vec<NodeName>,
    /// The median round trip, probes lost and probes sent of each measured pair.
    measured: BTreeMap<(NodeIndex, NodeIndex), (Rtt, u64, u64)>,
}

impl Pairs {
    fn place(&mut self, name: &NodeName) -> NodeIndex {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.clone());
            self.names.len() - 1
        })
    }

    fn add(&mut self, log: &PingLog, targets: &[Target], addresses: &AddressList) -> Result<(), (u64, PingProblem)> {
        if log.to.is_some() && targets.len() > 1 {
            return Err((targets[1].line, PingProblem::TwoTargets(targets[1].text.clone())));
        }
        let from = self.place(&log.from);
        for target in targets {
            let to = match &log.to {
                Some(name) => self.place(name),
                None => self.resolve(target, addresses)?,
            };
            if from == to {
                continue;
            }
            let median = target.median().ok_or((target.line, PingProblem::NoReply(target.text.clone())))?;
            let measured = (median, target.lost(), target.sent());
            if self.measured.insert((from, to), measured).is_some() {
                let (from, to) = (self.names[from].clone(), self.names[to].clone());
                return Err((target.line, PingProblem::PairTwice { from, to }));
            }
        }
        Ok(())
    }

    fn resolve(&mut self, target: &Target, addresses: &AddressList) -> Result<NodeIndex, (u64, PingProblem)> {
        if let Some(place) = self.names.iter().position(|name| name.as_str() == target.text) {
            return Ok(place);
        }
        let listed = addresses.entries().iter().map(|(name, _)| name).find(|name| name.as_str() == target.text);
        let name = listed.or_else(|| target.address.and_then(|address| addresses.name_of(address)));
        let name = name.cloned().ok_or_else(|| (target.line, PingProblem::Stranger(target.text.clone())))?;
        Ok(self.place(&name))
    }

    fn delays(&self) -> Result<(Vec<Delay>, Vec<String>), PingProblem> {
        let n = self.names.len();
        let (mut delays, mut comments) = (Vec::with_capacity(n * n), Vec::new());
        for (from, to) in (0..n).flat_map(|from| (0..n).map(move |to| (from, to))) {
            if from == to {
                delays.push(Delay::ZERO);
                continue;
            }
            let (from_name, to_name) = (&self.names[from], &self.names[to]);
            let here = self.measured.get(&(from, to));
            if here.is_none() {
                comments.push(format!("not measured from {from_name} to {to_name}: taken from the way back"));
            }
            let Some((rtt, lost, sent)) = here.or_else(|| self.measured.get(&(to, from))) else {
                return Err(PingProblem::NotMeasured { from: from_name.clone(), to: to_name.clone() });
            };
            if here.is_some() && *lost > 0 {
                comments.push(format!("lost from {from_name} to {to_name}: {lost} of {sent}"));
            }
            delays.push(half(*rtt, from < to));
        }
        comments.insert(0, "median round trips of ping, half of each one way".to_owned());
        Ok((delays, comments))
    }
}

#[cfg(test)]
mod tests;
