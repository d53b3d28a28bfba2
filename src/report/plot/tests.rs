//! Pictures are read back as XML and as pixels: the writer is never asked what it wrote.
#![allow(clippy::unwrap_used)]

use roxmltree::Document;

use super::*;
use crate::measure::Sample;
use crate::report::small_run::{comparison, matrix, numbered, sample, three_nodes};
use crate::report::{HeatMap, HeatMapKind};
use crate::topology::NodeName;
use crate::units::Delay;

/// Table I of `TraDE`: nine nodes, one-way milliseconds.
const TABLE_1: [[u32; 9]; 9] = [
    [0, 3, 8, 10, 14, 6, 27, 13, 21],
    [8, 0, 4, 13, 14, 18, 38, 31, 29],
    [4, 12, 0, 8, 18, 11, 4, 12, 15],
    [17, 15, 7, 0, 5, 6, 22, 13, 25],
    [20, 12, 11, 10, 0, 9, 7, 4, 9],
    [17, 26, 18, 16, 6, 0, 5, 10, 5],
    [20, 10, 10, 9, 11, 5, 0, 5, 9],
    [21, 25, 4, 10, 12, 15, 10, 0, 6],
    [36, 22, 40, 9, 25, 8, 7, 6, 0],
];

const CITIES: [&str; 30] = [
    "Amsterdam",
    "Athens",
    "Barcelona",
    "Belgrade",
    "Berlin",
    "Brussels",
    "Bucharest",
    "Budapest",
    "Copenhagen",
    "Dublin",
    "Frankfurt am Main",
    "Hamburg",
    "Helsinki",
    "Kyiv",
    "Lisbon",
    "London",
    "Luxembourg",
    "Madrid",
    "Milan",
    "Munich",
    "Oslo",
    "Paris",
    "Prague",
    "Rome",
    "Sofia",
    "Stockholm",
    "Vienna",
    "Vilnius",
    "Warsaw",
    "Zürich",
];

fn table_1() -> HeatMap {
    let values = TABLE_1.iter().flatten().map(|delay| Some(f64::from(*delay))).collect();
    let heading = ("Intended one-way delay", "TraDE, Table I (injected delays)");
    HeatMap::new(heading, &numbered(9), values, "ms", HeatMapKind::Sequential).unwrap()
}

/// A number between 0 and 1 that depends on the place alone.
fn noise(place: usize) -> f64 {
    let mixed = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1u64 << 53) as f64
}

fn line_of_regions(n: usize, regions: usize) -> Vec<Option<f64>> {
    let delay = |from: usize, to: usize| {
        let hops = (from * regions / n).abs_diff(to * regions / n) as f64;
        1.0 + 12.0 * hops + 4.0 * noise(from * n + to)
    };
    (0..n * n).map(|place| Some(delay(place / n, place % n))).collect()
}

/// `probes` probes on each path of Table I, late by about 40 µs, some much later, a few lost.
fn errors_of(probes: u32) -> String {
    let delays: Vec<u64> = TABLE_1.iter().flatten().map(|delay| u64::from(*delay)).collect();
    let matrix = matrix(&numbered(9), &delays);
    let samples: Vec<Sample> = matrix
        .paths()
        .flat_map(|(from, to)| (0..probes).map(move |seq| (from, to, seq)))
        .map(|(from, to, seq)| {
            let place = (from * 9 + to) * 1_000 + seq as usize;
            let late = 25.0 + 20.0 * noise(from * 9 + to) + 18.0 * -(1.0 - noise(place)).ln();
            let late = if noise(place + 7_000_000) > 0.995 { late * 40.0 } else { late };
            let late = Delay::from_millis_f64(late / 1_000.0).unwrap();
            let nanos = matrix.delay(from, to).as_nanos() + late.as_nanos() - 20_000;
            let arrived = noise(place + 9_000_000) > 0.004;
            Sample { one_way: arrived.then(|| Delay::from_nanos(nanos)), ..sample((from, to), seq, None, None) }
        })
        .collect();
    let comparison = comparison(&matrix, &samples);
    error_cdf(&ErrorCdf::new("Error of the one-way delay", "TraDE, Table I; user-space line", &samples, &comparison))
}

