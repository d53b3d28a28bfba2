//! What a report draws of placements, from the trials at the plan as written; for pods the pictures of paper 003, figures 3 to 6.

use super::PlacementFacts;
use super::anytime::anytime;
use super::region_figures::regions;
use super::tally::TIME;
use crate::experiment::report::{Given, capital, figure, parsed, rows, wide_axis};
use crate::report::page::Block;
use crate::report::plot::{Axis, Boxes, Line, LinePoint, Lines, Spread, boxes, lines};
use crate::report::statistics::Cells;

/// Metrics that have a picture of their own and are looked at over the sweep, where services have traffic.
pub const HEADLINES: [&str; 3] = ["ratio", "missed", "time"];
/// Those where services are all the same and belong together.
pub const ALIKE_HEADLINES: [&str; 4] = ["time", "latency", "cpuAllocated", "memoryAllocated"];

/// At most so many dots in a box of pairs: quantiles of all.
const DOTS: usize = 200;

/// All pictures.
pub(in crate::experiment) fn figures(facts: &PlacementFacts, given: &Given) -> Vec<Block> {
    let topologies = given.point.topologies.len();
    let mut blocks = Vec::new();
    if facts.alike {
        if topologies > 1 {
            blocks.push(Block::Heading("All topologies".to_owned()));
            blocks.extend(["time", "latency"].iter().map(|metric| by_topology(facts, given, metric)));
        }
        for topology in 0..topologies {
            let pictures = group(facts, given, topology);
            let title = given.point.topologies[topology].name.clone();
            if topology + 1 == topologies {
                // The largest one is looked at first.
                blocks.push(Block::Heading(title));
                blocks.extend(pictures);
            } else {
                blocks.push(Block::Fold(title, pictures));
            }
        }
        return blocks;
    }
    blocks.push(quality(given));
    blocks.extend(anytime(given));
    if topologies > 1 {
        blocks.extend(["ratio", "missed", "time"].iter().map(|metric| by_topology(facts, given, metric)));
    }
    blocks.push(spread(
        given,
        0,
        ("node-load", "Load of the nodes that are used"),
        "cpu_share",
        "processors asked for",
    ));
    blocks
}

/// A metric of all trials of a strategy, by topology and repetition.
fn cells(given: &Given, strategy: usize, metric: &str) -> Cells {
    Cells::new(given.of(strategy).filter_map(|trial| {
        let value = trial.record.metrics.get(metric).copied().flatten()?;
        Some(((trial.record.topology, trial.record.repetition), value))
    }))
}

/// How good placements are against how long they took: a sign per strategy.
fn quality(given: &Given) -> Block {
    let line = |(category, name): (usize, &str)| {
        let (times, ratios) = (cells(given, category, TIME.name), cells(given, category, "ratio"));
        let points = times.estimate().zip(ratios.estimate()).map(|(time, ratio)| {
            let (low, high) = ratio.ends();
            LinePoint::upright(time.mean.max(1e-4), ratio.mean, (low.max(1.0), high))
        });
        Line { name: name.to_owned(), category, points: points.into_iter().collect() }
    };
    let strategies: Vec<Line> = given.strategies().map(line).filter(|line| !line.points.is_empty()).collect();
    let points = || strategies.iter().flat_map(|line| &line.points);
    let picture = Lines {
        title: "Quality against time".to_owned(),
        subtitle: vec![format!("sign: mean over {}", given.over), "1: the best known of each problem".to_owned()],
        // No sign lies on the outline.
        x: Axis::log(
            "time to place all services (ms)",
            points().flat_map(|point| [point.at.0 * 0.7, point.at.0 * 1.4]),
        ),
        y: ratio_axis("cost as a multiple of the best known", points().map(|point| point.edges.1.1)),
        lines: strategies.clone(),
        events: Vec::new(),
        bounds: Vec::new(),
        signs: true,
    };
    let caption = "What each strategy's placements cost, as a multiple of the best that any strategy of this plan found, against \
                   how long it took.";
    figure("quality-against-time", caption.to_owned(), lines(&picture))
}

