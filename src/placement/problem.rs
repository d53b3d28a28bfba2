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
    /// What it was made from; of a problem that was made from another one, what that was made from.
    draft: Arc<Draft>,
    /// What such a problem has instead of the draft's.
    own: Option<Own>,
    nodes: usize,
    kinds: usize,
    /// The links of service u are `links[starts[u]..starts[u + 1]]`, by peer.
    links: Vec<Link>,
    starts: Vec<usize>,
    delays: Arc<Delays>,
    /// By service and resource.
    demands: Vec<u64>,
    /// Capacity less what others use, by node and resource.
    free: Arc<[u64]>,
    /// Whether a service may run on a node, by service and node; empty where all may run everywhere.
    allowed: Vec<bool>,
    /// What a service's traffic with those that are not in the problem costs on each node, in kilobytes times milliseconds, by
    /// service and node; empty where everybody is in it.
    pulls: Vec<f64>,
}

/// Services and traffic that were made from those of another problem.
#[derive(Debug, Clone, PartialEq)]
struct Own {
    services: Vec<Service>,
    edges: Vec<Edge>,
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
        Self::of(there, back)
    }

    fn of(there: Vec<f64>, back: Vec<f64>) -> Self {
        let longest = there.iter().copied().fold(0.0, f64::max);
        Self { there, back, longest }
    }

    /// Between some of `count` nodes.
    fn between(&self, count: usize, nodes: &[NodeIndex]) -> Self {
        let pick = |delays: &[f64]| {
            let row = |node: NodeIndex| &delays[node * count..(node + 1) * count];
            nodes.iter().flat_map(|node| nodes.iter().map(|other| row(*node)[*other])).collect()
        };
        Self::of(pick(&self.there), pick(&self.back))
    }
}

impl Problem {
    /// Checks and builds a problem.
    pub fn new(draft: Draft) -> Result<Self, ProblemError> {
        super::check::check(&draft)?;
        let delays = Arc::new(Delays::new(&draft));
        let demands = draft.services.iter().flat_map(|service| service.demand.iter().copied()).collect();
        Ok(Self::built(Arc::new(draft), None, demands, None, delays))
    }

    /// Other services and traffic on the same nodes, made from those of this problem by who keeps to what was checked: it is not
    /// checked again. What they ask for is in `demands`, by service and resource, and need not be in the services; `pulls` is as in
    /// [`with_nodes`](Self::with_nodes). All else is shared: the search makes many such problems.
    pub(super) fn with_services(
        &self,
        services: Vec<Service>,
        demands: Vec<u64>,
        edges: Vec<Edge>,
        pulls: Vec<f64>,
    ) -> Self {
        let (draft, free, delays) = (Arc::clone(&self.draft), Arc::clone(&self.free), Arc::clone(&self.delays));
        Self { pulls, ..Self::built(draft, Some(Own { services, edges }), demands, Some(free), delays) }
    }

    /// The same on some of the nodes. What services send to and get from elsewhere costs what `pulls` says of each, by service and
    /// node, in kilobytes times milliseconds.
    pub(super) fn with_nodes(
        &self,
        nodes: &[NodeIndex],
        services: Vec<Service>,
        demands: Vec<u64>,
        edges: Vec<Edge>,
        pulls: Vec<f64>,
    ) -> Self {
        let draft = Draft {
            resources: self.draft.resources.clone(),
            hosts: nodes.iter().map(|node| self.draft.hosts[*node].clone()).collect(),
            weights: self.draft.weights,
            objective: self.draft.objective,
            ..Draft::default()
        };
        let delays = Arc::new(self.delays.between(self.nodes, nodes));
        Self { pulls, ..Self::built(Arc::new(draft), Some(Own { services, edges }), demands, None, delays) }
    }

    fn built(
        draft: Arc<Draft>,
        own: Option<Own>,
        demands: Vec<u64>,
        free: Option<Arc<[u64]>>,
        delays: Arc<Delays>,
    ) -> Self {
        let (services, edges) = own.as_ref().map_or((&draft.services, &draft.edges), |own| (&own.services, &own.edges));
        let (links, starts) = links(services.len(), edges, draft.weights);
        let allowed = allowed(services, draft.hosts.len());
        let free = free.unwrap_or_else(|| {
            let free = draft.hosts.iter().flat_map(|host| host.capacity.iter().zip(&host.used));
            free.map(|(capacity, used)| capacity.saturating_sub(*used)).collect()
        });
        let (nodes, kinds) = (draft.hosts.len(), draft.resources.len());
        Self { draft, own, nodes, kinds, links, starts, delays, demands, free, allowed, pulls: Vec::new() }
    }

    /// The same with another objective.
    #[must_use]
    pub fn with_objective(mut self, objective: Objective) -> Self {
        Arc::make_mut(&mut self.draft).objective = objective;
        self
    }

