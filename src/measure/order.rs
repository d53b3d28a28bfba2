//! Which probes were overtaken: a shorter delay, jitter and reordering let later packets arrive before earlier ones. Pure.

use std::collections::BTreeMap;

use super::sample::Sample;
use crate::topology::NodeIndex;

/// When a probe arrived, its number on its path, and its place.
type Arrival = (u64, u32, usize);

/// The probes that arrived after one of their path that was sent later (reordered, as RFC 4737 counts it), by their places in
/// `samples`, ascending.
pub fn overtaken(samples: &[Sample]) -> Vec<usize> {
    let mut arrivals: BTreeMap<(NodeIndex, NodeIndex), Vec<Arrival>> = BTreeMap::new();
    for (place, sample) in samples.iter().enumerate() {
        if let Some(one_way) = sample.one_way {
            let arrived = sample.sent_ns.saturating_add(one_way.as_nanos());
            arrivals.entry((sample.from, sample.to)).or_default().push((arrived, sample.seq, place));
        }
    }
    let mut late = Vec::new();
    for of_path in arrivals.values_mut() {
        of_path.sort_unstable();
        let mut newest = None;
        for (_, seq, place) in of_path {
            if newest.is_some_and(|newest| *seq < newest) {
                late.push(*place);
            } else {
                newest = Some(*seq);
            }
        }
    }
    late.sort_unstable();
    late
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Delay;
    use proptest::prelude::*;

    fn sample(to: usize, seq: u32, sent_ns: u64, one_way: Option<u64>) -> Sample {
        Sample { from: 0, to, seq, sent_ns, one_way: one_way.map(Delay::from_nanos), rtt: None }
    }

    #[test]
    fn a_shorter_delay_lets_later_probes_arrive_first() {
        let samples = [
            sample(1, 0, 0, Some(50)),
            sample(1, 1, 10, Some(50)),
            sample(1, 2, 20, Some(20)),
            sample(1, 3, 30, None),
            sample(1, 4, 40, Some(20)),
            sample(2, 0, 0, Some(500)),
        ];
        assert_eq!(overtaken(&samples), [0, 1]);
        assert_eq!(overtaken(&[]), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn counting_agrees_with_brute_force(delays in prop::collection::vec(prop::option::of(0u64..60), 0..30)) {
            let samples: Vec<Sample> =
                (0u32..).zip(&delays).map(|(seq, delay)| sample(1, seq, u64::from(seq) * 10, *delay)).collect();
            let arrived = |one: &Sample| one.one_way.map(|delay| (one.sent_ns + delay.as_nanos(), one.seq));
            let passed = |one: &Sample| {
                samples.iter().any(|other| other.seq > one.seq && arrived(other).zip(arrived(one)).is_some_and(|(a, b)| a < b))
            };
            let wanted: Vec<usize> = (0..samples.len()).filter(|place| passed(&samples[*place])).collect();
            prop_assert_eq!(overtaken(&samples), wanted);
        }
    }
}
