//! `longhaul status`: what every node of a running lab, or every host, does; desired, actual, and the difference.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::caveats::drops_note;
use super::target::TargetArgs;
use crate::agent::protocol::{NodeStatus, ReplayPhase, ReplayProgress};
use crate::report::replay::{gap_text, rfc3339};
use crate::shaping::{RowPath, beyond_delay};
use crate::testbed;
use crate::topology::Node;
use crate::wording::OneLine;

/// How many differences of a node the table shows; `--json` has all.
const SHOWN_DIFFERENCES: usize = 2;

/// How many nodes of one kind are named.
const SHOWN_NODES: usize = 5;

/// Show what every node of a running lab, or every host, does, and whether that is what it should do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul status
  longhaul status --name trade --json
  longhaul status --hosts edge.yaml

Exit code: 0 every node is as it should be, 1 some are not or their agents have ended.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `longhaul status`.
pub(super) fn run(args: &StatusArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut target = args.target.connect()?;
    let statuses = testbed::statuses(target.testbed())?;
    let living = || statuses.iter().flatten();
    let dropped: u64 = living().filter_map(|status| status.traffic).map(|traffic| traffic.dropped).sum();
    let right = living().filter(|status| status.differences.is_empty()).count();
    let wrong = statuses.len() - right;
    if args.json {
        let nodes = target.nodes();
        let entry = |(node, status): (&Node, _)| (node.name.to_string(), document(status, nodes));
        let all: serde_json::Map<String, Value> = nodes.iter().zip(&statuses).map(entry).collect();
        writeln!(out, "{:#}", json!({ target.kind().word(): target.name, "nodes": all }))?;
    } else {
        writeln!(out, "{}", table(target.nodes(), &statuses))?;
        let count = statuses.len();
        let verdict = format!("{wrong} of {count} nodes differ from what they should be");
        writeln!(out, "{verdict}; {dropped} packets dropped by the delay elements")?;
        let known: Vec<NodeStatus> = living().cloned().collect();
        if let Some(note) = drops_note(&known) {
            writeln!(out, "{note}")?;
        }
        for line in replay_lines(target.nodes(), &statuses) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// One node as JSON: delays in milliseconds, receivers by name.
fn document(status: &Result<NodeStatus, String>, nodes: &[Node]) -> Value {
    match status {
        Err(message) => json!({ "error": message }),
        Ok(status) => json!({
            "backend": status.backend,
            "paths": status.row.paths.iter().map(|path| path_document(path, nodes)).collect::<Vec<_>>(),
            "exclusions": status.row.exclusions,
            "differences": status.differences,
            "restarts": status.restarts,
            "traffic": status.traffic,
            "replay": status.replay.as_ref().map(replay_document),
        }),
    }
}

/// A replay as JSON: steps and switches count from 1, instants by the node's clock.
fn replay_document(replay: &ReplayProgress) -> Value {
    json!({
        "timeline": replay.name,
        "phase": replay.phase,
        "step": replay.last.as_ref().map(|last| last.step + 1),
        "steps": replay.steps,
        "what": replay.last.as_ref().map(|_| &replay.step),
        "switch": replay.last.as_ref().map(|last| last.number),
        "since": replay.last.as_ref().map(|last| rfc3339(last.done_ns)),
        "next_switch": replay.next_ns.map(rfc3339),
        "failed": replay.failed,
        "gaps": replay.gaps,
    })
}

/// What replays there are. Nodes that are equally far are told of together, by the clock of the first of them.
fn replay_lines(nodes: &[Node], statuses: &[Result<NodeStatus, String>]) -> Vec<String> {
    let mut groups: Vec<(&ReplayProgress, Vec<&str>)> = vec![];
    for (node, status) in nodes.iter().zip(statuses) {
        let Some(replay) = status.as_ref().ok().and_then(|status| status.replay.as_ref()) else { continue };
        let key = |one: &ReplayProgress| (one.name.clone(), one.phase, one.last.as_ref().map(|last| last.number));
        match groups.iter_mut().find(|(known, _)| key(known) == key(replay)) {
            Some((_, names)) => names.push(node.name.as_str()),
            None => groups.push((replay, vec![node.name.as_str()])),
        }
    }
    let whose =
        |names: &[&str]| if names.len() == nodes.len() { String::new() } else { format!(" on {}", some(names)) };
    let mut lines: Vec<String> =
        groups.iter().map(|(replay, names)| format!("replay{} {}", whose(names), replay_text(replay))).collect();
    let gaps = nodes.iter().zip(statuses).filter_map(|(node, status)| {
        let gap = status.as_ref().ok()?.replay.as_ref()?.gaps.last()?;
        Some(format!("note: node `{}`: {}", node.name, gap_text(gap)))
    });
    lines.extend(gaps);
    lines
}

/// The first few names.
fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(SHOWN_NODES);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn replay_text(replay: &ReplayProgress) -> String {
    let phase = match replay.phase {
        ReplayPhase::None | ReplayPhase::Armed | ReplayPhase::Running => "is running",
        ReplayPhase::Finished => "is over",
        ReplayPhase::Stopped => "was stopped",
    };
    let steps = replay.steps;
    let at = match &replay.last {
        Some(last) => {
            let (step, what) = (last.step + 1, OneLine(&replay.step));
            format!("step {step} of {steps} ({what}, switch {}) since {}", last.number, rfc3339(last.done_ns))
        }
        None => format!("none of {steps} steps yet"),
    };
    let next = replay.next_ns.map_or_else(String::new, |next| format!(", next switch at {}", rfc3339(next)));
    let failed = if replay.failed == 0 { String::new() } else { format!("; {} switches failed", replay.failed) };
    format!("`{}` {phase}: {at}{next}{failed}", OneLine(&replay.name))
}

fn path_document(path: &RowPath, nodes: &[Node]) -> Value {
    let receiver = nodes
        .iter()
        .find(|node| RowPath::to(&node.prefixes(), path.impairment) == *path)
        .map(|node| node.name.to_string());
    json!({
        "to": receiver,
        "prefixes": path.selectors,
        "delay_ms": path.impairment.delay.as_millis_f64(),
        "does": path.impairment.to_string(),
        "impairment": path.impairment,
    })
}

fn table(nodes: &[Node], statuses: &[Result<NodeStatus, String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "NODE",
        "ADDRESS",
        "BACK-END",
        "PATHS",
        "DELAYS",
        "BEYOND DELAY",
        "PACKETS",
        "DROPPED",
        "DIFFERENCE",
    ]);
    for (node, status) in nodes.iter().zip(statuses) {
        let start =
            [node.name.to_string(), node.addresses().next().map_or("-".to_owned(), |address| address.to_string())];
        let rest = match status {
            Ok(status) => cells(status),
            Err(message) => ["-", "-", "-", "-", "-", "-", message].map(str::to_owned),
        };
        table.add_row(start.into_iter().chain(rest));
    }
    table.trim_fmt()
}

fn cells(status: &NodeStatus) -> [String; 7] {
    let delays = status.row.paths.iter().map(|path| path.impairment.delay);
    let range = match (delays.clone().min(), delays.max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least}–{most}"),
        _ => "-".to_owned(),
    };
    let traffic = status.traffic.unwrap_or_default();
    [
        status.backend.map_or_else(|| "-".to_owned(), |backend| backend.to_string()),
        status.row.paths.len().to_string(),
        range,
        beyond_delay(status.row.paths.iter().map(|path| path.impairment)).unwrap_or_else(|| "nothing".to_owned()),
        traffic.packets.to_string(),
        if traffic.drops_unknown { "?".to_owned() } else { traffic.dropped.to_string() },
        with_restarts(differences(&status.differences), &status.restarts),
    ]
}

