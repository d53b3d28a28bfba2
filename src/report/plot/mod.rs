//! Plots: heat maps, distributions, bars, lines, shares and grids as SVG, and SVG as PNG. A picture is a structure of
//! numbers and words; drawing it is one function.
//!
//! The SVG is written directly: hatched cells, text that fits its cell, merged rectangles for thousands of nodes and
//! tooltips are a few lines here and out of reach of a chart library.

mod axes;
mod bars;
mod boxes;
mod categories;
mod cdf;
mod course;
mod grid;
mod heading;
mod heat_map;
mod layout;
mod legend;
mod lines;
mod png;
mod stacks;
mod stage;
mod svg;
mod text;
mod topology;

pub use axes::{Axis, Spacing};
pub use bars::{Bar, BarGroup, Bars, bars};
pub use boxes::{Boxes, Spread, boxes};
pub use cdf::{ErrorCdf, error_cdf};
pub use course::{Course, CoursePath, CoursePoint, course};
pub use grid::{Grid, GridCell, grid};
pub use heat_map::heat_map;
pub use lines::{Line, LinePoint, Lines, lines};
pub use png::{PlotError, png};
pub use stacks::{Part, StackPanel, Stacks, stacks};
pub(super) use svg::Escaped;
pub use topology::{Topology, TopologyLink, TopologyNode, topology};

/// The width of pictures that have no other reason for theirs.
const PAGE_WIDTH: f64 = 760.0;

/// A number that is to be kept, with what it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// On the level axis: an upright line.
    Upright(f64, String),
    /// On the upright axis: a level line.
    Level(f64, String),
}

impl Bound {
    fn name(&self) -> &str {
        match self {
            Self::Upright(_, name) | Self::Level(_, name) => name,
        }
    }

    fn at(&self) -> f64 {
        match self {
            Self::Upright(at, _) | Self::Level(at, _) => *at,
        }
    }
}

#[cfg(test)]
mod chart_tests;
#[cfg(test)]
mod tests;
