//! A replay as text: what it will do, each switch as it was carried out, and the whole in a few lines.

mod judge;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::files::json;
use super::heat::{counted, thousands};
use super::table::{align, empty_table};
pub use judge::{Labelled, StepResult, judge, label, results_json, results_lines, results_table, samples_csv};

use crate::timeline::{ReplayGap, StepChange, Switch, SwitchStamp, Timeline, changes, write_moment};
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
    /// Nodes that had been lost before.
    pub lost: Vec<NodeIndex>,
}

/// A node that was lost while a replay went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// When that was noticed, from the start of the replay.
    pub at: Span,
    /// Why, in its words or those of who could not reach it.
    pub why: String,
}

/// All that is known of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// When it began by the asker's clock, nanoseconds since 1970.
    pub start_ns: u64,
    /// When it began by the clock of each node.
    pub starts_ns: Vec<u64>,
    /// The stamps of each node, by its own clock.
    pub stamps: Vec<Vec<SwitchStamp>>,
    /// When each node did nothing of it, by its own clock.
    pub gaps: Vec<Vec<ReplayGap>>,
    /// Every switch over all nodes.
    pub switches: Vec<SwitchSummary>,
    /// The nodes that were lost.
    pub lost: BTreeMap<NodeIndex, Lost>,
    /// So long after the start a signal ended it.
    pub cut_short: Option<Span>,
}

/// Puts the stamps of one switch together; `None` when no node has one. Each stamp is compared with the instant that its own
/// node planned, so that clocks that differ do not show as a difference.
pub fn switch_summary(switch: Switch, known: &Replayed) -> Option<SwitchSummary> {
    let of = |stamps: &'_ Vec<SwitchStamp>| stamps.iter().rposition(|stamp| stamp.number == switch.number);
    let stamps: Vec<(NodeIndex, &SwitchStamp)> =
        (0..).zip(&known.stamps).filter_map(|(node, stamps)| Some((node, &stamps[of(stamps)?]))).collect();
    if stamps.is_empty() {
        return None;
    }
    let fine = || stamps.iter().map(|(_, stamp)| *stamp).filter(|stamp| stamp.error.is_none());
    let most = |span: fn(&SwitchStamp) -> u64| Span::from_nanos(fine().map(span).max().unwrap_or(0));
    let done = fine().map(|stamp| stamp.done_ns.saturating_sub(stamp.planned_ns));
    let skew = done.clone().max().unwrap_or(0).saturating_sub(done.min().unwrap_or(0));
    let failed = stamps.iter().filter_map(|(node, stamp)| Some((*node, stamp.error.clone()?)));
    let lost = known.lost.keys().copied().filter(|node| stamps.iter().all(|(stamped, _)| stamped != node));
    Some(SwitchSummary {
        number: switch.number,
        step: switch.step,
        at: switch.at,
        late: most(|stamp| stamp.begun_ns.saturating_sub(stamp.planned_ns)),
        took: most(|stamp| stamp.done_ns.saturating_sub(stamp.begun_ns)),
        skew: Span::from_nanos(skew),
        operations: fine().map(|stamp| stamp.operations).sum(),
        failed: failed.collect(),
        lost: lost.collect(),
    })
}

/// The line of a switch, as it is printed while the replay goes on.
pub fn switch_line(timeline: &Timeline, summary: &SwitchSummary) -> String {
    let nodes = timeline.names().len() - summary.lost.len();
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
    if !summary.lost.is_empty() {
        let names: Vec<&str> = summary.lost.iter().map(|node| name_of(timeline.names(), *node)).collect();
        let _ = write!(text, "; without {}", names.join(", "));
    }
    text
}

