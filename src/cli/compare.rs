//! `longhaul apply --dry-run`: what is there, what is wanted, and what would change; nothing is written.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::target::Target;
use crate::agent::protocol::Compared;
use crate::intended::Intended;
use crate::shaping::{BackendChoice, Row};
use crate::testbed;

/// Compares every node with what `intended` makes of it and prints the difference.
pub(super) fn run(
    target: &mut Target,
    intended: &Intended,
    choices: &[BackendChoice],
    as_json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let rows = intended.rows(target.nodes());
    let compared = testbed::compare_rows(target.testbed(), rows.clone(), choices)?;
    if as_json {
        let nodes = target.nodes().iter().zip(rows.iter().zip(&compared));
        let all: serde_json::Map<String, Value> =
            nodes.map(|(node, (row, one))| (node.name.to_string(), document(row, one))).collect();
        writeln!(out, "{:#}", json!({ target.kind().word(): target.name, "nodes": all }))?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{}", table(target, &rows, &compared))?;
    let writes: usize = compared.iter().map(|one| one.operations.len()).sum();
    writeln!(out, "dry run: {writes} writes to {target} are left undone")?;
    Ok(ExitCode::SUCCESS)
}

fn document(row: &Row, one: &Compared) -> Value {
    json!({
        "backend": one.backend,
        "reason": one.reason,
        "desired": row,
        "actual": one.applied,
        "destinations": one.destinations,
        "operations": one.operations,
        "differences_now": one.differences,
    })
}

fn table(target: &Target, rows: &[Row], compared: &[Compared]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["NODE", "BACK-END", "PATHS NOW", "WANTED", "ADDED", "CHANGED", "REMOVED", "WRITES", "WRONG NOW"]);
    for (node, (row, one)) in target.nodes().iter().zip(rows.iter().zip(compared)) {
        let now = one.applied.as_ref().map_or(0, |row| row.paths.len());
        let destinations = one.destinations;
        table.add_row([
            node.name.to_string(),
            one.backend.to_string(),
            now.to_string(),
            row.paths.len().to_string(),
            destinations.added.to_string(),
            destinations.changed.to_string(),
            destinations.removed.to_string(),
            one.operations.len().to_string(),
            if one.differences.is_empty() { "nothing".to_owned() } else { one.differences.len().to_string() },
        ]);
    }
    table.trim_fmt()
}
