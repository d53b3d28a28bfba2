//! The probe schedule: a round-robin tournament whose every probe has its instant beforehand. Pure.
//!
//! In each round every node is matched with at most one peer (circle method; with an odd number of nodes one rests),
//! so a node exchanges probes with one peer at a time. Both partners send, half an interval apart, and the matches of
//! a round are spread over that half, so that nodes that share a machine do not wake at one instant.

use serde::{Deserialize, Serialize};

use crate::topology::NodeIndex;
use crate::units::Span;

/// Warm-up probes follow each other at this interval, or at the plan's own when that is shorter.
const WARM_UP_INTERVAL: Span = Span::from_millis(3);

/// In which order the probes of the pairs follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Each pair is probed in one go, and then the next: the path is undisturbed meanwhile.
    #[default]
    Rounds,
    /// Every pair is probed once in each interval, all the time: what changes meanwhile is seen on every path.
    Steady,
}

/// What is to be measured: every ordered pair of `nodes`, `probes` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many nodes there are.
    pub nodes: usize,
    /// Counted probes per path.
    pub probes: u32,
    /// Probes per path that go out first and are not counted, so that neighbours and routes are resolved.
    pub warm_up: u32,
    /// Between two probes of a path.
    pub interval: Span,
    /// In which order; warm-up probes always come in rounds.
    pub pattern: Pattern,
}

/// Which probe of its path a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sequence {
    /// A warm-up probe, from 0; not counted.
    WarmUp(u32),
    /// A counted probe, from 0.
    Probe(u32),
}

/// One probe that a node has to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// When, counted from the common start.
    pub at: Span,
    /// To whom.
    pub peer: NodeIndex,
    /// Which of the path's probes.
    pub seq: Sequence,
}

impl Plan {
    /// What `node` sends, in the order of time: the whole warm-up tournament, then the counted one.
    /// Empty when `node` is not one of the nodes.
    pub fn slots_of(&self, node: NodeIndex) -> impl Iterator<Item = Slot> + use<> {
        let (warm_up, counted) = (self.warm_up_part(), self.counted_part());
        let counted_start = warm_up.duration_ns();
        let warm_up =
            warm_up.slots(node).map(|(at, peer, k)| Slot { at: Span::from_nanos(at), peer, seq: Sequence::WarmUp(k) });
        let counted = counted.slots(node).map(move |(at, peer, k)| Slot {
            at: Span::from_nanos(at.saturating_add(counted_start)),
            peer,
            seq: Sequence::Probe(k),
        });
        warm_up.chain(counted)
    }

    /// From the common start to the end of the last round; answers may arrive later.
    pub fn duration(&self) -> Span {
        Span::from_nanos(self.warm_up_part().duration_ns().saturating_add(self.counted_part().duration_ns()))
    }

    /// Counted probes that each node sends, and that each node receives when none is lost.
    pub fn probes_per_node(&self) -> u64 {
        u64::from(self.probes) * self.nodes.saturating_sub(1) as u64
    }

    fn warm_up_part(&self) -> Tournament {
        let interval = self.interval.min(WARM_UP_INTERVAL);
        let interval_ns = interval.as_nanos();
        Tournament { nodes: self.nodes, repeats: self.warm_up, interval_ns, pattern: Pattern::Rounds }
    }

    fn counted_part(&self) -> Tournament {
        let interval_ns = self.interval.as_nanos();
        Tournament { nodes: self.nodes, repeats: self.probes, interval_ns, pattern: self.pattern }
    }
}

/// One round-robin tournament in which each match is played `repeats` times.
#[derive(Clone, Copy)]
struct Tournament {
    nodes: usize,
    repeats: u32,
    interval_ns: u64,
    pattern: Pattern,
}

impl Tournament {
    /// How many rounds it takes: the size of the circle, which is odd. Seats `0..circle` turn, the seat `circle` stays.
    fn rounds(self) -> usize {
        if self.nodes < 2 { 0 } else { self.nodes - 1 + self.nodes % 2 }
    }

    fn round_ns(self) -> u64 {
        self.interval_ns.saturating_mul(u64::from(self.repeats))
    }

    fn duration_ns(self) -> u64 {
        match self.pattern {
            Pattern::Rounds => self.round_ns().saturating_mul(self.rounds() as u64),
            Pattern::Steady if self.rounds() == 0 => 0,
            Pattern::Steady => self.round_ns(),
        }
    }

