//! The parsers and what is claimed of each.

pub(crate) mod kernel;
pub(crate) mod lists;
pub(crate) mod matrix;
pub(crate) mod serving;
pub(crate) mod session;
pub(crate) mod yaml;
