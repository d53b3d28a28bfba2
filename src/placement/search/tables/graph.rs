//! [`Graph`]: the services of a problem as annealing sees them, and how those that talk much become one.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::sites::Sites;
use crate::placement::Problem;
use crate::placement::search::ground::Lots;
use crate::topology::NodeIndex;

/// Traffic with a peer, in kilobytes there and back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tie {
    pub(super) peer: u32,
    pub(super) there: f32,
    pub(super) back: f32,
}

/// Two that talk, and one over all traffic between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) ends: (u32, u32),
    pub(super) per_traffic: f32,
}

/// Services, what they ask for and whom they talk to.
#[derive(Debug)]
pub(in super::super) struct Graph {
    pub(super) services: usize,
    kinds: usize,
    /// Where each service's ties begin, and one more.
    first: Vec<u32>,
    ties: Vec<Tie>,
    /// The peer of each tie once more: trials need no more of it.
    peers: Vec<u32>,
    /// By service and resource.
    demand: Vec<i64>,
    /// Those with the same number may go to the same nodes.
    class: Vec<u32>,
    /// What a service costs on each node beside its ties, row by row: traffic with those that are not in the problem, and without end
    /// where it may not go. Empty where nothing of that kind is.
    pulls: Vec<f32>,
    /// Those whose place matters.
    pub(super) talkers: Vec<u32>,
    /// Kept from when they are first asked for.
    pairs: OnceLock<Vec<Pair>>,
}

#[allow(clippy::cast_possible_truncation)] // There are fewer than 2^32 services and links; seven digits of traffic are enough.
impl Graph {
    pub(in super::super) fn new(problem: &Problem, sites: &Sites) -> Self {
        let services = problem.services().len();
        let (mut first, mut ties) = (vec![0], Vec::new());
        for service in 0..services {
            let links = problem.links(service).iter();
            ties.extend(links.map(|link| Tie {
                peer: link.peer as u32,
                there: link.there as f32,
                back: link.back as f32,
            }));
            first.push(ties.len() as u32);
        }
        let whole = |asked: &u64| i64::try_from(*asked).unwrap_or(i64::MAX);
        let demand = (0..services).flat_map(|service| problem.demand(service)).map(whole).collect();
        let class = classes(problem);
        let is_bound = class.iter().any(|class| *class > 0);
        let is_pulled = (0..services).any(|service| problem.pulls(service).is_some());
        let mut pulls = vec![0.0; if is_bound || is_pulled { services * sites.width } else { 0 }];
        for (service, row) in pulls.chunks_exact_mut(sites.width).enumerate() {
            if let Some(own) = problem.pulls(service) {
                row.iter_mut().zip(own).for_each(|(pull, own)| *pull = *own as f32);
            }
            let may_not = (0..sites.count).filter(|node| !problem.allows(service, *node));
            may_not.for_each(|node| row[node] = f32::INFINITY);
        }
        Self::with((sites.kinds, demand), (first, ties), class, pulls)
    }

    fn with(
        (kinds, demand): (usize, Vec<i64>),
        (first, ties): (Vec<u32>, Vec<Tie>),
        class: Vec<u32>,
        pulls: Vec<f32>,
    ) -> Self {
        let services = class.len();
        let matters = |service: &u32| !pulls.is_empty() || first[*service as usize] < first[*service as usize + 1];
        let talkers = (0..services as u32).filter(matters).collect();
        let peers = ties.iter().map(|tie| tie.peer).collect();
        Self { services, kinds, first, ties, peers, demand, class, pulls, talkers, pairs: OnceLock::new() }
    }

    pub(super) fn ties(&self, service: u32) -> &[Tie] {
        &self.ties[self.first[service as usize] as usize..self.first[service as usize + 1] as usize]
    }

    /// All that talk to each other, each two once.
    pub(super) fn pairs(&self) -> &[Pair] {
        let pair = |one, tie: &Tie| Pair { ends: (one, tie.peer), per_traffic: 1.0 / (tie.there + tie.back) };
        let of = |one| self.ties(one).iter().filter(move |tie| tie.peer > one).map(move |tie| pair(one, tie));
        self.pairs.get_or_init(|| (0..self.services as u32).flat_map(of).collect())
    }

    /// One of a service's peers by a number below 2^`bits`; `None` of none.
    pub(super) fn peer(&self, service: u32, lot: usize, bits: u32) -> Option<u32> {
        let (first, end) = (self.first[service as usize] as usize, self.first[service as usize + 1] as usize);
        (first < end).then(|| self.peers[first + ((lot * (end - first)) >> bits)])
    }

    pub(super) fn demand(&self, service: u32) -> &[i64] {
        &self.demand[service as usize * self.kinds..(service as usize + 1) * self.kinds]
    }

    /// What all ask for, by service and resource.
    pub(super) fn demands(&self) -> &[i64] {
        &self.demand
    }

    pub(super) fn class(&self, service: u32) -> u32 {
        self.class[service as usize]
    }

    /// What services cost beside their ties; empty where that is nothing.
    pub(super) fn pulls(&self) -> &[f32] {
        &self.pulls
    }

    /// Whether a service may go to a node.
    pub(super) fn allows(&self, service: u32, node: u32) -> bool {
        let width = self.pulls.len() / self.services.max(1);
        self.pulls.get(service as usize * width + node as usize).is_none_or(|pull| pull.is_finite())
    }