/// Multiples of the best, which is 1: none is less, so the axis does not begin at 0.
fn ratio_axis(title: &str, reached: impl Iterator<Item = f64>) -> Axis {
    let most = reached.filter(|ratio| ratio.is_finite()).fold(1.01, f64::max);
    if most > 10.0 {
        return Axis::log(title, [0.9, most * 1.1]);
    }
    let room = (most - 1.0) * 0.06;
    Axis { ends: (1.0 - room, most + room), ..Axis::over(title, [1.0, most]) }
}

/// A metric over the topologies, in the plan's order.
fn by_topology(facts: &PlacementFacts, given: &Given, metric: &str) -> Block {
    let what = match metric {
        "time" => "time to place all services (ms)",
        "latency" => "mean delay between services of the group (ms)",
        "ratio" => "cost as a multiple of the best known",
        _ => "possible improvement that was missed",
    };
    let percent = metric == "missed";
    let line = |(category, name): (usize, &str)| {
        let all = cells(given, category, metric);
        let point = |topology: usize| {
            let estimate = all.on(topology).estimate();
            let (mean, ends) = estimate.map_or((f64::NAN, (f64::NAN, f64::NAN)), |one| (one.mean, one.ends()));
            LinePoint::upright(topology as f64, mean, (ends.0.max(0.0), ends.1))
        };
        Line { name: name.to_owned(), category, points: (0..given.point.topologies.len()).map(point).collect() }
    };
    let strategies: Vec<Line> = given.strategies().map(line).collect();
    let reached: Vec<f64> = strategies.iter().flat_map(|line| &line.points).map(|point| point.at.1).collect();
    let name = |(number, topology): (usize, &crate::experiment::run::TopologyDescription)| {
        let services = facts.services.get(number).filter(|_| facts.alike);
        services.map_or_else(|| topology.name.clone(), |count| format!("{}, {count} pods", topology.name))
    };
    let names = given.point.topologies.iter().enumerate().map(name).collect();
    let picture = Lines {
        title: format!("{}, by topology", capital(what.trim_end_matches(" (ms)"))),
        subtitle: vec!["line: mean of the repetitions".to_owned(), "band: 95 % interval".to_owned()],
        x: Axis::steps("topology", names),
        y: if percent { Axis::from_zero(what, reached, true) } else { wide_axis(what, reached) },
        lines: strategies,
        events: Vec::new(),
        bounds: Vec::new(),
        signs: true,
    };
    let caption = format!("{} on each topology, with the 95 % interval over its repetitions.", capital(what));
    figure(&format!("{metric}-by-topology"), caption, lines(&picture))
}

/// Figures 4, 5 and 6 of paper 003, and pods by region.
fn group(facts: &PlacementFacts, given: &Given, topology: usize) -> Vec<Block> {
    let name = |what: &str| format!("{what}-{}", topology + 1);
    let pods = facts.services.get(topology).copied().unwrap_or(0);
    let cpu = (name("cpu-allocation"), "Processor allocation of the nodes that are used");
    let memory = (name("memory-allocation"), "Memory allocation of the nodes that are used");
    vec![
        latencies(given, topology, &name("pod-latency"), pods),
        spread(given, topology, (&cpu.0, cpu.1), "cpu_share", "processors asked for"),
        spread(given, topology, (&memory.0, memory.1), "memory_share", "memory asked for"),
        regions(given, topology, &name("pods-by-region")),
    ]
}

pub(super) fn place(given: &Given, topology: usize) -> Vec<String> {
    let name = given.point.topologies.get(topology).map_or_else(String::new, |one| one.name.clone());
    let count = given.of(0).filter(|trial| trial.record.topology == topology).count();
    vec![name, format!("{count} repetition{}", if count == 1 { "" } else { "s" })]
}

