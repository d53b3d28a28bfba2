//! The plan as written: a table of all metrics, and a picture of each that matters most.

use crate::experiment::run::{MetricDescription, PointDescription};
use crate::report::page::{Block, Cell, PageFigure, PageTable, Tone};
use crate::report::plot::{Axis, Bar, BarGroup, Bars, Boxes, Spread, bars, boxes};
use crate::report::statistics::Cells;

use super::results::Results;

/// Metric × strategy: mean ± half of the interval; the best mean is marked.
pub(super) fn table(results: &Results, point: &PointDescription) -> PageTable {
    let strategies = 0..point.strategies.len();
    let trials = |strategy| results.records.iter().filter(|one| one.point == 0 && one.strategy == strategy).count();
    let counts = strategies.clone().map(|strategy| Cell::new(trials(strategy).to_string(), Tone::Number));
    let mut rows: Vec<Vec<Cell>> = vec![std::iter::once(Cell::plain("trials")).chain(counts).collect()];
    rows.extend(results.description.metrics.iter().map(|metric| {
        let cell = |strategy| cell(results, 0, point, metric, strategy);
        std::iter::once(Cell::plain(metric.heading())).chain(strategies.clone().map(cell)).collect()
    }));
    let names = point.strategies.iter().map(|strategy| strategy.name.clone());
    let caption = format!(
        "Mean ± half of the 95 % interval (Student's t over {}); the best mean of each row is bold",
        results.interval_words()
    );
    PageTable { caption, head: std::iter::once("metric".to_owned()).chain(names).collect(), rows }
}

/// Mean ± half of the interval of a strategy at a point; marked where no other mean is better and some are worse.
pub(super) fn cell(
    results: &Results,
    number: usize,
    point: &PointDescription,
    metric: &MetricDescription,
    strategy: usize,
) -> Cell {
    let mean = |strategy| Some(results.cells(number, strategy, &metric.name).estimate()?.mean);
    let Some(estimate) = results.cells(number, strategy, &metric.name).estimate() else {
        return Cell::new("–", Tone::Number);
    };
    let best = best(results, number, point, metric).and_then(mean);
    let is_best = best.is_some_and(|best| (best - estimate.mean).abs() < 1e-12);
    Cell::new(metric.bare(estimate), if is_best { Tone::Best } else { Tone::Number })
}

/// Strategy × topology of one metric.
pub(super) fn by_topology(results: &Results, point: &PointDescription, metric: &MetricDescription) -> PageTable {
    let rows = point.strategies.iter().enumerate().map(|(number, strategy)| {
        let cells = results.cells(0, number, &metric.name);
        let on = |topology| {
            let estimate = cells.on(topology).estimate();
            Cell::new(estimate.map_or_else(|| "–".to_owned(), |estimate| metric.bare(estimate)), Tone::Number)
        };
        std::iter::once(Cell::plain(&strategy.name)).chain((0..point.topologies.len()).map(on)).collect()
    });
    let rows = rows.collect();
    let names = point.topologies.iter().map(|topology| topology.name.clone());
    let caption = format!(
        "{}, by topology: mean ± half of the 95 % interval over {} repetitions",
        metric.heading(),
        results.description.repetitions
    );
    PageTable { caption, head: std::iter::once("strategy".to_owned()).chain(names).collect(), rows }
}

/// The strategy with the best mean of a metric at a point; nothing where all are equal.
pub(super) fn best(
    results: &Results,
    number: usize,
    point: &PointDescription,
    metric: &MetricDescription,
) -> Option<usize> {
    let means = (0..point.strategies.len())
        .filter_map(|strategy| Some((strategy, results.cells(number, strategy, &metric.name).estimate()?.mean)));
    let means: Vec<(usize, f64)> = means.collect();
    let (first, mean) = means.first().copied()?;
    let best = means.iter().fold((first, mean), |best, next| if metric.prefers(next.1, best.1) { *next } else { best });
    means.iter().any(|(_, mean)| metric.prefers(best.1, *mean)).then_some(best.0)
}

