//! [`Problem`]: services with traffic and demands, nodes with delays and capacities; checked once, read by all policies.

use std::sync::Arc;

use crate::topology::{NodeIndex, NodeName};
use crate::units::Delay;

use super::{Objective, Placement, ProblemError};

/// A service's place in every list of services, from 0.
pub type ServiceIndex = usize;

/// The most services that a problem may have.
pub const MAX_SERVICES: usize = 100_000;

/// What nodes have and services ask for, such as processor time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What users call it.
    pub name: String,
    /// How much of it counts as one when overloads of several resources are added up: 1000 for cpu in thousandths of a core.
    pub unit: u64,
}

/// Something that runs on one node. All instances of a service count as one, as in paper 001.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What users call it.
    pub name: String,
    /// What it asks for, by resource.
    pub demand: Vec<u64>,
    /// The nodes that it may run on; `None` for any. One node alone pins it.
    pub allowed: Option<Vec<NodeIndex>>,
    /// Where it runs now; `None` for a service that is new.
    pub current: Option<NodeIndex>,
    /// Which services belong together, for policies that score by group (G(p) of paper 003).
    pub group: u32,
}

/// Where services run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What users call it.
    pub name: NodeName,
    /// What it has, by resource, used or not.
    pub capacity: Vec<u64>,
    /// What is used by others than the services of the problem. What these use where they run now is not in it: counted
    /// twice, staying in place would look like an overload.
    pub used: Vec<u64>,
}

/// What flows between two services within the window: requests one way, responses the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Who asks: the upstream service.
    pub from: ServiceIndex,
    /// Who answers: the downstream service.
    pub to: ServiceIndex,
    /// Bytes of requests.
    pub request: u64,
    /// Bytes of responses.
    pub response: u64,
}

/// How much the two directions of an edge count (`wf` and `wb`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of requests times the delay there.
    pub request: f64,
    /// Of responses times the delay back.
    pub response: f64,
}

impl Default for Weights {
    /// One half each: with equal delays of both ways this is equation (1) over the stress of equation (3) of paper 001.
    fn default() -> Self {
        Self { request: 0.5, response: 0.5 }
    }
}

/// What a problem is made from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draft {
    /// What capacities and demands are of, in the order of their lists.
    pub resources: Vec<Resource>,
    /// The nodes.
    pub hosts: Vec<Host>,
    /// The services.
    pub services: Vec<Service>,
    /// Who talks to whom. Two edges between the same services add up.
    pub edges: Vec<Edge>,
    /// One-way delays, row by row: `delays[from * hosts + to]`.
    pub delays: Vec<Delay>,
    /// How the directions count.
    pub weights: Weights,
    /// What else counts.
    pub objective: Objective,
}

/// The traffic between a service and one that it talks to, both edges and all weights taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// The other one.
    pub peer: ServiceIndex,
    /// Weighted kilobytes from this service to the peer.
    pub there: f64,
    /// Weighted kilobytes from the peer to this service.
    pub back: f64,
}

/// A placement problem that cannot be wrong once it exists. Everything is by index.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    draft: Draft,
    /// The links of service u are `links[starts[u]..starts[u + 1]]`, by peer.
    links: Vec<Link>,
    starts: Vec<usize>,
    delays: Arc<Delays>,
    /// By service and resource.
    demands: Vec<u64>,
    /// Capacity less what others use, by node and resource.
    free: Vec<u64>,
    /// Whether a service may run on a node, by service and node; empty where all may run everywhere.
    allowed: Vec<bool>,
}

/// One-way delays in milliseconds.
#[derive(Debug, PartialEq)]
struct Delays {
    /// Row by row, and the same by column: scans over all nodes then run along memory.
    there: Vec<f64>,
    back: Vec<f64>,
    longest: f64,
}

