//! The heat map of a matrix as SVG: cells, names, colour bar, legend.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::heading::{AXIS_SIZE, MARGIN, TICK_SIZE};
use super::layout::{BAR, BAR_GAP, Layout, bar_marks, legend};
use super::svg::{Anchor, Escaped, GREY, INK, Num, Style, Svg};
use super::text::width;
use crate::report::Rgb;
use crate::report::heat::{Cell, HeatMap, Scale};

/// Up to this many nodes every cell is an element of its own with a tooltip.
const MAX_ELEMENTS: usize = 64;
/// Up to this many nodes values are printed.
const MAX_PRINTED: usize = 16;

/// Draws the heat map: senders down, receivers across, first row on top.
///
/// Values are printed up to 16 nodes, names thinned above 60, and blocks averaged above 256; the picture says so.
pub fn heat_map(map: &HeatMap) -> String {
    let layout = Layout::of(map);
    let scale = map.scale();
    let mut svg = Svg::new(layout.page.0, layout.page.1);
    draw_patterns(&mut svg);
    layout.heading.draw(&mut svg);
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
    let places = || (0..layout.grid.cells).flat_map(|row| (0..layout.grid.cells).map(move |column| (row, column)));
    for (row, column) in places() {
        let cell = map.cell(row, column, 1);
        let (x, y) = layout.corner(row, column);
        let (x, y, side, fill) = (Num(x), Num(y), Num(layout.grid.cell), fill(cell, scale));
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
    if layout.grid.cells <= MAX_PRINTED {
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
    let size = ((layout.grid.cell - 6.0) / widest).min(layout.grid.cell * 0.4).min(15.0);
    if size < 6.5 {
        return;
    }
    svg.raw(format_args!("<g class=\"values\">"));
    for ((row, column), text, colour) in texts {
        let (x, y) = layout.corner(row, column);
        let middle = (x + layout.grid.cell / 2.0, y + layout.grid.cell / 2.0 + size * 0.36);
        svg.text(middle, Style::new(size, colour.text_colour(), Anchor::Middle), &text);
    }
    svg.raw(format_args!("</g>"));
}

/// One path per colour over all its cells, neighbours in a row merged: small enough for thousands of nodes.
fn draw_merged_cells(svg: &mut Svg, layout: &Layout, map: &HeatMap, scale: Scale) {
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for row in 0..layout.grid.cells {
        let fills: Vec<_> =
            (0..layout.grid.cells).map(|column| level(map.cell(row, column, layout.grid.block), scale)).collect();
        let mut column = 0;
        for run in fills.chunk_by(|a, b| a == b) {
            let path = paths.entry(run[0].clone()).or_default();
            let (x, y, height) = (layout.grid.cell * column as f64, layout.grid.cell * row as f64, layout.grid.cell);
            let length = layout.grid.cell * run.len() as f64;
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
    let (left, top, side) = (layout.left, layout.top, layout.grid.side);
    let bottom = top + side;
    let letters = layout.names.size;
    svg.raw(format_args!("<g class=\"names\">"));
    for (name, middle) in layout.printed_names(map) {
        let style = Style::new(letters, INK, Anchor::End);
        svg.line((left - 4.0, top + middle), (left, top + middle), INK, " stroke-width=\"0.8\"");
        svg.text((left - 7.0, top + middle + letters * 0.36), style, &name);
        svg.line((left + middle, bottom), (left + middle, bottom + 4.0), INK, " stroke-width=\"0.8\"");
        match layout.names.turn {
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
    let below = bottom + 8.0 + layout.names.height + 10.0 + AXIS_SIZE * 0.8;
    svg.text((left + side / 2.0, below), style, "to");
    svg.text((left - 8.0 - layout.names.width - 12.0, top + side / 2.0), style.turned(-90.0), "from");
}

fn draw_bar(svg: &mut Svg, layout: &Layout, map: &HeatMap, scale: Scale) {
    let (x, top, side) = (layout.left + layout.grid.side + BAR_GAP, layout.top, layout.grid.side);
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

fn draw_legend(svg: &mut Svg, layout: &Layout, map: &HeatMap) {
    let merged = map.names.len() > MAX_ELEMENTS;
    let y = layout.page.1 - MARGIN - TICK_SIZE;
    let mut x = layout.left;
    for (text, cell) in legend(map, layout.grid.block) {
        let fill = if merged { level(cell, map.scale()) } else { fill(cell, map.scale()) };
        let style = format!("fill=\"{fill}\" stroke=\"{}\" stroke-width=\"0.6\"", GREY.hex());
        svg.rect((x, y), (16.0, TICK_SIZE), &style);
        svg.text((x + 22.0, y + TICK_SIZE * 0.86), Style::new(TICK_SIZE, GREY, Anchor::Start), text);
        x += 22.0 + width(text, TICK_SIZE) + 24.0;
    }
}
