//! What is done to a testbed as a whole, whatever its nodes are: apply a matrix, clear, ask for status, measure.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Testbed, TestbedError};
use crate::agent::protocol::{Compared, NodeStatus, Request, Response};
use crate::matrix::DelayMatrix;
use crate::measure::{Clocks, Collected, Pattern, Plan, ProbeOrder, ProbeReport, START_MISSED, collect_by};
use crate::shaping::{Abilities, BackendChoice, Row};
use crate::topology::{Node, NodeIndex, NodeName};
use crate::units::Span;

/// How often a measurement is begun whose start some nodes miss: how busy a machine will be shows only then.
const ATTEMPTS: u64 = 3;

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

/// Removes everything from every node; the number of operations it took.
pub fn clear(testbed: &mut dyn Testbed) -> Result<usize, OperationError> {
    testbed.reserve()?;
    let cleared = clear_reserved(testbed);
    testbed.release();
    cleared
}

fn clear_reserved(testbed: &mut dyn Testbed) -> Result<usize, OperationError> {
    let counts = ask_all(testbed, &Request::Clear, |response| match response {
        Response::Cleared { operations } => Ok(operations),
        other => Err(other),
    })?;
    Ok(counts.into_iter().sum())
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

/// How to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasureOptions {
    /// Probes per path.
    pub probes: u32,
    /// Discarded probes per path before them.
    pub warm_up: u32,
    /// Between two probes of a path.
    pub interval: Span,
    /// How long to wait for late answers.
    pub grace: Span,
    /// Probe over IPv6 instead of IPv4.
    pub ipv6: bool,
    /// Names the measurement.
    pub run: u64,
}

impl MeasureOptions {
    /// How long the probes of `nodes` nodes take by plan.
    pub fn schedule(&self, nodes: usize) -> Span {
        let Self { probes, warm_up, interval, .. } = *self;
        Plan { nodes, probes, warm_up, interval, pattern: Pattern::Rounds }.duration()
    }

    /// A grace that a testbed with this matrix needs: twice its longest round trip could take, and half a second.
    pub fn grace_for(matrix: &DelayMatrix) -> Span {
        let longest = matrix.delays().iter().max().map_or(0, |delay| delay.as_nanos());
        Span::from_nanos(2 * longest + 500_000_000)
    }
}

/// The samples of a measurement and how well it was taken.
#[derive(Debug, Clone)]
pub struct Measured {
    /// All samples and what was odd about them.
    pub collected: Collected,
    /// The nodes' own reports, in node order.
    pub reports: Vec<ProbeReport>,
    /// What is known of their clocks meanwhile.
    pub clocks: Clocks,
}

/// Measures every path. `started` is told beforehand how long it will take.
pub fn measure(
    testbed: &mut dyn Testbed,
    options: MeasureOptions,
    started: &dyn Fn(Duration),
) -> Result<Measured, OperationError> {
    let clocks = testbed.clocks()?;
    let options = MeasureOptions { run: own_run(options.run, &clocks, testbed.now_ns()), ..options };
    let mut lead = lead(testbed)?;
    for attempt in 1..ATTEMPTS {
        // A number of its own for each: what is left of an earlier one is not taken for this one's.
        let run = options.run ^ (attempt << 32);
        match measure_once(testbed, MeasureOptions { run, ..options }, &clocks, lead, started) {
            Err(error) if error.missed_start() => lead *= 4,
            outcome => return outcome,
        }
    }
    measure_once(testbed, options, &clocks, lead, started)
}

fn measure_once(
    testbed: &mut dyn Testbed,
    options: MeasureOptions,
    clocks: &Clocks,
    lead: Duration,
    started: &dyn Fn(Duration),
) -> Result<Measured, OperationError> {
    let start_ns = testbed.now_ns().saturating_add(u64::try_from(lead.as_nanos()).unwrap_or(u64::MAX));
    started(lead + options.schedule(testbed.nodes().len()).as_duration());
    measure_by(testbed, options, Pattern::Rounds, clocks, start_ns)
}

/// Measures every path by a schedule that starts at this instant of the asker's real-time clock, which must lie far enough
/// ahead for all nodes to be ready by then. The name in `options` is taken as it is, for [`finish_measuring`].
pub fn measure_from(
    testbed: &mut dyn Testbed,
    options: MeasureOptions,
    pattern: Pattern,
    start_realtime_ns: u64,
) -> Result<Measured, OperationError> {
    let clocks = testbed.clocks()?;
    measure_by(testbed, options, pattern, &clocks, start_realtime_ns)
}

/// Has every node end the measurement of this name, which then has what was sent and seen so far.
pub fn finish_measuring(testbed: &mut dyn Testbed, run: u64) -> Result<(), OperationError> {
    let finished = ask_all(testbed, &Request::FinishProbe { run }, |response| match response {
        Response::ProbeFinishes => Ok(()),
        other => Err(other),
    });
    finished.map(|_| ())
}

