//! The delay matrix: N×N one-way delays, its files, generators, statistics and comparison. Pure but for [`read`], which
//! reads a file; imports `units` and `topology` only.

mod addresses;
pub mod compare;
pub mod csv;
mod delay_matrix;
mod error;
pub mod generate;
mod graph;
mod grid;
mod json;
mod ping;
mod read;
mod region_table;
pub mod statistics;
mod tcconfig;
mod unit;

pub use addresses::AddressList;
pub use delay_matrix::{DelayMatrix, MAX_DELAY, MAX_NODES, MatrixError, Metadata};
pub use error::{Kind, Place, Problem, ReadError};
pub use graph::{GraphProblem, to_gml, to_graphml};
pub use grid::{Grid, Quantity};
pub use json::to_json;
pub use ping::{PingLog, PingProblem, parse_pings};
pub use read::{ReadOptions, RttSplit, parse, read, read_bytes, read_bytes_from, read_from};
pub use region_table::{TableProblem, parse_table};
pub use tcconfig::{TcconfigProblem, parse_tcconfig, to_tcconfig};
pub use unit::{DelayUnit, UnknownUnit};
