//! What a replay's samples say: which step each probe met, and per switch whether the delays were as intended.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::SwitchSummary;
use crate::matrix::{DelayMatrix, MatrixError};
use crate::measure::{Basis, Clocks, Comparison, Missing, Sample, Tolerance, Verdict, compare_by, overtaken};
use crate::report::files::{csv_field, exact_millis};
use crate::report::heat::{counted, number, thousands};
use crate::report::table::{align, empty_table};
use crate::timeline::{Force, SwitchStamp, Timeline, write_moment};
use crate::topology::{NodeIndex, NodeName};
use crate::units::Delay;

/// A probe and the switch that was in force when it was sent, by its sender's own stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// As measured.
    pub sample: Sample,
    /// The number of the switch; 0 before the first.
    pub number: u64,
    /// Which step that was, from 0; `None` before the first.
    pub step: Option<usize>,
    /// Whether it met a switch of its path: then it says nothing of either side.
    pub straddles: bool,
    /// Whether it arrived after a later one of its path.
    pub overtaken: bool,
}

/// The delays of each path by step, only where they change.
struct PathDelays {
    nodes: usize,
    steps: u64,
    by_path: Vec<Vec<(usize, Delay)>>,
    before: Vec<Delay>,
}

impl PathDelays {
    fn of(timeline: &Timeline, before: &[Delay]) -> Self {
        let nodes = timeline.names().len();
        let mut by_path = vec![Vec::new(); nodes * nodes];
        for (place, step) in timeline.steps().iter().enumerate() {
            for ((from, to), does) in &step.paths {
                by_path[from * nodes + to].push((place, does.delay));
            }
        }
        Self { nodes, steps: timeline.steps().len() as u64, by_path, before: before.to_vec() }
    }

    /// The delay of a path after a switch.
    fn at(&self, from: NodeIndex, to: NodeIndex, switch: u64) -> Delay {
        let path = from * self.nodes + to;
        let Some(switch) = switch.checked_sub(1) else { return self.before.get(path).copied().unwrap_or_default() };
        let step = usize::try_from(switch % self.steps).unwrap_or(0);
        let changes = &self.by_path[path];
        let place = changes.partition_point(|(changed, _)| *changed <= step);
        place.checked_sub(1).map_or(Delay::ZERO, |place| changes[place].1)
    }
}

/// The switches of a node, by the clock that samples are by.
fn force(clocks: &Clocks, node: NodeIndex, stamps: &[SwitchStamp]) -> Force {
    let ours = |theirs_ns: u64| theirs_ns.saturating_add_signed(clocks.correction(node, theirs_ns));
    let stamp = |stamp: &SwitchStamp| SwitchStamp {
        begun_ns: ours(stamp.begun_ns),
        done_ns: ours(stamp.done_ns),
        ..stamp.clone()
    };
    Force::new(&stamps.iter().map(stamp).collect::<Vec<_>>())
}

/// Labels `samples` of nodes with these `clocks` by the `stamps` of each node, by its own. `before` is what paths took before the
/// replay, row by row. Where round trips are judged, a probe has met a switch also when its answer did, or may have: clocks
/// are only known so well.
pub fn label(
    timeline: &Timeline,
    clocks: &Clocks,
    stamps: &[Vec<SwitchStamp>],
    before: &[Delay],
    samples: &[Sample],
) -> Vec<Labelled> {
    let delays = PathDelays::of(timeline, before);
    let forces: Vec<Force> = stamps.iter().enumerate().map(|(node, stamps)| force(clocks, node, stamps)).collect();
    let answer_met = |sample: &Sample, number: u64| {
        let (from, to) = (sample.from, sample.to);
        let there = sample.one_way.unwrap_or_else(|| delays.at(from, to, number));
        let answered_ns = sample.sent_ns.saturating_add(there.as_nanos());
        let bound = clocks.bound(from, to).unwrap_or_default().as_nanos();
        [answered_ns.saturating_sub(bound), answered_ns, answered_ns.saturating_add(bound)].into_iter().any(|at_ns| {
            let met = forces[to].at(at_ns, |number| delays.at(to, from, number));
            met.straddles || delays.at(to, from, met.number) != delays.at(to, from, number)
        })
    };
    let by_round_trips = clocks.basis() == Basis::RoundTrip;
    let steps = timeline.steps().len() as u64;
    let mut labelled: Vec<Labelled> = samples
        .iter()
        .filter(|sample| sample.from < forces.len() && sample.to < forces.len())
        .map(|sample| {
            let met = forces[sample.from].at(sample.sent_ns, |number| delays.at(sample.from, sample.to, number));
            let step = met.number.checked_sub(1).and_then(|switch| usize::try_from(switch % steps).ok());
            let straddles = met.straddles || (by_round_trips && answer_met(sample, met.number));
            Labelled { sample: *sample, number: met.number, step, straddles, overtaken: false }
        })
        .collect();
    let plain: Vec<Sample> = labelled.iter().map(|one| one.sample).collect();
    for place in overtaken(&plain) {
        labelled[place].overtaken = true;
    }
    labelled
}

