//! A replay as text: what it will do, each switch as it was carried out, and the whole in a few lines.

mod judge;

use std::fmt::Write;

use serde_json::{Value, json};

use super::files::json;
use super::heat::{counted, thousands};
use super::table::{align, empty_table};
pub use judge::{Labelled, StepResult, judge, label, results_json, results_lines, results_table, samples_csv};

use crate::timeline::{ReplayGap, StepChange, SwitchStamp, Timeline, changes, write_moment};
use crate::topology::{NodeIndex, NodeName};
use crate::units::Span;
use crate::wording::OneLine;

/// How far apart nodes may carry out a switch.
pub const MAX_SKEW: Span = Span::from_millis(20);

/// The most steps of a pass that a table shows.
const SHOWN_STEPS: usize = 60;

/// One switch over all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchSummary {
    /// From 1.
    pub number: u64,
    /// Which step, from 0.
    pub step: usize,
    /// When it was due, from the start of the replay.
    pub at: Span,
    /// How much later than planned the last node began.
    pub late: Span,
    /// How long the slowest node took for its writes.
    pub took: Span,
    /// Between the first node at which it was in force and the last.
    pub skew: Span,
    /// Writes of all nodes.
    pub operations: usize,
    /// Nodes at which it failed, and why.
    pub failed: Vec<(NodeIndex, String)>,
}

/// Puts the stamps of one switch together; `start_ns` is when the replay began. `None` when no node has one.
pub fn switch_summary(start_ns: u64, stamps: &[(NodeIndex, &SwitchStamp)]) -> Option<SwitchSummary> {
    let (_, first) = stamps.first()?;
    let fine = || stamps.iter().map(|(_, stamp)| *stamp).filter(|stamp| stamp.error.is_none());
    let most = |span: fn(&SwitchStamp) -> u64| Span::from_nanos(fine().map(span).max().unwrap_or(0));
    let done = fine().map(|stamp| stamp.done_ns);
    let skew = done.clone().max().unwrap_or(0).saturating_sub(done.min().unwrap_or(0));
    let failed = stamps.iter().filter_map(|(node, stamp)| Some((*node, stamp.error.clone()?)));
    Some(SwitchSummary {
        number: first.number,
        step: first.step,
        at: Span::from_nanos(first.planned_ns.saturating_sub(start_ns)),
        late: most(|stamp| stamp.begun_ns.saturating_sub(stamp.planned_ns)),
        took: most(|stamp| stamp.done_ns.saturating_sub(stamp.begun_ns)),
        skew: Span::from_nanos(skew),
        operations: fine().map(|stamp| stamp.operations).sum(),
        failed: failed.collect(),
    })
}

/// The line of a switch, as it is printed while the replay goes on.
pub fn switch_line(timeline: &Timeline, summary: &SwitchSummary, nodes: usize) -> String {
    let name = timeline.steps().get(summary.step).map_or("", |step| step.name.as_str());
    let at = write_moment(summary.at);
    let head = format!("{:>4}  +{at:<9} {name}", summary.number);
    if summary.failed.len() == nodes {
        return format!("{head}: FAILED on all nodes: {}", summary.failed[0].1);
    }
    let mut text = format!(
        "{head}: {}, in force within {} of each other, {} late, took {}",
        counted(summary.operations, "write"),
        millis(summary.skew),
        millis(summary.late),
        millis(summary.took)
    );
    if let Some((_, why)) = summary.failed.first() {
        // Writing to a string cannot fail.
        let _ = write!(text, "; FAILED on {} of {nodes} nodes: {why}", summary.failed.len());
    }
    text
}

/// Three decimals of a millisecond, less where there is nothing to see.
pub(super) fn millis(span: Span) -> String {
    let ms = span.as_millis_f64();
    match ms {
        _ if ms >= 100.0 => format!("{ms:.0} ms"),
        _ if ms >= 1.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.3} ms"),
    }
}

