//! The page on balancing: each policy has a section, with the table of parameters that the policy declares.

#![allow(clippy::unwrap_used)]

use longhaul::balance::POLICIES;

const PAGE: &str = include_str!("../docs/balancing.md");

/// The text of a section, from its heading to the next.
fn section(name: &str) -> &'static str {
    let heading = format!("\n## {name}\n");
    let (_, rest) = PAGE.split_once(&heading).unwrap_or_else(|| panic!("no section on {name}"));
    rest.split("\n## ").next().unwrap()
}

#[test]
fn tables_are_what_policies_declare() {
    for policy in POLICIES {
        let rows: Vec<&str> = section(policy.name).lines().filter(|line| line.starts_with("| `")).collect();
        let declared: Vec<String> = policy
            .parameters
            .iter()
            .map(|one| format!("| `{}` | {} | {} | {} |", one.name, one.default, one.wanted(), one.what))
            .collect();
        assert_eq!(rows, declared, "{}", policy.name);
    }
}

/// No section is left of a policy that is gone.
#[test]
fn sections_are_the_policies_and_what_is_said_of_all() {
    let headings: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let policies = POLICIES.iter().map(|policy| policy.name);
    let expected: Vec<&str> = policies.chain(["What a decision costs", "The best that could be done"]).collect();
    assert_eq!(headings, expected);
}
