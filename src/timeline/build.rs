//! [`Timeline`]: steps that cannot be wrong, and which of them is in force at any instant.

use std::collections::BTreeMap;

use super::{Pace, Repeat, Switch, Trace, write_moment};
use crate::matrix::{DelayMatrix, MatrixError};
use crate::shaping::{Impairment, NetworkIntent, PathIntent, Row, RowChange};
use crate::topology::{Node, NodeIndex, NodeName};
use crate::units::Span;

/// Why steps are no timeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// Not a number of passes.
    #[error("`{0}` is not a number of passes; write 1 or more, or forever")]
    Repeat(String),
    /// There is nothing to replay.
    #[error("the timeline has no step")]
    Empty,
    /// Steps out of order, or two at one instant.
    #[error("the step at {} does not come after the one at {}", write_moment(*.second), write_moment(*.first))]
    Order {
        /// The step before.
        first: Span,
        /// The step.
        second: Span,
    },
    /// A matrix is for another number of nodes.
    #[error("step `{step}` has {found} paths, but {nodes} nodes have {}", nodes * nodes)]
    Size {
        /// Its name.
        step: String,
        /// Paths that it has.
        found: usize,
        /// Nodes of the timeline.
        nodes: usize,
    },
    /// A repeated timeline whose passes have no length.
    #[error("repeating needs to know how long a pass takes; write `length`, after the last step at {}", write_moment(*.0))]
    NoLength(Span),
    /// The pass ends before its last step.
    #[error("a pass takes {}, but its last step is at {}", write_moment(*.length), write_moment(*.last))]
    Short {
        /// The pass.
        length: Span,
        /// The step.
        last: Span,
    },
    /// A repeated timeline that does not begin at once.
    #[error("repeating needs a first step at 0, this one is at {}; a pass must not depend on the one before", write_moment(*.0))]
    LateStart(Span),
    /// The end is before the first step.
    #[error("the replay is to end at {}, before its first step at {}", write_moment(*.until), write_moment(*.first))]
    Over {
        /// The end.
        until: Span,
        /// The first step.
        first: Span,
    },
}

/// One step of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineStep {
    /// From the start of the pass.
    pub at: Span,
    /// What users call it: the file of its matrix, or the lines of the trace.
    pub name: String,
    /// The paths that it changes, by what pings meet on them; the first step's begin as unimpaired.
    pub paths: BTreeMap<(NodeIndex, NodeIndex), Impairment>,
}

/// Ordered steps for the paths between some nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    names: Vec<NodeName>,
    steps: Vec<TimelineStep>,
    /// All that each step does, where steps have services, exceptions or networks of nodes; else empty.
    whole: Vec<NetworkIntent>,
    pace: Pace,
}

impl Timeline {
    /// From whole networks: at each instant everything that the paths between the nodes `names` do, row by row. One pass,
    /// without an end of its own.
    pub fn of_networks(
        names: Vec<NodeName>,
        networks: impl IntoIterator<Item = (Span, String, Vec<Impairment>)>,
    ) -> Result<Self, TimelineError> {
        let n = names.len();
        let mut before = vec![Impairment::default(); n * n];
        let mut steps = Vec::new();
        for (at, name, network) in networks {
            if network.len() != n * n {
                return Err(TimelineError::Size { step: name, found: network.len(), nodes: n });
            }
            let changed = (0..n * n).filter(|place| place / n != place % n && network[*place] != before[*place]);
            let paths = changed.map(|place| ((place / n, place % n), network[place])).collect();
            steps.push(TimelineStep { at, name, paths });
            before = network;
        }
        Self::new(names, steps)
    }

    /// As [`Timeline::of_networks`], with services, exceptions and networks of nodes.
    pub fn of_intents(
        names: Vec<NodeName>,
        networks: impl IntoIterator<Item = (Span, String, NetworkIntent)>,
    ) -> Result<Self, TimelineError> {
        let networks: Vec<_> = networks.into_iter().collect();
        let pings = |network: &NetworkIntent| network.paths.iter().map(PathIntent::pings).collect();
        let met = networks.iter().map(|(at, name, network)| (*at, name.clone(), pings(network)));
        let timeline = Self::of_networks(names, met)?;
        if networks.iter().all(|(.., network)| network.is_plain()) {
            return Ok(timeline);
        }
        Ok(Self { whole: networks.into_iter().map(|(.., network)| network).collect(), ..timeline })
    }

    /// Whether a step does more than the paths of the steps say: services apart, exceptions, networks of nodes.
    pub fn has_more_than_paths(&self) -> bool {
        !self.whole.is_empty()
    }

    /// From a trace, for the nodes `names`, among which all nodes of the trace must be.
    pub fn of_trace(names: Vec<NodeName>, trace: &Trace) -> Result<Self, super::TraceError> {
        let steps = trace.steps(&names)?;
        Self::new(names, steps).map_err(|error| trace.error(error))
    }