impl Delays {
    fn new(draft: &Draft) -> Self {
        let nodes = draft.hosts.len();
        let there: Vec<f64> = draft.delays.iter().map(|delay| delay.as_millis_f64()).collect();
        let back = (0..nodes * nodes).map(|place| there[place % nodes * nodes + place / nodes]).collect();
        let longest = there.iter().copied().fold(0.0, f64::max);
        Self { there, back, longest }
    }
}

impl Problem {
    /// Checks and builds a problem.
    pub fn new(draft: Draft) -> Result<Self, ProblemError> {
        super::check::check(&draft)?;
        let delays = Arc::new(Delays::new(&draft));
        Ok(Self::built(draft, delays))
    }

    /// Other services and traffic on the same nodes, made from those of this problem by who keeps to what was checked: it is not
    /// checked again. The delays are shared, as there may be millions; the draft has none.
    pub(super) fn with_services(&self, services: Vec<Service>, edges: Vec<Edge>) -> Self {
        let draft = Draft {
            resources: self.draft.resources.clone(),
            hosts: self.draft.hosts.clone(),
            services,
            edges,
            delays: Vec::new(),
            weights: self.draft.weights,
            objective: self.draft.objective,
        };
        Self::built(draft, Arc::clone(&self.delays))
    }

    fn built(draft: Draft, delays: Arc<Delays>) -> Self {
        let (links, starts) = links(&draft);
        let free = draft.hosts.iter().flat_map(|host| host.capacity.iter().zip(&host.used));
        let free = free.map(|(capacity, used)| capacity.saturating_sub(*used)).collect();
        let demands = draft.services.iter().flat_map(|service| service.demand.iter().copied()).collect();
        let allowed = allowed(&draft);
        Self { draft, links, starts, delays, demands, free, allowed }
    }

    /// The same with another objective.
    #[must_use]
    pub fn with_objective(mut self, objective: Objective) -> Self {
        self.draft.objective = objective;
        self
    }

    /// What it was made from.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// What capacities and demands are of.
    pub fn resources(&self) -> &[Resource] {
        &self.draft.resources
    }

    /// The nodes.
    pub fn hosts(&self) -> &[Host] {
        &self.draft.hosts
    }

    /// The services.
    pub fn services(&self) -> &[Service] {
        &self.draft.services
    }

    /// Who talks to whom, as given.
    pub fn edges(&self) -> &[Edge] {
        &self.draft.edges
    }

    /// What counts besides traffic.
    pub fn objective(&self) -> &Objective {
        &self.draft.objective
    }

    /// Those that a service talks to, by index.
    pub fn links(&self, service: ServiceIndex) -> &[Link] {
        &self.links[self.starts[service]..self.starts[service + 1]]
    }

    /// The one-way delay in milliseconds.
    pub fn delay_ms(&self, from: NodeIndex, to: NodeIndex) -> f64 {
        self.delays.there[from * self.draft.hosts.len() + to]
    }

    /// The longest one-way delay in milliseconds.
    pub fn longest_delay_ms(&self) -> f64 {
        self.delays.longest
    }

    /// The one-way delays from a node to every node, in milliseconds.
    pub fn delays_from(&self, node: NodeIndex) -> &[f64] {
        let nodes = self.draft.hosts.len();
        &self.delays.there[node * nodes..(node + 1) * nodes]
    }

    /// The one-way delays from every node to a node, in milliseconds.
    pub fn delays_to(&self, node: NodeIndex) -> &[f64] {
        let nodes = self.draft.hosts.len();
        &self.delays.back[node * nodes..(node + 1) * nodes]
    }

    /// What a service asks for, by resource.
    pub fn demand(&self, service: ServiceIndex) -> &[u64] {
        let resources = self.draft.resources.len();
        &self.demands[service * resources..(service + 1) * resources]
    }

    /// What a node has for the services of the problem, by resource.
    pub fn free(&self, node: NodeIndex) -> &[u64] {
        let resources = self.draft.resources.len();
        &self.free[node * resources..(node + 1) * resources]
    }

