//! What runs on a node: the session [`protocol`], the [`session`] that answers it, and the [`replay`] of a timeline.

pub mod protocol;
pub mod replay;
pub mod session;
