//! Charts are read back as XML and as laid-out text: nothing leaves the page, no text touches another, all numbers are there.
#![allow(clippy::unwrap_used)]

use roxmltree::Document;

use super::tests::{inside_page, untouched};
use super::*;

fn words(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|&part| part.to_owned()).collect()
}

const STRATEGIES: [&str; 6] = ["qedge", "proximity-0.9", "dec-sarsa", "least-outstanding", "p2c-ewma", "round-robin"];

fn wave(place: usize, category: usize) -> f64 {
    0.7 + 0.25 * ((place * (category + 2)) as f64 / 19.0).sin()
}

fn some_lines() -> Lines {
    let line = |(category, name): (usize, &&str)| {
        let point = |place: usize| {
            let y = if (40..50).contains(&place) { f64::NAN } else { wave(place, category) };
            LinePoint::upright(place as f64, y, (y - 0.05, y + 0.05))
        };
        Line { name: (*name).to_owned(), category, points: (0..300).map(point).collect() }
    };
    Lines {
        title: "Requests answered in time".to_owned(),
        subtitle: words(&["mean over 5 repetitions", "band: 95 % interval of the mean"]),
        x: Axis::over("time since the start of the run (s)", [0.0, 300.0]),
        y: Axis::percent("answered in time, rolling 10 s"),
        lines: STRATEGIES.iter().enumerate().map(line).collect(),
        events: vec![
            (150.0, "2 clients on each of 15 random nodes join".to_owned()),
            (152.0, "instance i10 is removed".to_owned()),
            (299.0, "other delays".to_owned()),
            (1.0, "first".to_owned()),
        ],
        bounds: vec![Bound::Level(0.9, "to be kept: 90 %".to_owned())],
        signs: false,
    }
}

fn some_bars(groups: usize, categories: usize) -> Bars {
    let bar = |place: usize, category: usize| Bar {
        category,
        value: (place != 3).then(|| wave(place, category)),
        interval: Some((wave(place, category) - 0.04, wave(place, category) + 0.04)),
        dots: (0..5).map(|dot| wave(place, category) + f64::from(dot) / 50.0 - 0.04).collect(),
        text: "93.2 %".to_owned(),
    };
    let group = |place: usize| BarGroup {
        name: if categories == 1 { STRATEGIES[place % 6].to_owned() } else { format!("i{}", place + 1) },
        bars: (0..categories).map(|category| bar(place, if categories == 1 { place } else { category })).collect(),
    };
    Bars {
        title: "Clients that keep their share".to_owned(),
        subtitle: words(&["mean over 25 trials", "bars: 95 % interval", "dots: single trials"]),
        y: Axis::from_zero("clients", [1.0], true),
        x: if categories == 1 { String::new() } else { "instance".to_owned() },
        groups: (0..groups).map(group).collect(),
        categories: if categories == 1 { Vec::new() } else { words(&STRATEGIES[..categories]) },
        bounds: vec![Bound::Level(0.9, "target".to_owned())],
    }
}

fn some_boxes(count: usize) -> Boxes {
    let spread = |category: usize| Spread {
        name: STRATEGIES[category % 6].to_owned(),
        note: "12 of 120 below 90 %".to_owned(),
        category,
        values: (0..120).map(|place| wave(place, category).min(1.0)).collect(),
    };
    Boxes {
        title: "What each client got".to_owned(),
        subtitle: words(&["one dot per client"]),
        y: Axis::percent("answered in time"),
        boxes: (0..count).map(spread).collect(),
        bounds: vec![Bound::Level(0.9, "to be kept: 90 %".to_owned())],
    }
}

fn some_stacks() -> Stacks {
    let parts = |category: usize| -> Vec<Part> {
        let part = |place: usize| Part {
            name: format!("i{}", place + 1),
            share: [0.4, 0.2, 0.15, 0.1, 0.08, 0.04, 0.02, 0.005, 0.005, 0.0][(place + category) % 10],
            shade: place as f64 * 6.5,
        };
        (0..10).map(part).collect()
    };
    let bars = || STRATEGIES.iter().enumerate().map(|(place, name)| ((*name).to_owned(), parts(place))).collect();
    let panel = |title: &str| StackPanel { title: title.to_owned(), bars: bars() };
    Stacks {
        title: "Where two nodes send their requests".to_owned(),
        subtitle: words(&["scenario-1"]),
        panels: vec![panel("Athens, with instance i3"), panel("Berlin, without an instance")],
        shade: "round trip to the instance (ms)".to_owned(),
    }
}

