//! What runs on a node: the session [`protocol`], the [`session`] that answers it, and the [`replay`] of a timeline; and on a
//! host, which others use too, the [`keeper`] that lets sessions in, keeps their leases and clears up, and the [`front`] by
//! which a session gets there.

pub mod claim;
pub mod eviction;
pub mod front;
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