/// All switches in a few lines, and the `gaps` of each node.
pub fn replay_lines(names: &[NodeName], summaries: &[SwitchSummary], gaps: &[Vec<ReplayGap>]) -> Vec<String> {
    let failed = summaries.iter().filter(|one| !one.failed.is_empty()).count();
    let most = |span: fn(&SwitchSummary) -> Span| summaries.iter().map(span).max().unwrap_or_default();
    let skew = most(|one| one.skew);
    let mut lines = vec![format!(
        "{} on {}: in force within {} of each other, at most {} late, {}",
        counted(summaries.len(), "switch").replace("switchs", "switches"),
        counted(names.len(), "node"),
        millis(skew),
        millis(most(|one| one.late)),
        if failed == 0 { "none failed".to_owned() } else { format!("{} FAILED", thousands(failed)) }
    )];
    if skew > MAX_SKEW {
        lines
            .push(format!("note: nodes were up to {} apart, more than the {MAX_SKEW} that are aimed at", millis(skew)));
    }
    let broken = summaries.iter().flat_map(|one| one.failed.iter().map(move |(node, why)| (one.number, *node, why)));
    lines.extend(broken.take(5).map(|(number, node, why)| {
        let node = names.get(node).map_or("?", NodeName::as_str);
        format!("note: switch {number} failed on node `{node}`: {why}")
    }));
    let gaps = gaps.iter().enumerate().flat_map(|(node, gaps)| gaps.iter().map(move |gap| (node, gap)));
    lines.extend(gaps.take(5).map(|(node, gap)| {
        let node = names.get(node).map_or("?", NodeName::as_str);
        format!("note: node `{node}`: {}", gap_text(gap))
    }));
    lines
}

/// When and why a node did nothing of a replay.
pub fn gap_text(gap: &ReplayGap) -> String {
    let at = rfc3339(gap.from_ns);
    let why = OneLine(&gap.why);
    match gap.until_ns {
        Some(until) => {
            let lasted = millis(Span::from_nanos(until.saturating_sub(gap.from_ns)));
            format!("worker replaced at {at} ({why}); nothing was delayed for {lasted}")
        }
        None => format!("worker lost at {at} ({why}); nothing is delayed until another has taken the replay up"),
    }
}

/// An instant, given in nanoseconds since 1970, to the millisecond.
pub fn rfc3339(ns: u64) -> String {
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(ns)).to_string()
}

/// A replay as JSON: its steps, every switch over all nodes, the stamps and gaps of each node, and when it was cut short.
pub fn replay_json(
    timeline: &Timeline,
    start_ns: u64,
    summaries: &[SwitchSummary],
    (stamps, gaps): (&[Vec<SwitchStamp>], &[Vec<ReplayGap>]),
    cut_short: Option<Span>,
    results: Option<&Value>,
) -> String {
    let steps: Vec<_> =
        timeline.steps().iter().map(|step| json!({ "at_ms": step.at.as_millis_f64(), "name": step.name })).collect();
    let switches: Vec<_> = summaries
        .iter()
        .map(|one| {
            let failed: Vec<_> = one
                .failed
                .iter()
                .map(|(node, why)| json!({ "node": timeline.names().get(*node), "error": why }))
                .collect();
            json!({
                "number": one.number,
                "step": one.step,
                "at_ms": one.at.as_millis_f64(),
                "late_ms": one.late.as_millis_f64(),
                "took_ms": one.took.as_millis_f64(),
                "skew_ms": one.skew.as_millis_f64(),
                "writes": one.operations,
                "failed": failed,
            })
        })
        .collect();
    json(&json!({
        "nodes": timeline.names(),
        "start_unix_ns": start_ns,
        "steps": steps,
        "switches": switches,
        "stamps": stamps,
        "gaps": gaps,
        "cut_short_ms": cut_short.map(Span::as_millis_f64),
        "results": results,
    }))
}

/// What a timeline will do, step by step.
pub fn plan_table(timeline: &Timeline) -> String {
    let all = changes(timeline);
    let count = timeline.steps().len();
    let mut table = empty_table();
    table.set_header([
        "step",
        "at",
        "what",
        "paths\nchanged",
        "longer",
        "shorter",
        "median\nchange ms",
        "largest change",
        "delays\nms",
    ]);
    let order: Vec<usize> = (0..all.len()).collect();
    for place in order.iter().take(SHOWN_STEPS) {
        let (change, step) = (&all[*place], &timeline.steps()[place % count]);
        let (number, at) = if *place < count {
            ((place + 1).to_string(), format!("+{}", write_moment(step.at)))
        } else {
            ("1".to_owned(), "again".to_owned())
        };
        table.add_row([number, at, step.name.clone()].into_iter().chain(change_cells(timeline.names(), change)));
    }
    align(&mut table, |column| [0, 3, 4, 5, 6].contains(&column));
    let mut text = table.trim_fmt() + "\n";
    if all.len() > SHOWN_STEPS {
        let _ = writeln!(text, "and {} more", counted(all.len() - SHOWN_STEPS, "step"));
    }
    if timeline.has_more_than_paths() {
        text += "note: this is what pings meet; services, exceptions and networks of nodes change beside it\n";
    }
    text
}

