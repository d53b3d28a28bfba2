//! Puts the git revision into the binary, for the record of each run.

use std::process::Command;

fn main() {
    for watched in [".git/HEAD", ".git/logs/HEAD"] {
        if std::path::Path::new(watched).exists() {
            println!("cargo::rerun-if-changed={watched}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    let revision = git(&["rev-parse", "--short=12", "HEAD"]);
    if let Some(revision) = revision {
        println!("cargo::rustc-env=LONGHAUL_REVISION={revision}");
    }
}

/// What git says; nothing where there is no git or no repository, as in a source archive.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
