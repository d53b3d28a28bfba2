//! What makes a [`Draft`] no problem.

use super::problem::{Draft, MAX_SERVICES};

/// Why a draft is no problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemError {
    /// There is nowhere to run.
    #[error("there is no node to place services on")]
    NoNodes,
    /// Too many services.
    #[error("at most {MAX_SERVICES} services can be placed, these are {0}")]
    TooManyServices(usize),
    /// The delays are not those of the nodes.
    #[error("{nodes} nodes need {} delays, there are {delays}", nodes * nodes)]
    Delays {
        /// How many nodes there are.
        nodes: usize,
        /// How many delays there are.
        delays: usize,
    },
    /// A list of capacities or demands is not as long as that of the resources.
    #[error("`{name}` has {found} quantities for {wanted} resources")]
    Quantities {
        /// The node or service.
        name: String,
        /// How many there are.
        found: usize,
        /// How many there are resources.
        wanted: usize,
    },
    /// A number stands for no service or node.
    #[error("`{name}` speaks of {what} number {index}, and there are {count}")]
    Index {
        /// Who does.
        name: String,
        /// Of what.
        what: &'static str,
        /// The number.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A service may run nowhere.
    #[error("`{0}` is allowed on no node")]
    Nowhere(String),
    /// A service talks to itself.
    #[error("`{0}` sends to itself; leave that edge out, it costs nothing")]
    Loop(String),
    /// A weight or price is negative or no number.
    #[error("{what} is {value}; it must be a number from 0 on")]
    Number {
        /// Of what.
        what: &'static str,
        /// The number, as text.
        value: String,
    },
    /// A unit of a resource is zero.
    #[error("the unit of {0} is 0")]
    Unit(String),
}

/// Refuses what is no problem.
pub(super) fn check(draft: &Draft) -> Result<(), ProblemError> {
    let (nodes, services) = (draft.hosts.len(), draft.services.len());
    if nodes == 0 {
        return Err(ProblemError::NoNodes);
    }
    if services > MAX_SERVICES {
        return Err(ProblemError::TooManyServices(services));
    }
    if draft.delays.len() != nodes * nodes {
        return Err(ProblemError::Delays { nodes, delays: draft.delays.len() });
    }
    if let Some(resource) = draft.resources.iter().find(|resource| resource.unit == 0) {
        return Err(ProblemError::Unit(resource.name.clone()));
    }
    numbers(draft)?;
    quantities(draft)?;
    indices(draft)
}

fn numbers(draft: &Draft) -> Result<(), ProblemError> {
    let price = match draft.objective.overload {
        super::Overload::Forbidden => 0.0,
        super::Overload::Priced(price) => price.as_kb_ms(),
    };
    let numbers = [
        ("the weight of requests", draft.weights.request),
        ("the weight of responses", draft.weights.response),
        ("the price of a move", draft.objective.move_price.as_kb_ms()),
        ("the price of an overload", price),
    ];
    match numbers.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
        Some((what, value)) => Err(ProblemError::Number { what, value: value.to_string() }),
        None => Ok(()),
    }
}

fn quantities(draft: &Draft) -> Result<(), ProblemError> {
    let wanted = draft.resources.len();
    let hosts = draft
        .hosts
        .iter()
        .flat_map(|host| [&host.capacity, &host.used].map(|quantities| (host.name.as_str(), quantities.len())));
    let services = draft.services.iter().map(|service| (service.name.as_str(), service.demand.len()));
    match hosts.chain(services).find(|(_, found)| *found != wanted) {
        Some((name, found)) => Err(ProblemError::Quantities { name: name.to_owned(), found, wanted }),
        None => Ok(()),
    }
}

fn indices(draft: &Draft) -> Result<(), ProblemError> {
    let (nodes, services) = (draft.hosts.len(), draft.services.len());
    let index = |name: &str, what, index, count| ProblemError::Index { name: name.to_owned(), what, index, count };
    for service in &draft.services {
        if service.allowed.as_ref().is_some_and(Vec::is_empty) {
            return Err(ProblemError::Nowhere(service.name.clone()));
        }
        let mentioned = service.allowed.iter().flatten().chain(&service.current);
        if let Some(node) = mentioned.into_iter().find(|node| **node >= nodes) {
            return Err(index(&service.name, "node", *node, nodes));
        }
    }
    for edge in &draft.edges {
        if let Some(end) = [edge.from, edge.to].into_iter().find(|end| *end >= services) {
            return Err(index("an edge", "service", end, services));
        }
        if edge.from == edge.to {
            return Err(ProblemError::Loop(draft.services[edge.from].name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::placement::golden::{cpu, hosts, service};
    use crate::placement::problem::{Draft, Edge, Weights};
    use crate::placement::{Cost, Objective, Overload, Problem};
    use crate::units::Delay;

    fn good() -> Draft {
        Draft {
            resources: cpu(),
            hosts: hosts(2, 1000),
            services: vec![service("a", 1, None), service("b", 1, Some(1))],
            edges: vec![Edge { from: 0, to: 1, request: 1, response: 1 }],
            delays: [0, 5, 9, 0].map(Delay::from_millis).to_vec(),
            ..Draft::default()
        }
    }

    #[test]
    fn what_is_no_problem_is_refused_with_what_is_wrong() {
        assert!(Problem::new(good()).is_ok());
        let refused = |spoil: &dyn Fn(&mut Draft)| {
            let mut draft = good();
            spoil(&mut draft);
            Problem::new(draft).map(|_| ()).map_err(|error| error.to_string()).expect_err("refused")
        };
        let priced = |price| Objective { overload: Overload::Priced(Cost::from_kb_ms(price)), ..Objective::default() };
        for (said, wanted) in [
            (refused(&|draft| draft.hosts.clear()), "there is no node to place services on"),
            (refused(&|draft| _ = draft.delays.pop()), "2 nodes need 4 delays, there are 3"),
            (refused(&|draft| draft.hosts[1].used.clear()), "`n2` has 0 quantities for 1 resources"),
            (refused(&|draft| draft.services[0].demand.push(1)), "`a` has 2 quantities for 1 resources"),
            (refused(&|draft| draft.services[1].current = Some(2)), "`b` speaks of node number 2, and there are 2"),
            (refused(&|draft| draft.edges[0].to = 7), "`an edge` speaks of service number 7, and there are 2"),
            (refused(&|draft| draft.edges[0].to = 0), "`a` sends to itself; leave that edge out, it costs nothing"),
            (refused(&|draft| draft.services[0].allowed = Some(vec![])), "`a` is allowed on no node"),
            (refused(&|draft| draft.resources[0].unit = 0), "the unit of cpu is 0"),
            (
                refused(&|draft| draft.weights = Weights { request: f64::NAN, response: 1.0 }),
                "the weight of requests is NaN; it must be a number from 0 on",
            ),
            (
                refused(&|draft| draft.objective = priced(-1.0)),
                "the price of an overload is -1; it must be a number from 0 on",
            ),
        ] {
            assert_eq!(said, wanted);
        }
    }
}
