//! The search on tables of costs, for problems with few nodes: regions, and the nodes of one region.
//!
//! What every service would cost on every node is kept in a table ([`tableau`]), so that a trial of annealing ([`anneal`]) is a few
//! numbers looked up, or all of a row ([`gibbs`]), and merging services ([`graph`], [`growth`], [`levels`], [`agree`]) touches nothing
//! but plain arrays. Rows are as long as there are nodes and change with every move of a peer, which is why this is for few nodes.
//! Capacities are kept to and moves have no price here; for all else there is [`anneal`](super::anneal) on the problem itself.

mod agree;
mod anneal;
mod cycles;
mod evolve;
mod gibbs;
mod graph;
mod growth;
mod levels;
mod parts;
mod sites;
mod tableau;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation)] // Few services and nodes.
mod tests;

pub(super) use agree::agreed;
pub(super) use evolve::{Evolution, evolved};
pub(super) use graph::Graph;
pub(super) use growth::{Growth, grown};
pub(super) use sites::Sites;

use rayon::prelude::*;

use super::ground::Lots;

/// Does something so many times, each with a number and draws of its own, at once where it is more than one: what is done does not
/// depend on how many processors there are.
pub(super) fn at_once<T: Send>(count: usize, lots: &mut Lots, work: impl Fn(usize, &mut Lots) -> T + Sync) -> Vec<T> {
    let seeds: Vec<(usize, u64)> = (0..count).map(|lane| (lane, lots.word())).collect();
    let work = |(lane, seed): (usize, u64)| work(lane, &mut Lots::new(seed));
    if count == 1 { seeds.into_iter().map(work).collect() } else { seeds.into_par_iter().map(work).collect() }
}