/// From this factor between the largest and the smallest number on, an axis is logarithmic.
const WIDE: f64 = 30.0;

/// A metric by strategy: bars with intervals, and a dot per trial; boxes on a logarithmic axis where bars would not be seen.
pub(super) fn figure(results: &Results, point: &PointDescription, metric: &MetricDescription) -> Block {
    let cells: Vec<_> = (0..point.strategies.len()).map(|strategy| results.cells(0, strategy, &metric.name)).collect();
    let values: Vec<f64> = cells.iter().flat_map(Cells::values).collect();
    let caption = format!("{}, by strategy, over all topologies of the plan as written.", capital(&metric.what));
    let name = format!("metric-{}", metric.name);
    if !metric.is_percent() && is_wide(&values) {
        return Block::Figure(PageFigure { name, caption, svg: boxes(&wide(point, metric, &cells, &values)) });
    }
    let group = |(number, cells): (usize, &Cells)| {
        let estimate = cells.estimate();
        let interval = estimate.filter(|estimate| estimate.half.is_some());
        let bar = Bar {
            category: number,
            value: estimate.map(|estimate| estimate.mean),
            interval: interval.map(|estimate| metric.possible(estimate.ends())),
            dots: cells.values(),
            text: estimate.map_or_else(String::new, |estimate| metric.estimate(estimate)),
        };
        BarGroup { name: point.strategies[number].name.clone(), bars: vec![bar] }
    };
    let groups: Vec<BarGroup> = cells.iter().enumerate().map(group).collect();
    let reached = groups
        .iter()
        .flat_map(|group| &group.bars)
        .flat_map(|bar| bar.dots.iter().copied().chain(bar.interval.map(|(_, high)| high)).collect::<Vec<f64>>());
    let trials = cells.iter().map(Cells::trials).max().unwrap_or(0);
    let picture = Bars {
        title: capital(&metric.what),
        subtitle: vec![
            format!("bar: mean of n = {trials} trials"),
            format!("line: 95 % interval over {}", results.interval_words()),
            "dot: a trial".to_owned(),
        ],
        y: Axis::from_zero(&metric.heading(), reached, metric.is_percent()),
        x: String::new(),
        groups,
        categories: Vec::new(),
        bounds: Vec::new(),
    };
    Block::Figure(PageFigure { name, caption, svg: bars(&picture) })
}

fn wide(point: &PointDescription, metric: &MetricDescription, cells: &[Cells], values: &[f64]) -> Boxes {
    let spread = |(category, cells): (usize, &Cells)| Spread {
        name: point.strategies[category].name.clone(),
        note: cells.estimate().map_or_else(String::new, |estimate| metric.value(estimate.mean)),
        category,
        values: cells.values(),
    };
    Boxes {
        title: capital(&metric.what),
        subtitle: vec![
            "dot: a trial".to_owned(),
            "box: the middle half and the median".to_owned(),
            "below the names: the mean".to_owned(),
        ],
        y: Axis::log(&metric.heading(), values.iter().copied()),
        boxes: cells.iter().enumerate().map(spread).collect(),
        bounds: Vec::new(),
    }
}

/// From zero, or by the logarithm where the largest of `values` is so many times the smallest that one would not see it.
pub(crate) fn wide_axis(title: &str, values: impl IntoIterator<Item = f64>) -> Axis {
    let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    if is_wide(&values) { Axis::log(title, values) } else { Axis::from_zero(title, values, false) }
}

/// Whether numbers are of different orders of magnitude.
pub(super) fn is_wide(values: &[f64]) -> bool {
    let positive = || values.iter().copied().filter(|value| *value > 0.0);
    positive().fold(0.0, f64::max) > WIDE * positive().fold(f64::INFINITY, f64::min)
}

/// With a capital letter, as titles begin.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
