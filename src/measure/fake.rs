//! A [`Prober`] without a network: it reports what a perfect one would see on links with the delays of a matrix.

use std::collections::BTreeSet;

use crate::matrix::DelayMatrix;
use crate::topology::NodeIndex;

use super::probe::{Lateness, ProbeError, ProbeOrder, ProbeReport, Prober, ReceivedProbe, SentProbe, Stamps};
use super::schedule::{Sequence, Slot};

/// For tests of what stands on top of a prober.
#[derive(Debug, Clone)]
pub struct FakeProber {
    /// What each path takes.
    pub delays: DelayMatrix,
    /// Probes that do not arrive: sender, receiver, number.
    pub lost: BTreeSet<(NodeIndex, NodeIndex, u32)>,
}

impl FakeProber {
    /// Links that lose nothing.
    pub fn new(delays: DelayMatrix) -> Self {
        Self { delays, lost: BTreeSet::new() }
    }

    fn counted<'a>(
        &'a self,
        order: &'a ProbeOrder,
        from: NodeIndex,
    ) -> impl Iterator<Item = (NodeIndex, u32, u64, bool)> + 'a {
        order.plan().slots_of(from).filter_map(move |Slot { at, peer, seq }| {
            let Sequence::Probe(seq) = seq else { return None };
            Some((peer, seq, order.start_realtime_ns + at.as_nanos(), !self.lost.contains(&(from, peer, seq))))
        })
    }
}

impl Prober for FakeProber {
    fn run(&mut self, order: &ProbeOrder) -> Result<ProbeReport, ProbeError> {
        let (me, nodes) = (order.me, order.addresses.len());
        if me >= nodes || nodes != self.delays.len() {
            return Err(ProbeError::UnknownNode { me, nodes });
        }
        let answer = |to, tx_ns: u64| tx_ns + self.delays.round_trip(me, to).as_nanos();
        let mut sent: Vec<SentProbe> = self
            .counted(order, me)
            .map(|(to, seq, tx_ns, arrives)| SentProbe { to, seq, tx_ns, rx_ns: arrives.then(|| answer(to, tx_ns)) })
            .collect();
        sent.sort_unstable_by_key(|probe| (probe.to, probe.seq));
        let mut received = Vec::new();
        for from in (0..nodes).filter(|from| *from != me) {
            let arriving = self.counted(order, from).filter(|(to, _, _, arrives)| *to == me && *arrives);
            received.extend(arriving.map(|(_, seq, tx_ns, _)| ReceivedProbe {
                from,
                seq,
                rx_ns: tx_ns + self.delays.delay(from, me).as_nanos(),
            }));
        }
        received.sort_unstable_by_key(|probe| probe.rx_ns);
        let lateness = (!sent.is_empty()).then(Lateness::default);
        let stamps = Stamps::Kernel;
        Ok(ProbeReport {
            sent,
            received,
            stamps,
            user_stamped: 0,
            duplicates: 0,
            refused: 0,
            first_refusal: None,
            lateness,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::schedule::Pattern;
    use super::*;
    use crate::measure::{Tolerance, Verdict, collect, compare};
    use crate::topology::NodeName;
    use crate::units::{Delay, Span};

    fn matrix(nodes: usize) -> DelayMatrix {
        let delay = |place: usize| if place.is_multiple_of(nodes + 1) { 0 } else { place as u64 };
        let delays = (0..nodes * nodes).map(|place| Delay::from_millis(delay(place))).collect();
        DelayMatrix::new((1..=nodes).map(NodeName::numbered).collect(), delays).unwrap()
    }

    #[test]
    fn perfect_links_measure_as_intended() {
        for nodes in [2, 5, 8] {
            let mut prober = FakeProber::new(matrix(nodes));
            prober.lost.insert((1, 0, 2));
            let addresses = vec![std::net::Ipv4Addr::LOCALHOST.into(); nodes];
            let (interval, grace) = (Span::from_millis(10), Span::from_millis(100));
            let order = |me| {
                let addresses = addresses.clone();
                ProbeOrder {
                    run: 1,
                    me,
                    addresses,
                    probes: 3,
                    warm_up: 1,
                    interval,
                    pattern: Pattern::Rounds,
                    start_realtime_ns: 5,
                    grace,
                }
            };
            let reports: Vec<_> = (0..nodes).map(|me| Some(prober.run(&order(me)).unwrap())).collect();
            let collected = collect(&reports, 3);
            assert_eq!((collected.duplicates, collected.backwards, collected.unexpected), (0, 0, 0));
            let tolerance = Tolerance { relative: 0.0, absolute: Span::ZERO };
            let comparison = compare(&matrix(nodes), &collected.samples, tolerance);
            assert_eq!(comparison.verdict, Verdict::Pass);
            assert_eq!(comparison.error.unwrap().max, Span::ZERO);
            assert_eq!((comparison.sent, comparison.lost), ((nodes * (nodes - 1) * 3) as u64, 1));
        }
    }
}
