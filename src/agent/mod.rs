//! What runs on a node: the session [`protocol`], the [`session`] that answers it, and the [`replay`] of a timeline.

pub mod claim;
pub mod greeting;
pub mod keeper;
pub mod lease;
pub mod lines;
pub mod privilege;
pub mod process;
pub mod protocol;
pub mod pulse;
pub mod replay;
pub mod session;
