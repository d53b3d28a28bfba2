//! What a running prober has seen so far, and when nothing is missing any more. Pure.

use crate::topology::NodeIndex;
use crate::units::Span;

use super::probe::{Lateness, ProbeReport, ReceivedProbe, SentProbe, Stamps};
use super::rank::percentile;

/// One counted probe of our own.
#[derive(Clone, Copy)]
struct Own {
    intended_ns: u64,
    user_ns: u64,
    kernel_ns: Option<u64>,
    answer_ns: Option<u64>,
    refused: bool,
}

/// The books of one run on one node. All instants are nanoseconds of the real-time clock.
pub(super) struct Ledger {
    me: NodeIndex,
    nodes: usize,
    probes: u32,
    /// By receiver and number, up to the last that went out: books that are filled before the run take long enough to miss its start.
    own: Vec<Vec<Option<Own>>>,
    /// By sender and number: how often it has arrived.
    seen: Vec<u32>,
    received: Vec<ReceivedProbe>,
    /// How many of them are first arrivals.
    arrived: usize,
    answered: usize,
    duplicates: u32,
    first_refusal: Option<String>,
}

impl Ledger {
    /// Empty books for `probes` counted probes to and from each of the other nodes.
    pub(super) fn new(me: NodeIndex, nodes: usize, probes: u32) -> Self {
        let room = |peer| if peer == me { 0 } else { probes as usize };
        Self {
            me,
            nodes,
            probes,
            own: (0..nodes).map(|peer| Vec::with_capacity(room(peer))).collect(),
            seen: vec![0; nodes * probes as usize],
            received: Vec::new(),
            arrived: 0,
            answered: 0,
            duplicates: 0,
            first_refusal: None,
        }
    }

    fn is_planned(&self, peer: NodeIndex, seq: u32) -> bool {
        peer < self.nodes && peer != self.me && seq < self.probes
    }

    /// A probe of ours that went out.
    fn own(&mut self, to: NodeIndex, seq: u32) -> Option<&mut Own> {
        self.own.get_mut(to)?.get_mut(seq as usize)?.as_mut()
    }

    /// A probe goes out: when it should, and when it does by the prober's own reading.
    pub(super) fn sending(&mut self, to: NodeIndex, seq: u32, intended_ns: u64, user_ns: u64) {
        if self.is_planned(to, seq) {
            let (own, place) = (&mut self.own[to], seq as usize);
            own.resize(own.len().max(place + 1), None);
            own[place] = Some(Own { intended_ns, user_ns, kernel_ns: None, answer_ns: None, refused: false });
        }
    }

    /// The kernel did not take the probe.
    pub(super) fn refused(&mut self, to: NodeIndex, seq: u32, why: impl FnOnce() -> String) {
        if let Some(own) = self.own(to, seq) {
            own.refused = true;
            self.first_refusal.get_or_insert_with(why);
        }
    }

    /// The kernel's sending stamp. A packet that is redirected passes more than one queue and may be stamped at
    /// each: the first stamp starts the clock.
    pub(super) fn stamped(&mut self, to: NodeIndex, seq: u32, at_ns: u64) {
        if let Some(own) = self.own(to, seq) {
            own.kernel_ns.get_or_insert(at_ns);
        }
    }

    /// The answer to a probe of ours; the first counts.
    pub(super) fn answered(&mut self, to: NodeIndex, seq: u32, at_ns: u64) {
        let Some(own) = self.own(to, seq) else { return };
        if own.answer_ns.is_some() {
            self.duplicates += 1;
        } else {
            own.answer_ns = Some(at_ns);
            self.answered += 1;
        }
    }

    /// A peer's probe; the first arrival counts. A second one is kept too, to tell which path doubles; more are only counted.
    pub(super) fn arrived(&mut self, from: NodeIndex, seq: u32, at_ns: u64) {
        if !self.is_planned(from, seq) {
            return;
        }
        let place = from * self.probes as usize + seq as usize;
        self.seen[place] = self.seen[place].saturating_add(1);
        match self.seen[place] {
            1 => self.arrived += 1,
            2 => {}
            _ => {
                self.duplicates += 1;
                return;
            }
        }
        self.received.push(ReceivedProbe { from, seq, rx_ns: at_ns });
    }

    /// Whether every answer and every peer's probe is here.
    pub(super) fn complete(&self) -> bool {
        let expected = self.nodes.saturating_sub(1) * self.probes as usize;
        self.answered == expected && self.arrived == expected
    }

