//! How many pods each region got: bars for a few regions, lines by rank for many.

use super::figures::place;
use crate::experiment::report::{Given, figure, parsed, rows};
use crate::report::page::Block;
use crate::report::plot::{Axis, Bar, BarGroup, Bars, Line, LinePoint, Lines, bars, lines};
use crate::report::statistics::Cells;

/// Up to this many regions have bars of their own.
const BARS: usize = 10;

/// How many services each region got, mean of the repetitions.
pub(super) fn regions(given: &Given, topology: usize, name: &str) -> Block {
    let mut names: Vec<String> = Vec::new();
    let of = |strategy| given.of(strategy).filter(move |trial| trial.record.topology == topology);
    for (strategy, _) in given.strategies() {
        for [region, _] in of(strategy).flat_map(|trial| rows(trial, "regions", ["region", "services"])) {
            if !names.iter().any(|other| other == region) {
                names.push(region.to_owned());
            }
        }
    }
    names.sort_by_key(|name| (name.len(), name.clone()));
    if names.len() > BARS {
        return ranked(given, topology, name);
    }
    let bar = |category: usize, region: &str| {
        let counts = of(category).map(|trial| {
            let found = rows(trial, "regions", ["region", "services"]).into_iter().find(|[name, _]| *name == region);
            ((0, trial.record.repetition), found.map_or(0.0, |[_, count]| parsed(count)))
        });
        let cells = Cells::new(counts);
        let values = cells.values();
        let ends =
            values.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(*value), high.max(*value)));
        Bar {
            category,
            value: cells.estimate().map(|estimate| estimate.mean),
            interval: (values.len() > 1).then_some(ends),
            dots: Vec::new(),
            text: String::new(),
        }
    };
    let group = |region: &String| BarGroup {
        name: region.clone(),
        bars: given.strategies().map(|(category, _)| bar(category, region)).collect(),
    };
    let groups: Vec<BarGroup> = names.iter().map(group).collect();
    let reached =
        groups.iter().flat_map(|group| &group.bars).filter_map(|bar| bar.interval.map(|(_, high)| high).or(bar.value));
    let mut subtitle = place(given, topology);
    subtitle.push("bar: mean of the repetitions; line: from the least to the most".to_owned());
    let picture = Bars {
        title: "Pods by region".to_owned(),
        subtitle,
        y: Axis::from_zero("pods", reached.collect::<Vec<_>>(), false),
        x: "region".to_owned(),
        categories: given.strategies().map(|(_, name)| name.to_owned()).collect(),
        groups,
        bounds: Vec::new(),
    };
    figure(name, "How many pods each region got.".to_owned(), bars(&picture))
}

/// Regions by how many pods they got, the fullest first: which one is first differs between repetitions.
fn ranked(given: &Given, topology: usize, name: &str) -> Block {
    let counts = |strategy: usize| -> Vec<Vec<f64>> {
        let trials = given.of(strategy).filter(|trial| trial.record.topology == topology);
        let sorted = trials.map(|trial| {
            let mut counts: Vec<f64> =
                rows(trial, "regions", ["services"]).into_iter().map(|[count]| parsed(count)).collect();
            counts.sort_by(|a, b| b.total_cmp(a));
            counts
        });
        sorted.collect()
    };
    let all: Vec<(usize, &str, Vec<Vec<f64>>)> =
        given.strategies().map(|(number, name)| (number, name, counts(number))).collect();
    let most = all.iter().flat_map(|(_, _, trials)| trials).map(Vec::len).max().unwrap_or(1);
    let line = |(category, name, trials): &(usize, &str, Vec<Vec<f64>>)| {
        let point = |rank: usize| {
            let here = || trials.iter().map(|counts| counts.get(rank).copied().unwrap_or(0.0));
            let ends = here().fold((f64::INFINITY, 0.0_f64), |(low, high), count| (low.min(count), high.max(count)));
            LinePoint::upright((rank + 1) as f64, here().sum::<f64>() / trials.len() as f64, ends)
        };
        Line { name: (*name).to_owned(), category: *category, points: (0..most).map(point).collect() }
    };
    let drawn: Vec<Line> = all.iter().filter(|(_, _, trials)| !trials.is_empty()).map(line).collect();
    let reached = drawn.iter().flat_map(|line| &line.points).map(|point| point.edges.1.1);
    let mut subtitle = place(given, topology);
    subtitle.push("line: mean of the repetitions; band: from the least to the most".to_owned());
    let picture = Lines {
        title: "Pods by region".to_owned(),
        subtitle,
        x: Axis::log("regions, the one with the most pods first", [1.0, most as f64]),
        y: Axis::from_zero("pods", reached.collect::<Vec<_>>(), false),
        lines: drawn,
        events: Vec::new(),
        bounds: Vec::new(),
        signs: most <= 2 * BARS,
    };
    figure(name, "How many pods the fullest region got, the next one, and so on.".to_owned(), lines(&picture))
}
