//! Bad input: every file in `tests/bad/matrices` is refused with exactly the message that `tests/bad/matrices.txt` lists.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use longhaul::matrix::{MAX_NODES, ReadOptions, read, read_from};

const FOLDER: &str = "tests/bad/matrices";
const MESSAGES: &str = include_str!("bad/matrices.txt");

fn message(path: &Path) -> String {
    match read(path, ReadOptions::default()) {
        Ok(matrix) => format!("{}: accepted, with {} nodes", path.display(), matrix.len()),
        Err(error) => error.to_string(),
    }
}

/// The name of the file that a message is about.
fn file_of(message: &str) -> &str {
    message.split(':').next().unwrap()
}

fn files() -> BTreeSet<String> {
    let entries = std::fs::read_dir(FOLDER).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_bad_file_is_refused_with_its_message() {
    for expected in MESSAGES.lines() {
        let path = Path::new(FOLDER).join(file_of(expected));
        assert_eq!(message(&path), format!("{FOLDER}/{expected}"));
    }
}

#[test]
fn every_bad_file_has_its_message_and_every_message_its_file() {
    let listed: BTreeSet<String> = MESSAGES.lines().map(|line| file_of(line).to_owned()).collect();
    assert_eq!(files(), listed);
    assert!(listed.len() >= 50, "only {} files", listed.len());
    assert_eq!(listed.len(), MESSAGES.lines().count(), "a file has two messages");
}

#[test]
fn a_directory_and_a_missing_file_are_refused() {
    assert_eq!(message(Path::new(FOLDER)), "tests/bad/matrices: is a directory; name a file in it");
    assert_eq!(message(Path::new("no/such.csv")), "no/such.csv: there is no such file");
}

struct Forbidden;

impl Read for Forbidden {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    let error = read_from("secret.csv", Forbidden, ReadOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "secret.csv: may not be read (permission denied); check its mode and owner");
}

/// Columns without end: reading them all would never return.
struct Wide(u64);

impl Read for Wide {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0 += buffer.len() as u64;
        assert!(self.0 < 1 << 26, "read on and on");
        buffer.iter_mut().zip(b"1,".iter().cycle()).for_each(|(to, from)| *to = *from);
        Ok(buffer.len())
    }
}

#[test]
fn too_many_nodes_are_refused_before_all_is_read() {
    let error = read_from("wide.csv", Wide(0), ReadOptions::default()).unwrap_err();
    let message = "has more than 8192 nodes, the most that a delay matrix may have";
    assert_eq!(error.to_string(), format!("wide.csv: {message}"));

    let row = vec!["0"; MAX_NODES + 1].join(",");
    let error = read_from("large.csv", row.as_bytes(), ReadOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("large.csv:1: {message}"));

    let named =
        format!("# kind: one-way\n,{}\n", (0..=MAX_NODES).map(|n| format!("x{n}")).collect::<Vec<_>>().join(","));
    let error = read_from("named.csv", named.as_bytes(), ReadOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("named.csv:2: {message}"));
}
