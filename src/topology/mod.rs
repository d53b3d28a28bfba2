//! Nodes: their names, their addresses and their order. Imports nothing of the crate but `units`.

mod name;
mod node;

pub use name::{NameError, NodeName};
pub use node::{Node, NodeIndex};
