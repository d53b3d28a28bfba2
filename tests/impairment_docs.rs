//! The page on impairment files: its example is read, and comes to what the page says.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

const PAGE: &str = include_str!("../docs/impairments.md");

/// The texts of the blocks of a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn check(folder: &std::path::Path, file: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    let output = command.args(["matrix", "check", file, "--show"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_examples_come_to_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let samples: String = (1..=100).map(|n| 20.0 + f64::from(n * n) / 1000.0).map(|ms| ms.to_string() + "\n").collect();
    write("net.csv", blocks("csv")[0]);
    write("wan.txt", &samples);
    let [whole, regions, two] = blocks("yaml")[..] else { panic!("the page has other examples") };
    write("net.yaml", whole);
    write("regions.yaml", regions);
    write("two.csv", "a,b\n0,10\n10,0\n");
    write("two.yaml", two);
    let printed = blocks("text")[0].strip_prefix("$ longhaul matrix check net.yaml --show\n").unwrap();
    assert_eq!(check(folder.path(), "net.yaml"), printed);
    assert_eq!(check(folder.path(), "regions.yaml").lines().count(), 1 + 6);
    assert!(check(folder.path(), "two.yaml").contains("jitter 2ms pareto loss 5%"));
}

/// Every field of a rule is explained, and there is none that the program does not have.
#[test]
fn every_field_is_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.yaml"), "apiVersion: longhaul/v1\ndefaults: {nothing: 1}\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    let output = command.args(["matrix", "check", "net.yaml"]).current_dir(folder.path()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    let fields: Vec<&str> = message.trim().split("expected one of ").nth(1).unwrap().split(", ").collect();
    assert!(fields.len() >= 20, "{message}");
    for field in fields.iter().filter(|field| !field.ends_with("Correlation")) {
        assert!(PAGE.contains(&format!("`{field}`")), "{field}");
    }
}
