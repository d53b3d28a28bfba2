//! How much a step changes: what a dry run prints.

use serde::Serialize;

use super::Timeline;
use crate::topology::NodeIndex;
use crate::units::{Delay, Deviation};

/// What one step does to the paths of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepChange {
    /// Paths that become different, in whatever way.
    pub changed: usize,
    /// Of those, the ones whose delay becomes longer.
    pub longer: usize,
    /// Of those, the ones whose delay becomes shorter: there packets can be overtaken.
    pub shorter: usize,
    /// The change that is farthest from zero, and its path; `None` when no delay changes.
    pub largest: Option<(Deviation, NodeIndex, NodeIndex)>,
    /// The median change of the paths that change, by its distance from zero, in nanoseconds.
    pub median_ns: Option<u64>,
    /// The shortest and the longest delay between two nodes afterwards.
    pub range: (Delay, Delay),
}

/// What each step changes of the step before it; the first begins with no impairment at all. From the last step of a
/// repeated timeline back to the first is told as well, at the end.
pub fn changes(timeline: &Timeline) -> Vec<StepChange> {
    let n = timeline.names().len();
    let wraps = timeline.pace().length.is_some() && timeline.switches().nth(timeline.steps().len()).is_some();
    let order = (0..timeline.steps().len()).chain(wraps.then_some(0));
    let mut before = vec![crate::shaping::Impairment::default(); n * n];
    let mut all = Vec::new();
    for step in order {
        let after = timeline.network(step);
        let places = (0..n * n).filter(|place| place / n != place % n);
        let changed: Vec<usize> = places.clone().filter(|place| before[*place] != after[*place]).collect();
        let mut delays: Vec<(Deviation, NodeIndex, NodeIndex)> = changed
            .iter()
            .map(|place| (after[*place].delay.deviation(before[*place].delay), place / n, place % n))
            .filter(|(change, ..)| change.as_nanos() != 0)
            .collect();
        delays.sort_by_key(|(change, ..)| change.magnitude());
        let range = places.map(|place| after[place].delay);
        all.push(StepChange {
            changed: changed.len(),
            longer: delays.iter().filter(|(change, ..)| change.as_nanos() > 0).count(),
            shorter: delays.iter().filter(|(change, ..)| change.as_nanos() < 0).count(),
            largest: delays.last().copied(),
            median_ns: delays.get(delays.len().saturating_sub(1) / 2).map(|(change, ..)| change.magnitude().as_nanos()),
            range: (range.clone().min().unwrap_or_default(), range.max().unwrap_or_default()),
        });
        before = after;
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::Impairment;
    use crate::timeline::{Pace, Repeat};
    use crate::topology::NodeName;
    use crate::units::Span;

    #[test]
    fn changes_are_counted_against_the_step_before() {
        let of = |delays: [u64; 4]| delays.map(|ms| Impairment::delay(Delay::from_millis(ms))).to_vec();
        let networks = [(0, [0, 10, 20, 0]), (1, [0, 4, 21, 0])];
        let networks = networks.map(|(at, delays)| (Span::from_millis(at), String::new(), of(delays)));
        let names = vec![NodeName::numbered(1), NodeName::numbered(2)];
        let once = Timeline::of_networks(names, networks).unwrap();
        let told = |timeline: &Timeline| -> Vec<String> {
            let line = |one: &StepChange| {
                let (largest, from, to) = one.largest.unwrap();
                format!("{} +{} -{} {} {from}>{to}", one.changed, one.longer, one.shorter, largest.as_millis_f64())
            };
            changes(timeline).iter().map(line).collect()
        };
        assert_eq!(told(&once), ["2 +2 -0 20 1>0", "2 +1 -1 -6 0>1"]);
        assert_eq!(changes(&once)[1].median_ns, Some(1_000_000));
        assert_eq!(changes(&once)[1].range, (Delay::from_millis(4), Delay::from_millis(21)));
        let twice =
            once.paced(Pace { length: Some(Span::from_millis(2)), repeat: Repeat::Times(2), until: None }).unwrap();
        assert_eq!(told(&twice)[2], "2 +1 -1 6 0>1");
    }
}