fn change_cells(names: &[NodeName], change: &StepChange) -> [String; 6] {
    let largest = change.largest.map_or("-".to_owned(), |(by, from, to)| {
        let name = |node: NodeIndex| names.get(node).map_or("?", NodeName::as_str);
        format!("{:+.3} ms {} → {}", by.as_millis_f64(), name(from), name(to))
    });
    let (least, most) = change.range;
    [
        change.changed.to_string(),
        change.longer.to_string(),
        change.shorter.to_string(),
        change.median_ns.map_or("-".to_owned(), |ns| format!("{:.3}", Span::from_nanos(ns).as_millis_f64())),
        largest,
        format!("{}–{}", least.as_millis_f64(), most.as_millis_f64()),
    ]
}

/// How long all of it takes, in words.
pub fn plan_line(timeline: &Timeline) -> String {
    let steps = counted(timeline.steps().len(), "step");
    let nodes = counted(timeline.names().len(), "node");
    match timeline.end() {
        Some(end) => {
            let switches = timeline.switches().count();
            let switches =
                if switches == 1 { "1 switch".to_owned() } else { format!("{} switches", thousands(switches)) };
            format!("{steps} for {nodes}, {switches} until +{}", write_moment(end))
        }
        None => format!(
            "{steps} for {nodes}, again and again every {}",
            write_moment(timeline.pace().length.unwrap_or_default())
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::Impairment;
    use crate::timeline::{Pace, Repeat};
    use crate::units::Delay;

    fn timeline() -> Timeline {
        let of = |delays: [u64; 4]| delays.map(|ms| Impairment::delay(Delay::from_millis(ms))).to_vec();
        let networks = [(0, "light.csv", [0, 10, 20, 0]), (600_000, "heavy.csv", [0, 4, 21, 0])];
        let networks = networks.map(|(at, name, delays)| (Span::from_millis(at), name.to_owned(), of(delays)));
        let names = vec![NodeName::numbered(1), NodeName::numbered(2)];
        let once = Timeline::of_networks(names, networks).unwrap();
        once.paced(Pace { length: Some(Span::from_millis(1_200_000)), repeat: Repeat::Times(2), until: None }).unwrap()
    }

    #[test]
    fn a_plan_is_a_table() {
        insta::assert_snapshot!(plan_table(&timeline()), @r"
        step  at     what         paths  longer  shorter     median  largest change      delays
                                changed                   change ms                      ms
        ────────────────────────────────────────────────────────────────────────────────────────
           1  +0s    light.csv        2       2        0     10.000  +20.000 ms n2 → n1  10–20
           2  +10m   heavy.csv        2       1        1      1.000  -6.000 ms n1 → n2   4–21
           1  again  light.csv        2       1        1      1.000  +6.000 ms n1 → n2   10–20
        ");
        assert_eq!(plan_line(&timeline()), "2 steps for 2 nodes, 4 switches until +40m");
    }

    #[test]
    fn stamps_become_a_line() {
        let stamp = |begun: u64, done: u64, operations| SwitchStamp {
            number: 2,
            step: 1,
            planned_ns: 600_000_005_000,
            begun_ns: 600_000_005_000 + begun,
            done_ns: 600_000_005_000 + done,
            operations,
            error: None,
        };
        let (one, other) = (stamp(70_000, 400_000, 2), stamp(90_000, 1_600_000, 3));
        let summary = switch_summary(5_000, &[(0, &one), (1, &other)]).unwrap();
        assert_eq!(
            switch_line(&timeline(), &summary, 2),
            "   2  +10m       heavy.csv: 5 writes, in force within 1.2 ms of each other, 0.090 ms late, took 1.5 ms"
        );
        let failed = SwitchStamp { error: Some("bad luck".to_owned()), ..other };
        let summary = switch_summary(5_000, &[(0, &one), (1, &failed)]).unwrap();
        assert!(switch_line(&timeline(), &summary, 2).ends_with("took 0.330 ms; FAILED on 1 of 2 nodes: bad luck"));
        let names = timeline().names().to_vec();
        let why = "the worker was killed by SIGKILL".to_owned();
        let gap = ReplayGap { why, from_ns: 1_500_000_000, until_ns: Some(1_590_000_000) };
        assert_eq!(
            replay_lines(&names, &[summary], &[vec![], vec![gap]]),
            [
                "1 switch on 2 nodes: in force within 0.000 ms of each other, at most 0.070 ms late, 1 FAILED",
                "note: switch 2 failed on node `n2`: bad luck",
                "note: node `n2`: worker replaced at 1970-01-01T00:00:01.500Z (the worker was killed by SIGKILL); \
                 nothing was delayed for 90.0 ms"
            ]
        );
        assert_eq!(switch_summary(0, &[]), None);
    }
}