/// What happened on the way to a state is told beside it.
fn with_restarts(differences: String, restarts: &[String]) -> String {
    match restarts {
        [] => differences,
        [only] => format!("{differences} (restarted: {only})"),
        [.., last] => format!("{differences} (restarted {} times: {last})", restarts.len()),
    }
}

fn differences(all: &[String]) -> String {
    match all {
        [] => "none".to_owned(),
        few if few.len() <= SHOWN_DIFFERENCES => few.join("; "),
        many => format!("{}: {}; …", many.len(), many[..SHOWN_DIFFERENCES].join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::SwitchStamp;
    use crate::topology::NodeName;

    #[test]
    fn restarts_are_told_with_the_last_reason() {
        let told = |restarts: &[&str]| {
            with_restarts("none".to_owned(), &restarts.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(told(&[]), "none");
        assert_eq!(told(&["one"]), "none (restarted: one)");
        assert_eq!(told(&["one", "two"]), "none (restarted 2 times: two)");
    }

    #[test]
    fn a_replay_is_told_with_its_step_and_the_next_switch() {
        let last = SwitchStamp { number: 5, step: 1, done_ns: 1_000_000_000, ..SwitchStamp::default() };
        let running = ReplayProgress {
            name: "day\n.yaml".to_owned(),
            phase: ReplayPhase::Running,
            steps: 3,
            last: Some(last),
            step: "high.csv".to_owned(),
            next_ns: Some(2_500_000_000),
            failed: 0,
            gaps: vec![],
        };
        assert_eq!(
            replay_text(&running),
            "`day\\n.yaml` is running: step 2 of 3 (high.csv, switch 5) since 1970-01-01T00:00:01.000Z, \
             next switch at 1970-01-01T00:00:02.500Z"
        );
        let over =
            ReplayProgress { phase: ReplayPhase::Finished, next_ns: None, last: None, failed: 2, ..running.clone() };
        assert_eq!(replay_text(&over), "`day\\n.yaml` is over: none of 3 steps yet; 2 switches failed");
        let node = |n: usize| Node { name: NodeName::numbered(n), ipv4: None, ipv6: None, networks: vec![] };
        let status = |replay: Option<&ReplayProgress>| {
            Ok(NodeStatus {
                backend: None,
                row: crate::shaping::Row::default(),
                differences: vec![],
                traffic: None,
                restarts: vec![],
                replay: replay.cloned(),
            })
        };
        let nodes = [node(1), node(2), node(3)];
        let told = |all: [Option<&ReplayProgress>; 3]| replay_lines(&nodes, &all.map(status));
        assert_eq!(told([Some(&running); 3]), [format!("replay {}", replay_text(&running))]);
        assert_eq!(
            told([Some(&running), None, Some(&over)]),
            [format!("replay on n1 {}", replay_text(&running)), format!("replay on n3 {}", replay_text(&over))]
        );
        assert!(told([None; 3]).is_empty());
    }

    #[test]
    fn many_differences_are_counted() {
        let list = |count: usize| (1..=count).map(|n| format!("add {n}")).collect::<Vec<_>>();
        assert_eq!(differences(&list(0)), "none");
        assert_eq!(differences(&list(2)), "add 1; add 2");
        assert_eq!(differences(&list(26)), "26: add 1; add 2; …");
    }
}
