//! The heat map of a matrix as SVG: cells, names, colour bar, legend.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::svg::{Anchor, Escaped, GREY, INK, Num, Style, Svg};
use super::text::{cut, width, wrap};
use crate::report::Rgb;
use crate::report::heat::{Cell, HeatMap, Scale, counted, thousands, ticks};

/// The side of the plot that cells are sized for.
const SIDE: usize = 660;
/// The largest cell.
const MAX_CELL: usize = 88;
/// From this many cells on a side, blocks are averaged.
const MAX_CELLS: usize = 256;
/// Up to this many nodes every cell is an element of its own with a tooltip.
const MAX_ELEMENTS: usize = 64;
/// Up to this many nodes values are printed.
const MAX_PRINTED: usize = 16;
/// Up to this many nodes all names are printed.
const MAX_NAMES: usize = 60;
/// The most names where they are thinned, so that they can be large enough to read on paper.
const THINNED_NAMES: usize = 30;
/// The most room for a name.
const NAME_ROOM: f64 = 150.0;
/// The page's margin.
const MARGIN: f64 = 16.0;
/// The least width of the page, so that titles of small matrices fit.
const MIN_WIDTH: f64 = 480.0;
/// The colour bar, its distance from the plot, and the room for its labels.
const BAR: f64 = 16.0;
const BAR_GAP: f64 = 22.0;
const TITLE_SIZE: f64 = 17.0;
const SUBTITLE_SIZE: f64 = 11.5;
const AXIS_SIZE: f64 = 13.0;
const TICK_SIZE: f64 = 11.0;

/// Where everything is.
struct Layout {
    /// Nodes per cell side, cells per side, and the side of a cell.
    block: usize,
    cells: usize,
    cell: f64,
    /// Size of the names, and their distance in nodes.
    name_size: f64,
    name_step: usize,
    /// Degrees that the names below are turned, and the room for names left and below.
    turn: f64,
    name_width: f64,
    name_height: f64,
    /// The upper left corner of the plot, its side, the page.
    left: f64,
    top: f64,
    side: f64,
    page: (f64, f64),
    title: Vec<String>,
    subtitle: Vec<String>,
    bar_labels: f64,
}

/// Draws the heat map: senders down, receivers across, first row on top.
///
/// Values are printed up to 16 nodes, names thinned above 60, and blocks averaged above 256; the picture says so.
pub fn heat_map(map: &HeatMap) -> String {
    let layout = Layout::of(map);
    let scale = map.scale();
    let mut svg = Svg::new(layout.page.0, layout.page.1);
    draw_patterns(&mut svg);
    draw_heading(&mut svg, &layout);
    if map.names.len() <= MAX_ELEMENTS {
        draw_cells(&mut svg, &layout, map, scale);
    } else {
        draw_merged_cells(&mut svg, &layout, map, scale);
    }
    draw_names(&mut svg, &layout, map);
    draw_bar(&mut svg, &layout, map, scale);
    draw_legend(&mut svg, &layout, map);
    svg.finish(&map.title)
}

impl Layout {
    #[allow(clippy::cast_precision_loss)]
    fn of(map: &HeatMap) -> Self {
        let n = map.names.len();
        let block = n.div_ceil(MAX_CELLS);
        let cells = n.div_ceil(block);
        let cell = ((SIDE + cells / 2) / cells).clamp(2, MAX_CELL) as f64;
        let side = cell * cells as f64;
        let name_step = name_step(n);
        let per_name = cell * name_step as f64 / block as f64;
        let name_size = (per_name * 0.82).clamp(7.0, 12.0);
        let shown = (0..n).step_by(name_step).map(|node| cut(map.names[node].as_str(), name_size, NAME_ROOM));
        let name_width = shown.map(|name| width(&name, name_size)).fold(0.0, f64::max);
        let turn = match per_name {
            room if name_width + 6.0 <= room => 0.0,
            room if room >= name_size * 1.6 => -45.0,
            _ => -90.0,
        };
        let name_height = match turn {
            0.0 => name_size,
            -45.0 => (name_width + name_size) * std::f64::consts::FRAC_1_SQRT_2,
            _ => name_width,
        };
        let (marks, print) = bar_marks(map, map.scale());
        let bar_labels = marks.iter().map(|mark| width(&print(*mark), TICK_SIZE)).fold(0.0, f64::max);
        let left = MARGIN + AXIS_SIZE + 12.0 + name_width + 8.0;
        let right = BAR_GAP + BAR + 8.0 + bar_labels + 10.0 + AXIS_SIZE + MARGIN;
        let page_width = (left + side + right).max(MIN_WIDTH).ceil();
        let title = wrap(&map.title, TITLE_SIZE, page_width - 2.0 * MARGIN);
        let subtitle = wrap(&subtitle(map, block), SUBTITLE_SIZE, page_width - 2.0 * MARGIN);
        let heading = title.len() as f64 * TITLE_SIZE * 1.25 + subtitle.len() as f64 * SUBTITLE_SIZE * 1.35;
        let top = (MARGIN + heading + 12.0).ceil();
        let below = 8.0
            + name_height
            + 10.0
            + AXIS_SIZE
            + MARGIN
            + if legend(map, block).is_empty() { 0.0 } else { 14.0 + TICK_SIZE };
        let page = (page_width, (top + side + below).ceil());
        let left = left.ceil();
        Self {
            block,
            cells,
            cell,
            name_size,
            name_step,
            turn,
            name_width,
            name_height,
            left,
            top,
            side,
            page,
            title,
            subtitle,
            bar_labels,
        }
    }

