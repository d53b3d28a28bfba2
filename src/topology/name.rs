//! The name of a node: what users write in matrices and on command lines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest node name: a DNS label plus room for a domain, as in host names.
const MAX_LENGTH: usize = 253;

/// Why a text cannot name a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty or only blanks.
    #[error("a node name is empty")]
    Empty,
    /// The text is longer than a host name may be.
    #[error("node name `{0}…` is longer than {MAX_LENGTH} characters")]
    TooLong(String),
    /// The text has a control character.
    #[error("node name {0:?} has a control character")]
    Control(String),
}

/// A node's name: trimmed, not empty, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

impl NodeName {
    /// The default name of the node with the 1-based `number`: `n1`, `n2` and so on.
    pub fn numbered(number: usize) -> Self {
        Self(format!("n{number}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a host name: lower case, anything outside `a-z0-9.-` replaced by `-`.
    pub fn as_host_name(&self) -> String {
        let replaced: String = self
            .0
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let trimmed = replaced.trim_matches(['-', '.']);
        if trimmed.is_empty() { "node".to_owned() } else { trimmed.to_owned() }
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.trim();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().count() > MAX_LENGTH {
            return Err(NameError::TooLong(name.chars().take(24).collect()));
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::Control(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for NodeName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_checked() {
        assert_eq!(" Frankfurt ".parse::<NodeName>().map(String::from), Ok("Frankfurt".to_owned()));
        assert_eq!("  ".parse::<NodeName>(), Err(NameError::Empty));
        assert_eq!("a\tb".parse::<NodeName>(), Err(NameError::Control("a\tb".to_owned())));
        assert!(matches!("x".repeat(254).parse::<NodeName>(), Err(NameError::TooLong(_))));
    }

    #[test]
    fn any_name_gives_a_host_name() {
        for (name, host) in [("São Paulo", "s-o-paulo"), ("us-east4", "us-east4"), ("東京", "node")] {
            assert_eq!(name.parse::<NodeName>().map(|name| name.as_host_name()), Ok(host.to_owned()));
        }
    }
}
