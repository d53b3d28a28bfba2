//! `longhaul status`: what every node of a running lab, or every host, does; desired, actual, and the difference.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::caveats::drops_note;
use super::target::TargetArgs;
use crate::agent::protocol::NodeStatus;
use crate::shaping::{RowPath, beyond_delay};
use crate::testbed;
use crate::topology::Node;

/// How many differences of a node the table shows; `--json` has all.
const SHOWN_DIFFERENCES: usize = 2;

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
        }),
    }
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
    fn many_differences_are_counted() {
        let list = |count: usize| (1..=count).map(|n| format!("add {n}")).collect::<Vec<_>>();
        assert_eq!(differences(&list(0)), "none");
        assert_eq!(differences(&list(2)), "add 1; add 2");
        assert_eq!(differences(&list(26)), "26: add 1; add 2; …");
    }
}
