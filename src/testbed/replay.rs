//! A timeline replayed by all nodes of a testbed at once, each by its own clock.

use std::time::Duration;

use super::operations::{ask, failure_of, lead};
use super::{OperationError, Testbed, TestbedError};
use crate::agent::protocol::{ReplayOrder, ReplayState, ReplayStep, Request, Response};
use crate::measure::Clocks;
use crate::shaping::{Backend, BackendChoice};
use crate::timeline::{Timeline, TimelineStep};
use crate::topology::NodeIndex;

/// How often a replay is begun whose start some nodes miss.
const ATTEMPTS: u32 = 3;

/// Between the moment by which all nodes should have made their first switch ready and that switch: a node that has just worked
/// is given the processor late, and others beside it are at work until then too.
const CALM: Duration = Duration::from_millis(250);

/// Added to a start that cannot be put off.
const SPARE: Duration = Duration::from_millis(500);

/// What a node says of a timeline before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// The delay element that it will use.
    pub backend: Backend,
    /// Why this one.
    pub reason: String,
    /// How many writes each step of the first pass takes.
    pub operations: Vec<usize>,
}

/// A replay that goes on: its start, nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// By the asker's clock.
    pub start_ns: u64,
    /// By the clock of each node.
    pub theirs_ns: Vec<u64>,
}

/// Has every node check the whole timeline and keep it; when one refuses, none begins. The nodes of the timeline must be
/// those of the testbed, in their order. `name` is what users call it.
pub fn order_replay(
    testbed: &mut dyn Testbed,
    name: &str,
    timeline: &Timeline,
    backends: &[BackendChoice],
) -> Result<Vec<Rehearsed>, OperationError> {
    let nodes = testbed.nodes();
    if nodes.len() != timeline.names().len() {
        return Err(OperationError::OtherSize { matrix: timeline.names().len(), testbed: nodes.len() });
    }
    let order = |from: usize| {
        let changes = timeline.rows_of(nodes, from).into_iter();
        let step = |(step, change): (&TimelineStep, _)| ReplayStep { at: step.at, name: step.name.clone(), change };
        let steps = timeline.steps().iter().zip(changes).map(step);
        ReplayOrder {
            name: name.to_owned(),
            steps: steps.collect(),
            pace: timeline.pace(),
            backend: backends.get(from).copied().unwrap_or_default(),
        }
    };
    let requests = (0..nodes.len()).map(|from| (from, Request::Replay(order(from)))).collect();
    let accepted = ask(testbed, requests, |response| match response {
        Response::Replaying { backend, reason, operations } => Ok(Rehearsed { backend, reason, operations }),
        other => Err(other),
    });
    if matches!(accepted, Err(OperationError::Nodes(_))) {
        // Those that did accept must not keep it for somebody else's start.
        let nodes = all(testbed);
        let _ = stop_replay(testbed, &nodes);
    }
    accepted
}

fn all(testbed: &dyn Testbed) -> Vec<NodeIndex> {
    (0..testbed.nodes().len()).collect()
}

/// Has every node begin what it keeps at one instant, the first at which all can; when one cannot, none goes on.
pub fn begin_replay(testbed: &mut dyn Testbed) -> Result<Begun, OperationError> {
    let clocks = testbed.clocks()?;
    let mut lead = CALM + lead(testbed)?;
    for _ in 1..ATTEMPTS {
        let start = from_now(testbed, lead);
        match begin_at(testbed, &clocks, start) {
            // Those that did begin begin anew.
            Err(error) if error.missed_start() => lead *= 4,
            outcome => return all_or_none(testbed, outcome),
        }
    }
    let start = from_now(testbed, lead);
    begin_replay_at(testbed, &clocks, start)
}

fn all_or_none(testbed: &mut dyn Testbed, begun: Result<Begun, OperationError>) -> Result<Begun, OperationError> {
    if matches!(begun, Err(OperationError::Nodes(_))) {
        let nodes = all(testbed);
        let _ = stop_replay(testbed, &nodes);
    }
    begun
}

/// The first instant, nanoseconds since 1970, by which all nodes will have heard of a start, with much to spare: for a start
/// that several things must meet, so that it cannot be put off.
pub fn common_start(testbed: &mut dyn Testbed) -> Result<u64, OperationError> {
    let ahead = SPARE + 4 * lead(testbed)?;
    Ok(from_now(testbed, ahead))
}

fn from_now(testbed: &dyn Testbed, ahead: Duration) -> u64 {
    testbed.now_ns().saturating_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX))
}

/// As [`begin_replay`], at an instant of the asker's clock that is known. Every node is told it by its own clock.
///
/// The nodes' clocks must be known beforehand: a node that measures answers no questions about its clock.
pub fn begin_replay_at(
    testbed: &mut dyn Testbed,
    clocks: &Clocks,
    start_realtime_ns: u64,
) -> Result<Begun, OperationError> {
    let begun = begin_at(testbed, clocks, start_realtime_ns);
    all_or_none(testbed, begun)
}