/// What the probes say of one switch.
#[derive(Debug, Clone, PartialEq)]
pub struct StepResult {
    /// Its number, from 1.
    pub number: u64,
    /// Which step, from 0.
    pub step: usize,
    /// Probes that met the switch itself and are left out of the comparison.
    pub straddling: usize,
    /// Probes sent in it that later ones overtook.
    pub overtaken: usize,
    /// Paths with probes.
    pub judged: usize,
    /// Of those, the ones whose median is within tolerance.
    pub within: usize,
    /// Intended against measured, from the probes that met no switch.
    pub comparison: Comparison,
}

impl StepResult {
    /// Pass when every path that has probes is within tolerance; `None` when none has.
    pub fn verdict(&self) -> Option<Verdict> {
        match (self.judged, self.within) {
            (0, _) => None,
            (judged, within) if judged == within => Some(Verdict::Pass),
            _ => Some(Verdict::Fail),
        }
    }
}

/// Judges every switch that probes have met, without the paths of nodes that are `missing`, by one-way delays or, where nodes have clocks of their own, by round trips.
pub fn judge(
    timeline: &Timeline,
    clocks: &Clocks,
    missing: &Missing,
    labelled: &[Labelled],
    tolerance: Tolerance,
) -> Result<Vec<StepResult>, MatrixError> {
    let mut by_switch: BTreeMap<u64, Vec<&Labelled>> = BTreeMap::new();
    for one in labelled.iter().filter(|one| one.number > 0) {
        by_switch.entry(one.number).or_default().push(one);
    }
    let mut matrices: BTreeMap<usize, DelayMatrix> = BTreeMap::new();
    let mut results = Vec::new();
    for (number, probes) in by_switch {
        let Some(step) = probes.first().and_then(|one| one.step) else { continue };
        let matrix = match matrices.entry(step) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(timeline.matrix(step)?),
        };
        let clear: Vec<Sample> = probes.iter().filter(|one| !one.straddles).map(|one| one.sample).collect();
        let comparison = compare_by(clocks, matrix, &clear, tolerance).without(missing.clone());
        let judged = comparison.paths.iter().filter(|path| path.sent > 0 && !comparison.lacks(path));
        results.push(StepResult {
            number,
            step,
            straddling: probes.len() - clear.len(),
            overtaken: probes.iter().filter(|one| one.overtaken).count(),
            judged: judged.clone().count(),
            within: judged.filter(|path| path.verdict == Verdict::Pass).count(),
            comparison,
        });
    }
    Ok(results)
}

/// The raw samples as CSV: the columns of a verification's `samples.csv`, and behind them the number of the switch that was in
/// force at the sending (0 before the first), its step, and whether the probe met a switch and was overtaken (1 or 0).
pub fn samples_csv(names: &[NodeName], labelled: &[Labelled]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| csv_field(name.as_str())).collect();
    let name = |node: NodeIndex| quoted.get(node).map_or("", String::as_str);
    let mut text = String::from("from,to,seq,sent_unix_ns,one_way_ms,rtt_ms,switch,step,straddles,overtaken\n");
    for one in labelled {
        let sample = &one.sample;
        let one_way = sample.one_way.map_or(String::new(), |delay| exact_millis(delay.as_nanos()));
        let rtt = sample.rtt.map_or(String::new(), |rtt| exact_millis(rtt.as_nanos()));
        let step = one.step.map_or(String::new(), |step| (step + 1).to_string());
        let (straddles, overtaken) = (u8::from(one.straddles), u8::from(one.overtaken));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{one_way},{rtt},{},{step},{straddles},{overtaken}",
            name(sample.from),
            name(sample.to),
            sample.seq,
            sample.sent_ns,
            one.number
        );
    }
    text
}

