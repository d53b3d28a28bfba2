//! Services on nodes: the nodes in a ring, near ones beside each other, with what runs there, and the traffic between them.

use super::PAGE_WIDTH;
use super::svg::{Anchor, FAINT, GREY, INK, Num, Style, Svg};
use super::text::cut;
use crate::report::Rgb;
use crate::report::palette::{category, sequential};

/// A placement to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// Above the picture.
    pub title: String,
    /// What is to be known besides, such as the cost.
    pub subtitle: String,
    /// The nodes in the order of the ring.
    pub nodes: Vec<TopologyNode>,
    /// Traffic between nodes.
    pub links: Vec<TopologyLink>,
}

/// A node and what runs there.
#[derive(Debug, Clone, PartialEq)]
pub struct TopologyNode {
    /// Its name.
    pub name: String,
    /// How full it is, 0 to 1 or more.
    pub load: f64,
    /// What runs there, with whether it came by a move.
    pub services: Vec<(String, bool)>,
}

/// Traffic between two nodes, both directions together.
#[derive(Debug, Clone, PartialEq)]
pub struct TopologyLink {
    /// One node, by place.
    pub from: usize,
    /// The other.
    pub to: usize,
    /// Which share of all cost it makes, 0 to 1.
    pub share: f64,
    /// In words.
    pub label: String,
}

/// Up to this many nodes are boxes with names of services.
const BOXES: usize = 14;
/// So many names at most in a box.
const NAMES: usize = 9;
const BOX_WIDTH: f64 = 164.0;
const LINE: f64 = 13.0;
const HEAD: f64 = 84.0;
/// Between rows of boxes; and where there are two rows alone, between which all lines run.
const ROW_GAP: f64 = 40.0;
const WIDE_GAP: f64 = 150.0;
/// What a disc's name takes beside it, and a line of names takes of the height.
const NAME_WIDTH: f64 = 150.0;
const NAME_LINE: f64 = 11.0;
/// How high the ring of discs may be, so that the picture fits a page.
const DISCS_HEIGHT: (f64, f64) = (320.0, 900.0);

/// Draws a placement.
pub fn topology(picture: &Topology) -> String {
    let boxes = picture.nodes.len() <= BOXES;
    let (places, high) = if boxes { box_ring(&picture.nodes) } else { disc_ring(picture.nodes.len()) };
    let centre = (PAGE_WIDTH / 2.0, f64::midpoint(HEAD, high));
    let mut svg = Svg::new(PAGE_WIDTH, high + 20.0);
    let room = PAGE_WIDTH - 40.0;
    svg.text((20.0, 28.0), Style::new(16.0, INK, Anchor::Start), &cut(&picture.title, 16.0, room));
    svg.text((20.0, 48.0), Style::new(12.0, GREY, Anchor::Start), &cut(&picture.subtitle, 12.0, room));
    let key = if boxes {
        "line: traffic × delay between nodes, wider where it is more; • moved here; bar: how full"
    } else {
        "line: traffic × delay between nodes, wider where it is more; disc: how full; in brackets: services"
    };
    svg.text((20.0, 64.0), Style::new(10.0, GREY, Anchor::Start), key);
    for link in &picture.links {
        draw_link(&mut svg, link, places[link.from], places[link.to], centre);
    }
    let each = labelled(picture.nodes.len(), high - HEAD);
    for (place, node) in picture.nodes.iter().enumerate() {
        if boxes {
            draw_box(&mut svg, node, places[place]);
        } else {
            draw_disc(&mut svg, node, (places[place], centre.0), place.is_multiple_of(each));
        }
    }
    for link in picture.links.iter().filter(|link| !link.label.is_empty()) {
        let at = bent(places[link.from], places[link.to], centre).1;
        svg.text_with_rim((at.0, at.1 + 4.0), Style::new(10.0, INK, Anchor::Middle), &link.label);
    }
    svg.finish(&picture.title)
}

/// The middles of the boxes, around a rectangle from its upper left corner; and where the lowest ends.
fn box_ring(nodes: &[TopologyNode]) -> (Vec<(f64, f64)>, f64) {
    let (cells, columns) = cells(nodes.len());
    let rows = cells.iter().map(|(row, _)| row + 1).max().unwrap_or(1);
    let gap = if rows == 2 { WIDE_GAP } else { ROW_GAP };
    let mut middles = Vec::new();
    let mut top = HEAD;
    for row in 0..rows {
        let here = cells.iter().zip(nodes).filter(|((other, _), _)| *other == row);
        let tallest = here.map(|(_, node)| height(node)).fold(0.0, f64::max);
        middles.push(top + tallest / 2.0);
        top += tallest + gap;
    }
    let step = (PAGE_WIDTH - 40.0) / columns as f64;
    let place = |(row, column): (usize, usize)| (20.0 + step * (column as f64 + 0.5), middles[row]);
    (cells.into_iter().map(place).collect(), top - gap)
}