    /// The peer of `node` in `round` and the number of their match in that round; `None` when it rests.
    fn opponent(self, round: usize, node: NodeIndex) -> Option<(NodeIndex, usize)> {
        let circle = self.rounds();
        if node == circle {
            return Some((round, 0));
        }
        let steps = (node + circle - round) % circle;
        if steps == 0 {
            return (circle < self.nodes).then_some((circle, 0));
        }
        Some(((round + circle - steps) % circle, steps.min(circle - steps)))
    }

    /// The sends of `node`: offset in nanoseconds, peer, repetition.
    fn slots(self, node: NodeIndex) -> impl Iterator<Item = (u64, NodeIndex, u32)> + use<> {
        let rounds = if node < self.nodes { self.rounds() as u64 } else { 0 };
        let repeats = u64::from(self.repeats);
        (0..rounds.saturating_mul(repeats)).filter_map(move |place| {
            let (round, repetition) = match self.pattern {
                Pattern::Rounds => (place / repeats, place % repeats),
                Pattern::Steady => (place % rounds, place / rounds),
            };
            let (peer, number) = self.opponent(usize::try_from(round).ok()?, node)?;
            let (turn, start) = match self.pattern {
                Pattern::Rounds => (self.interval_ns, self.round_ns().saturating_mul(round)),
                Pattern::Steady => (self.interval_ns / rounds, (self.interval_ns / rounds).saturating_mul(round)),
            };
            let first = start.saturating_add(self.phase_ns(turn, number, node > peer));
            let at = first.saturating_add(self.interval_ns.saturating_mul(repetition));
            Some((at, peer, u32::try_from(repetition).ok()?))
        })
    }

