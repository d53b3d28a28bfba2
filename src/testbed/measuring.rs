//! Measuring every path of a testbed. A node that is lost, or cannot measure, is its own failure: the others go on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::operations::{NodeFailure, OperationError, failure_of, lead};
use super::{Present, Testbed};
use crate::agent::protocol::{Request, Response};
use crate::matrix::DelayMatrix;
use crate::measure::{Clocks, Collected, Pattern, Plan, ProbeOrder, ProbeReport, START_MISSED, Sample, collect_by};
use crate::topology::{Node, NodeIndex};
use crate::units::Span;

/// How often a measurement is begun whose start some nodes miss: how busy a machine will be shows only then.
const ATTEMPTS: u64 = 3;

/// The fewest nodes between which there is something to measure.
const LEAST_NODES: usize = 2;

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
    /// All samples and what was odd about them. Probes of nodes that are missing are not known, and are no samples.
    pub collected: Collected,
    /// The reports of the nodes that measured to the end, in node order.
    pub reports: Vec<ProbeReport>,
    /// What is known of their clocks meanwhile.
    pub clocks: Clocks,
    /// The nodes that did not measure, or not to the end, and why.
    pub missing: BTreeMap<NodeIndex, String>,
}

/// Measures every path between the nodes that are there, at least two. `started` is told beforehand how long it will take.
pub fn measure(
    testbed: &mut dyn Testbed,
    options: MeasureOptions,
    started: &dyn Fn(Duration),
) -> Result<Measured, OperationError> {
    let clocks = testbed.clocks()?;
    let options = MeasureOptions { run: own_run(options.run, &clocks, testbed.now_ns()), ..options };
    let mut factor = 1;
    for attempt in 1..ATTEMPTS {
        // A number of its own for each: what is left of an earlier one is not taken for this one's.
        let run = options.run ^ (attempt << 32);
        match measure_once(testbed, MeasureOptions { run, ..options }, &clocks, factor, started) {
            Err(error) if error.missed_start() => factor *= 4,
            outcome => return outcome,
        }
    }
    measure_once(testbed, options, &clocks, factor, started)
}

fn measure_once(
    testbed: &mut dyn Testbed,
    options: MeasureOptions,
    clocks: &Clocks,
    factor: u32,
    started: &dyn Fn(Duration),
) -> Result<Measured, OperationError> {
    // Whoever is lost by now is not waited for, and not sent to.
    let mut present = Present::of(testbed)?;
    if present.places().len() < LEAST_NODES {
        return Err(OperationError::Nodes(present.failures()));
    }
    let lead = factor * lead(&mut present)?;
    let start_ns = present.now_ns().saturating_add(u64::try_from(lead.as_nanos()).unwrap_or(u64::MAX));
    started(lead + options.schedule(present.places().len()).as_duration());
    let outcome = probe(&mut present, options, Pattern::Rounds, clocks, start_ns)?;
    finish(testbed, outcome, options, clocks)
}

/// Measures every path, each node taking part from the start, by a schedule that starts at this instant of the asker's
/// real-time clock, which must lie far enough ahead for all nodes to be ready by then. The name in `options` is taken as it is,
/// for [`finish_measuring`].
pub fn measure_from(
    testbed: &mut dyn Testbed,
    options: MeasureOptions,
    pattern: Pattern,
    start_realtime_ns: u64,
) -> Result<Measured, OperationError> {
    let clocks = testbed.clocks()?;
    let outcome = probe(&mut Present::all(testbed), options, pattern, &clocks, start_realtime_ns)?;
    finish(testbed, outcome, options, &clocks)
}

/// Has every node that can be asked end the measurement of this name, which then has what was sent and seen so far.
pub fn finish_measuring(testbed: &mut dyn Testbed, run: u64) -> Result<(), OperationError> {
    let there: Vec<NodeIndex> = (0..testbed.nodes().len()).filter(|node| !testbed.is_lost(*node)).collect();
    let requests = there.iter().map(|node| (*node, Request::FinishProbe { run })).collect();
    let refusals = there.into_iter().zip(testbed.ask(requests)?).filter_map(|(node, answer)| match answer {
        Ok(Response::ProbeFinishes) => None,
        other => Some((node, failure_of(other))),
    });
    // One that was lost just now measures no more.
    let refusals: BTreeMap<NodeIndex, String> = refusals.filter(|(node, _)| !testbed.is_lost(*node)).collect();
    if refusals.is_empty() { Ok(()) } else { Err(failures(testbed.nodes(), &refusals)) }
}