    /// Whether a service may run on a node, room aside.
    pub fn allows(&self, service: ServiceIndex, node: NodeIndex) -> bool {
        self.allowed.is_empty() || self.allowed[service * self.draft.hosts.len() + node]
    }

    /// The nodes that a service may run on, room aside.
    pub fn allowed_nodes(&self, service: ServiceIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        (0..self.draft.hosts.len()).filter(move |node| self.allows(service, *node))
    }

    /// The node that a service is pinned to.
    pub fn pinned(&self, service: ServiceIndex) -> Option<NodeIndex> {
        match self.draft.services[service].allowed.as_deref() {
            Some([node]) => Some(*node),
            _ => None,
        }
    }

    /// Whether a service that runs already would have to move to be on that node.
    pub fn is_moved(&self, service: ServiceIndex, node: NodeIndex) -> bool {
        self.draft.services[service].current.is_some_and(|current| current != node)
    }

    /// Where everything runs now; `None` if one service is new.
    pub fn current(&self) -> Option<Placement> {
        self.draft.services.iter().map(|service| service.current).collect::<Option<Vec<_>>>().map(Placement::new)
    }

    /// The traffic cost of a link for a service on `node` whose peer is on `other`, in kilobytes times milliseconds.
    pub fn link_cost(&self, link: &Link, node: NodeIndex, other: NodeIndex) -> f64 {
        link.there * self.delay_ms(node, other) + link.back * self.delay_ms(other, node)
    }
}

/// Every service's links, one for each peer, and where each one's begin.
fn links(draft: &Draft) -> (Vec<Link>, Vec<usize>) {
    let (mut unmerged, places) = unmerged(draft);
    let mut starts = Vec::with_capacity(places.len());
    starts.push(0);
    let mut links: Vec<Link> = Vec::with_capacity(unmerged.len());
    for service in 0..draft.services.len() {
        let own = &mut unmerged[places[service]..places[service + 1]];
        own.sort_by_key(|link| link.peer);
        let first = links.len();
        for link in own {
            match links[first..].last_mut().filter(|last| last.peer == link.peer) {
                Some(last) => {
                    last.there += link.there;
                    last.back += link.back;
                }
                None => links.push(*link),
            }
        }
        starts.push(links.len());
    }
    (links, starts)
}

/// A link at both ends of every edge with traffic, by service and then in the order of the edges, and where each service's begin.
fn unmerged(draft: &Draft) -> (Vec<Link>, Vec<usize>) {
    let kilobytes = |bytes: u64| bytes as f64 / 1000.0;
    let both = |edge: &Edge| {
        let there = kilobytes(edge.request) * draft.weights.request;
        let back = kilobytes(edge.response) * draft.weights.response;
        let ends = [(edge.from, edge.to, there, back), (edge.to, edge.from, back, there)];
        ends.map(|(service, peer, there, back)| (service, Link { peer, there, back }))
    };
    let all = draft.edges.iter().flat_map(both).filter(|(_, link)| link.there > 0.0 || link.back > 0.0);
    let all: Vec<(ServiceIndex, Link)> = all.collect();
    // First where the links of each service end, and, filled in from there on, where they begin.
    let mut places = vec![0; draft.services.len() + 1];
    for (service, _) in &all {
        places[*service] += 1;
    }
    let mut sum = 0;
    for place in &mut places {
        sum += *place;
        *place = sum;
    }
    let mut links = vec![Link { peer: 0, there: 0.0, back: 0.0 }; sum];
    for (service, link) in all.into_iter().rev() {
        places[service] -= 1;
        links[places[service]] = link;
    }
    (links, places)
}

fn allowed(draft: &Draft) -> Vec<bool> {
    if draft.services.iter().all(|service| service.allowed.is_none()) {
        return Vec::new();
    }
    let row = |service: &Service| {
        let mut row = vec![service.allowed.is_none(); draft.hosts.len()];
        service.allowed.iter().flatten().for_each(|node| row[*node] = true);
        row
    };
    draft.services.iter().flat_map(row).collect()
}
