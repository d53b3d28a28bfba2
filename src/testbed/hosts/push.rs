//! Copying this very program to hosts, as their agent: through the same ssh, and only where it is not there yet.

use std::fs::File;
use std::io;
use std::process::{Command, Output, Stdio};

use super::HostsError;
use super::command::{arguments, by_sh, pushed_file, quoted};
use super::complaint;
use crate::inventory::{Host, Inventory};

/// This program, also when its file has been replaced since it was started.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Puts this program on every host that has not got it. For each host whether that works, and else why not.
pub(super) fn push_all(
    inventory: &Inventory,
    program: &[String],
    version: &str,
) -> Result<Vec<Result<(), String>>, HostsError> {
    let sum = own_sum().map_err(|source| HostsError::OwnProgram { source })?;
    let push = |host: &Host| push(host, program, version, &sum);
    Ok(std::thread::scope(|scope| {
        let all: Vec<_> = inventory.hosts.iter().map(|host| scope.spawn(move || push(host))).collect();
        all.into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("the copying thread panicked".to_owned())))
            .collect()
    }))
}

/// The SHA-256 of this program, by the same tool that hosts check their copy with.
fn own_sum() -> io::Result<String> {
    let output = Command::new("sha256sum").stdin(File::open(OWN_PROGRAM)?).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.split_whitespace().next() {
        Some(sum) if output.status.success() && sum.len() == 64 => Ok(sum.to_owned()),
        _ => Err(io::Error::other(format!("sha256sum ended with {}", output.status))),
    }
}

fn push(host: &Host, program: &[String], version: &str, sum: &str) -> Result<(), String> {
    let file = pushed_file(version);
    let look = format!("uname -m; if [ -x {file} ]; then sha256sum < {file}; fi");
    let said = run(host, program, &look, Stdio::null())?;
    let mut words = said.split_whitespace();
    let machine = words.next().unwrap_or_default();
    if architecture(machine) != std::env::consts::ARCH {
        let own = std::env::consts::ARCH;
        return Err(format!(
            "it is a {machine} machine, and this longhaul is for {own}: install one for {machine} there"
        ));
    }
    if words.next() == Some(sum) {
        return Ok(());
    }
    let own = File::open(OWN_PROGRAM).map_err(|error| format!("read this program: {error}"))?;
    run(host, program, &receive_script(&file, sum), Stdio::from(own)).map(|_| ())
}

/// Takes the program from standard input; it appears under its name whole and right, or not at all.
fn receive_script(file: &str, sum: &str) -> String {
    let wrong = quoted("error: the copy differs from what was sent");
    format!(
        "set -e; f={file}; t=\"$f.$$\"; mkdir -p \"${{f%/*}}\"; trap 'rm -f \"$t\"' EXIT; cat > \"$t\"; \
         s=$(sha256sum < \"$t\"); [ \"${{s%% *}}\" = {sum} ] || {{ echo {wrong} >&2; exit 1; }}; \
         chmod 755 \"$t\"; mv -f \"$t\" \"$f\""
    )
}

fn run(host: &Host, program: &[String], script: &str, stdin: Stdio) -> Result<String, String> {
    let (name, first) = program.split_first().ok_or("no program is named")?;
    let arguments = arguments(host, &by_sh(script));
    let output = Command::new(name).args(first).args(arguments).stdin(stdin).output();
    let Output { status, stdout, stderr } = output.map_err(|error| format!("run `{name}`: {error}"))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    Err(format!("push the agent: {}", complaint::describe(status.code(), &String::from_utf8_lossy(&stderr))))
}

/// Rust's name for what `uname -m` says.
fn architecture(machine: &str) -> &str {
    match machine {
        "arm64" => "aarch64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "ppc64" | "ppc64le" => "powerpc64",
        arm if arm.starts_with("arm") => "arm",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    /// What is in the folder after the script has got `sent`, and how it ended.
    fn received(sent: &[u8], sum: &str) -> (bool, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let script = receive_script("\"$XDG_CACHE_HOME/a/agent\"", sum);
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .env("XDG_CACHE_HOME", folder.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(sent).unwrap();
        let ended = shell.wait().unwrap().success();
        let names = std::fs::read_dir(folder.path().join("a")).unwrap();
        (ended, names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect())
    }

    #[test]
    fn a_copy_appears_whole_or_not_at_all() {
        // The SHA-256 of `abc`, from the standard (FIPS 180).
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(received(b"abc", sum), (true, vec!["agent".to_owned()]));
        assert_eq!(received(b"ab", sum), (false, vec![]));
    }

    #[test]
    fn machines_have_one_name() {
        let names = ["x86_64", "aarch64", "armv7l", "i686", "riscv64"].map(architecture);
        assert_eq!(names, ["x86_64", "aarch64", "arm", "x86", "riscv64"]);
    }
}
