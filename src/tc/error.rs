//! What can go wrong between us and a kernel's traffic control.

use super::BpfError;
use crate::netlink::NetlinkError;
use crate::shaping::Key;

/// Why an operation on a kernel's traffic control failed.
#[derive(Debug, thiserror::Error)]
pub enum TcError {
    /// The interface to impair is not there, or no longer.
    #[error("there is no interface `{interface}` in this network namespace (it may have been removed or renamed)")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// The interface is not one that can be impaired in a way that a user would expect.
    #[error("`{interface}` cannot be impaired: {why}")]
    Unfit {
        /// Its name.
        interface: String,
        /// Why, and what to do.
        why: String,
    },
    /// Our device's name is taken.
    #[error("`{device}` exists and is not ours (alias {alias:?}); rename or delete it")]
    ForeignDevice {
        /// Its name.
        device: String,
        /// Its alias, where ours would say so.
        alias: Option<String>,
    },
    /// Our device serves another interface.
    #[error(
        "`{device}` serves interface `{other}` already; one interface of a network namespace can be impaired at a time"
    )]
    Busy {
        /// Its name.
        device: String,
        /// The interface that it serves.
        other: String,
    },
    /// Someone has put something where only our objects may be.
    #[error("{place} holds {found}, which is not ours; remove it first")]
    Foreign {
        /// Where.
        place: String,
        /// What was found.
        found: String,
    },
    /// The kernel refused, or could not be talked to.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The capture program was refused.
    #[error(transparent)]
    Bpf(#[from] BpfError),
    /// What the kernel lists could not be read.
    #[error("reading traffic control: {0}")]
    Unreadable(String),
    /// The user-space delay line refused.
    #[error("the delay line: {0}")]
    Line(String),
    /// There is no delay line to give paths to.
    #[error("{0}: there is no user-space delay line here")]
    NoLine(String),
    /// An operation needs something that is not there.
    #[error("{operation}: there is no such object, or it needs {missing}, which is not there")]
    Missing {
        /// The operation.
        operation: String,
        /// What is missing.
        missing: Key,
    },
    /// An operation contradicts what is there.
    #[error("{operation}: {why}")]
    Conflict {
        /// The operation.
        operation: String,
        /// Why it cannot be.
        why: String,
    },
    /// The kernel accepted everything, yet holds something else.
    #[error("after applying, {key} is {found} instead of {wanted}")]
    Differs {
        /// The first object that differs.
        key: Key,
        /// What is there.
        found: String,
        /// What was asked for.
        wanted: String,
    },
}

impl From<super::codec::Truncated> for TcError {
    fn from(error: super::codec::Truncated) -> Self {
        Self::Unreadable(error.to_string())
    }
}