    /// The upper left corner of a cell.
    fn corner(&self, row: usize, column: usize) -> (f64, f64) {
        (self.left + self.cell * column as f64, self.top + self.cell * row as f64)
    }

    /// The middle of a node's row or column, from the plot's edge.
    fn middle(&self, node: usize) -> f64 {
        if self.block == 1 {
            return (node as f64 + 0.5) * self.cell;
        }
        (node as f64 + 0.5) / self.block as f64 * self.cell
    }
}

/// The distance of printed names: 1, or a round number that leaves at most 30.
fn name_step(n: usize) -> usize {
    let least = if n <= MAX_NAMES { 1 } else { n.div_ceil(THINNED_NAMES) };
    let round = (0..4).flat_map(|power| [1, 2, 5].map(|factor| factor * 10usize.pow(power)));
    round.into_iter().find(|step| *step >= least).unwrap_or(least)
}

fn subtitle(map: &HeatMap, block: usize) -> String {
    let n = map.names.len();
    let mut parts =
        vec![map.subtitle.trim().to_owned(), format!("n = {}, {}", counted(n, "node"), counted(n * (n - 1), "path"))];
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
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

fn draw_patterns(svg: &mut Svg) {
    svg.raw(format_args!(
        "<defs>\n<pattern id=\"self\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
         <rect width=\"6\" height=\"6\" fill=\"#ececec\"/>\
         <path d=\"M-1 1L1 -1M0 6L6 0M5 7L7 5\" stroke=\"#a8a8a8\" stroke-width=\"0.9\"/></pattern>\n\
         <pattern id=\"missing\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\">\
         <rect width=\"8\" height=\"8\" fill=\"#ffffff\"/>\
         <path d=\"M1.5 1.5L6.5 6.5M6.5 1.5L1.5 6.5\" stroke=\"#c2185b\" stroke-width=\"1.2\"/></pattern>\n</defs>"
    ));
}

fn draw_heading(svg: &mut Svg, layout: &Layout) {
    let mut y = MARGIN;
    for line in &layout.title {
        y += TITLE_SIZE * 1.25;
        svg.text((MARGIN, y - TITLE_SIZE * 0.25), Style::new(TITLE_SIZE, INK, Anchor::Start), line);
    }
    for line in &layout.subtitle {
        y += SUBTITLE_SIZE * 1.35;
        svg.text((MARGIN, y - SUBTITLE_SIZE * 0.25), Style::new(SUBTITLE_SIZE, GREY, Anchor::Start), line);
    }
}

/// How a cell is filled.
fn fill(cell: Cell, scale: Scale) -> String {
    match cell {
        Cell::Diagonal => "url(#self)".to_owned(),
        Cell::Missing => "url(#missing)".to_owned(),
        Cell::Value(value) => scale.colour(value).hex(),
    }
}

/// One element per cell, with a tooltip, and the value where there is room.
fn draw_cells(svg: &mut Svg, layout: &Layout, map: &HeatMap, scale: Scale) {
    let print = map.printer();
    svg.raw(format_args!("<g class=\"cells\" shape-rendering=\"crispEdges\">"));
    let places = || (0..layout.cells).flat_map(|row| (0..layout.cells).map(move |column| (row, column)));
    for (row, column) in places() {
        let cell = map.cell(row, column, 1);
        let (x, y) = layout.corner(row, column);
        let (x, y, side, fill) = (Num(x), Num(y), Num(layout.cell), fill(cell, scale));
        let (from, to) = (Escaped(map.names[row].as_str()), Escaped(map.names[column].as_str()));
        let says = match cell {
            Cell::Diagonal => "same node".to_owned(),
            Cell::Missing => "not measured".to_owned(),
            Cell::Value(value) => format!("{} {}", print(value), map.unit),
        };
        svg.raw(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" fill=\"{fill}\"><title>{from} → {to}: {}</title></rect>",
            Escaped(&says)
        ));
    }
    svg.raw(format_args!("</g>"));
    if layout.cells <= MAX_PRINTED {
        draw_values(
            svg,
            layout,
            places().map(|(row, column)| ((row, column), map.cell(row, column, 1))),
            scale,
            &print,
        );
    }
}