fn begin_at(testbed: &mut dyn Testbed, clocks: &Clocks, start_ns: u64) -> Result<Begun, OperationError> {
    let theirs_ns: Vec<u64> = all(testbed).into_iter().map(|node| clocks.theirs(node, start_ns)).collect();
    let begin = |start: &u64| Request::BeginReplay { start_realtime_ns: *start };
    let requests = theirs_ns.iter().map(begin).enumerate().collect();
    ask(testbed, requests, |response| match response {
        Response::ReplayBegun => Ok(()),
        other => Err(other),
    })?;
    Ok(Begun { start_ns, theirs_ns })
}

/// How far a node is, or why it cannot say.
type Answer = Result<ReplayState, String>;

/// How far each of these nodes is, with the stamps from this number on.
pub fn switches(testbed: &mut dyn Testbed, nodes: &[NodeIndex], from: u64) -> Result<Vec<Answer>, TestbedError> {
    states(testbed, nodes, &Request::Switches { from })
}

/// Ends the replay of each of these nodes; what was switched last stays. How far each was.
pub fn stop_replay(testbed: &mut dyn Testbed, nodes: &[NodeIndex]) -> Result<Vec<Answer>, TestbedError> {
    states(testbed, nodes, &Request::StopReplay)
}

fn states(testbed: &mut dyn Testbed, nodes: &[NodeIndex], request: &Request) -> Result<Vec<Answer>, TestbedError> {
    let answers = testbed.ask(nodes.iter().map(|node| (*node, request.clone())).collect())?;
    let state = |answer| match answer {
        Ok(Response::Switched(state)) => Ok(state),
        other => Err(failure_of(other)),
    };
    Ok(answers.into_iter().map(state).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::measure::START_MISSED;
    use crate::measure::clock::{Clock, HostClock, Reading};
    use crate::testbed::lab::addressing;
    use crate::topology::{Node, NodeName};

    const HOUR: u64 = 3_600_000_000_000;

    /// Two hosts, the second an hour ahead, which misses as many starts as it is told.
    struct Apart {
        nodes: Vec<Node>,
        misses: usize,
        refuses: bool,
        /// Who was asked to begin when, and to stop.
        begun: Vec<(NodeIndex, Option<u64>)>,
    }

    impl Testbed for Apart {
        fn nodes(&self) -> &[Node] {
            &self.nodes
        }

        fn now_ns(&self) -> u64 {
            10 * HOUR
        }

        fn clocks(&mut self) -> Result<Clocks, TestbedError> {
            let now = self.now_ns();
            let host = |(boot, ahead): (&str, u64)| HostClock {
                boot: boot.to_owned(),
                clock: Clock::of(&[Reading { asked_ns: now, answered_ns: now + 10, theirs_ns: now + 5 + ahead }]),
            };
            Ok(Clocks::of([("one", 0), ("two", HOUR)].map(host).to_vec()))
        }

        fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError> {
            let answer = |(node, request): (NodeIndex, Request)| match request {
                Request::BeginReplay { start_realtime_ns } => {
                    self.begun.push((node, Some(start_realtime_ns)));
                    let misses = node == 1 && self.misses > 0;
                    self.misses -= usize::from(misses);
                    match (misses, node == 1 && self.refuses) {
                        (true, _) => Ok(Response::Failed { message: format!("{START_MISSED} by 5s") }),
                        (_, true) => Err("gone".to_owned()),
                        _ => Ok(Response::ReplayBegun),
                    }
                }
                Request::StopReplay => {
                    self.begun.push((node, None));
                    Err("not asked for its answer".to_owned())
                }
                _ => Ok(Response::Ready { now_realtime_ns: 0 }),
            };
            Ok(requests.into_iter().map(answer).collect())
        }
    }

    fn apart(misses: usize, refuses: bool) -> Apart {
        let nodes = addressing::nodes(&[NodeName::numbered(1), NodeName::numbered(2)]);
        Apart { nodes, misses, refuses, begun: vec![] }
    }

    #[test]
    fn every_host_is_told_the_start_by_its_own_clock() {
        let mut testbed = apart(0, false);
        let start = 10 * HOUR + 7_000_000;
        let clocks = testbed.clocks().unwrap();
        let begun = begin_replay_at(&mut testbed, &clocks, start).unwrap();
        assert_eq!(begun, Begun { start_ns: start, theirs_ns: vec![start, start + HOUR] });
        assert_eq!(testbed.begun, [(0, Some(start)), (1, Some(start + HOUR))]);
    }

    #[test]
    fn a_start_that_some_miss_is_put_off_for_all_and_none_goes_on_alone() {
        let mut testbed = apart(1, false);
        let begun = begin_replay(&mut testbed).unwrap();
        let told: Vec<u64> = testbed.begun.iter().filter_map(|(_, start)| *start).collect();
        assert_eq!(told[2..], begun.theirs_ns);
        assert!(told.len() == 4 && told[2] > told[0], "{told:?}");
        for mut testbed in [apart(9, false), apart(0, true)] {
            begin_replay(&mut testbed).unwrap_err();
            assert_eq!(testbed.begun[testbed.begun.len() - 2..], [(0, None), (1, None)]);
        }
    }
}
