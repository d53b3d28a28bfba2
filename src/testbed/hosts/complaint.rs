//! Pure: why ssh or the agent behind it ended, in words that say what to do.

/// The exit code of ssh itself; any other is the remote program's.
const SSH_FAILED: i32 = 255;

/// What a session left behind: its exit code, if it had one, and what it said on standard error.
pub(super) fn describe(code: Option<i32>, said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let with = |part: &str| lines.iter().rev().find(|line| line.contains(part)).copied();
    let ssh_failed = code == Some(SSH_FAILED) || code.is_none();
    if let Some(words) = ssh_failed.then(|| of_ssh(&with)).flatten() {
        return words;
    }
    if let Some(line) = with("sudo:") {
        return format!("{line}: `sudo -n` needs a rule without a password (NOPASSWD) for the agent");
    }
    let last = lines.last().map(|line| line.strip_prefix("error: ").unwrap_or(line));
    match (code, last) {
        (Some(127), Some(line)) => format!("{line}: push the agent with --push, or say where it is with `agent`"),
        (Some(127), None) => "there is no longhaul-agent: push it with --push".to_owned(),
        (Some(126), Some(line)) => format!("{line}: the agent cannot be run there"),
        (Some(SSH_FAILED), Some(line)) => format!("ssh: {}", line.strip_prefix("ssh: ").unwrap_or(line)),
        (Some(SSH_FAILED), None) => "ssh cannot reach it, or lost it".to_owned(),
        (None, last) => {
            let last = last.map_or(String::new(), |line| format!(": {line}"));
            format!("the connection was lost: ssh was killed{last}")
        }
        (Some(0), None) => "the agent has ended".to_owned(),
        (Some(_), Some(line)) => format!("the agent has ended: {line}"),
        (Some(code), None) => format!("the agent has ended with exit code {code}"),
    }
}

fn of_ssh<'a>(with: &dyn Fn(&str) -> Option<&'a str>) -> Option<String> {
    if with("REMOTE HOST IDENTIFICATION HAS CHANGED").is_some() {
        let advice = "if that is right, remove the old key with `ssh-keygen -R`";
        return Some(format!("ssh: its host key is another than the known one; {advice}"));
    }
    if with("Host key verification failed").is_some() {
        return Some(
            "ssh: its host key is not known here; connect to it once by hand, or add it to known_hosts".to_owned(),
        );
    }
    let denied = with("Permission denied (")?;
    let denied = denied.split_once(": ").map_or(denied, |(_, rest)| rest);
    let denied = denied.trim_end_matches('.').replacen('P', "p", 1);
    Some(format!("ssh: {denied}: check the user and the key that ssh uses for it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_can_change_is_said() {
        let cases = [
            (
                Some(255),
                "root@h: Permission denied (publickey).\r\n",
                "ssh: permission denied (publickey): check the user and the key that ssh uses for it",
            ),
            (
                Some(255),
                "No ED25519 host key is known for [h]:22 and you have requested strict checking.\nHost key verification failed.\n",
                "ssh: its host key is not known here; connect to it once by hand, or add it to known_hosts",
            ),
            (
                Some(255),
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
                "ssh: its host key is another than the known one; if that is right, remove the old key with `ssh-keygen -R`",
            ),
            (
                Some(255),
                "ssh: connect to host h port 22: Connection refused\r\n",
                "ssh: connect to host h port 22: Connection refused",
            ),
            (Some(255), "", "ssh cannot reach it, or lost it"),
            (
                Some(127),
                "sh: 1: exec: longhaul-agent: not found\n",
                "sh: 1: exec: longhaul-agent: not found: push the agent with --push, or say where it is with `agent`",
            ),
            (
                Some(126),
                "sh: 1: exec: /x: Permission denied\n",
                "sh: 1: exec: /x: Permission denied: the agent cannot be run there",
            ),
            (
                Some(1),
                "sudo: a password is required\n",
                "sudo: a password is required: `sudo -n` needs a rule without a password (NOPASSWD) for the agent",
            ),
            (
                Some(2),
                "error: no route to 10.0.0.2: look up: ENETUNREACH\n",
                "the agent has ended: no route to 10.0.0.2: look up: ENETUNREACH",
            ),
            (Some(0), "", "the agent has ended"),
            (None, "", "the connection was lost: ssh was killed"),
        ];
        for (code, said, expected) in cases {
            assert_eq!(describe(code, said), expected);
        }
    }
}
