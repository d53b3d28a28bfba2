//! Pure: what ssh is called with, and what it runs on a host.

use std::net::IpAddr;

use crate::inventory::{Host, Interface};

/// How long ssh may take to reach a host, in seconds, unless the inventory says otherwise.
const CONNECT_SECONDS: u32 = 10;

/// The arguments of ssh that reach `host` and run `remote` there by its shell.
pub(super) fn arguments(host: &Host, remote: &str) -> Vec<String> {
    // Nobody is there to answer questions: what would be asked fails, with words. Of two values for an option ssh takes the
    // first, so that the inventory's go before what is only our advice.
    let mut arguments = vec!["-T".to_owned(), "-o".to_owned(), "BatchMode=yes".to_owned()];
    let timeout = format!("ConnectTimeout={CONNECT_SECONDS}");
    let advice = [timeout.as_str(), "ServerAliveInterval=5", "ServerAliveCountMax=3"];
    for option in host.ssh_options.iter().map(String::as_str).chain(advice) {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    arguments.extend(host.ssh.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
    arguments.extend(["--".to_owned(), host.ssh.destination(), remote.to_owned()]);
    arguments
}

/// Runs `script` by a shell that is known, whatever shell the user has there.
pub(super) fn by_sh(script: &str) -> String {
    format!("exec sh -c {}", quoted(script))
}

/// A text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The file that `--push` puts the agent of this version into, as a shell script names it.
pub(super) fn pushed_file(version: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let version: String = version.chars().map(safe).collect();
    format!("\"${{XDG_CACHE_HOME:-$HOME/.cache}}/longhaul/longhaul-agent-{}\"", version.trim_end_matches('-'))
}

/// How long a host keeps its delays when this side falls silent.
const LEASE: &str = "10s";

/// What one session is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionOrder<'a> {
    /// The version of this longhaul.
    pub version: &'a str,
    /// Whether the agent is the one that was pushed, whatever the inventory says.
    pub use_pushed: bool,
    /// The testbed's name.
    pub testbed: &'a str,
    /// The other hosts' addresses, as far as they are known.
    pub toward: &'a [IpAddr],
}

/// What runs on `host`: the agent that the inventory names, or else the one that was pushed, or else the one in the path.
pub(super) fn session_script(host: &Host, order: SessionOrder<'_>) -> String {
    let mut words = vec!["session".to_owned(), "--interface".to_owned()];
    match &host.interface {
        Interface::Named(name) => words.push(quoted(name)),
        Interface::Auto => {
            words.push("auto".to_owned());
            words.extend(order.toward.iter().flat_map(|address| ["--toward".to_owned(), address.to_string()]));
        }
    }
    words.extend(["--testbed".to_owned(), quoted(order.testbed), "--lease".to_owned(), LEASE.to_owned()]);
    agent_script(host, order, &words.join(" "))
}

/// What rids `host` of everything of ours: the same agent as for a session.
pub(super) fn panic_script(host: &Host, order: SessionOrder<'_>, dry_run: bool) -> String {
    agent_script(host, order, if dry_run { "panic --dry-run" } else { "panic" })
}

/// Runs the agent with these words: the one that the inventory names, or else the one that was pushed, or else the one in the
/// path.
fn agent_script(host: &Host, order: SessionOrder<'_>, words: &str) -> String {
    let sudo = if host.sudo { "sudo -n " } else { "" };
    if let Some(agent) = host.agent.as_ref().filter(|_| !order.use_pushed) {
        return by_sh(&format!("exec {sudo}{} {words}", quoted(agent)));
    }
    let pushed = pushed_file(order.version);
    by_sh(&format!("if [ -x {pushed} ]; then exec {sudo}{pushed} {words}; fi; exec {sudo}longhaul-agent {words}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::inventory::parse;

    fn hosts(extra: &str) -> Vec<Host> {
        let text = format!(
            "apiVersion: longhaul/v1\ntestbed: t\nhosts:\n  - {{name: a, addresses: [10.0.0.1]{extra}}}\n  - {{name: b, addresses: [10.0.0.2]}}\n"
        );
        parse("x", &text).unwrap().hosts
    }

    #[test]
    fn the_inventory_goes_before_our_advice_and_after_batch_mode() {
        let host = &hosts(", ssh: \"me@h:2222\", sshOptions: [ConnectTimeout=3]")[0];
        let expected = "-T -o BatchMode=yes -o ConnectTimeout=3 -o ConnectTimeout=10 -o ServerAliveInterval=5 \
                        -o ServerAliveCountMax=3 -p 2222 -- me@h true";
        assert_eq!(arguments(host, "true").join(" "), expected);
    }

    #[test]
    fn the_shell_runs_what_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("my 'agent' $HOME");
        std::fs::write(&agent, "#!/bin/sh\nprintf '%s|' \"$@\"\n").unwrap();
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
        let host = &hosts(&format!(", agent: {:?}", agent.to_str().unwrap()))[0];
        let order =
            SessionOrder { version: "1", use_pushed: false, testbed: "edge", toward: &["10.0.0.2".parse().unwrap()] };
        let output = Command::new("sh").args(["-c", &session_script(host, order)]).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "session|--interface|auto|--toward|10.0.0.2|--testbed|edge|--lease|10s|"
        );
    }

    #[test]
    fn without_a_name_the_pushed_agent_goes_before_the_one_in_the_path() {
        let host = &hosts(", sudo: true, interface: eth1")[0];
        let script = session_script(
            host,
            SessionOrder { version: "0.1.0 (abc)", use_pushed: false, testbed: "edge", toward: &[] },
        );
        let pushed = r#""${XDG_CACHE_HOME:-$HOME/.cache}/longhaul/longhaul-agent-0.1.0--abc""#;
        let words = r"session --interface '\''eth1'\'' --testbed '\''edge'\'' --lease 10s";
        let expected = format!(
            "exec sh -c 'if [ -x {pushed} ]; then exec sudo -n {pushed} {words}; fi; exec sudo -n longhaul-agent {words}'"
        );
        assert_eq!(script, expected);
    }
}
