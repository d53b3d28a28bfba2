//! Where everything of a heat map is: the grid, the names, the page.

use super::heading::{AXIS_SIZE, Heading, MARGIN, TICK_SIZE};
use super::text::{cut, width};
use crate::report::heat::{Cell, HeatMap, HeatMapKind, Scale, counted, number, thousands, ticks};

/// The side of the plot that cells are sized for.
const SIDE: usize = 660;
/// The largest cell.
const MAX_CELL: usize = 88;
/// The most cells on a side; with more nodes, blocks are averaged.
const MAX_CELLS: usize = 256;
/// Up to this many nodes all names are printed.
const MAX_NAMES: usize = 60;
/// The most names where they are thinned, so that they can be large enough to read on paper.
const THINNED_NAMES: usize = 30;
/// The most room for a name.
const NAME_ROOM: f64 = 150.0;
/// The least width of the page, so that titles of small matrices fit.
const MIN_WIDTH: f64 = 480.0;
/// The width of the colour bar.
pub(super) const BAR: f64 = 16.0;
/// The distance of the colour bar from the plot.
pub(super) const BAR_GAP: f64 = 22.0;

/// Where everything is.
pub(super) struct Layout {
    pub(super) grid: Grid,
    pub(super) names: Names,
    pub(super) heading: Heading,
    /// The upper left corner of the plot.
    pub(super) left: f64,
    pub(super) top: f64,
    /// Width and height of the page.
    pub(super) page: (f64, f64),
    /// The room for the labels of the colour bar.
    pub(super) bar_labels: f64,
}

/// The cells.
pub(super) struct Grid {
    /// Nodes per side of a cell.
    pub(super) block: usize,
    /// Cells per side of the plot.
    pub(super) cells: usize,
    /// The side of a cell.
    pub(super) cell: f64,
    /// The side of the plot.
    pub(super) side: f64,
}

/// The names of the nodes.
pub(super) struct Names {
    pub(super) size: f64,
    /// Every so many nodes have their name printed.
    pub(super) step: usize,
    /// Degrees that the names below the plot are turned.
    pub(super) turn: f64,
    /// The room for the names at the left.
    pub(super) width: f64,
    /// The room for the names below.
    pub(super) height: f64,
}

impl Layout {
    pub(super) fn of(map: &HeatMap) -> Self {
        let grid = Grid::of(map.names.len());
        let names = Names::of(map, &grid);
        let (marks, print) = bar_marks(map, map.scale());
        let bar_labels = marks.iter().map(|mark| width(&print(*mark), TICK_SIZE)).fold(0.0, f64::max);
        let left = (MARGIN + AXIS_SIZE + 12.0 + names.width + 8.0).ceil();
        let right = BAR_GAP + BAR + 8.0 + bar_labels + 10.0 + AXIS_SIZE + MARGIN;
        let page_width = (left + grid.side + right).max(MIN_WIDTH).ceil();
        let heading = Heading::new(&map.title, &subtitle(map, grid.block), page_width);
        let top = (heading.bottom() + 12.0).ceil();
        let legend = if legend(map, grid.block).is_empty() { 0.0 } else { 14.0 + TICK_SIZE };
        let below = 8.0 + names.height + 10.0 + AXIS_SIZE + legend + MARGIN;
        let page = (page_width, (top + grid.side + below).ceil());
        Self { grid, names, heading, left, top, page, bar_labels }
    }

    /// The upper left corner of a cell.
    pub(super) fn corner(&self, row: usize, column: usize) -> (f64, f64) {
        (self.left + self.grid.cell * column as f64, self.top + self.grid.cell * row as f64)
    }

    /// The nodes whose names are printed: the node, its name as printed, the middle of its row from the plot's edge.
    pub(super) fn printed_names(&self, map: &HeatMap) -> Vec<(String, f64)> {
        let per_node = self.grid.cell / self.grid.block as f64;
        let nodes = (0..map.names.len()).step_by(self.names.step);
        nodes
            .map(|node| (cut(map.names[node].as_str(), self.names.size, NAME_ROOM), (node as f64 + 0.5) * per_node))
            .collect()
    }
}

impl Grid {
    fn of(n: usize) -> Self {
        let block = n.div_ceil(MAX_CELLS);
        let cells = n.div_ceil(block);
        let cell = ((SIDE + cells / 2) / cells).clamp(2, MAX_CELL) as f64;
        Self { block, cells, cell, side: cell * cells as f64 }
    }
}

impl Names {
    fn of(map: &HeatMap, grid: &Grid) -> Self {
        let step = name_step(map.names.len());
        let room = grid.cell * step as f64 / grid.block as f64;
        let size = (room * 0.82).clamp(7.0, 12.0);
        let shown = map.names.iter().step_by(step).map(|name| cut(name.as_str(), size, NAME_ROOM));
        let longest = shown.map(|name| width(&name, size)).fold(0.0, f64::max);
        let (turn, height) = if longest + 6.0 <= room {
            (0.0, size)
        } else if room >= size * 1.6 {
            (-45.0, (longest + size) * std::f64::consts::FRAC_1_SQRT_2)
        } else {
            (-90.0, longest)
        };
        Self { size, step, turn, width: longest, height }
    }
}

/// The distance of printed names: 1, or a round number that leaves at most 30.
fn name_step(n: usize) -> usize {
    let least = if n <= MAX_NAMES { 1 } else { n.div_ceil(THINNED_NAMES) };
    let round = (0..4).flat_map(|power| [1, 2, 5].map(|factor| factor * 10usize.pow(power)));
    round.into_iter().find(|step| *step >= least).unwrap_or(least)
}

/// What the picture shows: the source, how much of it, and what it leaves out.
fn subtitle(map: &HeatMap, block: usize) -> Vec<String> {
    let n = map.names.len();
    let mut parts = vec![map.subtitle.clone(), format!("n = {}, {}", counted(n, "node"), counted(n * (n - 1), "path"))];
    if let Some((low, high)) = map.extremes() {
        let print = map.printer();
        parts.push(format!("{} to {} {}", print(low), print(high), map.unit));
    }
    if map.missing() > 0 {
        parts.push(format!("{} not measured", thousands(map.missing())));
    }
    if block > 1 {
        parts.push(format!("each cell is the mean of {block}×{block} paths"));
    }
    if map.names.len() > MAX_NAMES {
        parts.push(format!("every {}th name shown", name_step(n)));
    }
    parts
}

/// The marks of the colour bar and how they are printed.
pub(super) fn bar_marks(map: &HeatMap, scale: Scale) -> (Vec<f64>, impl Fn(f64) -> String + use<>) {
    let (marks, decimals) = ticks(scale.low, scale.high, 6);
    let signed = map.kind == HeatMapKind::Diverging;
    (marks, move |mark| number(mark, decimals, signed))
}

/// What the legend must explain: the cells that are not colours of the bar.
pub(super) fn legend(map: &HeatMap, block: usize) -> Vec<(&'static str, Cell)> {
    let mut entries = Vec::new();
    if map.shows_diagonal(block) {
        entries.push(("same node", Cell::Diagonal));
    }
    if map.missing() > 0 {
        entries.push(("not measured", Cell::Missing));
    }
    entries
}