fn some_grid(panels: usize) -> Grid {
    let cells =
        |panel: usize| (0..30).map(|place| GridCell::Number((place != 7).then(|| wave(place, panel)))).collect();
    let best = (0..30).map(|place| GridCell::Best { category: place % 3, sure: place % 4 > 0 }).collect();
    let mut all: Vec<(String, Vec<GridCell>)> =
        (0..panels).map(|panel| (STRATEGIES[panel % 6].to_owned(), cells(panel))).collect();
    all.push(("which is best".to_owned(), best));
    Grid {
        title: "Clients that keep their share, over two parameters".to_owned(),
        subtitle: words(&["mean of 5 topologies"]),
        x: ("service time".to_owned(), words(&["4ms", "4.5ms", "5ms", "5.5ms", "6ms", "6.5ms"])),
        y: ("scale of the round trips".to_owned(), words(&["0.5", "1", "1.5", "2", "a long one"])),
        scale: Axis::percent("clients (%)"),
        panels: all,
        categories: words(&STRATEGIES[..3]),
    }
}

fn pictures() -> Vec<(&'static str, String)> {
    let log = Lines { x: Axis::log("latency (ms)", [0.5, 1_000.0]), signs: true, events: vec![], ..some_lines() };
    let steps = Axis::steps("policy", words(&["one", "two", "three"]));
    vec![
        ("chart-lines", lines(&some_lines())),
        ("chart-lines-log", lines(&log)),
        ("chart-lines-steps", lines(&Lines { x: steps, events: vec![], ..some_lines() })),
        ("chart-bars", bars(&some_bars(6, 1))),
        ("chart-bars-grouped", bars(&some_bars(10, 6))),
        ("chart-bars-one", bars(&some_bars(1, 1))),
        ("chart-boxes", boxes(&some_boxes(4))),
        ("chart-boxes-many", boxes(&some_boxes(12))),
        ("chart-stacks", stacks(&some_stacks())),
        ("chart-grid", grid(&some_grid(4))),
        ("chart-grid-log", grid(&Grid { scale: Axis::log("time (ms)", [0.02, 40_000.0]), ..some_grid(2) })),
        ("chart-grid-log-short", grid(&Grid { scale: Axis::log("time (ms)", [0.9, 2_000.0]), ..some_grid(1) })),
        ("chart-grid-one", grid(&Grid { categories: vec![], ..some_grid(0) })),
    ]
}

/// With `LONGHAUL_GALLERY=DIR` the pictures are kept there, for a look with the eyes.
#[test]
fn no_text_of_a_chart_leaves_the_page_or_touches_another() {
    for (name, svg) in pictures() {
        if let Some(folder) = std::env::var_os("LONGHAUL_GALLERY").map(std::path::PathBuf::from) {
            std::fs::write(folder.join(format!("{name}.svg")), &svg).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), png(&svg, 1.5).unwrap()).unwrap();
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{name}");
        inside_page(name, &svg);
        untouched(name, &svg);
    }
}

fn count(svg: &str, class: &str) -> usize {
    let document = Document::parse(svg).unwrap();
    document.descendants().filter(|node| node.attribute("class") == Some(class)).count()
}

#[test]
fn a_gap_breaks_the_line_and_its_band() {
    let svg = lines(&Lines { lines: some_lines().lines[..1].to_vec(), ..some_lines() });
    assert_eq!((count(&svg, "line"), count(&svg, "band")), (2, 2));
}

#[test]
fn every_value_has_its_bar_dot_part_or_cell() {
    let svg = bars(&some_bars(6, 1));
    assert_eq!((count(&svg, "bar"), count(&svg, "dot")), (5, 25), "the fourth has no value");
    let svg = boxes(&some_boxes(3));
    assert_eq!((count(&svg, "box"), svg.matches("h0").count()), (3, 360));
    // One of ten parts of a bar is empty.
    assert_eq!(count(&stacks(&some_stacks()), "part"), 2 * 6 * 9);
    assert_eq!(count(&grid(&some_grid(2)), "cell"), 3 * 30);
}

/// A bar of half the axis is half as high as the plot.
#[test]
fn a_bar_is_as_high_as_its_value() {
    let mut picture = some_bars(1, 1);
    picture.groups[0].bars[0] =
        Bar { value: Some(0.5), interval: None, dots: vec![], ..picture.groups[0].bars[0].clone() };
    let svg = bars(&picture);
    let document = Document::parse(&svg).unwrap();
    let bar = document.descendants().find(|node| node.attribute("class") == Some("bar")).unwrap();
    let side = |name: &str| bar.attribute(name).unwrap().parse::<f64>().unwrap();
    assert!((side("height") - 140.0).abs() < 0.01);
}

#[test]
fn foreign_words_do_not_break_a_chart() {
    let strange = "<script>&\"'\u{1b}[31m]]>";
    let mut picture = some_bars(2, 1);
    picture.groups[0].name = strange.to_owned();
    picture.title = strange.to_owned();
    let svg = bars(&picture);
    assert!(Document::parse(&svg).is_ok() && !svg.contains("<script") && !svg.contains('\u{1b}'));
}
