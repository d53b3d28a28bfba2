//! Bad input: every impairment file in `tests/bad/impairments` is refused with exactly the message that
//! `tests/bad/impairments.txt` lists.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use longhaul::intended::{Intended, is_impairment_file};
use longhaul::matrix::{ReadOptions, read_bytes};

const FOLDER: &str = "tests/bad/impairments";
const MESSAGES: &str = include_str!("bad/impairments.txt");

fn message(file: &str) -> String {
    let loaded = Intended::load(&Path::new(FOLDER).join(file), ReadOptions::default(), read_bytes);
    match loaded {
        Ok(intended) => format!("{FOLDER}/{file}: accepted, with {} nodes", intended.matrix().len()),
        Err(error) => error.to_string(),
    }
}

/// Each line is the file and what is said of it; the message itself may name another file that this one names.
fn listed() -> Vec<(&'static str, &'static str)> {
    MESSAGES.lines().map(|line| line.split_once(" | ").unwrap()).collect()
}

fn files() -> BTreeSet<String> {
    let paths = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| is_impairment_file(path));
    files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_bad_file_is_refused_with_its_message() {
    let wrong: Vec<String> = listed()
        .into_iter()
        .map(|(file, expected)| (file, format!("{FOLDER}/{expected}"), message(file)))
        .filter(|(_, expected, found)| expected != found)
        .map(|(file, expected, found)| format!("{file}\n  expected {expected}\n  found    {found}"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_bad_file_has_its_message_and_every_message_its_file() {
    let named: BTreeSet<String> = listed().iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(files(), named);
    assert_eq!(named.len(), listed().len(), "a file has two messages");
}