/// Errors that are negative and skewed to the left, from five probes.
fn early() -> String {
    let names = numbered(2);
    let matrix = matrix(&names, &[0, 10, 10, 0]);
    let delays = [9_000, 9_900, 9_960, 9_980, 9_990].into_iter().enumerate();
    let samples: Vec<_> = delays.map(|(seq, us)| sample((0, 1), u32::try_from(seq).unwrap(), Some(us), None)).collect();
    let comparison = comparison(&matrix, &samples);
    error_cdf(&ErrorCdf::new("Error of the one-way delay", "five probes, all early", &samples, &comparison))
}

fn long_names() -> String {
    let title =
        "Measured one-way delay between three hosts whose names and whose title are longer than any page is wide";
    let names: Vec<NodeName> = ["ec2-203-0-113-25.compute-1.example.amazonaws.com", "b", "worker-node-17.rack-4.dc-2"]
        .map(|name| name.parse().unwrap())
        .into();
    let values = [0.0, 0.04, 130.25, 0.052, 0.0, 131.5, 129.0, 130.125, 0.0].map(Some).to_vec();
    heat_map(&HeatMap::new((title, ""), &names, values, "ms", HeatMapKind::Sequential).unwrap())
}

fn gallery_pictures() -> Vec<(&'static str, String)> {
    let cities: Vec<NodeName> = CITIES.iter().map(|name| name.parse().unwrap()).collect();
    let mut european = line_of_regions(30, 6);
    for lost in [40, 41, 42, 333, 700] {
        european[lost] = None;
    }
    let errors = |n: usize, reach: f64| (0..n * n).map(|place| Some(reach * (noise(place) - 0.35))).collect::<Vec<_>>();
    let mut lossy = errors(9, 120.0);
    lossy[12] = None;
    let build = |heading, names: &[NodeName], values, unit, kind| {
        heat_map(&HeatMap::new(heading, names, values, unit, kind).unwrap())
    };
    let (up, both) = (HeatMapKind::Sequential, HeatMapKind::Diverging);
    let generated = "generated: great-circle distances at 2/3 of the speed of light";
    vec![
        ("cdf-720", errors_of(10)),
        ("cdf-14400", errors_of(200)),
        ("cdf-early", early()),
        ("heat-long-names", long_names()),
        ("heat-9", heat_map(&table_1())),
        (
            "heat-9-error",
            build(("Error of the median one-way delay", "measured − intended"), &numbered(9), lossy, "µs", both),
        ),
        (
            "heat-2",
            build(
                ("Measured one-way delay", "median of 10 probes per path"),
                &numbered(2),
                vec![None, Some(20.17), Some(5.04), None],
                "ms",
                up,
            ),
        ),
        (
            "heat-16",
            build(("Measured one-way delay", "median of 10 probes"), &cities[..16], line_of_regions(16, 4), "ms", up),
        ),
        ("heat-30", build(("Measured one-way delay between European cities", generated), &cities, european, "ms", up)),
        (
            "heat-30-error",
            build(("Error of the median one-way delay", "measured − intended"), &cities, errors(30, 0.9), "ms", both),
        ),
        (
            "heat-60",
            build(("Intended one-way delay", "regions on a line"), &numbered(60), line_of_regions(60, 4), "ms", up),
        ),
        (
            "heat-200",
            build(("Intended one-way delay", "regions on a line"), &numbered(200), line_of_regions(200, 5), "ms", up),
        ),
        (
            "heat-1000",
            build(("Intended one-way delay", "regions on a line"), &numbered(1000), line_of_regions(1000, 8), "ms", up),
        ),
    ]
}

