//! What is done to a testbed as a whole, whatever its nodes are: clear, ask for status, tell failures.

use std::time::{Duration, Instant};

use super::{Testbed, TestbedError};
use crate::agent::protocol::{Compared, NodeStatus, Request, Response};
use crate::measure::START_MISSED;
use crate::shaping::{Abilities, BackendChoice, Row};
use crate::topology::{NodeIndex, NodeName};

/// How many failed nodes an error names.
const SHOWN_FAILURES: usize = 10;

/// A node that could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFailure {
    /// Which one.
    pub node: NodeName,
    /// Its words.
    pub message: String,
}

/// Why an operation on a testbed failed.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The matrix is for another number of nodes.
    #[error("the matrix has {matrix} nodes, the testbed has {testbed}")]
    OtherSize {
        /// Nodes of the matrix.
        matrix: usize,
        /// Nodes of the testbed.
        testbed: usize,
    },
    /// Some nodes failed.
    #[error("{}", describe(.0))]
    Nodes(Vec<NodeFailure>),
    /// Some nodes could not apply their rows.
    #[error("{}; {}", describe(.failures), given_back(.left))]
    NotApplied {
        /// Which.
        failures: Vec<NodeFailure>,
        /// Those that could not be given back what they had before.
        left: Vec<NodeFailure>,
    },
    /// Some nodes could not be cleared; the others are.
    #[error("{}; {}", describe(.failures), others_cleared(*.cleared, *.operations))]
    NotCleared {
        /// Which could not.
        failures: Vec<NodeFailure>,
        /// How many are.
        cleared: usize,
        /// How many operations that took.
        operations: usize,
    },
    /// The testbed failed.
    #[error(transparent)]
    Testbed(#[from] TestbedError),
    /// A node has no address of the family that is probed over.
    #[error("node `{node}` has no {family} address; all nodes are probed over one family, which each must have")]
    NoAddress {
        /// Which one.
        node: NodeName,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// The reports of a measurement do not fit together.
    #[error("the nodes' reports do not fit together: {0}")]
    Reports(String),
}

impl OperationError {
    /// Whether nodes got to know of a measurement only after its start, and nothing else went wrong.
    pub(super) fn missed_start(&self) -> bool {
        matches!(self, Self::Nodes(failures) if failures.iter().all(|one| one.message.starts_with(START_MISSED)))
    }
}

fn given_back(left: &[NodeFailure]) -> String {
    if left.is_empty() {
        return "every node has what it had before".to_owned();
    }
    format!("all others have what they had before; what is left of it here is not known: {}", describe(left))
}

fn others_cleared(cleared: usize, operations: usize) -> String {
    match cleared {
        0 => "none is cleared".to_owned(),
        1 => format!("the other one is cleared ({operations} writes)"),
        _ => format!("the other {cleared} are cleared ({operations} writes)"),
    }
}

fn describe(failures: &[NodeFailure]) -> String {
    match failures {
        [] => "no node failed".to_owned(),
        [only] => format!("node `{}`: {}", only.node, only.message),
        several => {
            let shown = several.iter().take(SHOWN_FAILURES).map(|one| format!("\n  {}: {}", one.node, one.message));
            let more = several.len().saturating_sub(SHOWN_FAILURES);
            let rest = if more == 0 { String::new() } else { format!("\n  and {more} more") };
            format!("{} nodes failed:{}{rest}", several.len(), shown.collect::<String>())
        }
    }
}

/// What the nodes' kernels can do; the first node's, as all nodes of a lab share one kernel.
pub fn abilities(testbed: &mut dyn Testbed) -> Result<Abilities, OperationError> {
    let mut answers = ask(testbed, vec![(0, Request::Hello)], |response| match response {
        Response::Hello { abilities, .. } => Ok(*abilities),
        other => Err(other),
    })?;
    answers.pop().ok_or_else(|| OperationError::Reports("the first node did not answer".to_owned()))
}

/// Removes everything from every node; the number of operations it took. Those that can be cleared are, whatever becomes of
/// the others.
pub fn clear(testbed: &mut dyn Testbed) -> Result<usize, OperationError> {
    testbed.reserve()?;
    let cleared = clear_reserved(testbed);
    testbed.release();
    cleared
}

fn clear_reserved(testbed: &mut dyn Testbed) -> Result<usize, OperationError> {
    let answers = testbed.ask((0..testbed.nodes().len()).map(|node| (node, Request::Clear)).collect())?;
    let (mut cleared, mut operations, mut failures) = (0, 0, Vec::new());
    for (node, answer) in testbed.nodes().iter().zip(answers) {
        match answer {
            Ok(Response::Cleared { operations: own }) => (cleared, operations) = (cleared + 1, operations + own),
            other => failures.push(NodeFailure { node: node.name.clone(), message: failure_of(other) }),
        }
    }
    if failures.is_empty() { Ok(operations) } else { Err(OperationError::NotCleared { failures, cleared, operations }) }
}

/// What every node is doing; a node that cannot say is its own matter, in its words.
pub fn statuses(testbed: &mut dyn Testbed) -> Result<Vec<Result<NodeStatus, String>>, TestbedError> {
    let requests = (0..testbed.nodes().len()).map(|node| (node, Request::Status)).collect();
    let answers = testbed.ask(requests)?;
    let status = |response| match response {
        Response::Status(status) => Ok(*status),
        Response::Failed { message } => Err(message),
        other => Err(format!("an unexpected answer: {other:?}")),
    };
    Ok(answers.into_iter().map(|answer| answer.and_then(status)).collect())
}

/// What every node is doing; all must say.
pub fn status(testbed: &mut dyn Testbed) -> Result<Vec<NodeStatus>, OperationError> {
    ask_all(testbed, &Request::Status, |response| match response {
        Response::Status(status) => Ok(*status),
        other => Err(other),
    })
}

/// How far ahead the common start must lie for every agent to be ready by then: several times what an answer from all of them
/// takes, because opening sockets and a busy machine come on top.
pub(super) fn lead(testbed: &mut dyn Testbed) -> Result<Duration, OperationError> {
    // The first round waits until the agents have done what an interrupted command may have left them with.
    ready(testbed)?;
    let asked = Instant::now();
    ready(testbed)?;
    Ok(Duration::from_millis(50 + testbed.nodes().len() as u64) + 5 * asked.elapsed())
}

fn ready(testbed: &mut dyn Testbed) -> Result<(), OperationError> {
    let answers = ask_all(testbed, &Request::Ready, |response| match response {
        Response::Ready { .. } => Ok(()),
        other => Err(other),
    });
    answers.map(|_| ())
}

pub(super) fn ask_all<T>(
    testbed: &mut dyn Testbed,
    request: &Request,
    expect: impl Fn(Response) -> Result<T, Response>,
) -> Result<Vec<T>, OperationError> {
    let requests = (0..testbed.nodes().len()).map(|node| (node, request.clone())).collect();
    ask(testbed, requests, expect)
}

/// What an answer that was not hoped for says.
pub(super) fn failure_of(answer: Result<Response, String>) -> String {
    match answer {
        Err(message) | Ok(Response::Failed { message }) => message,
        Ok(other) => format!("an unexpected answer: {other:?}"),
    }
}

/// What applying a row to each node would do; nothing is done.
pub fn compare_rows(
    testbed: &mut dyn Testbed,
    rows: Vec<Row>,
    backends: &[BackendChoice],
) -> Result<Vec<Compared>, OperationError> {
    let choice = |from: NodeIndex| backends.get(from).copied().unwrap_or_default();
    let request = |(from, row)| (from, Request::Compare { row, backend: choice(from) });
    let requests = rows.into_iter().enumerate().map(request).collect();
    ask(testbed, requests, |response| match response {
        Response::Compared(compared) => Ok(*compared),
        other => Err(other),
    })
}

/// Asks and sorts the answers: all as expected, or the failures.
pub(super) fn ask<T>(
    testbed: &mut dyn Testbed,
    requests: Vec<(NodeIndex, Request)>,
    expect: impl Fn(Response) -> Result<T, Response>,
) -> Result<Vec<T>, OperationError> {
    let asked: Vec<NodeIndex> = requests.iter().map(|(node, _)| *node).collect();
    let answers = testbed.ask(requests)?;
    let (mut fine, mut failures) = (Vec::with_capacity(answers.len()), Vec::new());
    for (node, answer) in asked.into_iter().zip(answers) {
        let outcome = answer.and_then(|response| expect(response).map_err(|other| failure_of(Ok(other))));
        match outcome {
            Ok(value) => fine.push(value),
            Err(message) => failures.push(NodeFailure { node: testbed.nodes()[node].name.clone(), message }),
        }
    }
    if failures.is_empty() { Ok(fine) } else { Err(OperationError::Nodes(failures)) }
}
