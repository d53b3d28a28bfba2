//! The reports of all nodes put together into samples. Pure.

use std::collections::BTreeMap;

use crate::topology::NodeIndex;
use crate::units::{Delay, Rtt, Span};

use super::clock::{Basis, Clocks, shifted};
use super::probe::{ProbeReport, ReceivedProbe, SentProbe};
use super::sample::Sample;

/// The samples of a measurement, and what in the reports did not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// One sample for each planned probe of each path, ordered by sender, receiver and number.
    pub samples: Vec<Sample>,
    /// Arrivals beyond the first of a probe; the first counts.
    pub duplicates: u64,
    /// Probes that arrived twice, by sender and receiver.
    pub copies: BTreeMap<(NodeIndex, NodeIndex), u64>,
    /// Instants before the sending: the clocks disagree. Such a value is left out of its sample.
    pub backwards: u64,
    /// Records of probes that were not planned, or whose sender does not know of them.
    pub unexpected: u64,
}

/// As [`collect`], of nodes whose clocks may differ: instants are corrected, and a delay that then is below zero by no more than
/// the clocks may be off is zero.
pub fn collect_by(clocks: &Clocks, reports: &[Option<ProbeReport>], probes: u32) -> Collected {
    if clocks.basis() == Basis::OneWay {
        return collect(reports, probes);
    }
    let corrected =
        |(node, report): (NodeIndex, &Option<ProbeReport>)| Some(by_one_clock(clocks, node, report.as_ref()?));
    let corrected: Vec<Option<ProbeReport>> = reports.iter().enumerate().map(corrected).collect();
    put_together(&corrected, probes, &|from, to| clocks.bound(from, to).map_or(0, Span::as_nanos))
}

/// A node's report with instants that those of other nodes can be compared with. A round trip stays what one clock said.
fn by_one_clock(clocks: &Clocks, node: NodeIndex, report: &ProbeReport) -> ProbeReport {
    let sent = report.sent.iter().map(|probe| {
        let by = clocks.correction(node, probe.tx_ns);
        let rx_ns = probe.rx_ns.map(|rx_ns| shifted(rx_ns, by));
        SentProbe { tx_ns: shifted(probe.tx_ns, by), rx_ns, ..*probe }
    });
    let received = report.received.iter().map(|probe| {
        let rx_ns = shifted(probe.rx_ns, clocks.correction(node, probe.rx_ns));
        ReceivedProbe { rx_ns, ..*probe }
    });
    ProbeReport { sent: sent.collect(), received: received.collect(), ..report.clone() }
}

/// How far instants of two nodes may be apart for no other reason than their clocks, nanoseconds.
type Slack<'a> = &'a dyn Fn(NodeIndex, NodeIndex) -> u64;

/// Puts together `reports`, by node index; `None` stands for a node that gave none: its probes count as lost.
/// `probes` is how many probes of each path were planned.
pub fn collect(reports: &[Option<ProbeReport>], probes: u32) -> Collected {
    put_together(reports, probes, &|_, _| 0)
}

fn put_together(reports: &[Option<ProbeReport>], probes: u32, slack: Slack<'_>) -> Collected {
    let nodes = reports.len();
    let mut collected =
        Collected { samples: Vec::new(), duplicates: 0, copies: BTreeMap::new(), backwards: 0, unexpected: 0 };
    let mut arrivals = arrivals_by_sender(reports, &mut collected);
    for (from, report) in reports.iter().enumerate() {
        let mut slots = Slots { nodes, from, probes, entries: Vec::new() };
        slots.entries.resize(nodes * probes as usize, Entry::default());
        if let Some(report) = report {
            collected.duplicates += u64::from(report.duplicates);
            slots.take_sent(report, &mut collected);
        }
        slots.take_arrivals(&std::mem::take(&mut arrivals[from]), &mut collected);
        slots.finish(slack, &mut collected);
    }
    collected
}

/// Where a probe of some sender arrived: receiver, number, instant.
type Arrival = (NodeIndex, u32, u64);

fn arrivals_by_sender(reports: &[Option<ProbeReport>], collected: &mut Collected) -> Vec<Vec<Arrival>> {
    let mut arrivals = vec![Vec::new(); reports.len()];
    for (to, report) in reports.iter().enumerate() {
        for probe in report.iter().flat_map(|report| &report.received) {
            match arrivals.get_mut(probe.from) {
                Some(own) => own.push((to, probe.seq, probe.rx_ns)),
                None => collected.unexpected += 1,
            }
        }
    }
    arrivals
}

