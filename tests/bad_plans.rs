//! Bad input: every plan, proxy configuration and file of instances below `tests/bad` is refused with exactly the message that the
//! list beside its folder has.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use longhaul::experiment::plan::Plan;
use longhaul::matrix::read_bytes;
use longhaul::proxy;

/// Lines of a list: a file and what is said of it.
fn listed(messages: &'static str) -> Vec<(&'static str, &'static str)> {
    messages.lines().map(|line| line.split_once(" | ").unwrap()).collect()
}

/// Each file of the list is refused in its words, and each file of the folder is in the list; `beside` are those that others name.
fn refused(folder: &str, messages: &'static str, beside: &[&str], message: impl Fn(&Path) -> Option<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad").join(folder);
    let wrong: Vec<String> = listed(messages)
        .into_iter()
        .map(|(file, expected)| (file, expected, message(&root.join(file))))
        // Where the file is, is no part of the message.
        .map(|(file, expected, found)| {
            (file, expected, found.map(|found| found.replace(&format!("{}/", root.display()), "")))
        })
        .filter(|(_, expected, found)| found.as_deref() != Some(expected))
        .map(|(file, expected, found)| {
            format!("{file}\n  expected {expected}\n  found    {}", found.unwrap_or_else(|| "nothing wrong".to_owned()))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let named: BTreeSet<String> = listed(messages).iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(named.len(), listed(messages).len(), "a file has two messages");
    let files = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.filter(|file| !beside.contains(&file.as_str())).collect::<BTreeSet<_>>(), named);
}

#[test]
fn plans() {
    let beside = [
        "m.csv",
        "bad.csv",
        "other.csv",
        "near.csv",
        "rate.yaml",
        "duplicate.yaml",
        "service.yaml",
        "stranger.yaml",
        "loss.yaml",
    ];
    refused("plans", include_str!("bad/plans.txt"), &beside, |path| {
        Plan::load(path, read_bytes).err().map(|error| error.to_string())
    });
}

#[test]
fn proxy_configurations() {
    refused("proxies", include_str!("bad/proxies.txt"), &[], |path| {
        let text = std::fs::read_to_string(path).unwrap();
        proxy::parse(&path.display().to_string(), &text).err().map(|error| error.to_string())
    });
}

#[test]
fn files_of_instances() {
    refused("instances", include_str!("bad/instances.txt"), &[], |path| {
        let text = std::fs::read_to_string(path).unwrap();
        proxy::parse_instances(&path.display().to_string(), &text).err().map(|error| error.to_string())
    });
}
