//! The plan with other values in it: a metric against what is varied, so that a favourable point is seen among the others.

use std::collections::BTreeMap;

use crate::experiment::run::{MetricDescription, PointDescription};
use crate::report::page::{Block, Cell, PageFigure, PageTable};
use crate::report::plot::{Axis, Grid, GridCell, Line, LinePoint, Lines, grid, lines};
use crate::report::statistics::Cells;
use crate::units::Span;

use super::overview::{best, capital, cell, is_wide, wide_axis};
use super::results::Results;

/// Numbers of points.
type Points = Vec<usize>;

/// Tables and pictures of each of `metrics` over the points of the sweep; nothing where nothing is varied.
pub(super) fn blocks(results: &Results, metrics: &[&MetricDescription]) -> Vec<Block> {
    let points = &results.description.points;
    let mut blocks = Vec::new();
    for metric in metrics {
        if points.len() > 1 {
            blocks.push(Block::Heading(capital(&metric.what)));
        }
        for (number, (fixed, group)) in groups(points).into_iter().enumerate() {
            let name = format!("sweep-{}-{}", metric.name, number + 1);
            blocks.push(figure(results, metric, name, &fixed, &group));
        }
    }
    if let Some(metric) = metrics.first().filter(|_| points.len() > 1) {
        blocks.push(Block::Table(table(results, metric)));
    }
    blocks
}

/// Points that differ in the first two things that are varied alone, with what the others are.
fn groups(points: &[PointDescription]) -> BTreeMap<String, Points> {
    let mut groups: BTreeMap<String, Points> = BTreeMap::new();
    for (number, point) in points.iter().enumerate().filter(|(_, point)| !point.varied.is_empty()) {
        let fixed = point.varied.iter().skip(2).map(|(name, value)| format!("{name} {value}"));
        groups.entry(fixed.collect::<Vec<_>>().join(", ")).or_default().push(number);
    }
    groups
}

fn figure(results: &Results, metric: &MetricDescription, name: String, fixed: &str, points: &Points) -> Block {
    let all = &results.description.points;
    let first = &all[points[0]];
    let mut subtitle = vec![format!("mean over {}", results.interval_words())];
    if !fixed.is_empty() {
        subtitle.insert(0, fixed.to_owned());
    }
    let (svg, caption) = if let [(what, _)] = first.varied.as_slice() {
        subtitle.push("band: 95 % interval".to_owned());
        let caption = format!("{} against {what}; the band is the 95 % interval of the mean.", capital(&metric.what));
        (lines(&against_one(results, metric, subtitle, points)), caption)
    } else {
        subtitle.push("hatched: the 95 % interval of the paired difference to the next best holds zero".to_owned());
        let (x, y) = (&first.varied[1].0, &first.varied[0].0);
        let words = "a grid for each strategy, and which strategy is best where";
        let caption = format!("{} by {x} and {y}, {words}.", capital(&metric.what));
        (grid(&against_two(results, metric, subtitle, points)), caption)
    };
    Block::Figure(PageFigure { name, caption, svg })
}

fn against_one(results: &Results, metric: &MetricDescription, subtitle: Vec<String>, points: &Points) -> Lines {
    let all = &results.description.points;
    let (what, _) = &all[points[0]].varied[0];
    let texts: Vec<&str> = points.iter().map(|point| all[*point].varied[0].1.as_str()).collect();
    let (places, unit) = numbers(&texts);
    let line = |(number, strategy): (usize, &crate::experiment::run::StrategyDescription)| {
        let point = |(point, x): (&usize, &f64)| match results.cells(*point, number, &metric.name).estimate() {
            Some(estimate) => LinePoint::upright(*x, estimate.mean, metric.possible(estimate.ends())),
            None => LinePoint::upright(*x, f64::NAN, (f64::NAN, f64::NAN)),
        };
        let mut points: Vec<LinePoint> = points.iter().zip(&places).map(point).collect();
        points.sort_by(|a, b| a.at.0.total_cmp(&b.at.0));
        Line { name: strategy.name.clone(), category: number, points }
    };
    let lines: Vec<Line> = all[points[0]].strategies.iter().enumerate().map(line).collect();
    let reached = lines.iter().flat_map(|line| &line.points).map(|point| point.edges.1.1);
    let means = lines.iter().flat_map(|line| &line.points).map(|point| point.at.1).filter(|mean| mean.is_finite());
    let y = if metric.is_percent() || !is_wide(&means.clone().collect::<Vec<_>>()) {
        Axis::from_zero(&metric.heading(), reached, metric.is_percent())
    } else {
        Axis::log(&metric.heading(), means)
    };
    let over = |title: &str| {
        let numbers = places.iter().copied();
        if is_wide(&places) { Axis::log(title, numbers) } else { Axis::over(title, numbers) }
    };
    let x = match unit {
        Some("") => over(what),
        Some(unit) => over(&format!("{what} ({unit})")),
        None => Axis::steps(what, texts.iter().map(|&text| text.to_owned()).collect()),
    };
    let title = format!("{} against {what}", capital(&metric.what));
    Lines { title, subtitle, x, y, lines, events: Vec::new(), bounds: Vec::new(), signs: true }
}