/// What is known of one probe: instants in nanoseconds of the real-time clock.
#[derive(Clone, Copy, Default)]
struct Entry {
    sent: Option<u64>,
    answered: Option<u64>,
    arrived: Option<u64>,
}

/// All planned probes of one sender.
struct Slots {
    nodes: usize,
    from: NodeIndex,
    probes: u32,
    entries: Vec<Entry>,
}

impl Slots {
    fn entry(&mut self, to: NodeIndex, seq: u32) -> Option<&mut Entry> {
        let planned = to < self.nodes && to != self.from && seq < self.probes;
        if planned { self.entries.get_mut(to * self.probes as usize + seq as usize) } else { None }
    }

    fn take_sent(&mut self, report: &ProbeReport, collected: &mut Collected) {
        for probe in &report.sent {
            match self.entry(probe.to, probe.seq) {
                None => collected.unexpected += 1,
                Some(Entry { sent: Some(_), .. }) => collected.duplicates += 1,
                Some(entry) => (entry.sent, entry.answered) = (Some(probe.tx_ns), probe.rx_ns),
            }
        }
    }

    fn take_arrivals(&mut self, arrivals: &[Arrival], collected: &mut Collected) {
        let from = self.from;
        for (to, seq, rx_ns) in arrivals {
            match self.entry(*to, *seq) {
                None | Some(Entry { sent: None, .. }) => collected.unexpected += 1,
                Some(Entry { arrived: Some(first), .. }) => {
                    *first = (*first).min(*rx_ns);
                    collected.duplicates += 1;
                    *collected.copies.entry((from, *to)).or_default() += 1;
                }
                Some(entry) => entry.arrived = Some(*rx_ns),
            }
        }
    }

