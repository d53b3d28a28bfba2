//! `longhaul policies`: what a plan can name as its balancers and its ways to place services, and what can be set.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::terminal::hanging;
use crate::parameters::Definition;
use crate::{balance, placement};

/// List the policies that plans can name, with their parameters.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul policies
  longhaul policies round-robin
  longhaul policies search
  longhaul policies --json | jq '.[] | select(.kind == \"placement\").name'")]
pub(super) struct PoliciesArgs {
    /// Only this one
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A policy of either kind.
#[derive(Debug, Clone, Copy)]
struct Listed {
    kind: &'static str,
    name: &'static str,
    what: &'static str,
    parameters: &'static [Definition],
}

fn all() -> Vec<Listed> {
    let balancing = balance::POLICIES.iter().map(|policy| Listed {
        kind: "balancing",
        name: policy.name,
        what: policy.what,
        parameters: policy.parameters,
    });
    let placement = placement::POLICIES.iter().map(|policy| Listed {
        kind: "placement",
        name: policy.name,
        what: policy.what,
        parameters: policy.parameters,
    });
    balancing.chain(placement).collect()
}

/// Runs `longhaul policies`.
pub(super) fn run(args: &PoliciesArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut chosen = all();
    if let Some(name) = &args.name {
        chosen.retain(|policy| policy.name == name);
        if chosen.is_empty() {
            let names: Vec<&str> = all().iter().map(|policy| policy.name).collect();
            anyhow::bail!("there is no policy `{name}`; there are {}", names.join(", "));
        }
    }
    if args.json {
        let list: Vec<_> = chosen.iter().map(as_json).collect();
        writeln!(out, "{:#}", json!(list))?;
    } else {
        print(&chosen, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(policy: &Listed) -> serde_json::Value {
    let each = policy.parameters.iter();
    let parameters: Vec<_> = each
        .map(|one| json!({"name": one.name, "what": one.what, "takes": one.wanted(), "default": one.default}))
        .collect();
    json!({"kind": policy.kind, "name": policy.name, "what": policy.what, "parameters": parameters})
}

/// The policies by kind, each kind with a heading.
fn print(policies: &[Listed], out: &mut dyn Write) -> anyhow::Result<()> {
    let columns = super::terminal::columns(std::io::stdout()).unwrap_or(100);
    let mut kind = "";
    for policy in policies {
        if policy.kind != kind {
            let gap = if kind.is_empty() { "" } else { "\n" };
            kind = policy.kind;
            writeln!(out, "{gap}{}", if kind == "balancing" { "Balancing requests" } else { "Placing services" })?;
        }
        writeln!(out, "{}", hanging(&format!("{}: ", policy.name), policy.what, 2, columns))?;
        for one in policy.parameters {
            let words = format!("{}; {}, default {}", one.what, one.wanted(), one.default);
            writeln!(out, "{}", hanging(&format!("    {}: ", one.name), &words, 8, columns))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(name: Option<&str>, json: bool) -> anyhow::Result<String> {
        let mut out = Vec::new();
        run(&PoliciesArgs { name: name.map(str::to_owned), json }, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn both_kinds_are_listed_with_what_can_be_set() {
        let text = printed(None, false).expect("a list");
        for words in ["Balancing requests\n", "round-robin: ", "\n\nPlacing services\n", "search: ", "    effort: "] {
            assert!(text.contains(words), "no {words:?} in\n{text}");
        }
        let list: Vec<serde_json::Value> = serde_json::from_str(&printed(None, true).expect("JSON")).expect("a list");
        assert_eq!(list.len(), balance::POLICIES.len() + placement::POLICIES.len());
        let search = list.iter().find(|policy| policy["name"] == "search").expect("search");
        assert!(search["kind"] == "placement" && search["parameters"][0]["name"] == "effort", "{search}");
    }

    #[test]
    fn one_is_chosen_by_its_name() {
        let text = printed(Some("pga"), false).expect("one");
        assert!(text.starts_with("Placing services\npga: ") && !text.contains("netmarks"), "{text}");
        let error = printed(Some("pgaa"), false).expect_err("no such policy").to_string();
        assert!(error.starts_with("there is no policy `pgaa`; there are ") && error.contains("round-robin"), "{error}");
    }
}