/// The values in their cells, in one size that all of them fit; none when that size is too small to read.
fn draw_values(
    svg: &mut Svg,
    layout: &Layout,
    cells: impl Iterator<Item = ((usize, usize), Cell)>,
    scale: Scale,
    print: &impl Fn(f64) -> String,
) {
    let texts: Vec<_> = cells
        .filter_map(|(place, cell)| match cell {
            Cell::Value(value) => Some((place, print(value), scale.colour(value))),
            _ => None,
        })
        .collect();
    let widest = texts.iter().map(|(_, text, _)| width(text, 1.0)).fold(0.1, f64::max);
    let size = ((layout.cell - 6.0) / widest).min(layout.cell * 0.4).min(15.0);
    if size < 6.5 {
        return;
    }
    svg.raw(format_args!("<g class=\"values\">"));
    for ((row, column), text, colour) in texts {
        let (x, y) = layout.corner(row, column);
        let middle = (x + layout.cell / 2.0, y + layout.cell / 2.0 + size * 0.36);
        svg.text(middle, Style::new(size, colour.text_colour(), Anchor::Middle), &text);
    }
    svg.raw(format_args!("</g>"));
}

/// One path per colour over all its cells, neighbours in a row merged: small enough for thousands of nodes.
fn draw_merged_cells(svg: &mut Svg, layout: &Layout, map: &HeatMap, scale: Scale) {
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for row in 0..layout.cells {
        let fills: Vec<_> = (0..layout.cells).map(|column| level(map.cell(row, column, layout.block), scale)).collect();
        let mut column = 0;
        for run in fills.chunk_by(|a, b| a == b) {
            let path = paths.entry(run[0].clone()).or_default();
            let (x, y, height) = (layout.cell * column as f64, layout.cell * row as f64, layout.cell);
            let length = layout.cell * run.len() as f64;
            // Writing to a string cannot fail.
            let _ = write!(path, "M{x} {y}h{length}v{height}h-{length}z");
            column += run.len();
        }
    }
    let (left, top) = (Num(layout.left), Num(layout.top));
    svg.raw(format_args!("<g class=\"cells\" shape-rendering=\"crispEdges\" transform=\"translate({left} {top})\">"));
    for (fill, path) in paths {
        svg.raw(format_args!("<path fill=\"{fill}\" d=\"{path}\"/>"));
    }
    svg.raw(format_args!("</g>"));
}

/// The fill of a cell in one of 256 steps, so that neighbours merge.
fn level(cell: Cell, scale: Scale) -> String {
    match cell {
        Cell::Value(value) => scale.at((scale.share(value) * 255.0).round() / 255.0).hex(),
        // The pattern of the cells would be too fine to see here.
        Cell::Diagonal => Rgb(190, 190, 190).hex(),
        Cell::Missing => Rgb(194, 24, 91).hex(),
    }
}