/// What became of the probes: a report of each node of the whole testbed, or why there is none.
struct Outcome {
    reports: Vec<Option<ProbeReport>>,
    missing: BTreeMap<NodeIndex, String>,
    /// The nodes that took part from the start.
    places: Vec<NodeIndex>,
}

/// Has the nodes that are there probe each other.
fn probe(
    present: &mut Present<'_>,
    options: MeasureOptions,
    pattern: Pattern,
    clocks: &Clocks,
    start_ns: u64,
) -> Result<Outcome, OperationError> {
    let addresses = addresses(present.nodes(), options.ipv6)?;
    let places = present.places().to_vec();
    let order = |me: NodeIndex| ProbeOrder {
        run: options.run,
        me,
        addresses: addresses.clone(),
        probes: options.probes,
        warm_up: options.warm_up,
        interval: options.interval,
        pattern,
        start_realtime_ns: clocks.theirs(places[me], start_ns),
        grace: options.grace,
    };
    let orders = (0..addresses.len()).map(|me| (me, Request::Probe(order(me)))).collect();
    let answers = present.ask(orders)?;
    let mut outcome =
        Outcome { reports: vec![None; present.whole_nodes().len()], missing: present.missing().clone(), places };
    for (me, answer) in answers.into_iter().enumerate() {
        let place = outcome.places[me];
        match answer {
            Ok(Response::Probed(report)) => outcome.reports[place] = Some(placed(report, &outcome.places)),
            other => {
                outcome.missing.insert(place, failure_of(other));
            }
        }
    }
    let missed = |(_, why): &(&NodeIndex, &String)| why.starts_with(START_MISSED);
    let too_late: BTreeMap<_, _> =
        outcome.missing.iter().filter(missed).map(|(node, why)| (*node, why.clone())).collect();
    if !too_late.is_empty() {
        return Err(failures(present.whole_nodes(), &too_late));
    }
    Ok(outcome)
}

/// A report whose nodes are counted among those that take part, with their places in the whole testbed.
fn placed(mut report: ProbeReport, places: &[NodeIndex]) -> ProbeReport {
    let place = |node: NodeIndex| places.get(node).copied().unwrap_or(NodeIndex::MAX);
    report.sent.iter_mut().for_each(|probe| probe.to = place(probe.to));
    report.received.iter_mut().for_each(|probe| probe.from = place(probe.from));
    report
}

fn failures(nodes: &[Node], missing: &BTreeMap<NodeIndex, String>) -> OperationError {
    let failure = |(node, why): (&NodeIndex, &String)| {
        Some(NodeFailure { node: nodes.get(*node)?.name.clone(), message: why.clone() })
    };
    OperationError::Nodes(missing.iter().filter_map(failure).collect())
}

