//! What runs on a node: the session [`protocol`] and the [`session`] that answers it.

pub mod claim;
pub mod greeting;
pub mod keeper;
pub mod lease;
pub mod lines;
pub mod privilege;
pub mod process;
pub mod protocol;
pub mod pulse;
pub mod session;
