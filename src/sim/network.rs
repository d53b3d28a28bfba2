//! The network of a simulation: what a matrix makes of a packet.

use crate::matrix::DelayMatrix;
use crate::topology::NodeIndex;
use crate::units::{Delay, Rtt, Span};

use super::Disturbances;

/// What a sender waits for a sign of its packet beyond the round trip before it sends it again: `TCP_RTO_MIN` of Linux, which
/// is what the deviation counts as where round trips are steady.
const PATIENCE: Span = Span::from_millis(200);

/// The longest that it waits: `TCP_RTO_MAX` of Linux.
const MOST_PATIENCE: Span = Span::from_secs(120);

/// How many probes make a measurement.
const PROBES: usize = 5;

/// Delays between nodes. A node is `local` away from itself, there and back.
#[derive(Debug, Clone)]
pub struct Network {
    nodes: usize,
    delays: Vec<Delay>,
    /// There and back. A balancer that looks at all instances reads a row of this; in the matrix every way back lies in another.
    round_trips: Vec<Rtt>,
    cut: Vec<bool>,
    disturbances: Disturbances,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It arrives after that time.
    Takes(Span),
    /// Chance took it.
    Lost,
    /// There is no way.
    Cut,
}

impl Network {
    /// As the matrix says; on a node itself a round trip takes `local`.
    pub fn new(matrix: &DelayMatrix, local: Rtt) -> Self {
        let nodes = matrix.len();
        let disturbances = Disturbances::default();
        let (delays, round_trips) = (matrix.delays().to_vec(), Vec::new());
        let mut network = Self { nodes, delays, round_trips, cut: vec![false; nodes], disturbances };
        let (there, _) = local.split_evenly();
        for node in 0..nodes {
            network.delays[node * nodes + node] = there;
        }
        network.add_up();
        network
    }

