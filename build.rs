//! Puts the git revision into the binary, for the record of each run.

use std::process::Command;

fn main() {
    // Git is asked where they are: in a worktree `.git` is a file.
    for name in ["HEAD", "logs/HEAD"] {
        let watched = git(&["rev-parse", "--git-path", name]);
        if let Some(watched) = watched.filter(|path| std::path::Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={watched}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    // tests/fuzz/run links what counts coverage to the tests alone; the program that cargo builds beside them is never run.
    if std::env::var_os("CARGO_CFG_FUZZING").is_some() {
        println!("cargo::rustc-link-arg-bins=-Wl,--unresolved-symbols=ignore-all");
    }
    let version = env!("CARGO_PKG_VERSION");
    if let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=LONGHAUL_REVISION={revision}");
        println!("cargo::rustc-env=LONGHAUL_VERSION={version} ({revision})");
    } else {
        println!("cargo::rustc-env=LONGHAUL_VERSION={version}");
    }
}

/// What git says; nothing where there is no git or no repository, as in a source archive.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
