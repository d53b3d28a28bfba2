//! The matrices that are shipped: each loads, is described in the README and, when generated, is what its command makes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use longhaul::cli::matrix::{MatrixArgs, run};
use longhaul::matrix::{DelayMatrix, ReadOptions, read};
use longhaul::units::{Delay, Rtt};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: MatrixArgs,
}

fn shipped() -> BTreeMap<String, PathBuf> {
    let files = std::fs::read_dir("matrices").unwrap().map(|entry| entry.unwrap().path());
    let matrices = files.filter(|path| path.extension().is_some_and(|extension| extension == "csv"));
    matrices.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

fn load(name: &str) -> DelayMatrix {
    read(&Path::new("matrices").join(name), ReadOptions::default()).unwrap()
}

fn delay(matrix: &DelayMatrix, from: &str, to: &str) -> Delay {
    let place = |name: &str| matrix.names().iter().position(|known| known.as_str() == name).unwrap();
    matrix.delay(place(from), place(to))
}

/// What `longhaul matrix …` prints.
fn output(words: &[&str]) -> String {
    let args = Command::parse_from([&["matrix"], words].concat()).args;
    let mut out = Vec::new();
    run(args, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_matrix_loads_and_says_where_it_is_from() {
    let sizes: BTreeMap<String, usize> = shipped().into_keys().map(|name| (name.clone(), load(&name).len())).collect();
    let expected = [
        ("aws-europe.csv", 6),
        ("aws-world.csv", 14),
        ("europe-30.csv", 30),
        ("gcp-dreams.csv", 3),
        ("regions-4x20.csv", 80),
        ("trade-heavy.csv", 9),
        ("trade-light.csv", 9),
        ("trade-m2.csv", 9),
        ("trade-mid.csv", 9),
        ("trade.csv", 9),
    ];
    assert_eq!(sizes, expected.map(|(name, nodes)| (name.to_owned(), nodes)).into());
    for name in sizes.keys() {
        assert!(load(name).metadata.source.is_some(), "{name}");
    }
}

#[test]
fn the_readme_has_every_file_and_its_size() {
    let readme = std::fs::read_to_string("matrices/README.md").unwrap();
    for name in shipped().keys() {
        assert!(readme.contains(&format!("| `{name}` | {} |", load(name).len())), "{name}");
    }
}

#[test]
fn the_commands_of_the_readme_make_the_files_byte_for_byte() {
    let readme = std::fs::read_to_string("matrices/README.md").unwrap();
    let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("longhaul matrix ")).collect();
    assert_eq!(commands.len(), 4);
    for command in commands {
        let (command, path) = command.split_once(" --output ").unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(output(&words), std::fs::read_to_string(path).unwrap(), "{path}");
    }
}

#[test]
fn the_source_line_of_a_generated_file_is_the_command_that_makes_it() {
    let mut generated = 0;
    for (name, path) in shipped() {
        let source = load(&name).metadata.source.unwrap();
        if let Some(command) = source.strip_prefix("longhaul matrix ") {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(output(&words), std::fs::read_to_string(path).unwrap(), "{name}");
            generated += 1;
        }
    }
    assert_eq!(generated, 4);
}

#[test]
fn the_copied_numbers_are_those_of_the_sources() {
    let ms = Delay::from_millis;
    let trade = load("trade.csv");
    let corners =
        [("n1", "n2", 3), ("n1", "n4", 10), ("n1", "n5", 14), ("n2", "n7", 38), ("n9", "n1", 36), ("n9", "n8", 6)];
    for (from, to, expected) in corners {
        assert_eq!(delay(&trade, from, to), ms(expected), "{from} → {to}");
    }
    // The logs of the paper's own measurer: 11.54 ms between n1 and n2, 57.5 ms between n1 and n9, at most 1.6 ms of them its own.
    assert_eq!((trade.round_trip(0, 1), trade.round_trip(0, 8)), (Rtt::from_millis(11), Rtt::from_millis(57)));
    // Sums of the tables in the sources.
    for (name, sum) in [
        ("trade.csv", 971),
        ("trade-m2.csv", 965),
        ("trade-light.csv", 579),
        ("trade-mid.csv", 696),
        ("trade-heavy.csv", 1_155),
    ] {
        let total: u64 = load(name).delays().iter().map(|delay| delay.as_nanos() / 1_000_000).sum();
        assert_eq!(total, sum, "{name}");
    }
    let dreams = load("gcp-dreams.csv");
    let trips = [dreams.round_trip(0, 1), dreams.round_trip(0, 2), dreams.round_trip(1, 2)];
    assert_eq!(trips, [80, 250, 150].map(Rtt::from_millis));
}

#[test]
fn known_pairs_of_the_world_are_kept_and_the_others_derived() {
    let world = load("aws-world.csv");
    let micros = |ms: f64| Delay::from_millis_f64(ms).unwrap();
    assert_eq!(delay(&world, "Frankfurt", "Virginia"), micros(91.26 / 2.0));
    assert_eq!(delay(&world, "Virginia", "Frankfurt"), micros(91.11 / 2.0));
    // Over Virginia: 17.28 ms from Tokyo to Seoul, and half of 225.48 from Tokyo to Frankfurt.
    assert_eq!(delay(&world, "Seoul", "Frankfurt"), micros(35.08 / 2.0 + 225.48 / 2.0));
    assert_eq!(delay(&world, "Ohio", "Montreal"), micros(15.07 / 2.0 + 16.29 / 2.0));
    let known = "20 of 91 pairs are given";
    assert!(world.metadata.comments.iter().any(|comment| comment.starts_with(known)));
    assert!(load("aws-europe.csv").metadata.comments.contains(&"all 15 pairs are given".to_owned()));
}
