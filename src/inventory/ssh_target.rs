//! Whom to call by ssh: `user@host:port`, an address, or an alias of the user's ssh configuration.

use std::fmt;

/// A target of ssh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SshTarget {
    /// Who to be there; `None` for what ssh's configuration says.
    pub user: Option<String>,
    /// The host or the alias, an IPv6 address without brackets.
    pub host: String,
    /// `None` for what ssh's configuration says.
    pub port: Option<u16>,
}

impl SshTarget {
    /// Reads `user@host:port`, `host`, `[fd00::1]:22` or `fd00::1`. The error says what is wrong.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (host, port) = split_port(rest).ok_or_else(|| format!("`{text}` has a `[` without its `]`"))?;
        let port = port.map(|port| read_port(port).ok_or_else(|| format!("`{port}` is no port; use 1 to 65535")));
        let target = Self { user, host: host.to_owned(), port: port.transpose()? };
        for (part, what) in [(target.user.as_deref(), "user"), (Some(target.host.as_str()), "host")] {
            // What begins with a dash would be an option of ssh.
            let bad = |part: &str| {
                part.is_empty() || part.starts_with('-') || part.chars().any(|c| c.is_whitespace() || c.is_control())
            };
            if part.is_some_and(bad) {
                return Err(format!("`{text}` names no {what}; write user@host:port or an alias of your ssh config"));
            }
        }
        Ok(target)
    }

    /// What ssh is given: `user@host`.
    pub fn destination(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        }
    }
}

/// The host and what follows its colon. More than one colon without brackets is an IPv6 address.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port))),
        _ => Some((text, None)),
    }
}

fn read_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.host.contains(':') => {
                let user = self.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
                write!(f, "{user}[{}]:{port}", self.host)
            }
            Some(port) => write!(f, "{}:{port}", self.destination()),
            None => f.write_str(&self.destination()),
        }
    }
}