    fn new(names: Vec<NodeName>, steps: Vec<TimelineStep>) -> Result<Self, TimelineError> {
        if steps.is_empty() {
            return Err(TimelineError::Empty);
        }
        if let Some([first, second]) = steps.windows(2).find(|pair| pair[0].at >= pair[1].at) {
            return Err(TimelineError::Order { first: first.at, second: second.at });
        }
        Ok(Self { names, steps, whole: Vec::new(), pace: Pace::default() })
    }

    /// The same with passes of this length, so often, and ended at an instant.
    pub fn paced(self, pace: Pace) -> Result<Self, TimelineError> {
        let Pace { length, repeat, until } = pace;
        let (first, last) = (self.steps[0].at, self.steps[self.steps.len() - 1].at);
        if let Some(length) = length.filter(|length| *length <= last) {
            return Err(TimelineError::Short { length, last });
        }
        if repeat != Repeat::Times(1) {
            if length.is_none() {
                return Err(TimelineError::NoLength(last));
            }
            if first != Span::ZERO {
                return Err(TimelineError::LateStart(first));
            }
        }
        match until.filter(|until| *until <= first) {
            Some(until) => Err(TimelineError::Over { until, first }),
            None => Ok(Self { pace, ..self }),
        }
    }

    /// The nodes, in order.
    pub fn names(&self) -> &[NodeName] {
        &self.names
    }

    /// The steps of a pass, in order.
    pub fn steps(&self) -> &[TimelineStep] {
        &self.steps
    }

    /// How passes follow each other.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// When the replay ends; `None` when it never does. Where neither an end nor the length of a pass is said, the last
    /// step is in force for as long as the one before it.
    pub fn end(&self) -> Option<Span> {
        let last = self.steps[self.steps.len() - 1].at.as_nanos();
        let before = self.steps.len().checked_sub(2).map_or(last, |place| self.steps[place].at.as_nanos());
        let pass = self.pace.length.map_or(2 * last - before, Span::as_nanos);
        let passes = match self.pace.repeat {
            Repeat::Times(times) => Some(Span::from_nanos(pass.saturating_mul(u64::from(times)))),
            Repeat::Forever => None,
        };
        match (self.pace.until, passes) {
            // A single pass without a length has no end that somebody asked for.
            (Some(until), _) if self.pace.length.is_none() => Some(until),
            (Some(until), Some(passes)) => Some(until.min(passes)),
            (until, passes) => until.or(passes),
        }
    }

    /// All switches, in order; without end when the replay has none.
    pub fn switches(&self) -> impl Iterator<Item = Switch> + use<> {
        self.pace.switches(self.steps.iter().map(|step| step.at).collect())
    }

    /// What the path between two nodes does from a step on.
    pub fn path(&self, step: usize, from: NodeIndex, to: NodeIndex) -> Impairment {
        let mut so_far = self.steps[..=step].iter().rev();
        so_far.find_map(|step| step.paths.get(&(from, to))).copied().unwrap_or_default()
    }

    /// What all paths do from a step on, row by row.
    pub fn network(&self, step: usize) -> Vec<Impairment> {
        let n = self.names.len();
        let mut network = vec![Impairment::default(); n * n];
        for step in &self.steps[..=step] {
            for ((from, to), does) in &step.paths {
                network[from * n + to] = *does;
            }
        }
        network
    }

    /// The delays of all paths from a step on.
    pub fn matrix(&self, step: usize) -> Result<DelayMatrix, MatrixError> {
        let delays = self.network(step).into_iter().map(|does| does.delay).collect();
        DelayMatrix::new(self.names.clone(), delays)
    }