    /// The graph whose services are so many parts, each of one class.
    pub(super) fn contracted(&self, part_of: &[u32], parts: usize) -> Self {
        let (begins, order) = by_part(part_of, parts);
        let (mut demand, mut class) = (vec![0i64; parts * self.kinds], vec![0; parts]);
        // One more than there can be, for what is written ahead.
        let none = Tie { peer: 0, there: 0.0, back: 0.0 };
        let (mut first, mut ties) = (Vec::with_capacity(parts + 1), vec![none; self.ties.len() + 1]);
        // Where the tie to another part is among the ties, if that is one of this part's.
        let (mut tie_to, mut next) = (vec![u32::MAX; parts], 0u32);
        for part in 0..parts {
            let begin = next;
            first.push(begin);
            for service in &order[begins[part]..begins[part + 1]] {
                class[part] = self.class(*service);
                let sums = &mut demand[part * self.kinds..(part + 1) * self.kinds];
                sums.iter_mut().zip(self.demand(*service)).for_each(|(sum, asked)| *sum = sum.saturating_add(*asked));
                for tie in self.ties(*service) {
                    // No branches, which nobody could guess: what may be new is written behind the last, and counts if it leads
                    // elsewhere.
                    let peer = part_of[tie.peer as usize];
                    let (known, is_own) = (tie_to[peer as usize], peer as usize == part);
                    let is_known = known.wrapping_sub(begin) < next - begin;
                    let place = if is_known { known } else { next };
                    tie_to[peer as usize] = if is_own { u32::MAX } else { place };
                    let sum = &mut ties[place as usize];
                    let (there, back) = if is_known { (sum.there, sum.back) } else { (0.0, 0.0) };
                    *sum = Tie { peer, there: there + tie.there, back: back + tie.back };
                    next += u32::from(!(is_known || is_own));
                }
            }
        }
        first.push(next);
        ties.truncate(next as usize);
        let width = self.pulls.len() / self.services.max(1);
        let mut pulls = vec![0.0; parts * width];
        if width > 0 {
            for (part, own) in part_of.iter().zip(self.pulls.chunks_exact(width)) {
                let sums = &mut pulls[*part as usize * width..(*part as usize + 1) * width];
                sums.iter_mut().zip(own).for_each(|(sum, pull)| *sum += *pull);
            }
        }
        Self::with((self.kinds, demand), (first, ties), class, pulls)
    }

    /// Which part each service is of, and how many there are, where pairs that talk are merged: those with the most traffic first, and
    /// by lot a little; only those on the same node; none that asks for more than `most`. `None` where that makes the graph hardly
    /// smaller.
    pub(super) fn paired(&self, at: &[u32], most: &[i64], lots: &mut Lots) -> Option<(Vec<u32>, usize)> {
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(self.ties.len() / 2);
        // The heaviest has the least key; sorting numbers is several times as fast as sorting pairs by their weights.
        let mut keys: Vec<u64> = Vec::with_capacity(self.ties.len() / 2);
        for one in 0..self.services as u32 {
            for tie in self.ties(one).iter().filter(|tie| tie.peer > one) {
                if at[one as usize] == at[tie.peer as usize] {
                    let weight = (tie.there + tie.back) * (0.5 + lots.unit() as f32);
                    keys.push((u64::from(!weight.to_bits()) << 32) | pairs.len() as u64);
                    pairs.push((one, tie.peer));
                }
            }
        }
        keys.sort_unstable();
        let (mut part_of, mut parts) = (vec![u32::MAX; self.services], 0);
        for key in keys {
            let (one, other) = pairs[(key & 0xFFFF_FFFF) as usize];
            let are_free = part_of[one as usize] == u32::MAX && part_of[other as usize] == u32::MAX;
            if are_free && self.class(one) == self.class(other) && self.is_within(one, other, most) {
                (part_of[one as usize], part_of[other as usize]) = (parts, parts);
                parts += 1;
            }
        }
        for part in part_of.iter_mut().filter(|part| **part == u32::MAX) {
            *part = parts;
            parts += 1;
        }
        let parts = parts as usize;
        (parts * 20 <= self.services * 19).then_some((part_of, parts))
    }

    fn is_within(&self, one: u32, other: u32, most: &[i64]) -> bool {
        let both = self.demand(one).iter().zip(self.demand(other)).map(|(one, other)| one.saturating_add(*other));
        both.zip(most).all(|(both, most)| both <= *most)
    }
}

/// Services by part: where each part begins, and one more.
#[allow(clippy::cast_possible_truncation)] // There are fewer than 2^32 services.
fn by_part(part_of: &[u32], parts: usize) -> (Vec<usize>, Vec<u32>) {
    let mut begins = vec![0; parts + 1];
    for part in part_of {
        begins[*part as usize + 1] += 1;
    }
    for part in 0..parts {
        begins[part + 1] += begins[part];
    }
    let (mut next, mut order) = (begins.clone(), vec![0; part_of.len()]);
    for (service, part) in part_of.iter().enumerate() {
        order[next[*part as usize]] = service as u32;
        next[*part as usize] += 1;
    }
    (begins, order)
}

/// A number for every service, the same for those that may go to the same nodes; 0 for those that may go anywhere.
#[allow(clippy::cast_possible_truncation)] // There are fewer than 2^32 services.
fn classes(problem: &Problem) -> Vec<u32> {
    let mut known: HashMap<&[NodeIndex], u32> = HashMap::new();
    let mut classes = Vec::with_capacity(problem.services().len());
    for service in problem.services() {
        let next = known.len() as u32 + 1;
        classes.push(service.allowed.as_deref().map_or(0, |allowed| *known.entry(allowed).or_insert(next)));
    }
    classes
}