fn name_of(names: &[NodeName], node: NodeIndex) -> &str {
    names.get(node).map_or("?", NodeName::as_str)
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

/// All switches in a few lines, with the gaps of each node and those that were lost.
pub fn replay_lines(names: &[NodeName], known: &Replayed) -> Vec<String> {
    let Replayed { switches: summaries, gaps, lost, .. } = known;
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
        let node = name_of(names, node);
        format!("note: switch {number} failed on node `{node}`: {why}")
    }));
    let gaps = gaps.iter().enumerate().flat_map(|(node, gaps)| gaps.iter().map(move |gap| (node, gap)));
    lines.extend(gaps.take(5).map(|(node, gap)| format!("note: node `{}`: {}", name_of(names, node), gap_text(gap))));
    lines.extend(lost.iter().map(|(node, Lost { at, why })| {
        let (name, why) = (name_of(names, *node), OneLine(why));
        format!("note: node `{name}` was lost at +{}, its later switches are not known: {why}", write_moment(*at))
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

/// A replay as JSON: its steps, every switch over all nodes, the stamps and gaps of each node, who was lost, and when it was cut
/// short.
pub fn replay_json(timeline: &Timeline, known: &Replayed, results: Option<&Value>) -> String {
    let names = timeline.names();
    let steps: Vec<_> =
        timeline.steps().iter().map(|step| json!({ "at_ms": step.at.as_millis_f64(), "name": step.name })).collect();
    let lost: BTreeMap<&str, Value> = known
        .lost
        .iter()
        .map(|(node, lost)| {
            (name_of(names, *node), json!({ "at_ms": lost.at.as_millis_f64(), "why": OneLine(&lost.why).to_string() }))
        })
        .collect();
    let switches: Vec<_> = known
        .switches
        .iter()
        .map(|one| {
            let failed: Vec<_> =
                one.failed.iter().map(|(node, why)| json!({ "node": names.get(*node), "error": why })).collect();
            json!({
                "number": one.number,
                "step": one.step,
                "at_ms": one.at.as_millis_f64(),
                "late_ms": one.late.as_millis_f64(),
                "took_ms": one.took.as_millis_f64(),
                "skew_ms": one.skew.as_millis_f64(),
                "writes": one.operations,
                "failed": failed,
                "lost": one.lost.iter().map(|node| name_of(names, *node)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json(&json!({
        "nodes": names,
        "start_unix_ns": known.start_ns,
        "starts_unix_ns": known.starts_ns,
        "steps": steps,
        "switches": switches,
        "stamps": known.stamps,
        "gaps": known.gaps,
        "lost": lost,
        "cut_short_ms": known.cut_short.map(Span::as_millis_f64),
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
        format!("{:+.3} ms {} → {}", by.as_millis_f64(), name_of(names, from), name_of(names, to))
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
        // The second node's clock is an hour behind, which makes no difference.
        let behind = |mut stamp: SwitchStamp| {
            for instant in [&mut stamp.planned_ns, &mut stamp.begun_ns, &mut stamp.done_ns] {
                *instant -= 300_000_000_000;
            }
            stamp
        };
        let (one, other) = (stamp(70_000, 400_000, 2), behind(stamp(90_000, 1_600_000, 3)));
        let switch = Switch { number: 2, at: Span::from_millis(600_000), step: 1 };
        let known = |other| Replayed { stamps: vec![vec![one.clone()], vec![other]], ..Replayed::default() };
        let summary = switch_summary(switch, &known(other.clone())).unwrap();
        assert_eq!(
            switch_line(&timeline(), &summary),
            "   2  +10m       heavy.csv: 5 writes, in force within 1.2 ms of each other, 0.090 ms late, took 1.5 ms"
        );
        let failed = SwitchStamp { error: Some("bad luck".to_owned()), ..other };
        let summary = switch_summary(switch, &known(failed)).unwrap();
        assert!(switch_line(&timeline(), &summary).ends_with("took 0.330 ms; FAILED on 1 of 2 nodes: bad luck"));
        let names = timeline().names().to_vec();
        let why = "the worker was killed by SIGKILL".to_owned();
        let gap = ReplayGap { why, from_ns: 1_500_000_000, until_ns: Some(1_590_000_000) };
        let lost = BTreeMap::from([(1, Lost { at: Span::from_millis(700_000), why: "ssh: no route".to_owned() })]);
        let all = Replayed {
            switches: vec![summary],
            gaps: vec![vec![], vec![gap]],
            lost: lost.clone(),
            ..Replayed::default()
        };
        assert_eq!(
            replay_lines(&names, &all),
            [
                "1 switch on 2 nodes: in force within 0.000 ms of each other, at most 0.070 ms late, 1 FAILED",
                "note: switch 2 failed on node `n2`: bad luck",
                "note: node `n2`: worker replaced at 1970-01-01T00:00:01.500Z (the worker was killed by SIGKILL); \
                 nothing was delayed for 90.0 ms",
                "note: node `n2` was lost at +11m40s, its later switches are not known: ssh: no route"
            ]
        );
        let without = Replayed { stamps: vec![vec![one.clone()], vec![]], lost, ..Replayed::default() };
        let summary = switch_summary(switch, &without).unwrap();
        assert!(switch_line(&timeline(), &summary).ends_with("took 0.330 ms; without n2"));
        let json: Value =
            serde_json::from_str(&replay_json(&timeline(), &Replayed { switches: vec![summary], ..without }, None))
                .unwrap();
        assert_eq!(
            (&json["switches"][0]["lost"], &json["lost"]["n2"]["why"]),
            (&json!(["n2"]), &json!("ssh: no route"))
        );
        assert_eq!(switch_summary(switch, &Replayed::default()), None);
    }
}
