//! [`Disturbances`]: what paths of a simulation do to packets beyond their delay.

use std::collections::BTreeMap;

use crate::shaping::{Aspect, Impairment, Netem, PathDice, Reorder, Share};
use crate::topology::NodeIndex;

use super::Streams;

/// What paths do beyond their delay, and their dice. Only jitter and loss are simulated.
#[derive(Debug, Clone, Default)]
pub struct Disturbances {
    nodes: usize,
    /// What there is, each once.
    kinds: Vec<Netem>,
    /// Which of them each path has.
    paths: Vec<Option<usize>>,
    streams: Option<Streams>,
    /// Dice of the paths that have had a packet.
    dice: Vec<Option<Box<PathDice>>>,
}

impl Disturbances {
    /// Those of `path` between `nodes` nodes. Each path has dice of its own, from `streams`; a seed in an impairment is for
    /// live dice and does not count.
    pub fn new(nodes: usize, path: impl Fn(NodeIndex, NodeIndex) -> Impairment, streams: Streams) -> Self {
        let (mut known, mut kinds) = (BTreeMap::new(), Vec::new());
        let of = |place: usize| {
            let (from, to) = (place / nodes, place % nodes);
            let Impairment { jitter, loss, .. } = path(from, to);
            // The delay is the network's.
            let kind = Impairment { jitter, loss, ..Impairment::default() };
            if from == to || kind.is_nothing() {
                return None;
            }
            let number = known.entry(kind).or_insert_with(|| {
                kinds.push(kind.netem());
                kinds.len() - 1
            });
            Some(*number)
        };
        let paths: Vec<Option<usize>> = (0..nodes * nodes).map(of).collect();
        let dice = vec![None; paths.len()];
        Self { nodes, kinds, paths, streams: Some(streams), dice }
    }

    /// Whether a path does nothing beyond its delay.
    pub fn spare(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.kind(from, to).is_none()
    }

    fn kind(&self, from: NodeIndex, to: NodeIndex) -> Option<usize> {
        self.paths.get(from * self.nodes + to).copied().flatten()
    }

    /// What becomes of the next packet of a path: how far it strays from the path's delay, in nanoseconds; `None` when it is
    /// lost. Without jitter and loss nothing is drawn.
    pub fn next(&mut self, from: NodeIndex, to: NodeIndex) -> Option<i64> {
        let (Some(kind), Some(streams)) = (self.kind(from, to), self.streams) else { return Some(0) };
        let (netem, place) = (&self.kinds[kind], from * self.nodes + to);
        let dice = self.dice[place]
            .get_or_insert_with(|| Box::new(PathDice::new(netem, streams.stream("path", place as u64))));
        if dice.loses(netem) { None } else { Some(dice.strays(netem)) }
    }

    /// What an impairment asks for that a simulation does not do, if anything.
    pub fn beyond(impairment: &Impairment) -> Option<Aspect> {
        let asked = [
            (impairment.rate.is_some(), Aspect::Rate),
            (impairment.duplicate != Share::default(), Aspect::Duplicate),
            (impairment.corrupt != Share::default(), Aspect::Corrupt),
            (impairment.reorder.is_some_and(|Reorder { gap, .. }| gap > 0), Aspect::Reorder),
        ];
        asked.into_iter().find(|(asked, _)| *asked).map(|(_, aspect)| aspect)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::{Distribution, Jitter, Loss};
    use crate::units::{Delay, Probability, Span};

    fn jittery() -> Impairment {
        let jitter = Jitter { span: Span::from_millis(2), distribution: Distribution::Normal, ..Jitter::default() };
        let loss = Loss::Random(Share::of("10%".parse::<Probability>().unwrap()));
        Impairment { jitter, loss, ..Impairment::delay(Delay::from_millis(10)) }
    }

    fn drawn(disturbances: &mut Disturbances, path: (NodeIndex, NodeIndex), count: usize) -> Vec<Option<i64>> {
        (0..count).map(|_| disturbances.next(path.0, path.1)).collect()
    }

    #[test]
    fn a_path_has_dice_of_its_own_that_repeat_with_the_seed() {
        let of = |seed| Disturbances::new(3, |_, _| jittery(), Streams::new(seed));
        let (mut one, mut again, mut other) = (of(1), of(1), of(2));
        // What other paths draw in between changes nothing.
        drawn(&mut again, (1, 0), 77);
        let first = drawn(&mut one, (0, 1), 100);
        assert_eq!(first, drawn(&mut again, (0, 1), 100));
        assert_ne!(first, drawn(&mut one, (0, 2), 100));
        assert_ne!(first, drawn(&mut other, (0, 1), 100));
        assert_eq!(drawn(&mut one, (1, 1), 3), [Some(0); 3], "a node is not away from itself");
    }

    #[test]
    fn shares_and_spreads_are_those_asked_for() {
        let mut disturbances = Disturbances::new(2, |_, _| jittery(), Streams::new(7));
        let all = drawn(&mut disturbances, (0, 1), 100_000);
        let there: Vec<f64> = all.iter().flatten().map(|ns| *ns as f64 / 1e6).collect();
        // Five standard deviations of a binomial share: 0.5 %.
        assert!((there.len() as f64 / 100_000.0 - 0.9).abs() < 0.005, "{}", there.len());
        let mean = there.iter().sum::<f64>() / there.len() as f64;
        let deviation = (there.iter().map(|ms| (ms - mean).powi(2)).sum::<f64>() / there.len() as f64).sqrt();
        assert!(mean.abs() < 0.05 && (deviation - 2.0).abs() < 0.05, "{mean} {deviation}");
    }

    #[test]
    fn paths_without_disturbance_draw_nothing() {
        let quiet = |from, _| if from == 0 { jittery() } else { Impairment::delay(Delay::from_millis(10)) };
        let mut disturbances = Disturbances::new(2, quiet, Streams::new(7));
        assert_eq!(drawn(&mut disturbances, (1, 0), 50), vec![Some(0); 50]);
        assert!(disturbances.dice[2].is_none());
        assert_eq!(Disturbances::default().next(0, 1), Some(0));
    }

    #[test]
    fn what_is_not_simulated_is_named() {
        assert_eq!(Disturbances::beyond(&jittery()), None);
        let share = Share::of("1%".parse().unwrap());
        let reorder = Some(Reorder { share, gap: 1 });
        for (asked, aspect) in [
            (Impairment { rate: Some("1mbit".parse().unwrap()), ..jittery() }, Aspect::Rate),
            (Impairment { duplicate: share, ..jittery() }, Aspect::Duplicate),
            (Impairment { corrupt: share, ..jittery() }, Aspect::Corrupt),
            (Impairment { reorder, ..jittery() }, Aspect::Reorder),
        ] {
            assert_eq!(Disturbances::beyond(&asked), Some(aspect));
        }
    }
}