fn draw_names(svg: &mut Svg, layout: &Layout, map: &HeatMap) {
    let (left, top, side) = (layout.left, layout.top, layout.side);
    let bottom = top + side;
    let letters = layout.name_size;
    svg.raw(format_args!("<g class=\"names\">"));
    for node in (0..map.names.len()).step_by(layout.name_step) {
        let name = cut(map.names[node].as_str(), letters, NAME_ROOM);
        let middle = layout.middle(node);
        let style = Style::new(letters, INK, Anchor::End);
        svg.line((left - 4.0, top + middle), (left, top + middle), INK, " stroke-width=\"0.8\"");
        svg.text((left - 7.0, top + middle + letters * 0.36), style, &name);
        svg.line((left + middle, bottom), (left + middle, bottom + 4.0), INK, " stroke-width=\"0.8\"");
        match layout.turn {
            0.0 => {
                let style = Style::new(letters, INK, Anchor::Middle);
                svg.text((left + middle, bottom + 7.0 + letters * 0.8), style, &name);
            }
            -45.0 => {
                svg.text((left + middle + letters * 0.3, bottom + 7.0 + letters * 0.5), style.turned(-45.0), &name);
            }
            turn => svg.text((left + middle + letters * 0.36, bottom + 7.0), style.turned(turn), &name),
        }
    }
    svg.raw(format_args!("</g>"));
    let frame = format!("fill=\"none\" stroke=\"{}\" stroke-width=\"0.8\"", INK.hex());
    svg.rect((left, top), (side, side), &frame);
    let style = Style::new(AXIS_SIZE, INK, Anchor::Middle);
    let below = bottom + 8.0 + layout.name_height + 10.0 + AXIS_SIZE * 0.8;
    svg.text((left + side / 2.0, below), style, "to");
    svg.text((left - 8.0 - layout.name_width - 12.0, top + side / 2.0), style.turned(-90.0), "from");
}

/// The marks of the colour bar and how they are printed.
fn bar_marks(map: &HeatMap, scale: Scale) -> (Vec<f64>, impl Fn(f64) -> String + use<>) {
    let (marks, decimals) = ticks(scale.low, scale.high, 6);
    let signed = map.kind == crate::report::HeatMapKind::Diverging;
    (marks, move |mark| crate::report::heat::number(mark, decimals, signed))
}

fn draw_bar(svg: &mut Svg, layout: &Layout, map: &HeatMap, scale: Scale) {
    let (x, top, side) = (layout.left + layout.side + BAR_GAP, layout.top, layout.side);
    svg.raw(format_args!("<defs><linearGradient id=\"bar\" x1=\"0\" y1=\"1\" x2=\"0\" y2=\"0\">"));
    for step in 0..=40 {
        let share = f64::from(step) / 40.0;
        svg.raw(format_args!("<stop offset=\"{share}\" stop-color=\"{}\"/>", scale.at(share).hex()));
    }
    svg.raw(format_args!("</linearGradient></defs>"));
    svg.rect((x, top), (BAR, side), &format!("fill=\"url(#bar)\" stroke=\"{}\" stroke-width=\"0.8\"", INK.hex()));
    let (marks, print) = bar_marks(map, scale);
    for mark in marks {
        let y = top + side * (1.0 - scale.share(mark));
        svg.line((x + BAR, y), (x + BAR + 4.0, y), INK, " stroke-width=\"0.8\"");
        svg.text((x + BAR + 7.0, y + TICK_SIZE * 0.36), Style::new(TICK_SIZE, INK, Anchor::Start), &print(mark));
    }
    let unit = (x + BAR + 8.0 + layout.bar_labels + 10.0 + AXIS_SIZE * 0.8, top + side / 2.0);
    svg.text(unit, Style::new(AXIS_SIZE, INK, Anchor::Middle).turned(-90.0), &map.unit);
}

/// What the legend must explain: the cells that are not colours of the bar.
fn legend(map: &HeatMap, block: usize) -> Vec<(&'static str, Cell)> {
    let mut entries = Vec::new();
    if map.shows_diagonal(block) {
        entries.push(("same node", Cell::Diagonal));
    }
    if map.missing() > 0 {
        entries.push(("not measured", Cell::Missing));
    }
    entries
}

fn draw_legend(svg: &mut Svg, layout: &Layout, map: &HeatMap) {
    let merged = map.names.len() > MAX_ELEMENTS;
    let y = layout.page.1 - MARGIN - TICK_SIZE;
    let mut x = layout.left;
    for (text, cell) in legend(map, layout.block) {
        let fill = if merged { level(cell, map.scale()) } else { fill(cell, map.scale()) };
        let style = format!("fill=\"{fill}\" stroke=\"{}\" stroke-width=\"0.6\"", GREY.hex());
        svg.rect((x, y), (16.0, TICK_SIZE), &style);
        svg.text((x + 22.0, y + TICK_SIZE * 0.86), Style::new(TICK_SIZE, GREY, Anchor::Start), text);
        x += 22.0 + width(text, TICK_SIZE) + 24.0;
    }
}