fn measure_by(
    testbed: &mut dyn Testbed,
    options: MeasureOptions,
    pattern: Pattern,
    clocks: &Clocks,
    start_ns: u64,
) -> Result<Measured, OperationError> {
    let addresses = addresses(testbed.nodes(), options.ipv6)?;
    let order = |me: NodeIndex| ProbeOrder {
        run: options.run,
        me,
        addresses: addresses.clone(),
        probes: options.probes,
        warm_up: options.warm_up,
        interval: options.interval,
        pattern,
        start_realtime_ns: clocks.theirs(me, start_ns),
        grace: options.grace,
    };
    let orders: Vec<(NodeIndex, Request)> = (0..addresses.len()).map(|me| (me, Request::Probe(order(me)))).collect();
    let reports = ask(testbed, orders, |response| match response {
        Response::Probed(report) => Ok(report),
        other => Err(other),
    })?;
    let taken: Vec<Option<ProbeReport>> = reports.iter().cloned().map(Some).collect();
    let clocks = clocks.clone().until(testbed.clocks()?);
    Ok(Measured { collected: collect_by(&clocks, &taken, options.probes), reports, clocks })
}

/// The name of a measurement. Hosts may be measured by several at once, who must not take each other's probes for their own.
fn own_run(run: u64, clocks: &Clocks, now_ns: u64) -> u64 {
    if *clocks == Clocks::One { run } else { (run ^ now_ns.rotate_left(20)) | 2 }
}

/// Where every node is probed. All by one family: IPv6 where that is asked for, and where no node has anything else.
fn addresses(nodes: &[Node], ipv6: bool) -> Result<Vec<IpAddr>, OperationError> {
    let ipv6 = ipv6 || nodes.iter().all(|node| node.ipv4.is_none());
    let address = |node: &Node| {
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        node.address(ipv6).ok_or_else(|| OperationError::NoAddress { node: node.name.clone(), family })
    };
    nodes.iter().map(address).collect()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::measure::Stamps;
    use crate::testbed::lab::addressing;

    /// Two nodes that are busy at first and miss as many starts as they are told.
    struct Busy {
        nodes: Vec<Node>,
        first_answer_takes: Duration,
        misses: usize,
        ahead: Vec<Duration>,
        runs: BTreeSet<u64>,
    }

    impl Busy {
        fn new(first_answer_takes: Duration, misses: usize) -> Self {
            let nodes = addressing::nodes(&[NodeName::numbered(1), NodeName::numbered(2)]);
            Self { nodes, first_answer_takes, misses, ahead: Vec::new(), runs: BTreeSet::new() }
        }

        fn answer(&mut self, request: &Request) -> Response {
            let Request::Probe(order) = request else {
                std::thread::sleep(std::mem::take(&mut self.first_answer_takes));
                return Response::Ready { now_realtime_ns: self.now_ns() };
            };
            self.runs.insert(order.run);
            if order.me == 0 {
                self.ahead.push(Duration::from_nanos(order.start_realtime_ns.saturating_sub(self.now_ns())));
            } else if self.misses > 0 {
                self.misses -= 1;
                return Response::Failed { message: format!("{START_MISSED} by 5s; set it further ahead") };
            }
            let nothing = ProbeReport {
                sent: vec![],
                received: vec![],
                stamps: Stamps::Kernel,
                user_stamped: 0,
                duplicates: 0,
                refused: 0,
                first_refusal: None,
                lateness: None,
            };
            Response::Probed(nothing)
        }
    }

    impl Testbed for Busy {
        fn nodes(&self) -> &[Node] {
            &self.nodes
        }

        fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError> {
            Ok(requests.iter().map(|(_, request)| Ok(self.answer(request))).collect())
        }
    }

    fn options() -> MeasureOptions {
        MeasureOptions { probes: 1, warm_up: 0, interval: Span::from_millis(1), grace: Span::ZERO, ipv6: false, run: 7 }
    }

    #[test]
    fn what_agents_were_left_with_does_not_delay_the_start() {
        let mut busy = Busy::new(Duration::from_millis(400), 0);
        measure(&mut busy, options(), &|_| ()).unwrap();
        assert!(busy.ahead[0] < Duration::from_millis(800), "{:?}", busy.ahead);
    }

    #[test]
    fn a_missed_start_is_set_further_ahead_but_not_for_ever() {
        let mut busy = Busy::new(Duration::ZERO, 2);
        measure(&mut busy, options(), &|_| ()).unwrap();
        assert!(busy.ahead.len() == 3 && busy.ahead[2] > 8 * busy.ahead[0], "{:?}", busy.ahead);
        assert_eq!(busy.runs.len(), 3);
        let error = measure(&mut Busy::new(Duration::ZERO, 3), options(), &|_| ()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(START_MISSED), "{error}");
    }
}
