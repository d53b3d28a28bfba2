//! Pure report: tables, plots and files of a run. Values in, text and bytes out; no file, no clock, no terminal is touched here.

mod heat;
mod palette;
pub mod plot;

pub use heat::{HeatMap, HeatMapError, HeatMapKind};
pub use palette::Rgb;
