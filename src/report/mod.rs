//! Pure report: tables, plots and files of a run. Values in, text and bytes out; no file, no clock, no terminal is touched here.

pub mod beyond;
pub mod files;
mod heat;
pub mod page;
mod palette;
pub mod plot;
pub mod replay;
pub mod rounds;
mod run_record;
#[cfg(test)]
mod small_run;
pub mod statistics;
pub mod table;
pub mod terminal;
pub mod tiles;

pub(crate) use heat::number;
pub use heat::{HeatMap, HeatMapError, HeatMapKind};
pub use palette::Rgb;
pub use run_record::{HostNoise, Machine, MatrixSource, NodeBackend, Probing, RunRecord};