    /// Where in a turn a match's sender stands: less than one turn, different for every sender of a round as long as the
    /// turn has enough nanoseconds.
    fn phase_ns(self, turn_ns: u64, number: usize, second: bool) -> u64 {
        let half = turn_ns / 2;
        let matches = self.rounds().div_ceil(2) as u64;
        let spread = u128::from(half) * number as u128 / u128::from(matches);
        u64::try_from(spread).unwrap_or(half) + if second { half } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn plan(nodes: usize, probes: u32, warm_up: u32, interval_us: u64) -> Plan {
        Plan { nodes, probes, warm_up, interval: Span::from_micros(interval_us), pattern: Pattern::Rounds }
    }

    /// Every send of every node: (at, from, to, seq).
    fn sends(plan: &Plan) -> Vec<(u64, usize, usize, Sequence)> {
        let of = |from| plan.slots_of(from).map(move |slot| (slot.at.as_nanos(), from, slot.peer, slot.seq));
        (0..plan.nodes).flat_map(of).collect()
    }

    #[test]
    fn every_ordered_pair_meets_exactly_as_often_as_asked() {
        for nodes in 2..=12 {
            for (probes, warm_up) in [(1, 0), (3, 1), (2, 2)] {
                let mut seen = BTreeMap::new();
                for (_, from, to, seq) in sends(&plan(nodes, probes, warm_up, 10_000)) {
                    *seen.entry((from, to, seq)).or_insert(0) += 1;
                }
                let mut expected = BTreeMap::new();
                for from in 0..nodes {
                    for to in (0..nodes).filter(|to| *to != from) {
                        expected.extend((0..warm_up).map(|k| ((from, to, Sequence::WarmUp(k)), 1)));
                        expected.extend((0..probes).map(|k| ((from, to, Sequence::Probe(k)), 1)));
                    }
                }
                assert_eq!(seen, expected, "{nodes} nodes, {probes} probes, {warm_up} warm-up");
            }
        }
    }

    #[test]
    fn a_round_is_a_matching() {
        for nodes in 2..=12 {
            let plan = plan(nodes, 4, 0, 1_000);
            let mut peers: BTreeMap<(u64, usize), BTreeSet<usize>> = BTreeMap::new();
            for (at, from, to, _) in sends(&plan) {
                let round = at / 4_000_000;
                peers.entry((round, from)).or_default().insert(to);
                peers.entry((round, to)).or_default().insert(from);
            }
            assert!(peers.values().all(|peers| peers.len() == 1), "{nodes} nodes: a node has two peers in a round");
            let rounds = peers.keys().map(|(round, _)| *round).max().unwrap() + 1;
            let expected = if nodes % 2 == 0 { nodes - 1 } else { nodes };
            assert_eq!(rounds, expected as u64);
        }
    }

    #[test]
    fn senders_of_a_round_are_apart() {
        let plan = plan(30, 1, 0, 10_000);
        let mut instants: Vec<u64> = sends(&plan).iter().map(|send| send.0).collect();
        instants.sort_unstable();
        assert!(instants.windows(2).all(|pair| pair[1] - pair[0] > 300_000));
    }

    #[test]
    fn thirty_nodes_with_ten_probes_take_under_three_seconds() {
        assert_eq!(plan(30, 10, 1, 10_000).duration(), Span::from_millis(29 * 3 + 29 * 100));
    }

    #[test]
    fn the_whole_warm_up_comes_before_the_first_counted_probe() {
        let sends = sends(&plan(7, 2, 2, 10_000));
        let of = |warm_up: bool| {
            sends.iter().filter(move |send| matches!(send.3, Sequence::WarmUp(_)) == warm_up).map(|send| send.0)
        };
        assert!(of(true).max().unwrap() < of(false).min().unwrap());
    }

    #[test]
    fn two_nodes_alternate_at_half_intervals() {
        let plan = plan(2, 2, 0, 10_000);
        let at = |node| plan.slots_of(node).map(|slot| slot.at).collect::<Vec<_>>();
        assert_eq!(at(0), [Span::ZERO, Span::from_millis(10)]);
        assert_eq!(at(1), [Span::from_millis(5), Span::from_millis(15)]);
    }

    #[test]
    fn strangers_and_lone_nodes_send_nothing() {
        assert_eq!(plan(4, 5, 1, 1_000).slots_of(4).count(), 0);
        assert_eq!(plan(1, 5, 1, 1_000).slots_of(0).count(), 0);
        assert_eq!(plan(0, 5, 1, 1_000).duration(), Span::ZERO);
    }

    proptest! {
        #[test]
        fn a_node_sends_in_order_within_the_duration(
            nodes in 2usize..80, probes in 1u32..6, warm_up in 0u32..3, interval_us in 1u64..50_000
        ) {
            let plan = plan(nodes, probes, warm_up, interval_us);
            for node in 0..nodes {
                let at: Vec<Span> = plan.slots_of(node).map(|slot| slot.at).collect();
                prop_assert_eq!(at.len(), (nodes - 1) * (probes + warm_up) as usize);
                prop_assert!(at.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(at.last() < Some(&plan.duration()));
            }
        }

        #[test]
        fn steadily_every_path_is_probed_once_an_interval_and_in_order(
            nodes in 2usize..12, probes in 1u32..6, interval_us in 100u64..50_000
        ) {
            let plan = Plan { pattern: Pattern::Steady, ..plan(nodes, probes, 0, interval_us) };
            prop_assert_eq!(plan.duration().as_nanos(), interval_us * 1_000 * u64::from(probes));
            for node in 0..nodes {
                let slots: Vec<_> = plan.slots_of(node).collect();
                prop_assert!(slots.windows(2).all(|pair| pair[0].at < pair[1].at));
                for peer in (0..nodes).filter(|peer| *peer != node) {
                    let own: Vec<_> = slots.iter().filter(|slot| slot.peer == peer).collect();
                    prop_assert_eq!(own.len(), probes as usize);
                    for (k, slot) in (0u32..).zip(own) {
                        prop_assert_eq!(slot.seq, Sequence::Probe(k));
                        prop_assert_eq!(slot.at.as_nanos() / (interval_us * 1_000), u64::from(k));
                    }
                }
            }
        }

        #[test]
        fn absurd_plans_saturate(nodes in 2usize..5, probes in 1u32..4, interval_ns in u64::MAX / 2..u64::MAX) {
            for pattern in [Pattern::Rounds, Pattern::Steady] {
                let plan = Plan { nodes, probes, warm_up: 1, interval: Span::from_nanos(interval_ns), pattern };
                prop_assert_eq!(plan.slots_of(0).count(), (nodes - 1) * (probes as usize + 1));
                let _ = plan.duration();
            }
        }
    }
}