/// Measured against intended, switch by switch.
pub fn results_table(timeline: &Timeline, summaries: &[SwitchSummary], results: &[StepResult], most: usize) -> String {
    let mut table = empty_table();
    table.set_header([
        "switch",
        "at",
        "what",
        "paths\nwithin",
        "error\np50 µs",
        "error\np99 µs",
        "lost\n/sent",
        "met the\nswitch",
        "over-\ntaken",
        "verdict",
    ]);
    for result in results.iter().take(most) {
        let at =
            summaries.iter().find(|one| one.number == result.number).map(|one| format!("+{}", write_moment(one.at)));
        let micros = |span: Option<crate::units::Span>| {
            span.map_or("-".to_owned(), |span| number(span.as_nanos() as f64 / 1_000.0, 0, false))
        };
        table.add_row([
            result.number.to_string(),
            at.unwrap_or_default(),
            timeline.steps().get(result.step).map_or(String::new(), |step| step.name.clone()),
            format!("{}/{}", result.within, result.judged),
            micros(result.comparison.error.map(|error| error.p50)),
            micros(result.comparison.error.map(|error| error.p99)),
            format!("{}/{}", result.comparison.lost, result.comparison.sent),
            result.straddling.to_string(),
            result.overtaken.to_string(),
            verdict_word(result.verdict()).to_owned(),
        ]);
    }
    align(&mut table, |column| [0, 3, 4, 5, 6, 7, 8].contains(&column));
    let mut text = table.trim_fmt() + "\n";
    if results.len() > most {
        let _ = writeln!(text, "and {} more", counted(results.len() - most, "row"));
    }
    text
}

fn verdict_word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Pass) => "PASS",
        Some(Verdict::Fail) => "FAIL",
        None => "not judged",
    }
}

/// The whole in a line or two, and whether every switch that was judged passed, and no node is missing.
pub fn results_lines(results: &[StepResult], labelled: &[Labelled]) -> (Vec<String>, Verdict) {
    let failed = results.iter().filter(|result| result.verdict() == Some(Verdict::Fail)).count();
    let judged = results.iter().filter(|result| result.verdict().is_some()).count();
    let whole = results.iter().all(|result| result.comparison.missing.is_empty());
    let verdict = if failed == 0 && judged > 0 && whole { Verdict::Pass } else { Verdict::Fail };
    let mut lines = vec![format!(
        "{}: {} of {judged} judged switches within tolerance; {} sent",
        verdict_word(Some(verdict)),
        judged - failed,
        counted(labelled.len(), "probe"),
    )];
    let overtaken = labelled.iter().filter(|one| one.overtaken);
    let (total, paths) = (overtaken.clone().count(), overtaken.clone().map(|one| (one.sample.from, one.sample.to)));
    if total > 0 {
        let paths: std::collections::BTreeSet<_> = paths.collect();
        let at_switches = overtaken.filter(|one| one.straddles).count();
        lines.push(format!(
            "note: {} overtaken by later probes on {}, {} of them around a switch",
            counted(total, "probe") + if total == 1 { " was" } else { " were" },
            counted(paths.len(), "path"),
            thousands(at_switches)
        ));
    }
    let all = |result: &StepResult| {
        let paths = result.comparison.paths.iter();
        paths.filter(|path| !result.comparison.lacks(path)).count()
    };
    let unjudged: usize = results.iter().map(|result| all(result) - result.judged).sum();
    if unjudged > 0 {
        lines.push(format!(
            "note: {unjudged} times a path had no probe between two switches that met none of them: it is not judged there"
        ));
    }
    (lines, verdict)
}

#[derive(Serialize)]
struct ErrorEntry {
    p50: f64,
    p99: f64,
    max: f64,
}