/// Draws every kind of picture and looks at the pixels. With `LONGHAUL_GALLERY=DIR` the pictures are kept there.
/// Without it, the larger pictures are not rasterised: their structure has its own tests.
#[test]
fn every_picture_can_be_drawn_and_is_not_blank() {
    let gallery = std::env::var_os("LONGHAUL_GALLERY").map(std::path::PathBuf::from);
    for (name, svg) in gallery_pictures() {
        if gallery.is_none() && svg.len() > 50_000 {
            continue;
        }
        let bytes = png(&svg, 1.0).unwrap();
        if let Some(folder) = &gallery {
            std::fs::write(folder.join(format!("{name}.svg")), &svg).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), &bytes).unwrap();
        }
        let document = Document::parse(&svg).unwrap();
        let side = |name: &str| document.root_element().attribute(name).unwrap().parse::<f64>().unwrap();
        let (info, pixels) = decode(&bytes);
        assert_eq!((f64::from(info.0), f64::from(info.1)), (side("width"), side("height")), "{name}");
        let colours: std::collections::BTreeSet<&[u8]> = pixels.chunks(4).step_by(7).collect();
        assert!(colours.len() > 20, "{name} has {} colours", colours.len());
    }
}

/// The boxes of all texts as the renderer lays them out, with their characters, and the turned ones marked.
fn text_boxes(group: &resvg::usvg::Group, boxes: &mut Vec<(String, resvg::usvg::Rect, bool)>) {
    for node in group.children() {
        match node {
            resvg::usvg::Node::Group(inner) => text_boxes(inner, boxes),
            resvg::usvg::Node::Text(text) => {
                let letters: String = text.chunks().iter().map(|chunk| chunk.text().to_owned()).collect();
                boxes.push((letters, node.abs_bounding_box(), text.abs_transform().has_skew()));
            }
            _ => {}
        }
    }
}

/// All texts as the renderer lays them out: characters, box, and whether turned.
fn texts(svg: &str) -> (resvg::usvg::Size, Vec<(String, resvg::usvg::Rect, bool)>) {
    let tree = super::png::tree(svg).unwrap();
    let mut boxes = Vec::new();
    text_boxes(tree.root(), &mut boxes);
    (tree.size(), boxes)
}

/// No text leaves the page.
pub(super) fn inside_page(name: &str, svg: &str) {
    let (page, boxes) = texts(svg);
    assert!(boxes.len() > 8, "{name} has {} texts", boxes.len());
    for (text, place, _) in &boxes {
        let inside = place.left() >= 0.0
            && place.top() >= 0.0
            && place.right() <= page.width()
            && place.bottom() <= page.height();
        assert!(inside, "{name}: `{text}` leaves the page: {place:?}");
    }
}

/// No text touches another. The box of a turned text is larger than the text: only upright ones are compared.
pub(super) fn untouched(name: &str, svg: &str) {
    let (_, boxes) = texts(svg);
    let upright: Vec<_> = boxes.iter().filter(|(_, _, turned)| !turned).collect();
    for (place, (text, first, _)) in upright.iter().enumerate() {
        for (other, second, _) in &upright[place + 1..] {
            let apart = first.right() <= second.left()
                || second.right() <= first.left()
                || first.bottom() <= second.top()
                || second.bottom() <= first.top();
            assert!(apart, "{name}: `{text}` touches `{other}`");
        }
    }
}

#[test]
fn no_text_leaves_the_page_or_touches_another() {
    for (name, svg) in gallery_pictures().into_iter().filter(|(_, svg)| svg.len() < 200_000) {
        inside_page(name, &svg);
        untouched(name, &svg);
    }
}

/// Writes what a terminal is sent, for a look with the eyes: `cat` it. Only with `LONGHAUL_GALLERY=DIR`.
#[test]
fn terminal_pictures_are_kept_on_demand() {
    use crate::report::terminal::{self, Colour};
    let large = |n| {
        HeatMap::new(
            ("Line of regions", "generated"),
            &numbered(n),
            line_of_regions(n, 8),
            "ms",
            HeatMapKind::Sequential,
        )
    };
    let pictures = [
        ("9", terminal::heat_map(&table_1(), 100, Colour::TrueColour)),
        ("9-256", terminal::heat_map(&table_1(), 100, Colour::Ansi256)),
        ("9-none", terminal::heat_map(&table_1(), 100, Colour::None)),
        ("30", terminal::heat_map(&large(30).unwrap(), 80, Colour::TrueColour)),
        ("30-none", terminal::heat_map(&large(30).unwrap(), 80, Colour::None)),
        ("300", terminal::heat_map(&large(300).unwrap(), 80, Colour::Ansi256)),
        ("300-none", terminal::heat_map(&large(300).unwrap(), 80, Colour::None)),
    ];
    for (name, text) in pictures {
        assert!(text.contains("ms"), "{name}");
        if let Some(folder) = std::env::var_os("LONGHAUL_GALLERY") {
            std::fs::write(std::path::PathBuf::from(folder).join(format!("terminal-{name}.txt")), text).unwrap();
        }
    }
}

