//! [`Force`]: which switch was in force when a probe was sent, and whether the probe met the switch itself.

use serde::{Deserialize, Serialize};

use crate::units::Delay;

/// When and how a switch was carried out. All instants are nanoseconds since 1970 by the node's real-time clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchStamp {
    /// The number of the switch, from 1.
    pub number: u64,
    /// Which step it carried out, from 0.
    pub step: usize,
    /// When it was due.
    pub planned_ns: u64,
    /// When the first write began.
    pub begun_ns: u64,
    /// When the last write was acknowledged, or when it failed.
    pub done_ns: u64,
    /// How many writes it took.
    pub operations: usize,
    /// Why it failed; what was there before is in force then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A time in which a node did nothing of its replay, because its agent was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayGap {
    /// Why, in words.
    pub why: String,
    /// When that was noticed, nanoseconds since 1970 by the node's real-time clock.
    pub from_ns: u64,
    /// When the step that was due then was in force; `None` as long as none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ns: Option<u64>,
}

/// No path is longer than a minute, so switches farther from an instant cannot matter to what was sent then.
const REACH_NS: u64 = 60_000_000_000;

/// The switches of one node that took effect, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Force {
    stamps: Vec<SwitchStamp>,
}

/// What was in force at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// The number of the switch; 0 before the first.
    pub number: u64,
    /// Whether a probe sent then met a switch of its path: it was under way when it began, was sent while it went on, or
    /// came so soon after that older packets were still to arrive.
    pub straddles: bool,
}

impl Force {
    /// From the stamps of one node; switches that failed were never in force.
    pub fn new(stamps: &[SwitchStamp]) -> Self {
        let mut stamps: Vec<_> = stamps.iter().filter(|stamp| stamp.error.is_none()).cloned().collect();
        stamps.sort_by_key(|stamp| (stamp.begun_ns, stamp.number));
        Self { stamps }
    }

    /// What is in force for a probe of some path sent at `sent_ns`; `delay` says what the path's delay is after a switch
    /// (0: before the first).
    pub fn at(&self, sent_ns: u64, delay: impl Fn(u64) -> Delay) -> InForce {
        // While a switch is carried out the one before it counts as in force.
        let done = self.stamps.partition_point(|span| span.done_ns <= sent_ns);
        let number = done.checked_sub(1).map_or(0, |place| self.stamps[place].number);
        let before = |place: usize| place.checked_sub(1).map_or(0, |before| self.stamps[before].number);
        let meets = |place: usize| {
            let span = &self.stamps[place];
            let (old, new) = (delay(before(place)).as_nanos(), delay(span.number).as_nanos());
            let from = span.begun_ns.saturating_sub(old);
            let until = span.done_ns.saturating_add(old.saturating_sub(new));
            old != new && (from..until.max(span.done_ns + 1)).contains(&sent_ns)
        };
        let near = |place: &usize| {
            let span = &self.stamps[*place];
            span.begun_ns <= sent_ns.saturating_add(REACH_NS) && span.done_ns.saturating_add(REACH_NS) >= sent_ns
        };
        let earlier = (0..done).rev().take_while(near);
        let later = (done..self.stamps.len()).take_while(near);
        InForce { number, straddles: earlier.chain(later).any(meets) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_near_a_switch_of_their_path_are_marked() {
        let stamp = |number, begun_ns, done_ns| SwitchStamp { number, begun_ns, done_ns, ..SwitchStamp::default() };
        let failed = SwitchStamp { error: Some("no".to_owned()), ..stamp(4, 4_000, 4_010) };
        let force = Force::new(&[stamp(1, 1_000, 1_010), stamp(2, 2_000, 2_010), stamp(3, 3_000, 3_010), failed]);
        // 100 ns until the second switch, 40 after it; the third does not touch the path.
        let delay = |number: u64| Delay::from_nanos([0, 100, 40, 40][usize::try_from(number).unwrap_or(0)]);
        for (sent, number, straddles) in [
            (999, 0, false),
            (1_000, 0, true),
            (1_009, 0, true),
            (1_010, 1, true),
            (1_011, 1, false),
            (1_899, 1, false),
            (1_900, 1, true),
            (2_009, 1, true),
            (2_010, 2, true),
            (2_069, 2, true),
            (2_070, 2, false),
            (2_999, 2, false),
            (3_005, 2, false),
            (9_000, 3, false),
        ] {
            assert_eq!(force.at(sent, delay), InForce { number, straddles }, "{sent}");
        }
        assert_eq!(Force::default().at(5, delay), InForce { number: 0, straddles: false });
    }
}