/// Puts the reports together.
fn finish(
    testbed: &mut dyn Testbed,
    outcome: Outcome,
    options: MeasureOptions,
    clocks: &Clocks,
) -> Result<Measured, OperationError> {
    let Outcome { reports, missing, places } = outcome;
    if reports.iter().flatten().count() < LEAST_NODES.min(reports.len()) {
        return Err(failures(testbed.nodes(), &missing));
    }
    let clocks = clocks.clone().until(testbed.clocks()?);
    let mut collected = collect_by(&clocks, &reports, options.probes);
    // Nobody knows what a missing node has sent, and nobody has sent to one that was missing from the start.
    let known = |sample: &Sample| reports[sample.from].is_some() && places.contains(&sample.to);
    collected.samples.retain(known);
    Ok(Measured { collected, reports: reports.into_iter().flatten().collect(), clocks, missing })
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::measure::Stamps;
    use crate::testbed::TestbedError;
    use crate::testbed::lab::addressing;
    use crate::topology::NodeName;

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
            Response::Probed(nothing())
        }
    }

    fn nothing() -> ProbeReport {
        ProbeReport {
            sent: vec![],
            received: vec![],
            stamps: Stamps::Kernel,
            user_stamped: 0,
            duplicates: 0,
            refused: 0,
            first_refusal: None,
            lateness: None,
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

    /// Nodes of which some do not answer, from the start or once they are to probe; the others hear all that is sent to them.
    struct Thinned {
        nodes: Vec<Node>,
        never: Vec<NodeIndex>,
        no_more: Vec<NodeIndex>,
        probed: Vec<NodeIndex>,
    }

    impl Testbed for Thinned {
        fn nodes(&self) -> &[Node] {
            &self.nodes
        }

        fn ask(&mut self, requests: Vec<(NodeIndex, Request)>) -> Result<Vec<Result<Response, String>>, TestbedError> {
            let addresses: Vec<IpAddr> = self.nodes.iter().map(|node| node.address(false).unwrap()).collect();
            let mut answer = |(node, request): (NodeIndex, Request)| match request {
                _ if self.never.contains(&node) => Err("no route".to_owned()),
                Request::Probe(_) if self.no_more.contains(&node) => Err("killed".to_owned()),
                Request::Probe(order) => {
                    self.probed.push(node);
                    assert_eq!(order.addresses[order.me], addresses[node], "each is told its own place");
                    let others = (0..order.addresses.len()).filter(|other| *other != order.me);
                    let sent = others.clone().map(|to| (to, 0, 1_000, Some(3_000)).into()).collect();
                    // Nothing comes from those that are not there any more.
                    let living = |from: &usize| {
                        let place = addresses.iter().position(|address| *address == order.addresses[*from]).unwrap();
                        !self.no_more.contains(&place)
                    };
                    let received = others.filter(living).map(|from| (from, 0, 2_000).into()).collect();
                    Ok(Response::Probed(ProbeReport { sent, received, ..nothing() }))
                }
                _ => Ok(Response::Ready { now_realtime_ns: 0 }),
            };
            Ok(requests.into_iter().map(&mut answer).collect())
        }
    }

    fn thinned(never: &[NodeIndex], no_more: &[NodeIndex]) -> Thinned {
        let nodes = addressing::nodes(&(1..=4).map(NodeName::numbered).collect::<Vec<_>>());
        Thinned { nodes, never: never.to_vec(), no_more: no_more.to_vec(), probed: vec![] }
    }

    #[test]
    fn who_is_lost_takes_only_its_own_paths_along() {
        let mut testbed = thinned(&[0], &[2]);
        let measured = measure(&mut testbed, options(), &|_| ()).unwrap();
        assert_eq!(testbed.probed, [1, 3]);
        let missing: Vec<(NodeIndex, &str)> =
            measured.missing.iter().map(|(node, why)| (*node, why.as_str())).collect();
        assert_eq!(missing, [(0, "no route"), (2, "killed")]);
        assert_eq!(measured.reports.len(), 2);
        // To the one that was lost in between probes were sent; from it, and to the other, nobody knows of any.
        let samples = &measured.collected.samples;
        let paths: Vec<_> = samples.iter().map(|one| (one.from, one.to, one.one_way.is_some())).collect();
        assert_eq!(paths, [(1, 2, false), (1, 3, true), (3, 1, true), (3, 2, false)]);
    }

    #[test]
    fn one_node_alone_cannot_be_measured() {
        let failed = |never: &[NodeIndex], no_more: &[NodeIndex]| {
            measure(&mut thinned(never, no_more), options(), &|_| ()).map(|_| ()).unwrap_err().to_string()
        };
        let expected = "3 nodes failed:\n  n1: no route\n  n2: no route\n  n4: no route";
        assert_eq!(failed(&[0, 1, 3], &[]), expected);
        assert_eq!(failed(&[0, 1], &[3]), "3 nodes failed:\n  n1: no route\n  n2: no route\n  n4: killed");
        // Nor by a start that is known before.
        let from = |testbed: &mut Thinned| {
            let measured = measure_from(testbed, options(), Pattern::Rounds, u64::MAX);
            measured.map(|measured| measured.missing).map_err(|error| error.to_string())
        };
        assert_eq!(from(&mut thinned(&[], &[0, 1, 3])), Err(expected.replace("no route", "killed")));
        assert_eq!(from(&mut thinned(&[], &[3])), Ok(BTreeMap::from([(3, "killed".to_owned())])));
    }
}
