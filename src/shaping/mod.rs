//! Pure shaping: what a node must do (its row) becomes the desired state of its kernel. Imports `units`, `topology` and `matrix` only.

mod row;

pub use row::{Impairment, Row, RowPath};
