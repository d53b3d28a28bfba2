//! What a user reads before anything runs: help, examples, README, completions, man pages, version.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::{CommandFactory, Parser};
use longhaul::cli::Cli;

/// The widest line of help, in letters.
const WIDEST: usize = 100;

fn longhaul(words: &[&str], columns: usize) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    command.args(words).env("COLUMNS", columns.to_string()).env_remove("NO_COLOR").stdin(Stdio::null());
    command.output().unwrap()
}

fn printed(words: &[&str], columns: usize) -> String {
    let output = longhaul(words, columns);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every command that users see, each as the words that call it; the program itself is the first, without words.
fn commands() -> Vec<(Vec<String>, clap::Command)> {
    let mut found = vec![(vec![], Cli::command())];
    let mut place = 0;
    while place < found.len() {
        let (words, command) = &found[place];
        let below = command.get_subcommands().filter(|command| !command.is_hide_set());
        let below: Vec<_> = below
            .map(|command| ([words.as_slice(), &[command.get_name().to_owned()]].concat(), command.clone()))
            .collect();
        found.extend(below);
        place += 1;
    }
    found
}

/// The words of a command line of ours as the shell would split it; nothing for the rest of a pipeline.
fn words(line: &str) -> Vec<OsString> {
    let end = ["   ", "  #", " | ", " > ", " && "].iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
    let quoted: Vec<&str> = line[..end].split('\'').collect();
    let mut words = Vec::new();
    for (place, part) in quoted.iter().enumerate() {
        if place % 2 == 1 {
            words.push((*part).into());
        } else {
            words.extend(part.split_whitespace().map(Into::into));
        }
    }
    words
}

/// Asserts that our part of a command line is one that the program takes.
fn assert_parses(place: &str, line: &str) {
    let Some(start) = line.find("longhaul ") else { panic!("{place}: no command of ours in `{line}`") };
    if let Err(error) = Cli::try_parse_from(words(&line[start..])) {
        use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
        assert!([DisplayHelp, DisplayVersion].contains(&error.kind()), "{place}: `{line}`: {error}");
    }
}

/// The lines between "Examples:" and the next blank line.
fn examples(help: &str) -> Vec<&str> {
    let start = help.lines().skip_while(|line| !["Examples:", "Example:"].contains(line));
    start.skip(1).take_while(|line| !line.is_empty()).collect()
}

#[test]
fn every_command_has_help_with_examples_that_work() {
    let commands = commands();
    assert!(commands.len() > 20, "{}", commands.len());
    for (words, _) in &commands {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.push("--help");
        let place = words.join(" ");
        let help = printed(&words, 200);
        let narrow = printed(&words, 80);
        assert!(!help.contains('\x1b'), "{place}: colours in a pipe");
        for (help, widest) in [(&help, WIDEST), (&narrow, 80)] {
            for line in help.lines() {
                assert!(line.chars().count() <= widest, "{place}: wider than {widest} letters: {line}");
            }
        }
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{place}: no example");
        for example in examples {
            assert!(narrow.lines().any(|line| line == example), "{place}: wraps on 80 columns: {example}");
            assert_parses(&place, example);
        }
    }
}

/// A description is a phrase: it begins with a capital letter and ends without a full stop.
#[test]
fn descriptions_have_one_style() {
    let check = |place: &str, text: Option<String>| {
        let text = text.unwrap_or_else(|| panic!("{place} is not described"));
        let first = text.chars().next().unwrap();
        assert!((first.is_uppercase() || first.is_ascii_digit()) && !text.ends_with('.'), "{place}: {text}");
        let starts_with_article = ["The ", "A ", "An "].iter().any(|article| text.starts_with(article));
        assert!(!starts_with_article || place.contains("backend"), "{place}: {text}");
    };
    for (words, command) in commands() {
        let place = words.join(" ");
        check(&place, command.get_about().map(ToString::to_string));
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let place = format!("{place} {}", argument.get_id());
            check(&place, argument.get_help().map(ToString::to_string));
            for value in argument.get_possible_values() {
                if let Some(help) = value.get_help() {
                    check(&format!("{place} {} of backend", value.get_name()), Some(help.to_string()));
                }
            }
        }
    }
}

