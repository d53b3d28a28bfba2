//! The delay matrix: N×N one-way delays, its files, generators, statistics and comparison. Pure; imports `units` and `topology` only.

mod delay_matrix;

pub use delay_matrix::{DelayMatrix, MAX_DELAY, MAX_NODES, MatrixError, Metadata};