    /// The same with jitter and loss.
    #[must_use]
    pub fn disturbed(self, disturbances: Disturbances) -> Self {
        Self { disturbances, ..self }
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Sends a packet from one node to another.
    pub fn pass(&mut self, from: NodeIndex, to: NodeIndex) -> Passage {
        if !self.connects(from, to) {
            return Passage::Cut;
        }
        let delay = self.delays[from * self.nodes + to].as_nanos();
        match self.disturbances.next(from, to) {
            Some(stray) => Passage::Takes(Span::from_nanos(delay.saturating_add_signed(stray))),
            None => Passage::Lost,
        }
    }

    /// Whether there is a way from one node to another.
    pub fn connects(&self, from: NodeIndex, to: NodeIndex) -> bool {
        from == to || !(self.cut[from] || self.cut[to])
    }

    /// There and back, by the means of both ways.
    pub fn round_trip(&self, from: NodeIndex, to: NodeIndex) -> Rtt {
        self.round_trips[from * self.nodes + to]
    }

    fn add_up(&mut self) {
        let (nodes, delays) = (self.nodes, &self.delays);
        let round_trip =
            |(from, to): (NodeIndex, NodeIndex)| delays[from * nodes + to].round_trip(delays[to * nodes + from]);
        self.round_trips = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))).map(round_trip).collect();
    }

    /// There and back as probes measure it: the median of five, of those that come back; `None` if none does.
    pub fn measure(&mut self, from: NodeIndex, to: NodeIndex) -> Option<Rtt> {
        if self.disturbances.spare(from, to) && self.disturbances.spare(to, from) {
            return self.connects(from, to).then(|| self.round_trip(from, to));
        }
        let mut back: Vec<Rtt> = (0..PROBES).filter_map(|_| self.probe(from, to)).collect();
        back.sort_unstable();
        back.get(back.len() / 2).copied()
    }

    fn probe(&mut self, from: NodeIndex, to: NodeIndex) -> Option<Rtt> {
        match (self.pass(from, to), self.pass(to, from)) {
            (Passage::Takes(there), Passage::Takes(back)) => Some(Rtt::from_nanos((there + back).as_nanos())),
            _ => None,
        }
    }

    /// How long after sending a packet for the `losses`th time in vain its sender sends it again, as Linux does over TCP: the
    /// round trip and 200 ms, and twice as long each further time.
    pub fn patience(&self, from: NodeIndex, to: NodeIndex, losses: u32) -> Span {
        let first = (Span::from(self.round_trip(from, to)) + PATIENCE).as_nanos();
        let factor = 1u64.checked_shl(losses.saturating_sub(1)).unwrap_or(u64::MAX);
        Span::from_nanos(first.saturating_mul(factor)).min(MOST_PATIENCE)
    }

    /// Other delays from now on: those of a matrix of the same nodes.
    pub fn change(&mut self, matrix: &DelayMatrix) {
        for (from, to) in matrix.paths() {
            self.delays[from * self.nodes + to] = matrix.delay(from, to);
        }
        self.add_up();
    }

    /// Cuts a node off from all others, or joins it again.
    pub fn cut(&mut self, node: NodeIndex, apart: bool) {
        self.cut[node] = apart;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::matrix::{ReadOptions, parse};
    use crate::shaping::{Impairment, Jitter, Loss, Share};
    use crate::sim::Streams;

    fn network() -> Network {
        let matrix = parse("m.csv", b"0,10\n20,0\n", ReadOptions::default()).unwrap();
        Network::new(&matrix, Rtt::from_micros(500))
    }

    #[test]
    fn packets_take_what_the_matrix_says() {
        let mut network = network();
        assert_eq!(network.pass(0, 1), Passage::Takes(Span::from_millis(10)));
        assert_eq!(network.pass(1, 0), Passage::Takes(Span::from_millis(20)));
        assert_eq!(network.pass(1, 1), Passage::Takes(Span::from_micros(250)));
        assert_eq!(network.measure(0, 1), Some(Rtt::from_millis(30)));
        let other = parse("m.csv", b"0,3\n4,0\n", ReadOptions::default()).unwrap();
        network.change(&other);
        assert_eq!(
            (network.pass(1, 0), network.measure(0, 1)),
            (Passage::Takes(Span::from_millis(4)), Some(Rtt::from_millis(7)))
        );
        assert_eq!(network.round_trip(1, 1), Rtt::from_micros(500), "a node stays as far from itself as it was");
        network.cut(1, true);
        assert_eq!((network.pass(0, 1), network.measure(1, 0)), (Passage::Cut, None));
        assert!(network.connects(1, 1) && !network.connects(0, 1));
    }

    #[test]
    fn senders_wait_for_the_round_trip_and_200_ms_and_twice_as_long_each_time() {
        let network = network();
        let waited: Vec<u64> = (1..=4).map(|losses| network.patience(0, 1, losses).as_nanos() / 1_000_000).collect();
        assert_eq!(waited, [230, 460, 920, 1840]);
        assert_eq!(network.patience(0, 1, 200), MOST_PATIENCE);
    }

    #[test]
    fn jitter_strays_around_the_delay_and_loss_takes_packets() {
        let share = |percent: &str| Loss::Random(Share::of(percent.parse().unwrap()));
        let jitter = Jitter { span: Span::from_millis(5), ..Jitter::default() };
        let path = move |from: NodeIndex, _: NodeIndex| {
            let loss = if from == 0 { Loss::None } else { share("100%") };
            Impairment { jitter, loss, ..Impairment::delay(Delay::from_millis(10)) }
        };
        let mut network = network().disturbed(Disturbances::new(2, path, Streams::new(1)));
        let ways: Vec<Passage> = (0..1_000).map(|_| network.pass(0, 1)).collect();
        let bounds = Span::from_millis(5)..=Span::from_millis(15);
        assert!(ways.iter().all(|way| matches!(way, Passage::Takes(span) if bounds.contains(span))), "{ways:?}");
        assert!(ways.iter().any(|way| *way != ways[0]));
        assert_eq!((network.pass(1, 0), network.measure(0, 1)), (Passage::Lost, None));
    }
}