#[test]
fn commands_in_the_documents_work() {
    for document in ["README.md", "matrices/README.md"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
        let mut code = false;
        for line in text.lines() {
            code ^= line.starts_with("```");
            let ours = line.strip_prefix("$ longhaul ").or_else(|| line.strip_prefix("longhaul ").filter(|_| code));
            let through_cargo = line.split_once("cargo run --release -- ").map(|(_, rest)| rest);
            if let Some(arguments) = ours.or(through_cargo.filter(|_| code)) {
                let fits = arguments.chars().next().is_some_and(char::is_alphabetic);
                assert!(
                    !fits || !code || {
                        assert_parses(document, &format!("longhaul {arguments}"));
                        true
                    }
                );
            }
        }
    }
}

#[test]
fn wrong_command_lines_say_what_is_right() {
    for (words, expected) in [
        (&["verfy"][..], "tip: a similar subcommand exists: 'verify'"),
        (&["verify"], "<MATRIX>"),
        (&["verify", "a.csv", "--probes", "0"], "0 is not in 1..=100000"),
        (&["verify", "a.csv", "--tolerance", "much"], "write for example 5%, 1ms or 5%,1ms"),
        (&["verify", "a.csv", "--interval", "1h"], "invalid value '1h' for '--interval <DURATION>'"),
        (&["lab", "exec", "n1", "ping"], "-- <COMMAND>..."),
    ] {
        let output = longhaul(words, 80);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty(), "{words:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}

#[test]
fn the_version_names_the_program_and_the_revision() {
    let version = printed(&["--version"], 80);
    let rest = version.strip_prefix(concat!("longhaul ", env!("CARGO_PKG_VERSION"))).unwrap();
    // Nothing stands there in a source archive.
    let git = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    if git.is_ok_and(|git| git.status.success()) {
        let revision = rest.trim().strip_prefix('(').unwrap().strip_suffix(')').unwrap();
        assert!(revision.len() == 12 && revision.chars().all(|digit| digit.is_ascii_hexdigit()), "{version}");
    }
}

/// What a program says of a text on its standard input; nothing where there is no such program.
fn checked_by(program: &str, arguments: &[&str], text: &str) -> Option<String> {
    let pipes = || Stdio::piped();
    let child = Command::new(program).args(arguments).stdin(pipes()).stdout(pipes()).stderr(pipes()).spawn();
    let Ok(mut child) = child else {
        // Past the capture of the test harness: a skip must be seen.
        let _ = writeln!(std::io::stderr(), "\nSKIP: {program} is missing, so nothing was checked by it");
        return None;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn completions_are_made_and_bash_takes_them() {
    for shell in ["bash", "zsh", "fish"] {
        let text = printed(&["completions", shell], 80);
        for word in ["verify", "subtract-base", "exec", "userspace", "split-rtt"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    let script = printed(&["completions", "bash"], 80);
    checked_by("bash", &["-n"], &script);
    let asked = "\nCOMP_WORDS=(longhaul lab ex); COMP_CWORD=2; _longhaul longhaul ex lab; echo \"${COMPREPLY[@]}\"";
    if let Some(completed) = checked_by("bash", &["--norc"], &(script + asked)) {
        assert_eq!(completed.trim(), "exec");
    }
}

#[test]
fn there_is_a_man_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("man/man1");
    printed(&["man", made.to_str().unwrap()], 80);
    for (words, _) in commands() {
        let name = std::iter::once("longhaul".to_owned()).chain(words).collect::<Vec<_>>().join("-");
        let page = std::fs::read_to_string(made.join(format!("{name}.1"))).unwrap_or_else(|_| panic!("no page {name}"));
        for section in [".TH ", ".SH NAME", ".SH SYNOPSIS", "Example"] {
            assert!(page.contains(section), "{name}: {section}");
        }
        if let Some(text) = checked_by("groff", &["-man", "-Tutf8", "-Kutf8", "-ww", "-P-cbu"], &page) {
            assert!(text.contains("SYNOPSIS"), "{name}");
        }
    }
    let pages = std::fs::read_dir(&made).unwrap().count();
    let hidden = std::fs::read_dir(&made).unwrap().filter(|page| page.as_ref().unwrap().path().ends_with("traffic.1"));
    assert_eq!(hidden.count(), 0);
    assert!(pages >= commands().len(), "{pages}");
}