/// The results as JSON values, one per switch.
pub fn results_json(names: &[NodeName], results: &[StepResult]) -> Value {
    let entry = |result: &StepResult| {
        let error = result.comparison.error.map(|error| ErrorEntry {
            p50: error.p50.as_millis_f64(),
            p99: error.p99.as_millis_f64(),
            max: error.max.as_millis_f64(),
        });
        let paths = result.comparison.paths.iter().filter(|path| path.sent > 0).map(|path| {
            json!({
                "from": names.get(path.from), "to": names.get(path.to),
                "intended_ms": path.intended.as_millis_f64(),
                "p50_ms": path.one_way.map(|one_way| one_way.p50.as_millis_f64()),
                "intended_rtt_ms": path.intended_rtt.as_millis_f64(),
                "rtt_p50_ms": path.rtt.map(|rtt| rtt.p50.as_millis_f64()),
                "sent": path.sent, "lost": path.lost, "verdict": path.verdict,
            })
        });
        json!({
            "switch": result.number, "step": result.step + 1, "verdict": result.verdict(), "error_ms": error,
            "basis": result.comparison.basis,
            "sent": result.comparison.sent, "lost": result.comparison.lost, "straddling": result.straddling,
            "overtaken": result.overtaken, "paths": paths.collect::<Vec<_>>(),
        })
    };
    results.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::measure::clock::{Clock, HostClock, Reading};
    use crate::shaping::Impairment;
    use crate::units::Span;

    const MS: u64 = 1_000_000;

    /// Two nodes, 50 ms and then 20 ms each way, switched at 1 s and 2 s (after 1 ms of writes).
    fn replayed() -> (Timeline, Vec<Vec<SwitchStamp>>) {
        let of = |ms| [0, ms, ms, 0].map(|ms| Impairment::delay(Delay::from_millis(ms))).to_vec();
        let networks = [(0, 50), (1_000, 20)].map(|(at, ms)| (Span::from_millis(at), format!("{ms}.csv"), of(ms)));
        let names = vec![NodeName::numbered(1), NodeName::numbered(2)];
        let stamp = |number: u64| SwitchStamp {
            number,
            step: usize::try_from(number - 1).unwrap(),
            planned_ns: number * 1_000 * MS,
            begun_ns: number * 1_000 * MS,
            done_ns: (number * 1_000 + 1) * MS,
            operations: 1,
            error: None,
        };
        (Timeline::of_networks(names, networks).unwrap(), vec![vec![stamp(1), stamp(2)]; 2])
    }

    /// A perfect path: what is sent before 2,001 ms takes 50 ms, what is sent later 20 ms.
    fn samples() -> Vec<Sample> {
        let sample = |seq: u32| {
            let sent_ms = 1_000 + u64::from(seq) * 10;
            let one_way = Some(Delay::from_millis(if sent_ms < 2_001 { 50 } else { 20 }));
            Sample { from: 0, to: 1, seq, sent_ns: sent_ms * MS, one_way, rtt: None }
        };
        (0..200).map(sample).collect()
    }

    #[test]
    fn every_probe_has_its_step_and_those_at_a_switch_are_left_out() {
        let (timeline, stamps) = replayed();
        let labelled = label(&timeline, &Clocks::One, &stamps, &[Delay::ZERO; 4], &samples());
        // 1,000: while the first switch is made. 1,950 to 2,000: under way at the second; 2,010, 2,020, 2,030: before the
        // last of those has arrived.
        let straddling: Vec<u32> = labelled.iter().filter(|one| one.straddles).map(|one| one.sample.seq).collect();
        assert_eq!(straddling, [0, 95, 96, 97, 98, 99, 100, 101, 102, 103]);
        let of = |seq: usize| (labelled[seq].number, labelled[seq].step);
        assert_eq!(
            [of(0), of(1), of(100), of(101), of(199)],
            [(0, None), (1, Some(0)), (1, Some(0)), (2, Some(1)), (2, Some(1))]
        );
        // 1,990 arrives at 2,040 and 2,000 at 2,050, behind the probes of 2,010 (2,030) and 2,020 (2,040).
        let overtaken: Vec<u32> = labelled.iter().filter(|one| one.overtaken).map(|one| one.sample.seq).collect();
        assert_eq!(overtaken, [99, 100]);
        let tolerance = Tolerance { relative: 0.0, absolute: Span::from_millis(1) };
        let results = judge(&timeline, &Clocks::One, &Missing::default(), &labelled, tolerance).unwrap();
        assert_eq!(results.len(), 2);
        assert!(results.iter().all(|result| result.verdict() == Some(Verdict::Pass) && result.judged == 1));
        let (lines, verdict) = results_lines(&results, &labelled);
        assert_eq!(verdict, Verdict::Pass);
        assert_eq!(
            lines,
            [
                "PASS: 2 of 2 judged switches within tolerance; 200 probes sent",
                "note: 2 probes were overtaken by later probes on 1 path, 2 of them around a switch",
                "note: 2 times a path had no probe between two switches that met none of them: it is not judged there",
            ]
        );
        let csv = samples_csv(timeline.names(), &labelled[100..102]);
        insta::assert_snapshot!(csv, @r"
        from,to,seq,sent_unix_ns,one_way_ms,rtt_ms,switch,step,straddles,overtaken
        n1,n2,100,2000000000,50.000000,,1,1,1,1
        n1,n2,101,2010000000,20.000000,,2,2,1,0
        ");
    }

    #[test]
    fn hosts_with_clocks_of_their_own_are_judged_by_round_trips() {
        const AHEAD: u64 = 3_600_000 * MS;
        let (timeline, mut stamps) = replayed();
        for stamp in &mut stamps[1] {
            for instant in [&mut stamp.planned_ns, &mut stamp.begun_ns, &mut stamp.done_ns] {
                *instant += AHEAD;
            }
        }
        // Each clock is known within 2 ms.
        let host = |(boot, ahead): (&str, u64)| HostClock {
            boot: boot.to_owned(),
            clock: Clock::of(&[Reading { asked_ns: 0, answered_ns: 4 * MS, theirs_ns: 2 * MS + ahead }]),
        };
        let clocks = Clocks::of([("one", 0), ("two", AHEAD)].map(host).to_vec());
        let mut samples = samples();
        for sample in &mut samples {
            // What is known one way is off by the clocks' error. Answers leave when probes arrive, and take what is then.
            let arrived = sample.sent_ns + sample.one_way.unwrap().as_nanos();
            let back = if arrived < 2_001 * MS { 50 } else { 20 };
            sample.rtt = Some(sample.one_way.unwrap().round_trip(Delay::from_millis(back)));
            sample.one_way = sample.one_way.map(|one_way| Delay::from_nanos(one_way.as_nanos() + 2 * MS));
        }
        let labelled = label(&timeline, &clocks, &stamps, &[Delay::ZERO; 4], &samples);
        let straddling: Vec<u32> = labelled.iter().filter(|one| one.straddles).map(|one| one.sample.seq).collect();
        // From 1,900 on answers leave when the second switch may be under way within the time that answers take.
        assert_eq!(straddling, [0, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103]);
        let tolerance = Tolerance { relative: 0.0, absolute: Span::from_millis(1) };
        let missing = Missing::default();
        let results = judge(&timeline, &clocks, &missing, &labelled, tolerance).unwrap();
        assert!(results.iter().all(|result| result.verdict() == Some(Verdict::Pass)), "{results:?}");
        assert!(results.iter().all(|result| result.comparison.basis == Basis::RoundTrip));
        // The same without the second node is no pass.
        let missing = Missing::of([(1, "gone".to_owned())]);
        let results = judge(&timeline, &clocks, &missing, &[], tolerance).unwrap();
        assert_eq!(results_lines(&results, &[]).1, Verdict::Fail);
    }

    #[test]
    fn a_delay_that_did_not_change_fails_its_step() {
        let (timeline, stamps) = replayed();
        let mut samples = samples();
        for sample in &mut samples {
            sample.one_way = Some(Delay::from_millis(50));
        }
        let labelled = label(&timeline, &Clocks::One, &stamps, &[Delay::ZERO; 4], &samples);
        let tolerance = Tolerance { relative: 0.0, absolute: Span::from_millis(1) };
        let results = judge(&timeline, &Clocks::One, &Missing::default(), &labelled, tolerance).unwrap();
        assert_eq!(
            results.iter().map(StepResult::verdict).collect::<Vec<_>>(),
            [Some(Verdict::Pass), Some(Verdict::Fail)]
        );
        assert_eq!(results_lines(&results, &labelled).1, Verdict::Fail);
    }
}