/// Values as numbers with their unit, where all are numbers of one kind; otherwise their places in the row.
fn numbers(texts: &[&str]) -> (Vec<f64>, Option<&'static str>) {
    let all = |read: &dyn Fn(&str) -> Option<f64>| texts.iter().map(|text| read(text)).collect::<Option<Vec<f64>>>();
    if let Some(plain) = all(&|text| text.parse().ok().filter(|value: &f64| value.is_finite())) {
        return (plain, Some(""));
    }
    if let Some(percents) = all(&|text| text.strip_suffix('%')?.trim().parse().ok()) {
        return (percents, Some("%"));
    }
    if let Some(times) = all(&|text| Some(text.parse::<Span>().ok()?.as_millis_f64())) {
        let seconds = times.iter().all(|ms| *ms >= 1_000.0);
        let factor = if seconds { 1_000.0 } else { 1.0 };
        return (times.iter().map(|ms| ms / factor).collect(), Some(if seconds { "s" } else { "ms" }));
    }
    ((0..texts.len()).map(|place| place as f64).collect(), None)
}

fn against_two(results: &Results, metric: &MetricDescription, subtitle: Vec<String>, points: &Points) -> Grid {
    let all = &results.description.points;
    let value = |point: &usize, axis: usize| all[*point].varied[axis].1.clone();
    // The last axis of a plan is the fastest.
    let (mut across, mut up): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for point in points {
        for (axis, steps) in [(1, &mut across), (0, &mut up)] {
            if !steps.contains(&value(point, axis)) {
                steps.push(value(point, axis));
            }
        }
    }
    let strategies = &all[points[0]].strategies;
    let mean = |point: &usize, strategy| Some(results.cells(*point, strategy, &metric.name).estimate()?.mean);
    let mut panels: Vec<(String, Vec<GridCell>)> = strategies
        .iter()
        .enumerate()
        .map(|(number, strategy)| {
            let cells = points.iter().map(|point| GridCell::Number(mean(point, number))).collect();
            (strategy.name.clone(), cells)
        })
        .collect();
    let several = strategies.len() > 1;
    if several {
        panels.push(("best".to_owned(), points.iter().map(|point| winner(results, metric, *point)).collect()));
    }
    let seen = points.iter().flat_map(|point| (0..strategies.len()).filter_map(move |number| mean(point, number)));
    let scale = if metric.is_percent() { Axis::percent(&metric.heading()) } else { wide_axis(&metric.heading(), seen) };
    let first = &all[points[0]].varied;
    Grid {
        title: format!("{}, by {} and {}", capital(&metric.what), first[1].0, first[0].0),
        subtitle,
        x: (first[1].0.clone(), across),
        y: (first[0].0.clone(), up),
        scale,
        panels,
        categories: if several { strategies.iter().map(|one| one.name.clone()).collect() } else { Vec::new() },
    }
}

fn winner(results: &Results, metric: &MetricDescription, number: usize) -> GridCell {
    let point = &results.description.points[number];
    let cells = |strategy: usize| results.cells(number, strategy, &metric.name);
    let Some(first) = best(results, number, point, metric) else { return GridCell::Number(None) };
    let mean = |strategy: &usize| cells(*strategy).estimate().map(|estimate| estimate.mean);
    let others = (0..point.strategies.len()).filter(|other| *other != first && mean(other).is_some());
    let second = others.reduce(|a, b| {
        let better = mean(&b).zip(mean(&a)).is_some_and(|(b, a)| metric.prefers(b, a));
        if better { b } else { a }
    });
    let apart = |cells: Cells| {
        let estimate = cells.estimate().filter(|estimate| estimate.half.is_some())?;
        let (low, high) = estimate.ends();
        Some(low > 0.0 || high < 0.0)
    };
    let sure = second.is_none_or(|second| apart(cells(first).minus(&cells(second))).unwrap_or(false));
    GridCell::Best { category: first, sure }
}

/// Point × strategy of one metric.
fn table(results: &Results, metric: &MetricDescription) -> PageTable {
    let points = &results.description.points;
    let names = points.first().map_or(&[][..], |point| &point.strategies);
    let rows = points.iter().enumerate().map(|(number, point)| {
        let varied = point.varied.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
        let what = if varied.is_empty() { "as written".to_owned() } else { varied };
        let cell = |strategy| cell(results, number, point, metric, strategy);
        std::iter::once(Cell::plain(what)).chain((0..names.len()).map(cell)).collect()
    });
    let rows = rows.collect();
    let head = std::iter::once("point".to_owned()).chain(names.iter().map(|one| one.name.clone())).collect();
    let caption = format!("{} at every point: mean ± half of the 95 % interval", metric.heading());
    PageTable { caption, head, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_kind_are_numbers_and_others_steps() {
        assert_eq!(numbers(&["4ms", "0.5ms", "1s"]), (vec![4.0, 0.5, 1_000.0], Some("ms")));
        assert_eq!(numbers(&["1s", "2s"]), (vec![1.0, 2.0], Some("s")));
        assert_eq!(numbers(&["1", "2.5"]), (vec![1.0, 2.5], Some("")));
        assert_eq!(numbers(&["90%", "95 %"]), (vec![90.0, 95.0], Some("%")));
        assert_eq!(numbers(&["fifo", "sharing"]), (vec![0.0, 1.0], None));
    }
}
