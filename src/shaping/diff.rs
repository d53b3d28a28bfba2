//! [`diff`]: two states become the operations that lead from one to the other.

use std::fmt;

use super::{DeviceKind, Key, Setting, State};

/// One change of a kernel's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Create an object that is not there.
    Add(Key, Setting),
    /// Set an existing object anew, in place.
    Change(Key, Setting),
    /// Delete an object.
    Delete(Key),
}

impl Operation {
    /// The object that it is about.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Add(key, _) | Self::Change(key, _) | Self::Delete(key) => key,
        }
    }

    /// What the object is set to; `None` when it is deleted.
    pub const fn setting(&self) -> Option<&Setting> {
        match self {
            Self::Add(_, setting) | Self::Change(_, setting) => Some(setting),
            Self::Delete(_) => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Self::Add(..) => "add",
            Self::Change(..) => "change",
            Self::Delete(_) => "delete",
        };
        write!(f, "{verb} {}", self.key())
    }
}

/// The operations that turn `current` into `wanted`: nothing for objects that are as they should be.
///
/// Additions and changes come first, in ascending order of keys, then deletions in descending order. So a rule that moves to
/// another table is in its new place before it leaves the old one, and there is no moment at which a destination that is
/// impaired before and after is not. Only a change of the device's kind takes everything down first.
pub fn diff(current: &State, wanted: &State) -> Vec<Operation> {
    if replaces_device(current, wanted) {
        let (deletions, additions) = (diff(current, &State::default()), diff(&State::default(), wanted));
        return deletions.into_iter().chain(additions).collect();
    }
    let settled = wanted.iter().filter_map(|(key, setting)| match current.get(key) {
        None => Some(Operation::Add(*key, *setting)),
        Some(now) if now == setting => None,
        Some(_) => Some(Operation::Change(*key, *setting)),
    });
    let deleted = current.iter().rev().filter(|(key, _)| !wanted.contains(key)).map(|(key, _)| Operation::Delete(*key));
    settled.chain(deleted).collect()
}

/// Whether the one device has to become another kind: both have the same name, so they cannot exist side by side.
fn replaces_device(current: &State, wanted: &State) -> bool {
    let has = |state: &State, kind| state.contains(&Key::Device(kind));
    let pairs = [(DeviceKind::Ifb, DeviceKind::Veth), (DeviceKind::Veth, DeviceKind::Ifb)];
    pairs.iter().any(|(old, new)| has(current, *old) && !has(current, *new) && has(wanted, *new))
}