/// The delays between all ordered pairs of pods, of all repetitions.
fn latencies(given: &Given, topology: usize, name: &str, pods: usize) -> Block {
    let box_of = |(category, name): (usize, &str)| {
        let trials = given.of(category).filter(|trial| trial.record.topology == topology);
        let pairs = trials.flat_map(|trial| rows(trial, "pairs", ["latency_ms", "pairs"]));
        let mut pairs: Vec<(f64, f64)> = pairs.map(|[ms, count]| (parsed(ms), parsed(count))).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let values = quantiles(&pairs);
        let mean =
            pairs.iter().map(|(ms, count)| ms * count).sum::<f64>() / pairs.iter().map(|(_, count)| count).sum::<f64>();
        Spread { name: name.to_owned(), note: format!("mean {mean:.2} ms"), category, values }
    };
    let all: Vec<Spread> = given.strategies().map(box_of).collect();
    let mut subtitle = place(given, topology);
    subtitle.push(format!("all ordered pairs of {pods} pods"));
    subtitle.push("box: the middle half and the median; whiskers: all".to_owned());
    let picture = Boxes {
        title: "Delay between pods of the group".to_owned(),
        subtitle,
        y: Axis::from_zero("one-way delay (ms)", all.iter().flat_map(|one| one.values.iter().copied()), false),
        boxes: all,
        bounds: Vec::new(),
    };
    let caption = format!(
        "One-way delays between all ordered pairs of pods, all repetitions together (figure 4 of paper 003); dots are {DOTS} \
         quantiles where there are more pairs."
    );
    figure(name, caption, boxes(&picture))
}

/// Weighted ascending values as at most [`DOTS`] ones.
fn quantiles(weighted: &[(f64, f64)]) -> Vec<f64> {
    let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        return Vec::new();
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded
    let count = (total as usize).min(DOTS);
    let (mut passed, mut next) = (0.0, weighted.iter());
    let mut current = next.next();
    let mut at = |share: f64| {
        while let Some((_, weight)) = current.filter(|(_, weight)| passed + weight < share * total) {
            passed += weight;
            current = next.next();
        }
        current.or(weighted.last()).map_or(f64::NAN, |(value, _)| *value)
    };
    (0..count).map(|place| at((place as f64 + 0.5) / count as f64)).collect()
}

/// A share of each used node, of all repetitions.
fn spread(given: &Given, topology: usize, (name, title): (&str, &str), column: &str, what: &str) -> Block {
    let box_of = |(category, name): (usize, &str)| {
        let trials: Vec<_> = given.of(category).filter(|trial| trial.record.topology == topology).collect();
        let values: Vec<f64> =
            trials.iter().flat_map(|trial| rows(trial, "nodes", [column])).map(|[share]| parsed(share)).collect();
        let nodes = values.len() as f64 / trials.len().max(1) as f64;
        Spread { name: name.to_owned(), note: format!("{nodes:.1} nodes"), category, values: thinned(values) }
    };
    let all: Vec<Spread> = given.strategies().map(box_of).collect();
    let mut subtitle = place(given, topology);
    subtitle.push("dot: a node in a repetition; box: the middle half and the median".to_owned());
    subtitle.push("below the names: how many nodes are used".to_owned());
    let picture = Boxes {
        title: title.to_owned(),
        subtitle,
        y: Axis::from_zero(&format!("{what} (%)"), all.iter().flat_map(|one| one.values.iter().copied()), true),
        boxes: all,
        bounds: Vec::new(),
    };
    let caption = format!("{title}: what pods or services on them ask for, as a share of what they have.");
    figure(name, caption, boxes(&picture))
}

/// At most [`DOTS`] of the values, by quantiles.
fn thinned(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let weighted: Vec<(f64, f64)> = values.into_iter().map(|value| (value, 1.0)).collect();
    quantiles(&weighted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_values_become_quantiles() {
        assert_eq!(quantiles(&[(0.7, 2.0), (3.0, 1.0)]), [0.7, 0.7, 3.0]);
        assert!(quantiles(&[]).is_empty());
        let many = quantiles(&[(1.0, 300.0), (2.0, 100.0)]);
        assert_eq!((many.len(), many.iter().filter(|value| **value < 1.5).count()), (200, 150));
    }
}