/// Rows and columns around a rectangle, clockwise, and how many columns it has: a row above, one below, the others at the sides.
fn cells(count: usize) -> (Vec<(usize, usize)>, usize) {
    let columns = match count {
        0..=4 => 2,
        5..=9 => 3,
        _ => 4,
    };
    let above = columns.min(count);
    let sides = count.saturating_sub(2 * columns);
    let (right, left) = (sides.div_ceil(2), sides / 2);
    let below = count - above - sides;
    let last = if below == 0 { 0 } else { right + 1 };
    let mut cells: Vec<(usize, usize)> = (0..above).map(|column| (0, column)).collect();
    cells.extend((1..=right).map(|row| (row, columns - 1)));
    cells.extend((0..below).rev().map(|column| (last, column)));
    cells.extend((1..=left).rev().map(|row| (row, 0)));
    (cells, columns)
}

/// Half of the discs down the right side of an oval, the others up its left, evenly in height, so that names have lines of their own.
fn disc_ring(count: usize) -> (Vec<(f64, f64)>, f64) {
    let right = count.div_ceil(2);
    let tall = (right as f64 * NAME_LINE).clamp(DISCS_HEIGHT.0, DISCS_HEIGHT.1);
    let across = PAGE_WIDTH / 2.0 - NAME_WIDTH;
    let place = |number: usize| {
        let (row, rows, side) =
            if number < right { (number, right, 1.0) } else { (count - 1 - number, count - right, -1.0) };
        let share = (row as f64 + 0.5) / rows as f64;
        let out = (1.0 - (2.0 * share - 1.0).powi(2)).sqrt();
        (PAGE_WIDTH / 2.0 + side * across * (0.15 + 0.85 * out), HEAD + tall * share)
    };
    ((0..count).map(place).collect(), HEAD + tall)
}

/// Each how manieth disc has a name.
fn labelled(count: usize, tall: f64) -> usize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few at most
    let each = (count.div_ceil(2) as f64 * (NAME_LINE - 2.0) / tall).ceil() as usize;
    each.max(1)
}

fn height(node: &TopologyNode) -> f64 {
    34.0 + LINE * lines(node).len() as f64
}

/// What is written in a box.
fn lines(node: &TopologyNode) -> Vec<String> {
    let word = |(name, moved): &(String, bool)| format!("{}{}", if *moved { "• " } else { "" }, shortened(name));
    let shown = if node.services.len() > NAMES { NAMES - 1 } else { node.services.len() };
    let mut lines: Vec<String> = node.services[..shown].iter().map(word).collect();
    if shown < node.services.len() {
        lines.push(format!("and {} more", node.services.len() - shown));
    }
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    lines
}

fn shortened(name: &str) -> String {
    let letters = 23;
    if name.chars().count() <= letters {
        name.to_owned()
    } else {
        name.chars().take(letters - 1).chain(['…']).collect()
    }
}

/// The bend of a line and its middle: towards the centre, so that lines between neighbours do not run behind their boxes alone; in a
/// row or column only away from it, so that the middle is between the boxes.
fn bent(from: (f64, f64), to: (f64, f64), centre: (f64, f64)) -> ((f64, f64), (f64, f64)) {
    let middle = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
    let across = if (from.1 - to.1).abs() < 1.0 { 0.0 } else { 0.5 };
    let down = if (from.0 - to.0).abs() < 1.0 { 0.0 } else { 0.5 };
    let bend = (middle.0 + across * (centre.0 - middle.0), middle.1 + down * (centre.1 - middle.1));
    (bend, (f64::midpoint(middle.0, bend.0), f64::midpoint(middle.1, bend.1)))
}

fn draw_link(svg: &mut Svg, link: &TopologyLink, from: (f64, f64), to: (f64, f64), centre: (f64, f64)) {
    let (bend, _) = bent(from, to, centre);
    let (width, colour) = (1.0 + 9.0 * link.share.sqrt(), sequential(0.35 + 0.5 * link.share).hex());
    let (x1, y1, x2, y2) = (Num(from.0), Num(from.1), Num(to.0), Num(to.1));
    let (bx, by, width) = (Num(bend.0), Num(bend.1), Num(width));
    svg.raw(format_args!(
        "<path d=\"M{x1} {y1} Q{bx} {by} {x2} {y2}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-opacity=\"0.75\"/>"
    ));
}

fn bar(svg: &mut Svg, (x, y): (f64, f64), width: f64, load: f64) {
    let colour = if load > 1.0 { category(4) } else { category(0) };
    svg.rect((x, y), (width, 5.0), &format!("fill=\"{}\"", FAINT.hex()));
    svg.rect((x, y), (width * load.clamp(0.0, 1.0), 5.0), &format!("fill=\"{}\"", colour.hex()));
}

