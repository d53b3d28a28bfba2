//! Hosts as users meet them: the real program, the real ssh and a real sshd on every host, in network namespaces.
#![allow(clippy::unwrap_used)]

#[path = "../support/bridged_nodes.rs"]
mod bridged_nodes;
mod ground;
mod life;
mod missing;
mod replay;
mod trouble;
mod turns;