    /// For each step what it changes of the row of node `from`, where `nodes` are the nodes of this timeline. The first
    /// step's is the whole row, so that every pass begins in the same way.
    pub fn rows_of(&self, nodes: &[Node], from: NodeIndex) -> Vec<RowChange> {
        let mut now = vec![Impairment::default(); self.names.len()];
        let mut row = Row::default();
        let mut changes = Vec::with_capacity(self.steps.len());
        for (place, step) in self.steps.iter().enumerate() {
            let mut touched = false;
            for ((_, to), does) in step.paths.range((from, 0)..=(from, usize::MAX)) {
                now[*to] = *does;
                touched = true;
            }
            let next = match self.whole.get(place) {
                Some(network) => network.row(nodes, from),
                None if touched => Row::of_paths(nodes, from, |to| now[to]),
                None => row.clone(),
            };
            changes.push(if place == 0 { RowChange::Whole(next.clone()) } else { RowChange::between(&row, &next) });
            row = next;
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::units::Delay;

    fn names(count: usize) -> Vec<NodeName> {
        (1..=count).map(NodeName::numbered).collect()
    }

    fn nodes(count: usize) -> Vec<Node> {
        let node = |n| serde_json::json!({ "name": format!("n{n}"), "ipv4": format!("10.0.0.{n}"), "ipv6": format!("fd00::{n}") });
        (1..=count).map(|n| serde_json::from_value(node(n)).unwrap()).collect()
    }

    fn ms(ms: u64) -> Span {
        Span::from_millis(ms)
    }

    /// Two nodes whose first path has these delays, in milliseconds, at these instants.
    fn steps(delays: &[(u64, u64)]) -> Result<Timeline, TimelineError> {
        let of = |delay| [0, delay, 0, 0].map(|ms| Impairment::delay(Delay::from_millis(ms))).to_vec();
        let networks = delays.iter().map(|(at, delay)| (ms(*at), format!("{delay}.csv"), of(*delay)));
        Timeline::of_networks(names(2), networks)
    }

    fn pace(length: Option<Span>, repeat: Repeat, until: Option<Span>) -> Pace {
        Pace { length, repeat, until }
    }

    fn told(timeline: &Timeline) -> Vec<(u64, u64, usize)> {
        timeline.switches().take(7).map(|one| (one.number, one.at.as_nanos() / 1_000_000, one.step)).collect()
    }

    #[test]
    fn passes_follow_each_other() {
        let day = steps(&[(0, 10), (300, 20)]).unwrap();
        assert_eq!((told(&day), day.end()), (vec![(1, 0, 0), (2, 300, 1)], Some(ms(600))));
        let twice = day.clone().paced(pace(Some(ms(500)), Repeat::Times(2), None)).unwrap();
        assert_eq!(told(&twice), [(1, 0, 0), (2, 300, 1), (3, 500, 0), (4, 800, 1)]);
        assert_eq!(twice.end(), Some(ms(1_000)));
        let cut = day.clone().paced(pace(Some(ms(500)), Repeat::Forever, Some(ms(800)))).unwrap();
        assert_eq!((told(&cut).len(), cut.end()), (3, Some(ms(800))));
        let endless = day.clone().paced(pace(Some(ms(500)), Repeat::Forever, None)).unwrap();
        assert_eq!((told(&endless)[6], endless.end()), ((7, 1_500, 0), None));
        let long = day.paced(pace(None, Repeat::default(), Some(ms(9_000)))).unwrap();
        assert_eq!((told(&long).len(), long.end()), (2, Some(ms(9_000))));
        assert_eq!(steps(&[(7, 1)]).unwrap().end(), Some(ms(7)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let day = || steps(&[(100, 10), (300, 20)]).unwrap();
        for (outcome, message) in [
            (steps(&[]), "the timeline has no step"),
            (steps(&[(5, 1), (5, 2)]), "the step at 5ms does not come after the one at 5ms"),
            (
                day().paced(pace(None, Repeat::Forever, None)),
                "repeating needs to know how long a pass takes; write `length`, after the last step at 300ms",
            ),
            (
                day().paced(pace(Some(ms(300)), Repeat::default(), None)),
                "a pass takes 300ms, but its last step is at 300ms",
            ),
            (
                day().paced(pace(Some(ms(400)), Repeat::Times(2), None)),
                "repeating needs a first step at 0, this one is at 100ms; a pass must not depend on the one before",
            ),
            (
                day().paced(pace(None, Repeat::default(), Some(ms(100)))),
                "the replay is to end at 100ms, before its first step at 100ms",
            ),
            (
                Timeline::of_networks(names(3), [(ms(0), "a.csv".to_owned(), vec![Impairment::default(); 4])]),
                "step `a.csv` has 4 paths, but 3 nodes have 9",
            ),
        ] {
            assert_eq!(outcome.map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn rows_step_by_step_are_the_networks(
            networks in prop::collection::vec(prop::collection::vec(0u64..4, 9), 1..6)
        ) {
            let nodes = nodes(3);
            let does = |delays: &Vec<u64>| -> Vec<Impairment> {
                delays.iter().map(|ms| Impairment::delay(Delay::from_millis(*ms))).collect()
            };
            let all = networks.iter().zip(0u64..).map(|(network, place)| (ms(place), place.to_string(), does(network)));
            let timeline = Timeline::of_networks(names(3), all).unwrap();
            for from in 0..3 {
                let mut row = Row::default();
                for (step, change) in timeline.rows_of(&nodes, from).iter().enumerate() {
                    row = change.on(&row);
                    let wanted = Row::of_paths(&nodes, from, |to| does(&networks[step])[from * 3 + to]);
                    let sorted = |row: &Row| {
                        let mut paths: Vec<String> = row.paths.iter().map(|path| format!("{path:?}")).collect();
                        paths.sort();
                        paths
                    };
                    prop_assert_eq!(sorted(&row), sorted(&wanted));
                    for to in (0..3).filter(|to| *to != from) {
                        prop_assert_eq!(timeline.path(step, from, to), does(&networks[step])[from * 3 + to]);
                    }
                }
            }
        }
    }
}
