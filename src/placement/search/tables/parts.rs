//! Recombining on tables: where two placements differ, services that talk and differ are a part, and each part is taken from the
//! better one; the same as [`recombine`](super::super::recombine).

use super::graph::Graph;
use super::tableau::Tableau;

/// By which part of all a part has to be better: less is rounding.
const GAIN: f64 = 1e-9;

/// `best` with every part of what `found` has otherwise than `base` that makes it better; or, where that is better, `found` with
/// parts as in `base`.
pub(super) fn recombine<'a>(best: &mut Tableau<'a>, base: &[u32], mut found: Tableau<'a>) {
    let parts = parts(best.graph, base, &found.at);
    if parts.is_empty() {
        return;
    }
    let (mut forth, at) = (best.clone(), found.at.clone());
    take(&mut forth, &parts, &at);
    take(&mut found, &parts, base);
    let better = if found.total < forth.total { found } else { forth };
    if better.total < best.total {
        *best = better;
    }
}

/// Services that are elsewhere in `other` than in `one`, those that talk to each other together.
fn parts(graph: &Graph, one: &[u32], other: &[u32]) -> Vec<Vec<u32>> {
    let mut differs: Vec<bool> = one.iter().zip(other).map(|(one, other)| one != other).collect();
    let mut parts = Vec::new();
    for first in (0u32..).take(differs.len()) {
        if std::mem::take(&mut differs[first as usize]) {
            let (mut part, mut next) = (vec![first], 0);
            while let Some(service) = part.get(next).copied() {
                next += 1;
                for tie in graph.ties(service) {
                    if std::mem::take(&mut differs[tie.peer as usize]) {
                        part.push(tie.peer);
                    }
                }
            }
            parts.push(part);
        }
    }
    parts
}

/// Takes every part that is better from another placement; those that found no room are tried again after others.
fn take(tableau: &mut Tableau<'_>, parts: &[Vec<u32>], from: &[u32]) {
    let mut left: Vec<&Vec<u32>> = parts.iter().collect();
    let mut homes = Vec::new();
    loop {
        let before = left.len();
        left.retain(|part| {
            homes.clear();
            homes.extend(part.iter().map(|service| tableau.at[*service as usize]));
            let total = tableau.total;
            go(tableau, part.iter().map(|service| (*service, from[*service as usize])));
            let is_better = tableau.total < total - GAIN * total.abs() && tableau.fits();
            if !is_better {
                go(tableau, part.iter().copied().zip(homes.iter().copied()));
                tableau.total = total;
            }
            !is_better
        });
        if left.is_empty() || left.len() == before {
            return;
        }
    }
}

fn go(tableau: &mut Tableau<'_>, moves: impl Iterator<Item = (u32, u32)>) {
    for (service, to) in moves {
        if tableau.at[service as usize] != to {
            tableau.shift(service, to);
        }
    }
}
