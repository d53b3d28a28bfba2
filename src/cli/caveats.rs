//! What a reader of measured figures must know beside them.

use crate::agent::protocol::NodeStatus;
use crate::measure::{Basis, Clocks, ProbeReport, overtaken};
use crate::testbed::Measured;
use crate::units::Span;

/// Probes later than this after their scheduled instant tell of an overloaded machine: schedulers are far more exact.
const LATE: Span = Span::from_millis(100);

/// What delay elements did wrong: errors of the emulation, not of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Packets that did not fit.
    pub(super) dropped: u64,
    /// Packets that left more than a millisecond after their time.
    pub(super) late: u64,
}

impl Faults {
    /// So far, on one node.
    pub(super) fn of(status: &NodeStatus) -> Self {
        status.traffic.map_or(Self::default(), |traffic| Self { dropped: traffic.dropped, late: traffic.late })
    }

    /// What came to these after `before`.
    pub(super) fn since(self, before: Self) -> Self {
        let (dropped, late) = (self.dropped.saturating_sub(before.dropped), self.late.saturating_sub(before.late));
        Self { dropped, late }
    }
}

impl std::iter::Sum for Faults {
    fn sum<I: Iterator<Item = Self>>(faults: I) -> Self {
        faults.fold(Self::default(), |sum, one| Self { dropped: sum.dropped + one.dropped, late: sum.late + one.late })
    }
}

/// In words, one line each; empty when all went well.
pub(super) fn caveats(measured: &Measured, faults: Faults) -> Vec<String> {
    let reports = &measured.reports;
    let sum = |count: fn(&ProbeReport) -> u32| reports.iter().map(|report| u64::from(count(report))).sum::<u64>();
    let refusal = reports.iter().find_map(|report| report.first_refusal.as_deref());
    [
        (faults.dropped, "packets were dropped by the delay elements: an error of the emulation".to_owned()),
        (
            faults.late,
            "packets left the delay line more than 1ms after their time: this machine is too busy, delays are not the \
             emulation's alone"
                .to_owned(),
        ),
        (
            sum(|report| report.user_stamped),
            "probes were stamped by the prober, not by the kernel: delays are less exact".to_owned(),
        ),
        (sum(|report| report.refused), format!("probes could not be sent: {}", refusal.unwrap_or("no reason given"))),
        (
            overtaken(&measured.collected.samples).len() as u64,
            "probes were overtaken by later ones of their path: by jitter, reordering, or a delay that became shorter"
                .to_owned(),
        ),
        (measured.collected.backwards, "instants lie before the sending: the clocks disagree".to_owned()),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("note: {count} {what}"))
    .chain(late_note(reports))
    .chain(clock_notes(&measured.clocks))
    .collect()
}

/// On how many nodes drops of the emulation cannot be told from losses that were asked for.
pub(super) fn drops_note(statuses: &[NodeStatus]) -> Option<String> {
    let unknown = statuses.iter().filter_map(|status| status.traffic).filter(|traffic| traffic.drops_unknown).count();
    (unknown > 0).then(|| {
        format!(
            "note: on {unknown} nodes netem counts losses that were asked for and drops of the emulation as one; drops are \
             not shown there (the user-space back-end tells them apart)"
        )
    })
}

/// By what was judged where that is not self-evident, and how well one-way figures are known.
fn clock_notes(clocks: &Clocks) -> Vec<String> {
    let Clocks::Apart(hosts) = clocks else { return Vec::new() };
    if clocks.basis() == Basis::OneWay {
        return vec![
            "note: all hosts run on one kernel and have one clock: one-way delays are judged, and exact".to_owned(),
        ];
    }
    let known: Vec<usize> = (0..hosts.len()).filter(|host| hosts[*host].is_known()).collect();
    let pairs = known.iter().flat_map(|from| known.iter().map(move |to| (*from, *to)));
    let bounds: Option<Vec<Span>> = pairs.map(|(from, to)| clocks.bound(from, to)).collect();
    let known = match bounds.and_then(|bounds| bounds.into_iter().max()) {
        Some(most) => format!("one-way figures may be off by up to {most}, which their clocks are uncertain by"),
        None => "one-way figures say nothing, as some clocks could not be read".to_owned(),
    };
    let mut notes = vec![format!("note: the hosts have clocks of their own: round-trip times are judged; {known}")];
    let jumped = clocks.jumped().len();
    if jumped > 0 {
        notes.push(format!("note: the clocks of {jumped} hosts were set during the measurement"));
    }
    notes
}

/// Peers wait for a probe until the schedule's end and a grace. On a machine so busy that probers send late, delays show the
/// machine, and what is sent later still counts as lost although nothing lost it.
fn late_note(reports: &[ProbeReport]) -> Option<String> {
    let latest = reports.iter().filter_map(|report| Some(report.lateness?.max)).max()?;
    (latest > LATE).then(|| {
        let latest = Span::from_millis(latest.as_nanos() / 1_000_000);
        format!(
            "note: probes were sent up to {latest} late: this machine is too busy, delays and losses are not the \
             emulation's alone"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Lateness, Stamps};

    #[test]
    fn only_an_overloaded_machine_is_noted() {
        let report = |ms: u64| ProbeReport {
            sent: vec![],
            received: vec![],
            stamps: Stamps::Kernel,
            user_stamped: 0,
            duplicates: 0,
            refused: 0,
            first_refusal: None,
            lateness: Some(Lateness { max: Span::from_millis(ms), ..Lateness::default() }),
        };
        assert_eq!(late_note(&[report(3), report(100)]), None);
        assert!(late_note(&[report(1_746), report(3)]).is_some_and(|note| note.contains("up to 1.746s late")));
    }
}
