//! `longhaul policies`: what strategies a plan can name, and what can be set.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::terminal::hanging;
use crate::balance::POLICIES;

/// List the policies that plans can name, with their parameters.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul policies
  longhaul policies round-robin
  longhaul policies --json | jq '.[].name'")]
pub(super) struct PoliciesArgs {
    /// Only this one
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `longhaul policies`.
pub(super) fn run(args: &PoliciesArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let chosen: Vec<_> =
        POLICIES.iter().filter(|policy| args.name.as_deref().is_none_or(|name| name == policy.name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = POLICIES.iter().map(|policy| policy.name).collect();
        let name = args.name.as_deref().unwrap_or_default();
        anyhow::bail!("there is no policy `{name}`; there are {}", names.join(", "));
    }
    if args.json {
        let list: Vec<_> = chosen
            .iter()
            .map(|policy| {
                let parameters: Vec<_> = policy
                    .parameters
                    .iter()
                    .map(|one| json!({"name": one.name, "what": one.what, "takes": one.wanted(), "default": one.default}))
                    .collect();
                json!({"name": policy.name, "what": policy.what, "parameters": parameters})
            })
            .collect();
        writeln!(out, "{:#}", json!(list))?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = super::terminal::columns(std::io::stdout()).unwrap_or(100);
    for policy in chosen {
        writeln!(out, "{}", hanging(&format!("{}: ", policy.name), policy.what, 2, columns))?;
        for one in policy.parameters {
            let words = format!("{}; {}, default {}", one.what, one.wanted(), one.default);
            writeln!(out, "{}", hanging(&format!("    {}: ", one.name), &words, 8, columns))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