fn decode(bytes: &[u8]) -> ((u32, u32), Vec<u8>) {
    let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, ::png::ColorType::Rgba);
    ((info.width, info.height), pixels)
}

/// All elements of a kind inside the group of a class.
fn inside<'a>(document: &'a Document<'a>, class: &str, kind: &str) -> Vec<roxmltree::Node<'a, 'a>> {
    let group = document.descendants().find(|node| node.attribute("class") == Some(class));
    group.into_iter().flat_map(|group| group.descendants()).filter(|node| node.has_tag_name(kind)).collect()
}

#[test]
fn a_small_matrix_has_a_cell_per_pair_and_a_value_per_path() {
    let svg = heat_map(&table_1());
    let document = Document::parse(&svg).unwrap();
    let cells = inside(&document, "cells", "rect");
    assert_eq!(cells.len(), 81);
    let hatched = cells.iter().filter(|cell| cell.attribute("fill") == Some("url(#self)"));
    assert_eq!(hatched.count(), 9);
    let texts: Vec<_> = inside(&document, "values", "text").iter().filter_map(roxmltree::Node::text).collect();
    let expected: Vec<_> = TABLE_1.iter().flatten().filter(|delay| **delay > 0).map(u32::to_string).collect();
    assert_eq!(texts, expected);
    assert_eq!(inside(&document, "names", "text").len(), 18);
}

#[test]
fn the_first_row_is_on_top_and_darker_is_more() {
    let svg = heat_map(&table_1());
    let document = Document::parse(&svg).unwrap();
    let cells = inside(&document, "cells", "rect");
    let cell = |says: &str| {
        let named = |cell: &&roxmltree::Node| cell.first_element_child().unwrap().text() == Some(says);
        *cells.iter().find(named).unwrap()
    };
    let at = |says: &str, name: &str| cell(says).attribute(name).unwrap().parse::<f64>().unwrap();
    assert!(at("n1 → n9: 21 ms", "y") < at("n9 → n1: 36 ms", "y"));
    assert!(at("n1 → n9: 21 ms", "x") > at("n9 → n1: 36 ms", "x"));
    let ink = |says: &str| {
        let fill = cell(says).attribute("fill").unwrap();
        (1..7).step_by(2).map(|at| u32::from_str_radix(&fill[at..at + 2], 16).unwrap()).sum::<u32>()
    };
    assert!(ink("n9 → n3: 40 ms") < ink("n1 → n2: 3 ms"));
}

#[test]
fn any_name_title_and_unit_gives_valid_xml() {
    let names: Vec<NodeName> = ["<&\">'", "]]>", "東京"].map(|name| name.parse().unwrap()).into();
    let map =
        HeatMap::new(("a < b & \"c\"\u{1}", "it's <b>"), &names, vec![Some(1.0); 9], "<µs>", HeatMapKind::Sequential);
    let svg = heat_map(&map.unwrap());
    let document = Document::parse(&svg).unwrap();
    let shown: Vec<_> = inside(&document, "names", "text").iter().filter_map(roxmltree::Node::text).collect();
    assert_eq!(shown[0], "<&\">'");
    assert!(png(&svg, 1.0).is_ok());
}

#[test]
fn missing_paths_are_marked_and_counted() {
    let mut values = vec![Some(2.0); 9];
    values[1] = None;
    let map = HeatMap::new(("t", "s"), &numbered(3), values, "ms", HeatMapKind::Diverging).unwrap();
    let svg = heat_map(&map);
    let document = Document::parse(&svg).unwrap();
    let crossed = inside(&document, "cells", "rect")
        .iter()
        .filter(|cell| cell.attribute("fill") == Some("url(#missing)"))
        .count();
    assert_eq!(crossed, 1);
    assert!(svg.contains("1 not measured"));
    assert_eq!(inside(&document, "values", "text").len(), 5);
}