    /// Closes the books.
    pub(super) fn into_report(self) -> ProbeReport {
        let own = || self.own.iter().flatten().flatten();
        let accepted = || own().filter(|own| !own.refused);
        // A probe whose neighbour never resolved was dropped in front of the queue and has no stamp for that reason.
        let unstamped = || accepted().filter(|own| own.kernel_ns.is_none());
        let user_stamped = count(unstamped().filter(|own| own.answer_ns.is_some()).count());
        let kernel = user_stamped == 0 && (unstamped().count() == 0 || accepted().any(|own| own.kernel_ns.is_some()));
        let lateness = lateness(accepted().map(Own::lateness).collect());
        let refused = count(own().filter(|own| own.refused).count());
        let sent = self.own.iter().enumerate().flat_map(|(to, own)| {
            let probes = (0..).zip(own).filter_map(|(seq, own)| Some((seq, own.as_ref()?)));
            probes.map(move |(seq, own)| SentProbe { to, seq, tx_ns: own.sent_ns(), rx_ns: own.answer_ns })
        });
        ProbeReport {
            sent: sent.collect(),
            received: self.received,
            stamps: if kernel { Stamps::Kernel } else { Stamps::User },
            user_stamped,
            duplicates: self.duplicates,
            refused,
            first_refusal: self.first_refusal,
            lateness,
        }
    }
}

impl Own {
    fn sent_ns(&self) -> u64 {
        self.kernel_ns.unwrap_or(self.user_ns)
    }

    fn lateness(&self) -> Span {
        Span::from_nanos(self.sent_ns().saturating_sub(self.intended_ns))
    }
}

fn lateness(mut late: Vec<Span>) -> Option<Lateness> {
    late.sort_unstable();
    Some(Lateness { p50: percentile(&late, 50)?, p99: percentile(&late, 99)?, max: *late.last()? })
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_of_several_stamps_starts_the_clock() {
        let mut ledger = Ledger::new(0, 2, 1);
        ledger.sending(1, 0, 1_000, 1_040);
        ledger.stamped(1, 0, 1_050);
        ledger.stamped(1, 0, 9_000);
        ledger.answered(1, 0, 1_500);
        ledger.answered(1, 0, 1_600);
        let report = ledger.into_report();
        assert_eq!(report.sent, [SentProbe { to: 1, seq: 0, tx_ns: 1_050, rx_ns: Some(1_500) }]);
        assert_eq!((report.stamps, report.user_stamped, report.duplicates), (Stamps::Kernel, 0, 1));
        assert_eq!(report.lateness.unwrap().max, Span::from_nanos(50));
    }

    #[test]
    fn without_a_kernel_stamp_the_own_reading_serves_and_is_declared() {
        let mut ledger = Ledger::new(0, 2, 2);
        ledger.sending(1, 0, 1_000, 1_040);
        ledger.sending(1, 1, 2_000, 2_010);
        ledger.stamped(1, 1, 2_020);
        ledger.answered(1, 0, 3_000);
        let report = ledger.into_report();
        assert_eq!(report.sent.iter().map(|sent| sent.tx_ns).collect::<Vec<_>>(), [1_040, 2_020]);
        assert_eq!((report.stamps, report.user_stamped), (Stamps::User, 1));
    }

    #[test]
    fn a_probe_that_never_left_does_not_speak_against_the_kernels_stamps() {
        let report = |stamped: bool| {
            let mut ledger = Ledger::new(0, 3, 1);
            ledger.sending(1, 0, 1_000, 1_040);
            ledger.sending(2, 0, 2_000, 2_010);
            if stamped {
                ledger.stamped(2, 0, 2_020);
            }
            ledger.into_report()
        };
        assert_eq!((report(true).stamps, report(true).user_stamped), (Stamps::Kernel, 0));
        assert_eq!((report(false).stamps, report(false).user_stamped), (Stamps::User, 0));
    }

    #[test]
    fn refused_probes_are_in_the_report_with_the_first_reason() {
        let mut ledger = Ledger::new(1, 2, 2);
        for seq in 0..2 {
            ledger.sending(0, seq, 1_000, 1_000);
            ledger.refused(0, seq, || format!("reason {seq}"));
        }
        let report = ledger.into_report();
        assert_eq!((report.sent.len(), report.refused, report.first_refusal.as_deref()), (2, 2, Some("reason 0")));
        assert_eq!((report.stamps, report.user_stamped, report.lateness), (Stamps::Kernel, 0, None));
    }

    #[test]
    fn complete_is_when_every_answer_and_every_arrival_is_here_once() {
        let mut ledger = Ledger::new(0, 3, 1);
        for peer in 1..3 {
            ledger.sending(peer, 0, 1, 1);
            ledger.answered(peer, 0, 2);
            ledger.answered(peer, 0, 2);
        }
        ledger.arrived(1, 0, 5);
        ledger.arrived(1, 0, 5);
        assert!(!ledger.complete());
        ledger.arrived(2, 0, 6);
        assert!(ledger.complete());
    }

    #[test]
    fn what_was_not_planned_is_ignored() {
        let mut ledger = Ledger::new(0, 2, 1);
        for (peer, seq) in [(0, 0), (1, 1), (2, 0), (usize::MAX, u32::MAX)] {
            ledger.arrived(peer, seq, 1);
            ledger.sending(peer, seq, 1, 1);
            ledger.stamped(peer, seq, 1);
            ledger.answered(peer, seq, 1);
            ledger.refused(peer, seq, String::new);
        }
        let report = ledger.into_report();
        assert_eq!((report.sent.len(), report.received.len(), report.first_refusal), (0, 0, None));
    }
}
