//! Applying a matrix to a testbed, all of it or nothing: where a node fails, every node gets back what it had.

use super::operations::{NodeFailure, OperationError, ask, status};
use super::{Testbed, TestbedError};
use crate::agent::protocol::{Applied, NodeStatus, Request, Response};
use crate::matrix::DelayMatrix;
use crate::shaping::{Backend, BackendChoice, Impairment, Row};
use crate::topology::NodeIndex;

/// Applies every row of `matrix`, each node with its own choice of back-end; when a node fails, all get back what they had.
pub fn apply(
    testbed: &mut dyn Testbed,
    matrix: &DelayMatrix,
    backends: &[BackendChoice],
) -> Result<Vec<Applied>, OperationError> {
    apply_paths(testbed, matrix.len(), |from, to| Impairment::delay(matrix.delay(from, to)), backends)
}

/// As [`apply`], with everything that `path` says of the path between two of `count` nodes.
pub fn apply_paths(
    testbed: &mut dyn Testbed,
    count: usize,
    path: impl Fn(NodeIndex, NodeIndex) -> Impairment,
    backends: &[BackendChoice],
) -> Result<Vec<Applied>, OperationError> {
    let nodes = testbed.nodes();
    if nodes.len() != count {
        return Err(OperationError::OtherSize { matrix: count, testbed: nodes.len() });
    }
    let rows = (0..count).map(|from| Row::of_paths(nodes, from, |to| path(from, to))).collect();
    apply_rows(testbed, rows, backends)
}

/// As [`apply`], with a row for each node.
pub fn apply_rows(
    testbed: &mut dyn Testbed,
    rows: Vec<Row>,
    backends: &[BackendChoice],
) -> Result<Vec<Applied>, OperationError> {
    let size = testbed.nodes().len();
    if size != rows.len() {
        return Err(OperationError::OtherSize { matrix: rows.len(), testbed: size });
    }
    // The turn is ours until all is applied, or given back.
    testbed.reserve()?;
    let applied = apply_reserved(testbed, rows, backends);
    testbed.release();
    applied
}

fn apply_reserved(
    testbed: &mut dyn Testbed,
    rows: Vec<Row>,
    backends: &[BackendChoice],
) -> Result<Vec<Applied>, OperationError> {
    // What a node has is known to its agent alone; where it cannot say, it could not be given back.
    let former = status(testbed)?;
    let choice = |from: NodeIndex| backends.get(from).copied().unwrap_or_default();
    let request = |(from, row)| (from, Request::Apply { row, backend: choice(from) });
    let requests = rows.into_iter().enumerate().map(request).collect();
    let applied = ask(testbed, requests, |response| match response {
        Response::Applied(applied) => Ok(applied),
        other => Err(other),
    });
    match applied {
        Err(OperationError::Nodes(failures)) => {
            Err(OperationError::NotApplied { failures, left: give_back(testbed, &former)? })
        }
        outcome => outcome,
    }
}

/// Makes all nodes do what they did before; also those that failed, as nobody knows how far they came. Those that cannot,
/// and were not lost before, are returned.
fn give_back(testbed: &mut dyn Testbed, former: &[NodeStatus]) -> Result<Vec<NodeFailure>, TestbedError> {
    let requests: Vec<(NodeIndex, Request)> = former.iter().map(before).enumerate().collect();
    let answers = testbed.ask(requests)?;
    let failed = answers.into_iter().zip(testbed.nodes()).filter_map(|(answer, node)| match answer {
        Ok(Response::Failed { message }) | Err(message) => Some(NodeFailure { node: node.name.clone(), message }),
        Ok(_) => None,
    });
    Ok(failed.collect())
}

fn before(status: &NodeStatus) -> Request {
    let backend = match status.backend {
        None => return Request::Clear,
        Some(Backend::Netem) => BackendChoice::Netem,
        Some(Backend::Userspace) => BackendChoice::Userspace,
    };
    Request::Apply { row: status.row.clone(), backend }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testbed::lab::addressing;
    use crate::topology::{Node, NodeName};
    use crate::units::Delay;
    use proptest::prelude::*;

    /// Nodes that do as they are told, but for one that refuses delays of a certain length.
    struct Obedient {
        nodes: Vec<Node>,
        rows: Vec<Option<(Row, Backend)>>,
        refusing: NodeIndex,
        refused: Delay,
    }

    impl Obedient {
        fn answer(&mut self, node: NodeIndex, request: Request) -> Response {
            match request {
                Request::Apply { row, .. }
                    if node == self.refusing && row.paths.iter().any(|path| path.impairment.delay == self.refused) =>
                {
                    // The worst of nodes: it says no, and has lost what it had.
                    self.rows[node] = None;
                    Response::Failed { message: "no".to_owned() }
                }
                Request::Apply { row, backend } => {
                    let backend = if backend == BackendChoice::Netem { Backend::Netem } else { Backend::Userspace };
                    self.rows[node] = Some((row, backend));
                    Response::Applied(Applied { backend, reason: String::new(), operations: 1 })
                }
                Request::Clear => {
                    self.rows[node] = None;
                    Response::Cleared { operations: 1 }
                }
                _ => Response::Status(Box::new(NodeStatus {
                    backend: self.rows[node].as_ref().map(|(_, backend)| *backend),
                    row: self.rows[node].as_ref().map(|(row, _)| row.clone()).unwrap_or_default(),
                    differences: vec![],
                    traffic: None,
                    restarts: vec![],
                    replay: None,
                })),
            }
        }
    }

    impl Testbed for Obedient {
        fn nodes(&self) -> &[Node] {
            &self.nodes
        }

        fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError> {
            Ok(requests.into_iter().map(|(node, request)| Ok(self.answer(node, request))).collect())
        }
    }

    fn matrix(nodes: usize, ms: u64) -> DelayMatrix {
        let names = (1..=nodes).map(NodeName::numbered).collect();
        let delay = |place: usize| Delay::from_millis(if place / nodes == place % nodes { 0 } else { ms });
        DelayMatrix::new(names, (0..nodes * nodes).map(delay).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn a_failed_apply_leaves_what_was_there(count in 2usize..6, refusing in 0usize..6, had in any::<bool>(), netem in any::<bool>()) {
            let names: Vec<NodeName> = (1..=count).map(NodeName::numbered).collect();
            let mut testbed = Obedient {
                nodes: addressing::nodes(&names),
                rows: vec![None; count],
                refusing: refusing % count,
                refused: Delay::from_millis(7),
            };
            let choice = vec![if netem { BackendChoice::Netem } else { BackendChoice::Userspace }; count];
            if had {
                apply(&mut testbed, &matrix(count, 5), &choice).unwrap();
            }
            let before = testbed.rows.clone();
            let error = apply(&mut testbed, &matrix(count, 7), &[]).unwrap_err().to_string();
            prop_assert_eq!(error, format!("node `n{}`: no; every node has what it had before", refusing % count + 1));
            prop_assert_eq!(&testbed.rows, &before);
        }
    }
}
