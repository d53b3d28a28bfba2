//! A number over two parameters as SVG: a grid of cells per thing, all on one scale, and a grid of which thing is best where.

use super::axes::{Axis, Spacing};
use super::heading::{AXIS_SIZE, Heading, MARGIN, TICK_SIZE};
use super::legend::{Key, Legend, define_open};
use super::svg::{Anchor, GREY, INK, Num, Style, Svg};
use super::text::{cut, width};
use crate::report::heat::number;
use crate::report::palette::{category, sequential};

const CELL: (f64, f64) = (54.0, 32.0);
const PANEL_GAP: f64 = 34.0;
/// Panels beside each other, as far as they fit this width.
const WIDEST: f64 = 980.0;
const LEAST: f64 = 480.0;
const BAR_LENGTH: f64 = 240.0;
const BAR_HEIGHT: f64 = 12.0;

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Its title.
    pub title: String,
    /// What it shows, and of how many.
    pub subtitle: Vec<String>,
    /// What goes across: its name and its steps.
    pub x: (String, Vec<String>),
    /// What goes up: its name and its steps, the first at the bottom.
    pub y: (String, Vec<String>),
    /// What the numbers are, with the unit, and how colours go with them.
    pub scale: Axis,
    /// The grids: a name, and a cell for each step across of the first step up, then of the second …
    pub panels: Vec<(String, Vec<GridCell>)>,
    /// Names of the categories of [`GridCell::Best`].
    pub categories: Vec<String>,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum GridCell {
    /// A number; nothing where it is not known.
    Number(Option<f64>),
    /// Which category is best; hatched where that is not sure.
    Best {
        /// Its number.
        category: usize,
        /// Whether the interval of the difference to the next one lies on one side of zero.
        sure: bool,
    },
}

struct Place {
    columns: usize,
    /// Room of the names at the left of a panel.
    names: f64,
    panel: (f64, f64),
    page: f64,
}

impl Place {
    fn of(picture: &Grid) -> Self {
        let names = picture.y.1.iter().map(|name| width(name, TICK_SIZE)).fold(0.0, f64::max).min(110.0);
        let names = (AXIS_SIZE + 10.0 + names + 10.0).ceil();
        let cells = (picture.x.1.len() as f64 * CELL.0, picture.y.1.len() as f64 * CELL.1);
        let panel = (names + cells.0, 24.0 + cells.1 + 8.0 + TICK_SIZE + 8.0 + AXIS_SIZE);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few panels
        let columns = ((WIDEST - 2.0 * MARGIN + PANEL_GAP) / (panel.0 + PANEL_GAP)).floor().max(1.0) as usize;
        let columns = columns.min(picture.panels.len().max(1));
        let wide = columns as f64 * (panel.0 + PANEL_GAP) - PANEL_GAP + 2.0 * MARGIN;
        Self { columns, names, panel, page: wide.max(LEAST).ceil() }
    }
}

/// Draws the picture.
pub fn grid(picture: &Grid) -> String {
    let place = Place::of(picture);
    let heading = Heading::new(&picture.title, &picture.subtitle, place.page);
    let keys = picture.categories.iter().enumerate().map(|(number, name)| (Key::Area(number), format!("best: {name}")));
    let open = (!picture.categories.is_empty()).then(|| (Key::Open, "hatched: not sure".to_owned()));
    let legend = Legend::new(keys.chain(open), place.page - 2.0 * MARGIN);
    let scale_top = heading.bottom() + 14.0;
    let top = (scale_top + BAR_HEIGHT + 8.0 + TICK_SIZE + 6.0 + legend.height() + 8.0).ceil();
    let rows = picture.panels.len().div_ceil(place.columns) as f64;
    let mut svg = Svg::new(place.page, (top + rows * (place.panel.1 + 16.0) + MARGIN - 8.0).ceil());
    define_open(&mut svg);
    heading.draw(&mut svg);
    draw_scale(&mut svg, picture, (MARGIN, scale_top));
    legend.draw(&mut svg, MARGIN, scale_top + BAR_HEIGHT + 8.0 + TICK_SIZE + 6.0);
    for (number, (name, cells)) in picture.panels.iter().enumerate() {
        let x = MARGIN + (number % place.columns) as f64 * (place.panel.0 + PANEL_GAP);
        let y = top + (number / place.columns) as f64 * (place.panel.1 + 16.0);
        draw_panel(&mut svg, picture, &place, name, cells, (x, y));
    }
    svg.finish(&picture.title)
}

