//! Rows on all nodes or on none: when a node refuses, the others get back what they did before.

use super::operations::failure_of;
use super::{NodeFailure, OperationError, Testbed};
use crate::agent::protocol::{Applied, Former, Request, Response};
use crate::shaping::{Backend, BackendChoice};
use crate::topology::NodeIndex;

/// Carries out requests to apply rows. When a node fails (it has its old state then), the others are put back.
pub(super) fn apply(
    testbed: &mut dyn Testbed,
    requests: Vec<(NodeIndex, Request)>,
) -> Result<Vec<Applied>, OperationError> {
    let asked: Vec<NodeIndex> = requests.iter().map(|(node, _)| *node).collect();
    let answers = testbed.ask(requests)?;
    let (mut fine, mut failures) = (Vec::new(), Vec::new());
    for (node, answer) in asked.into_iter().zip(answers) {
        match answer {
            Ok(Response::Applied(applied)) => fine.push((node, applied)),
            other => failures.push(failure(testbed, node, failure_of(other))),
        }
    }
    if failures.is_empty() {
        return Ok(fine.into_iter().map(|(_, applied)| applied).collect());
    }
    put_back(testbed, fine, &mut failures);
    Err(OperationError::Nodes(failures))
}

fn put_back(testbed: &mut dyn Testbed, applied: Vec<(NodeIndex, Applied)>, failures: &mut Vec<NodeFailure>) {
    let requests = applied.into_iter().map(|(node, applied)| (node, former(applied.former))).collect::<Vec<_>>();
    let asked: Vec<NodeIndex> = requests.iter().map(|(node, _)| *node).collect();
    let answers = match testbed.ask(requests) {
        Ok(answers) => answers,
        Err(error) => vec![Err(error.to_string()); asked.len()],
    };
    for (node, answer) in asked.into_iter().zip(answers) {
        if !matches!(answer, Ok(Response::Applied(_) | Response::Cleared { .. })) {
            let why = failure_of(answer);
            failures.push(failure(testbed, node, format!("what was there before could not be put back: {why}")));
        }
    }
}

/// The request that brings a node back to what it did before.
fn former(former: Option<Box<Former>>) -> Request {
    match former {
        None => Request::Clear,
        Some(former) => Request::Apply {
            row: former.row,
            backend: match former.backend {
                Backend::Netem => BackendChoice::Netem,
                Backend::Userspace => BackendChoice::Userspace,
            },
        },
    }
}

fn failure(testbed: &dyn Testbed, node: NodeIndex, message: String) -> NodeFailure {
    NodeFailure { node: testbed.nodes()[node].name.clone(), message }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::{Impairment, Row};
    use crate::testbed::lab::addressing;
    use crate::testbed::{TestbedError, apply_paths};
    use crate::topology::{Node, NodeName};
    use crate::units::Delay;

    /// Nodes in memory; those that are told so refuse delays of 13 ms, and some refuse everything.
    struct Memory {
        nodes: Vec<Node>,
        rows: Vec<Option<Row>>,
        broken: bool,
    }

    impl Memory {
        fn apply(&mut self, node: NodeIndex, row: Row) -> Response {
            let unlucky = row.paths.iter().any(|path| path.impairment.delay == Delay::from_millis(13));
            if node == 1 && unlucky || node == 2 && self.broken && self.rows[2].is_some() {
                return Response::Failed { message: "bad luck".to_owned() };
            }
            let former = self.rows[node].replace(row);
            let former = former.map(|row| Box::new(Former { row, backend: Backend::Netem }));
            Response::Applied(Applied { backend: Backend::Netem, reason: String::new(), operations: 1, former })
        }
    }

    impl Testbed for Memory {
        fn nodes(&self) -> &[Node] {
            &self.nodes
        }

        fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError> {
            let answer = |(node, request)| match request {
                Request::Apply { row, .. } => self.apply(node, row),
                Request::Clear => {
                    self.rows[node] = None;
                    Response::Cleared { operations: 1 }
                }
                other => Response::Failed { message: format!("{other:?}") },
            };
            Ok(requests.into_iter().map(answer).map(Ok).collect())
        }
    }

    fn all(memory: &mut Memory, ms: u64) -> Result<(), String> {
        let path = |_, _| Impairment::delay(Delay::from_millis(ms));
        apply_paths(memory, 3, path, &[]).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_one_node_refuses_no_node_keeps() {
        let nodes = addressing::nodes(&[1, 2, 3].map(NodeName::numbered));
        let mut memory = Memory { nodes, rows: vec![None; 3], broken: false };
        let refused = Err("node `n2`: bad luck".to_owned());
        assert_eq!(all(&mut memory, 13), refused);
        assert_eq!(memory.rows, [None, None, None]);
        all(&mut memory, 10).unwrap();
        let before = memory.rows.clone();
        assert_eq!(all(&mut memory, 13), refused);
        assert_eq!(memory.rows, before);
    }

    #[test]
    fn a_node_that_cannot_be_put_back_is_named() {
        let nodes = addressing::nodes(&[1, 2, 3].map(NodeName::numbered));
        let mut memory = Memory { nodes, rows: vec![None; 3], broken: false };
        all(&mut memory, 10).unwrap();
        memory.broken = true;
        let path = |_, _| Impairment::delay(Delay::from_millis(13));
        memory.rows[2] = None;
        let OperationError::Nodes(failures) = apply_paths(&mut memory, 3, path, &[]).unwrap_err() else { panic!() };
        assert_eq!(failures.len(), 1, "the third had nothing before and is cleared");
        assert_eq!(memory.rows[2], None);
    }
}
