//! What runs on a node: the session [`protocol`] and the [`session`] that answers it.

pub mod protocol;
pub mod session;