fn draw_panel(svg: &mut Svg, picture: &Grid, place: &Place, name: &str, cells: &[GridCell], (x, y): (f64, f64)) {
    let (left, top) = (x + place.names, y + 24.0);
    let (across, up) = (picture.x.1.len(), picture.y.1.len());
    let name = cut(name, AXIS_SIZE, place.panel.0);
    svg.text((left, y + 15.0), Style::new(AXIS_SIZE, INK, Anchor::Start), &name);
    for (number, cell) in cells.iter().enumerate().take(across * up) {
        let corner = (left + (number % across) as f64 * CELL.0, top + (up - 1 - number / across) as f64 * CELL.1);
        draw_cell(svg, picture, cell, corner);
    }
    for (step, text) in picture.y.1.iter().enumerate() {
        let middle = top + (up - step) as f64 * CELL.1 - CELL.1 / 2.0;
        let style = Style::new(TICK_SIZE, INK, Anchor::End);
        svg.text((left - 6.0, middle + TICK_SIZE * 0.36), style, &cut(text, TICK_SIZE, 110.0));
    }
    let bottom = top + up as f64 * CELL.1;
    for (step, text) in picture.x.1.iter().enumerate() {
        let middle = left + (step as f64 + 0.5) * CELL.0;
        let style = Style::new(TICK_SIZE, INK, Anchor::Middle);
        svg.text((middle, bottom + 6.0 + TICK_SIZE), style, &cut(text, TICK_SIZE, CELL.0 - 4.0));
    }
    let size = (across as f64 * CELL.0, up as f64 * CELL.1);
    svg.rect((left, top), size, &format!("fill=\"none\" stroke=\"{}\" stroke-width=\"0.8\"", INK.hex()));
    let title = cut(&picture.x.0, AXIS_SIZE, size.0.max(150.0));
    let below = (left + size.0 / 2.0, bottom + 6.0 + TICK_SIZE + 7.0 + AXIS_SIZE);
    svg.text(below, Style::new(AXIS_SIZE, INK, Anchor::Middle), &title);
    let beside = (x + AXIS_SIZE * 0.8, top + size.1 / 2.0);
    let title = cut(&picture.y.0, AXIS_SIZE, size.1.max(90.0) + 40.0);
    svg.text(beside, Style::new(AXIS_SIZE, INK, Anchor::Middle).turned(-90.0), &title);
}

fn draw_cell(svg: &mut Svg, picture: &Grid, cell: &GridCell, (x, y): (f64, f64)) {
    let frame = |fill: &str| format!("class=\"cell\" fill=\"{fill}\" stroke=\"#ffffff\" stroke-width=\"1\"");
    match cell {
        GridCell::Number(Some(value)) if value.is_finite() => {
            let colour = sequential(picture.scale.share(*value));
            svg.rect((x, y), CELL, &frame(&colour.hex()));
            let percent = picture.scale.spacing == Spacing::Percent;
            let text = if percent { number(value * 100.0, 0, false) } else { short(*value) };
            let middle = (x + CELL.0 / 2.0, y + CELL.1 / 2.0 + TICK_SIZE * 0.36);
            svg.text(middle, Style::new(TICK_SIZE, colour.text_colour(), Anchor::Middle), &text);
        }
        GridCell::Number(_) => {
            svg.rect((x, y), CELL, &frame("#f2f2f2"));
            let middle = (x + CELL.0 / 2.0, y + CELL.1 / 2.0 + TICK_SIZE * 0.36);
            svg.text(middle, Style::new(TICK_SIZE, GREY, Anchor::Middle), "–");
        }
        GridCell::Best { category: number, sure } => {
            let colour = category(*number).hex();
            svg.rect((x, y), CELL, &frame(&colour));
            if !sure {
                let (x, y, w, h) = (Num(x + 10.0), Num(y + 8.0), Num(CELL.0 - 20.0), Num(CELL.1 - 16.0));
                svg.raw(format_args!("<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"url(#open)\"/>"));
            }
        }
    }
}

/// Three digits.
fn short(value: f64) -> String {
    let decimals = if value.abs() >= 99.5 {
        0
    } else if value.abs() >= 9.95 {
        1
    } else {
        2
    };
    number(value, decimals, false)
}

fn draw_scale(svg: &mut Svg, picture: &Grid, (left, top): (f64, f64)) {
    svg.raw(format_args!("<defs><linearGradient id=\"grid-scale\">"));
    for step in 0..=20 {
        let share = f64::from(step) / 20.0;
        svg.raw(format_args!("<stop offset=\"{share}\" stop-color=\"{}\"/>", sequential(share).hex()));
    }
    svg.raw(format_args!("</linearGradient></defs>"));
    let style = format!("fill=\"url(#grid-scale)\" stroke=\"{}\" stroke-width=\"0.8\"", INK.hex());
    svg.rect((left, top), (BAR_LENGTH, BAR_HEIGHT), &style);
    let mut free = f64::NEG_INFINITY;
    for (mark, text) in picture.scale.marks(4) {
        let (x, half) = (left + BAR_LENGTH * picture.scale.share(mark), width(&text, TICK_SIZE) / 2.0);
        svg.line((x, top + BAR_HEIGHT), (x, top + BAR_HEIGHT + 3.0), INK, " stroke-width=\"0.8\"");
        if x - half >= free {
            svg.text((x, top + BAR_HEIGHT + 4.0 + TICK_SIZE), Style::new(TICK_SIZE, INK, Anchor::Middle), &text);
            free = x + half + 6.0;
        }
    }
    let what = cut(&picture.scale.title, TICK_SIZE, 600.0);
    svg.text((left + BAR_LENGTH + 14.0, top + BAR_HEIGHT * 0.85), Style::new(TICK_SIZE, INK, Anchor::Start), &what);
}
