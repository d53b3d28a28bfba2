//! Services on nodes: the nodes in a ring, near ones beside each other, with what runs there, and the traffic between them.

use super::svg::{Anchor, FAINT, GREY, INK, Num, Style, Svg};
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
const BOX_WIDTH: f64 = 168.0;
const LINE: f64 = 13.0;
const HEAD: f64 = 70.0;

/// Draws a placement.
pub fn topology(picture: &Topology) -> String {
    let count = picture.nodes.len();
    let boxes = count <= BOXES;
    let tallest = picture.nodes.iter().map(|node| height(node, boxes)).fold(0.0, f64::max);
    let radius =
        if boxes { (62.0 * count as f64, 34.0 * count as f64) } else { (11.0 * count as f64, 11.0 * count as f64) };
    let radius = (radius.0.clamp(230.0, 640.0), radius.1.clamp(200.0, 640.0));
    let side = if boxes { BOX_WIDTH } else { 120.0 };
    let (width, high) = (2.0 * radius.0 + side + 40.0, 2.0 * radius.1 + tallest + HEAD + 60.0);
    let centre = (width / 2.0, HEAD + 20.0 + tallest / 2.0 + radius.1);
    let at = |node: usize| {
        let angle = (node as f64 / count.max(1) as f64 - 0.25) * std::f64::consts::TAU;
        (centre.0 + radius.0 * libm::cos(angle), centre.1 + radius.1 * libm::sin(angle))
    };
    let mut svg = Svg::new(width, high);
    svg.text((20.0, 28.0), Style::new(16.0, INK, Anchor::Start), &picture.title);
    svg.text((20.0, 48.0), Style::new(12.0, GREY, Anchor::Start), &picture.subtitle);
    svg.text(
        (20.0, 64.0),
        Style::new(10.0, GREY, Anchor::Start),
        "lines: traffic × delay between nodes; • moved here; bar: how full",
    );
    for link in &picture.links {
        draw_link(&mut svg, link, at(link.from), at(link.to), centre);
    }
    for (place, node) in picture.nodes.iter().enumerate() {
        if boxes { draw_box(&mut svg, node, at(place)) } else { draw_disc(&mut svg, node, at(place), centre) }
    }
    svg.finish(&picture.title)
}

fn height(node: &TopologyNode, boxes: bool) -> f64 {
    if boxes { 34.0 + LINE * lines(node).len() as f64 } else { 30.0 }
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

fn draw_link(svg: &mut Svg, link: &TopologyLink, from: (f64, f64), to: (f64, f64), centre: (f64, f64)) {
    // Bent towards the centre, so that lines between neighbours do not run behind their boxes alone.
    let middle = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
    let bend = (middle.0 + 0.35 * (centre.0 - middle.0), middle.1 + 0.35 * (centre.1 - middle.1));
    let (width, colour) = (1.0 + 9.0 * link.share.sqrt(), sequential(0.35 + 0.5 * link.share).hex());
    let (x1, y1, x2, y2) = (Num(from.0), Num(from.1), Num(to.0), Num(to.1));
    let (bx, by, width) = (Num(bend.0), Num(bend.1), Num(width));
    svg.raw(format_args!(
        "<path d=\"M{x1} {y1} Q{bx} {by} {x2} {y2}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-opacity=\"0.75\"/>"
    ));
    // On the curve at its middle.
    let on = (middle.0 / 2.0 + bend.0 / 2.0, middle.1 / 2.0 + bend.1 / 2.0);
    if !link.label.is_empty() {
        svg.text_with_rim((on.0, on.1 + 4.0), Style::new(10.0, INK, Anchor::Middle), &link.label);
    }
}

fn bar(svg: &mut Svg, (x, y): (f64, f64), width: f64, load: f64) {
    let colour = if load > 1.0 { category(4) } else { category(0) };
    svg.rect((x, y), (width, 5.0), &format!("fill=\"{}\"", FAINT.hex()));
    svg.rect((x, y), (width * load.clamp(0.0, 1.0), 5.0), &format!("fill=\"{}\"", colour.hex()));
}

fn draw_box(svg: &mut Svg, node: &TopologyNode, (x, y): (f64, f64)) {
    let (high, left) = (height(node, true), x - BOX_WIDTH / 2.0);
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

fn draw_disc(svg: &mut Svg, node: &TopologyNode, (x, y): (f64, f64), centre: (f64, f64)) {
    let colour = if node.load > 1.0 { category(4) } else { sequential(0.15 + 0.6 * node.load.clamp(0.0, 1.0)) };
    let (cx, cy, hex) = (Num(x), Num(y), colour.hex());
    svg.raw(format_args!("<circle cx=\"{cx}\" cy=\"{cy}\" r=\"6\" fill=\"{hex}\"/>"));
    let (away, anchor) = if x < centre.0 { (-10.0, Anchor::End) } else { (10.0, Anchor::Start) };
    let words = format!("{} ({})", shortened(&node.name), node.services.len());
    svg.text((x + away, y + 3.5), Style::new(9.0, INK, anchor), &words);
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