/// Every number in every attribute that holds coordinates.
fn coordinates(document: &Document) -> Vec<f64> {
    let places = ["x", "y", "x1", "y1", "x2", "y2", "width", "height", "d", "points", "font-size"];
    let attributes = document.descendants().flat_map(|node| node.attributes());
    let texts = attributes.filter(|attribute| places.contains(&attribute.name()) && attribute.value() != "100%");
    texts
        .flat_map(|attribute| {
            attribute.value().split(|letter: char| letter.is_ascii_alphabetic() || " ,".contains(letter))
        })
        .filter(|text| !text.is_empty())
        .map(|text| text.split('-').next_back().unwrap().parse::<f64>().unwrap())
        .collect()
}

#[test]
fn every_coordinate_is_a_number_also_for_odd_values() {
    for values in
        [vec![None; 4], vec![Some(0.0); 4], vec![Some(f64::INFINITY); 4], vec![Some(1e300); 4], vec![Some(-5.0); 4]]
    {
        for kind in [HeatMapKind::Sequential, HeatMapKind::Diverging] {
            let map = HeatMap::new(("t", "s"), &numbered(2), values.clone(), "ms", kind).unwrap();
            let svg = heat_map(&map);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}");
            let document = Document::parse(&svg).unwrap();
            assert!(coordinates(&document).iter().all(|number| number.is_finite()));
        }
    }
}

#[test]
fn thousands_of_nodes_stay_small() {
    let n = 1_500;
    let map = HeatMap::new(("t", "s"), &numbered(n), line_of_regions(n, 8), "ms", HeatMapKind::Sequential).unwrap();
    let svg = heat_map(&map);
    assert!(svg.len() < 3_000_000, "{} bytes", svg.len());
    assert!(svg.contains("each cell is the mean of 6×6 paths"));
    let document = Document::parse(&svg).unwrap();
    let colours = inside(&document, "cells", "path");
    assert!((2..=257).contains(&colours.len()));
    assert!(inside(&document, "names", "text").len() <= 2 * 30);
}

#[test]
fn the_distribution_says_how_many_probes_it_shows() {
    let (_, samples, comparison) = three_nodes();
    let svg = error_cdf(&ErrorCdf::new("Error", "a & b", &samples, &comparison));
    assert!(svg.contains("n = 9 probes on 5 paths · 3 lost"), "{svg}");
    let document = Document::parse(&svg).unwrap();
    for class in ["probes", "medians", "band"] {
        assert_eq!(document.descendants().filter(|node| node.attribute("class") == Some(class)).count(), 1, "{class}");
    }
    assert!(coordinates(&document).iter().all(|number| (0.0..=760.0).contains(number)));
}

#[test]
fn a_distribution_of_nothing_says_so() {
    let (_, samples, comparison) = three_nodes();
    let lost: Vec<_> = samples.iter().map(|sample| Sample { one_way: None, ..*sample }).collect();
    let svg = error_cdf(&ErrorCdf::new("Error", "", &lost, &comparison));
    assert!(svg.contains("no probe arrived"));
    assert!(Document::parse(&svg).is_ok() && !svg.contains("NaN"));
}

#[test]
fn pictures_that_cannot_be_drawn_are_errors() {
    assert!(matches!(png("no picture", 1.0), Err(PlotError::Svg(_))));
    let svg = heat_map(&table_1());
    assert!(matches!(png(&svg, 0.0), Err(PlotError::Size { .. })));
    assert!(matches!(png(&svg, f32::NAN), Err(PlotError::Size { .. })));
    assert!(matches!(png(&svg, 1e6), Err(PlotError::Size { .. })));
}

#[test]
fn text_is_drawn_in_the_embedded_font() {
    let frame = |inner: &str| {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"80\" height=\"30\" font-family=\"nowhere, sans-serif\">{inner}</svg>"
        )
    };
    let (_, blank) = decode(&png(&frame(""), 1.0).unwrap());
    let (_, text) = decode(&png(&frame("<text x=\"4\" y=\"20\">µs −→</text>"), 1.0).unwrap());
    assert!(blank.iter().all(|byte| *byte == 0));
    assert!(text.iter().filter(|byte| **byte > 0).count() > 100);
}
