//! Plots: heat maps, error distributions and delays over time as SVG, and SVG as PNG.
//!
//! The SVG is written directly: hatched cells, text that fits its cell, merged rectangles for thousands of nodes and
//! tooltips are a few lines here and out of reach of a chart library.

mod cdf;
mod course;
mod heading;
mod heat_map;
mod layout;
mod png;
mod svg;
mod text;

pub use cdf::{ErrorCdf, error_cdf};
pub use course::{Course, CoursePath, CoursePoint, course};
pub use heat_map::heat_map;
pub use png::{PlotError, png};

#[cfg(test)]
mod tests;