    fn finish(self, slack: Slack<'_>, collected: &mut Collected) {
        let probes = self.probes as usize;
        for (to, entries) in self.entries.chunks_exact(probes.max(1)).enumerate().filter(|(to, _)| *to != self.from) {
            for (seq, entry) in (0..self.probes).zip(entries) {
                let mut since_sent = |later: Option<u64>, slack: u64| {
                    let (later, sent) = (later?, entry.sent?);
                    let elapsed = if later + slack < sent { None } else { Some(later.saturating_sub(sent)) };
                    collected.backwards += u64::from(elapsed.is_none());
                    elapsed
                };
                let one_way = since_sent(entry.arrived, slack(self.from, to)).map(Delay::from_nanos);
                let rtt = since_sent(entry.answered, 0).map(Rtt::from_nanos);
                let sent_ns = entry.sent.unwrap_or_default();
                collected.samples.push(Sample { from: self.from, to, seq, sent_ns, one_way, rtt });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::type_complexity, clippy::unnecessary_wraps)]
    use super::super::probe::{ReceivedProbe, SentProbe, Stamps};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn report(sent: &[(usize, u32, u64, Option<u64>)], received: &[(usize, u32, u64)]) -> Option<ProbeReport> {
        Some(ProbeReport {
            sent: sent.iter().copied().map(SentProbe::from).collect(),
            received: received.iter().copied().map(ReceivedProbe::from).collect(),
            stamps: Stamps::Kernel,
            user_stamped: 0,
            duplicates: 0,
            refused: 0,
            first_refusal: None,
            lateness: None,
        })
    }

    fn delays(collected: &Collected) -> Vec<(usize, usize, u32, Option<u64>, Option<u64>)> {
        let values = |sample: &Sample| (sample.one_way.map(Delay::as_nanos), sample.rtt.map(Rtt::as_nanos));
        let of = |sample: &Sample| (sample.from, sample.to, sample.seq, values(sample).0, values(sample).1);
        collected.samples.iter().map(of).collect()
    }

    #[test]
    fn arrivals_and_answers_meet_their_sendings() {
        let reports = [
            report(&[(1, 0, 100, Some(130)), (1, 1, 200, None)], &[(1, 0, 155)]),
            report(&[(0, 0, 150, Some(161)), (0, 1, 250, None)], &[(0, 1, 225), (0, 0, 120)]),
        ];
        let collected = collect(&reports, 2);
        let expected = [
            (0, 1, 0, Some(20), Some(30)),
            (0, 1, 1, Some(25), None),
            (1, 0, 0, Some(5), Some(11)),
            (1, 0, 1, None, None),
        ];
        assert_eq!(delays(&collected), expected);
        assert_eq!((collected.duplicates, collected.backwards, collected.unexpected), (0, 0, 0));
    }

    #[test]
    fn the_probes_of_and_to_an_absent_node_are_samples_too() {
        let reports = [report(&[(1, 0, 100, None)], &[(1, 0, 90)]), None];
        let collected = collect(&reports, 1);
        assert_eq!(delays(&collected), [(0, 1, 0, None, None), (1, 0, 0, None, None)]);
        assert_eq!(collected.unexpected, 1, "an arrival whose sending is unknown says nothing");
    }

    #[test]
    fn of_duplicates_the_first_arrival_counts() {
        let reports = [report(&[(1, 0, 100, None)], &[]), report(&[], &[(0, 0, 140), (0, 0, 120), (0, 0, 160)])];
        let collected = collect(&reports, 1);
        assert_eq!(collected.samples[0].one_way, Some(Delay::from_nanos(20)));
        assert_eq!(collected.duplicates, 2);
    }

    #[test]
    fn time_running_backwards_is_counted_and_left_out() {
        let reports = [report(&[(1, 0, 100, Some(99))], &[]), report(&[], &[(0, 0, 80)])];
        let collected = collect(&reports, 1);
        assert_eq!(delays(&collected)[0], (0, 1, 0, None, None));
        assert_eq!(collected.backwards, 2);
    }

    #[test]
    fn records_outside_the_plan_are_counted_and_left_out() {
        let reports =
            [report(&[(1, 7, 1, None), (0, 0, 1, None), (9, 0, 1, None)], &[(5, 0, 1), (1, 3, 1)]), report(&[], &[])];
        let collected = collect(&reports, 1);
        assert_eq!(delays(&collected), [(0, 1, 0, None, None), (1, 0, 0, None, None)]);
        assert_eq!(collected.unexpected, 5);
    }

    #[test]
    fn nothing_planned_gives_nothing() {
        assert_eq!(collect(&[report(&[], &[]), None], 0).samples, []);
        assert_eq!(collect(&[], 3).samples, []);
    }

    proptest! {
        #[test]
        fn samples_agree_with_a_lookup(
            fates in prop::collection::vec((0usize..4, 0usize..4, 0u32..3, 1_000u64..2_000, prop::option::of(0u64..500), prop::option::of(0u64..900)), 0..40),
            turn in any::<prop::sample::Index>(),
        ) {
            let fates: BTreeMap<_, _> = fates.into_iter().filter(|fate| fate.0 != fate.1)
                .map(|(from, to, seq, tx, one_way, rtt)| ((from, to, seq), (tx, one_way, rtt))).collect();
            let mut sent = vec![Vec::new(); 4];
            let mut received = vec![Vec::new(); 4];
            for ((from, to, seq), (tx, one_way, rtt)) in &fates {
                sent[*from].push((*to, *seq, *tx, rtt.map(|rtt| tx + rtt)));
                received[*to].extend(one_way.map(|one_way| (*from, *seq, tx + one_way)));
            }
            for arrivals in received.iter_mut().filter(|arrivals| !arrivals.is_empty()) {
                let place = turn.index(arrivals.len());
                arrivals.rotate_left(place);
            }
            let reports: Vec<_> = sent.iter().zip(&received).map(|(sent, received)| report(sent, received)).collect();
            let collected = collect(&reports, 3);
            let mut expected = Vec::new();
            for (from, to, seq) in (0..4).flat_map(|from| (0..4).flat_map(move |to| (0..3).map(move |seq| (from, to, seq)))) {
                if from != to {
                    let (_, one_way, rtt) = fates.get(&(from, to, seq)).copied().unwrap_or_default();
                    expected.push((from, to, seq, one_way, rtt));
                }
            }
            prop_assert_eq!(delays(&collected), expected);
            prop_assert_eq!(collected.duplicates + collected.backwards + collected.unexpected, 0);
        }
    }
}