    /// What it was made from. Problems that the search makes from another one have that one's, or, on some of its nodes, one without
    /// services: what these have of their own is in [`services`](Self::services) and [`edges`](Self::edges).
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
        self.own.as_ref().map_or(&self.draft.services, |own| &own.services)
    }

    /// Who talks to whom, as given.
    pub fn edges(&self) -> &[Edge] {
        self.own.as_ref().map_or(&self.draft.edges, |own| &own.edges)
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
        self.delays.there[from * self.nodes + to]
    }

    /// The longest one-way delay in milliseconds.
    pub fn longest_delay_ms(&self) -> f64 {
        self.delays.longest
    }

    /// The one-way delays from a node to every node, in milliseconds.
    pub fn delays_from(&self, node: NodeIndex) -> &[f64] {
        &self.delays.there[node * self.nodes..(node + 1) * self.nodes]
    }

    /// The one-way delays from every node to a node, in milliseconds.
    pub fn delays_to(&self, node: NodeIndex) -> &[f64] {
        &self.delays.back[node * self.nodes..(node + 1) * self.nodes]
    }

    /// What a service asks for, by resource.
    pub fn demand(&self, service: ServiceIndex) -> &[u64] {
        &self.demands[service * self.kinds..(service + 1) * self.kinds]
    }

    /// What a node has for the services of the problem, by resource.
    pub fn free(&self, node: NodeIndex) -> &[u64] {
        &self.free[node * self.kinds..(node + 1) * self.kinds]
    }

    /// Whether a service may run on a node, room aside.
    pub fn allows(&self, service: ServiceIndex, node: NodeIndex) -> bool {
        self.allowed.is_empty() || self.allowed[service * self.nodes + node]
    }

    /// The nodes that a service may run on, room aside.
    pub fn allowed_nodes(&self, service: ServiceIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        (0..self.nodes).filter(move |node| self.allows(service, *node))
    }

    /// The node that a service is pinned to.
    pub fn pinned(&self, service: ServiceIndex) -> Option<NodeIndex> {
        match self.services()[service].allowed.as_deref() {
            Some([node]) => Some(*node),
            _ => None,
        }
    }

    /// Whether a service that runs already would have to move to be on that node.
    pub fn is_moved(&self, service: ServiceIndex, node: NodeIndex) -> bool {
        self.services()[service].current.is_some_and(|current| current != node)
    }

    /// Where everything runs now; `None` if one service is new.
    pub fn current(&self) -> Option<Placement> {
        self.services().iter().map(|service| service.current).collect::<Option<Vec<_>>>().map(Placement::new)
    }

    /// What a service's traffic with those that are not in the problem costs, by the node that it is on, in kilobytes times
    /// milliseconds; `None` where everybody is in it, as in all problems but those that the search cuts out of others.
    pub(super) fn pulls(&self, service: ServiceIndex) -> Option<&[f64]> {
        (!self.pulls.is_empty()).then(|| &self.pulls[service * self.nodes..(service + 1) * self.nodes])
    }

    /// The traffic cost of a link for a service on `node` whose peer is on `other`, in kilobytes times milliseconds.
    pub fn link_cost(&self, link: &Link, node: NodeIndex, other: NodeIndex) -> f64 {
        link.there * self.delay_ms(node, other) + link.back * self.delay_ms(other, node)
    }
}

/// Every service's links, one for each peer, and where each one's begin.
fn links(services: usize, edges: &[Edge], weights: Weights) -> (Vec<Link>, Vec<usize>) {
    let (mut unmerged, places) = unmerged(services, edges, weights);
    let mut starts = Vec::with_capacity(places.len());
    starts.push(0);
    let mut links: Vec<Link> = Vec::with_capacity(unmerged.len());
    for service in 0..services {
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
fn unmerged(services: usize, edges: &[Edge], weights: Weights) -> (Vec<Link>, Vec<usize>) {
    let kilobytes = |bytes: u64| bytes as f64 / 1000.0;
    let both = |edge: &Edge| (kilobytes(edge.request) * weights.request, kilobytes(edge.response) * weights.response);
    let flows = |(there, back): (f64, f64)| there > 0.0 || back > 0.0;
    // First where the links of each service end, and, filled in from there on, where they begin.
    let mut places = vec![0; services + 1];
    for edge in edges.iter().filter(|edge| flows(both(edge))) {
        places[edge.from] += 1;
        places[edge.to] += 1;
    }
    let mut sum = 0;
    for place in &mut places {
        sum += *place;
        *place = sum;
    }
    let mut links = vec![Link { peer: 0, there: 0.0, back: 0.0 }; sum];
    for edge in edges.iter().rev() {
        let (there, back) = both(edge);
        if flows((there, back)) {
            for (service, link) in [
                (edge.to, Link { peer: edge.from, there: back, back: there }),
                (edge.from, Link { peer: edge.to, there, back }),
            ] {
                places[service] -= 1;
                links[places[service]] = link;
            }
        }
    }
    (links, places)
}

fn allowed(services: &[Service], nodes: usize) -> Vec<bool> {
    if services.iter().all(|service| service.allowed.is_none()) {
        return Vec::new();
    }
    let row = |service: &Service| {
        let mut row = vec![service.allowed.is_none(); nodes];
        service.allowed.iter().flatten().for_each(|node| row[*node] = true);
        row
    };
    services.iter().flat_map(row).collect()
}
