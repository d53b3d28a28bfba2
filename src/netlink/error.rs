//! What can go wrong when the kernel is configured, with the kernel's own words.

use std::fmt;
use std::io;

/// The extended-acknowledgement attribute that holds the kernel's text.
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A failed conversation with the kernel.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// A system call on the socket failed.
    #[error("netlink {operation}: {source}")]
    Io {
        /// Which call.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel's answer could not be read.
    #[error("netlink answer: {0}")]
    Malformed(String),
    /// The kernel did not answer in time.
    #[error("netlink: no answer from the kernel within 10 s")]
    TimedOut,
    /// The kernel refused some of the requests.
    #[error(transparent)]
    Refused(#[from] BatchError),
}

impl NetlinkError {
    /// The error number of the first refusal, if this is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused(batch) => batch.refusals.first().map(|refusal| refusal.errno),
            _ => None,
        }
    }

    /// Builds an I/O error from a nix error.
    pub(super) fn io(operation: &'static str, errno: nix::Error) -> Self {
        Self::Io { operation, source: io::Error::from(errno) }
    }
}

/// One request that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which request of the batch, from 0.
    pub index: usize,
    /// What it was to do, in words.
    pub what: String,
    /// The positive error number.
    pub errno: i32,
    /// The kernel's explanation, where it gave one.
    pub text: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = nix::Error::from_raw(self.errno);
        write!(f, "{}: {}", self.what, name.desc())?;
        match &self.text {
            Some(text) => write!(f, " ({text})"),
            None => Ok(()),
        }
    }
}

/// The refused requests of a batch. The kernel carries on after a refusal, so the other requests have been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchError {
    /// At least one, in order.
    pub refusals: Vec<Refusal>,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refusals.as_slice() {
            [] => write!(f, "nothing was refused"),
            [only] => write!(f, "{only}"),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}

impl std::error::Error for BatchError {}

/// The kernel's text in the attributes of an error message.
///
/// `tail` is what follows the error code: the header of the refused message (capped, so without its body), then the
/// attributes (`netlink_ack` in the kernel's `net/netlink/af_netlink.c`).
pub(super) fn extended_text(tail: &[u8]) -> Option<String> {
    const HEADER: usize = 16;
    let mut rest = tail.get(HEADER..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]);
        let value = rest.get(4..length)?;
        if kind == NLMSGERR_ATTR_MSG {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_found_behind_other_attributes() {
        let mut tail = vec![0u8; 16];
        tail.extend([8, 0, 2, 0, 1, 2, 3, 4]); // OFFS
        tail.extend([10, 0, 1, 0, b'b', b'u', b's', b'y', b'!', 0, 0, 0]);
        assert_eq!(extended_text(&tail).as_deref(), Some("busy!"));
        assert_eq!(extended_text(&tail[..24]), None);
        assert_eq!(extended_text(&[]), None);
    }

    #[test]
    fn malformed_attributes_end_the_search() {
        let mut tail = vec![0u8; 16];
        tail.extend([200, 0, 1, 0, b'x']);
        assert_eq!(extended_text(&tail), None);
        let mut zero_length = vec![0u8; 16];
        zero_length.extend([0, 0, 7, 0, 1, 1, 1, 1]);
        assert_eq!(extended_text(&zero_length), None);
    }
}
