//! [`Tableau`]: a placement, and what each service would cost on every node.

use super::graph::Graph;
use super::sites::{Rows, Sites, VECTOR};
use crate::placement::Placement;
use crate::placement::search::ground::Lots;

/// A placement with its table of costs: what a service costs anywhere is looked up, and moving it changes its peers' rows.
#[derive(Debug, Clone)]
pub(in super::super) struct Tableau<'a> {
    pub(super) graph: &'a Graph,
    pub(super) sites: &'a Sites,
    /// The node of every service.
    pub(super) at: Vec<u32>,
    /// What each service's ties cost were it on a node, row by row.
    table: Vec<f32>,
    /// What is left, by node and resource: less than nothing where a node is overloaded.
    room: Vec<i64>,
    members: Vec<Vec<u32>>,
    /// Where each service is in the list of its node.
    place: Vec<u32>,
    /// What all traffic costs, kept up to date by differences.
    pub(in super::super) total: f64,
    /// How delays change by a move: kept, as it is needed for every move.
    change: (Vec<f32>, Vec<f32>),
}

#[allow(clippy::cast_possible_truncation)] // There are fewer than 2^32 services and nodes.
impl<'a> Tableau<'a> {
    pub(super) fn new(graph: &'a Graph, sites: &'a Sites, at: Vec<u32>) -> Self {
        let width = sites.width;
        let mut table = graph.pulls().to_vec();
        table.resize(graph.services * width, 0.0);
        let mut twice = 0.0;
        for (service, row) in (0u32..).zip(table.chunks_exact_mut(width)) {
            let home = at[service as usize] as usize;
            // A pull is paid once, a tie by both of its ends.
            twice += f64::from(row[home]);
            for tie in graph.ties(service) {
                add(row, (tie.there, tie.back), sites.rows(at[tie.peer as usize]));
            }
            twice += f64::from(row[home]);
        }
        let mut room = sites.free.clone();
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); sites.count];
        let mut place = Vec::with_capacity(graph.services);
        for (service, node) in (0u32..).zip(&at) {
            let here = *node as usize * sites.kinds;
            let left = room[here..here + sites.kinds].iter_mut();
            left.zip(graph.demand(service)).for_each(|(left, asked)| *left = left.saturating_sub(*asked));
            place.push(members[*node as usize].len() as u32);
            members[*node as usize].push(service);
        }
        let change = (vec![0.0; width], vec![0.0; width]);
        Self { graph, sites, at, table, room, members, place, total: twice / 2.0, change }
    }

    pub(in super::super) fn placement(&self) -> Placement {
        Placement::new(self.at.iter().map(|node| *node as usize).collect())
    }

    /// What a service costs on a node, in kilobytes times milliseconds.
    pub(super) fn cost(&self, service: u32, node: u32) -> f32 {
        self.table[service as usize * self.sites.width + node as usize]
    }

    /// What a service costs on every node.
    pub(super) fn row(&self, service: u32) -> &[f32] {
        let begin = service as usize * self.sites.width;
        &self.table[begin..begin + self.sites.count]
    }

    /// Whether a node has room for a service.
    pub(super) fn has_room(&self, node: u32, service: u32) -> bool {
        self.left(node).iter().zip(self.graph.demand(service)).all(|(left, asked)| asked <= left)
    }

    /// Whether a node has room for a service in exchange for another.
    pub(super) fn has_room_for(&self, node: u32, joins: u32, leaves: u32) -> bool {
        let more = self.graph.demand(joins).iter().zip(self.graph.demand(leaves)).map(|(joins, leaves)| joins - leaves);
        self.left(node).iter().zip(more).all(|(left, more)| more <= *left)
    }

    /// What is left on a node, by resource.
    pub(super) fn left(&self, node: u32) -> &[i64] {
        &self.room[node as usize * self.sites.kinds..(node as usize + 1) * self.sites.kinds]
    }

    /// The services on a node, parted in two by a number below 2^32.
    pub(super) fn members(&self, node: u32, lot: u64) -> (&[u32], &[u32]) {
        let members = &self.members[node as usize];
        members.split_at(((lot * members.len() as u64) >> 32) as usize)
    }

    /// Whether no node is overloaded.
    pub(super) fn fits(&self) -> bool {
        self.room.iter().all(|left| *left >= 0)
    }

    /// How much it costs, where it costs more, to take a service to any node, in the mean over some.
    pub(super) fn typical(&self, lots: &mut Lots) -> f64 {
        let talkers = &self.graph.talkers;
        let (mut sum, mut worse) = (0.0, 0.0f64);
        for _ in 0..64 {
            let Some(service) = talkers.get(lots.below(talkers.len())) else { break };
            let to = lots.below(self.sites.count) as u32;
            let gained = f64::from(self.cost(*service, to) - self.cost(*service, self.at[*service as usize]));
            if gained > 0.0 && gained.is_finite() {
                (sum, worse) = (sum + gained, worse + 1.0);
            }
        }
        sum / worse.max(1.0)
    }

    /// Moves a service, and changes the rows of its peers.
    pub(super) fn shift(&mut self, service: u32, to: u32) {
        let home = self.at[service as usize];
        self.total += f64::from(self.cost(service, to) - self.cost(service, home));
        let (before, after) = (self.sites.rows(home), self.sites.rows(to));
        let differ = |change: &mut [f32], before: &[f32], after: &[f32]| {
            change
                .iter_mut()
                .zip(before.iter().zip(after))
                .for_each(|(change, (before, after))| *change = after - before);
        };
        differ(&mut self.change.0, before.to, after.to);
        differ(&mut self.change.1, before.from, after.from);
        let change = Rows { to: &self.change.0, from: &self.change.1 };
        for tie in self.graph.ties(service) {
            let begin = tie.peer as usize * self.sites.width;
            // What goes there from the one comes back from the other.
            add(&mut self.table[begin..begin + self.sites.width], (tie.back, tie.there), change);
        }
        let kinds = self.sites.kinds;
        for (kind, asked) in self.graph.demand(service).iter().enumerate() {
            let (left, joined) = (home as usize * kinds + kind, to as usize * kinds + kind);
            self.room[left] = self.room[left].saturating_add(*asked);
            self.room[joined] = self.room[joined].saturating_sub(*asked);
        }
        let place = self.place[service as usize];
        let members = &mut self.members[home as usize];
        members.swap_remove(place as usize);
        if let Some(last) = members.get(place as usize) {
            self.place[*last as usize] = place;
        }
        self.place[service as usize] = self.members[to as usize].len() as u32;
        self.members[to as usize].push(service);
        self.at[service as usize] = to;
    }
}

/// Adds traffic times delays to a row: what goes there from every node to the peer's, and back.
fn add(row: &mut [f32], (there, back): (f32, f32), rows: Rows<'_>) {
    let (to, from) = (rows.to.as_chunks::<VECTOR>().0, rows.from.as_chunks::<VECTOR>().0);
    for (sums, (to, from)) in row.as_chunks_mut::<VECTOR>().0.iter_mut().zip(to.iter().zip(from)) {
        for (sum, (to, from)) in sums.iter_mut().zip(to.iter().zip(from)) {
            *sum += there * to + back * from;
        }
    }
}