fn draw_box(svg: &mut Svg, node: &TopologyNode, (x, y): (f64, f64)) {
    let (high, left) = (height(node), x - BOX_WIDTH / 2.0);
    let top = y - high / 2.0;
    let rim = Rgb(120, 120, 120).hex();
    svg.rect((left, top), (BOX_WIDTH, high), &format!("rx=\"6\" fill=\"#ffffff\" stroke=\"{rim}\""));
    svg.text((left + 8.0, top + 15.0), Style::new(12.0, INK, Anchor::Start), &shortened(&node.name));
    let load = format!("{:.0} %", node.load * 100.0);
    svg.text((left + BOX_WIDTH - 8.0, top + 15.0), Style::new(10.0, GREY, Anchor::End), &load);
    bar(svg, (left + 8.0, top + 20.0), BOX_WIDTH - 16.0, node.load);
    for (place, line) in lines(node).iter().enumerate() {
        let colour = if node.services.is_empty() { GREY } else { INK };
        let line_at = (left + 8.0, top + 37.0 + LINE * place as f64);
        svg.text(line_at, Style::new(10.0, colour, Anchor::Start), line);
    }
}

fn draw_disc(svg: &mut Svg, node: &TopologyNode, ((x, y), centre): ((f64, f64), f64), named: bool) {
    let colour = if node.load > 1.0 { category(4) } else { sequential(0.15 + 0.6 * node.load.clamp(0.0, 1.0)) };
    let (cx, cy, hex) = (Num(x), Num(y), colour.hex());
    svg.raw(format_args!("<circle cx=\"{cx}\" cy=\"{cy}\" r=\"5\" fill=\"{hex}\"/>"));
    if named {
        let (away, anchor) = if x < centre { (-9.0, Anchor::End) } else { (9.0, Anchor::Start) };
        let words = format!("{} ({})", shortened(&node.name), node.services.len());
        svg.text((x + away, y + 3.5), Style::new(9.0, INK, anchor), &words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(nodes: usize) -> Topology {
        let node = |number: usize| TopologyNode {
            name: format!("n{number}"),
            load: 0.3 * number as f64,
            services: (0..number * 4).map(|service| (format!("a<{number}-{service}"), service % 2 == 0)).collect(),
        };
        Topology {
            title: "Placement".to_owned(),
            subtitle: "cost".to_owned(),
            nodes: (0..nodes).map(node).collect(),
            links: vec![TopologyLink { from: 0, to: nodes - 1, share: 1.0, label: "100 %".to_owned() }],
        }
    }

    /// Whatever the number of nodes: as wide as a page, no two boxes on each other, no two names on one line of a side.
    #[test]
    fn it_fits_a_page_and_nothing_lies_on_anything_else() {
        for count in 1..=BOXES {
            let picture = picture(count);
            let (places, high) = box_ring(&picture.nodes);
            assert_eq!(places.len(), count);
            for (place, (x, y)) in places.iter().enumerate() {
                let tall = height(&picture.nodes[place]);
                assert!(
                    x - BOX_WIDTH / 2.0 >= 0.0 && x + BOX_WIDTH / 2.0 <= PAGE_WIDTH && y + tall / 2.0 <= high + 1e-9
                );
                for (other, (x2, y2)) in places.iter().enumerate().skip(place + 1) {
                    let clear = f64::midpoint(tall, height(&picture.nodes[other]));
                    assert!((x - x2).abs() >= BOX_WIDTH || (y - y2).abs() >= clear, "{place} and {other} of {count}");
                }
            }
        }
        for count in [15, 40, 200, 1000] {
            let (places, high) = disc_ring(count);
            let each = labelled(count, high - HEAD);
            let mut right: Vec<f64> =
                places.iter().step_by(each).filter(|at| at.0 > PAGE_WIDTH / 2.0).map(|at| at.1).collect();
            right.sort_by(f64::total_cmp);
            assert!(right.windows(2).all(|pair| pair[1] - pair[0] >= 8.9), "{count}");
            assert!(places.iter().all(|at| at.0 >= NAME_WIDTH - 1.0 && at.0 <= PAGE_WIDTH - NAME_WIDTH + 1.0));
            assert!(high <= HEAD + DISCS_HEIGHT.1);
        }
    }

    #[test]
    fn everything_is_named_and_escaped_and_the_picture_can_be_drawn() {
        let svg = topology(&picture(4));
        for wanted in ["• a&lt;1-0", "and 4 more", "nothing", "90 %", "100 %"] {
            assert!(svg.contains(wanted), "{wanted}");
        }
        let many = topology(&picture(40));
        assert!(many.contains("n39 (156)") && !many.contains("a&lt;1-0"));
        for svg in [svg, many] {
            assert!(crate::report::plot::png(&svg, 1.0).is_ok());
        }
    }
}
