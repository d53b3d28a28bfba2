//! What a report draws of request balancing, from the tables of the trials at the plan as written: a list of pictures, in
//! the order of figures 5 to 9 of paper 004.

use std::collections::BTreeMap;

use super::BalancingFacts;
use crate::experiment::report::{Given, TrialTables, figure, parsed, rows};
use crate::report::number;
use crate::report::page::Block;
use crate::report::plot::{
    Axis, Bar, BarGroup, Bars, Bound, Boxes, Line, LinePoint, Lines, Part, Spread, StackPanel, Stacks, bars, boxes,
    lines, stacks,
};
use crate::report::statistics::{Cells, Five};

/// Metrics that have a picture of their own and are looked at over the sweep.
pub const HEADLINES: [&str; 4] = ["clientsOk", "requestsOk", "jain", "p90"];

/// Numbers by topology and repetition.
type Values = Vec<((usize, u32), f64)>;

/// All pictures.
pub(in crate::experiment) fn figures(facts: &BalancingFacts, given: &Given) -> Vec<Block> {
    let mut blocks = vec![Block::Heading("All topologies".to_owned())];
    blocks.extend([rolling(facts, given), latency(facts, given)]);
    let first = given.point.topologies.first().map_or("", |topology| topology.name.as_str());
    blocks.push(Block::Heading(format!("One topology: {first}")));
    blocks.extend([clients(facts, given), rates(facts, given), processing(given)]);
    blocks.extend(routing(given));
    blocks
}

fn kept(facts: &BalancingFacts) -> Bound {
    Bound::Level(facts.at_least, format!("to be kept: {} %", number(facts.at_least * 100.0, 0, false)))
}

/// The share of each second's window (the seconds before it included) that was good; not a number before the first whole
/// window and where nobody sent.
fn windows(trial: &TrialTables, length: usize, skipped: usize) -> Vec<f64> {
    let counts = rows(trial, "seconds", ["requests", "good"]).into_iter().map(|cells| cells.map(parsed));
    let counts: Vec<[f64; 2]> = counts.collect();
    let at = |second: usize| {
        if second + 1 < length + skipped {
            return f64::NAN;
        }
        let sum =
            counts[second + 1 - length..=second].iter().fold([0.0, 0.0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
        // Nothing divided by nothing is not a number either.
        sum[1] / sum[0]
    };
    (0..counts.len()).map(at).collect()
}

/// Figures 6, 10 and 11: the share of good requests over time.
fn rolling(facts: &BalancingFacts, given: &Given) -> Block {
    let seconds = |span: crate::units::Span| usize::try_from(span.as_nanos() / 1_000_000_000).unwrap_or(1);
    let (length, skipped) = (seconds(facts.window).max(1), seconds(facts.warm_up));
    let line = |(category, name): (usize, &str)| {
        let trials: Vec<_> = given
            .of(category)
            .map(|trial| ((trial.record.topology, trial.record.repetition), windows(trial, length, skipped)))
            .collect();
        let count = trials.iter().map(|(_, shares)| shares.len()).max().unwrap_or(0);
        let point = |second: usize| {
            let cells = trials.iter().filter_map(|(key, shares)| Some((*key, *shares.get(second)?)));
            let estimate = Cells::new(cells).estimate();
            let (mean, ends) = estimate.map_or((f64::NAN, (f64::NAN, f64::NAN)), |one| (one.mean, one.ends()));
            LinePoint::upright((second + 1) as f64, mean, (ends.0.max(0.0), ends.1.min(1.0)))
        };
        Line { name: name.to_owned(), category, points: (0..count).map(point).collect() }
    };
    let events = facts.events.iter().map(|(at, what)| (at.as_secs_f64(), what.clone()));
    let end = facts.duration.as_millis_f64() / 1_000.0;
    let picture = Lines {
        title: "Requests answered in time, over time".to_owned(),
        subtitle: vec![
            format!("within {}, rolling window of {}", facts.within, facts.window),
            format!("line: mean over {}", given.over),
            "band: 95 % interval of the mean".to_owned(),
        ],
        x: Axis::over("time since the start of the run (s)", [0.0, end]),
        y: Axis::percent("requests answered in time"),
        lines: given.strategies().map(line).collect(),
        events: events.collect(),
        bounds: vec![kept(facts)],
        signs: false,
    };
    let caption = format!(
        "The share of requests answered within {} of those sent in the last {}, by strategy.",
        facts.within, facts.window
    );
    figure("rolling-success", caption, lines(&picture))
}

/// How many places the distribution of latency is looked at.
const LATENCIES: u32 = 120;

/// The distribution of latency.
fn latency(facts: &BalancingFacts, given: &Given) -> Block {
    let curves: Vec<Vec<Curve>> =
        given.strategies().map(|(category, _)| given.of(category).map(curve).collect()).collect();
    let within = facts.within.as_millis_f64();
    let seen = curves.iter().flatten().flat_map(|(_, curve)| curve).map(|(ms, _)| *ms).filter(|ms| *ms > 0.0);
    let (low, high) = seen.fold((within, within), |(low, high), ms| (low.min(ms), high.max(ms)));
    let place = |number: u32| low * (high / low).powf(f64::from(number) / f64::from(LATENCIES));
    let line = |((category, name), trials): ((usize, &str), &Vec<Curve>)| {
        let point = |number: u32| {
            let ms = place(number);
            let cells = trials.iter().map(|(key, curve): &Curve| (*key, share_within(curve, ms)));
            let estimate = Cells::new(cells).estimate();
            let (mean, ends) = estimate.map_or((f64::NAN, (f64::NAN, f64::NAN)), |one| (one.mean, one.ends()));
            LinePoint::upright(ms, mean, (ends.0.max(0.0), ends.1.min(1.0)))
        };
        Line { name: name.to_owned(), category, points: (0..=LATENCIES).map(point).collect() }
    };
    let picture = Lines {
        title: "Distribution of latency".to_owned(),
        subtitle: vec![
            "requests that were answered".to_owned(),
            format!("line: mean over {}", given.over),
            "band: 95 % interval of the mean".to_owned(),
        ],
        x: Axis::log("latency, sent to answered (ms)", [low, high]),
        y: Axis::percent("requests answered within x"),
        lines: given.strategies().zip(&curves).map(line).collect(),
        events: Vec::new(),
        bounds: vec![Bound::Upright(within, format!("in time: {}", facts.within))],
        signs: false,
    };
    let caption = "Which share of the answered requests was answered within which time; the time axis is logarithmic.";
    figure("latency", caption.to_owned(), lines(&picture))
}

/// A trial's topology and repetition, and its percentiles of latency, ascending: milliseconds and shares.
type Curve = ((usize, u32), Vec<(f64, f64)>);

fn curve(trial: &TrialTables) -> Curve {
    let cells = rows(trial, "latency", ["latency_ms", "share"]);
    let curve = cells.into_iter().map(|[ms, share]| (parsed(ms), parsed(share))).collect();
    ((trial.record.topology, trial.record.repetition), curve)
}

/// The share of requests within `ms`, linear between percentiles; not a number where nothing was answered.
fn share_within(curve: &[(f64, f64)], ms: f64) -> f64 {
    let above = curve.partition_point(|(other, _)| *other <= ms);
    match (above.checked_sub(1).map(|below| curve[below]), curve.get(above)) {
        (Some((low, from)), Some((high, to))) => from + (to - from) * (ms - low) / (high - low),
        (Some((_, from)), None) => from,
        (None, Some(_)) => 0.0,
        (None, None) => f64::NAN,
    }
}

/// Figure 5: what each client got.
fn clients(facts: &BalancingFacts, given: &Given) -> Block {
    let spread = |(category, name): (usize, &str)| {
        let shares = given.on_first(category).flat_map(|trial| rows(trial, "clients", ["requests", "share"]));
        let values = shares.filter(|[requests, _]| *requests != "0").map(|[_, share]| parsed(share));
        let values: Vec<f64> = values.collect();
        let below = values.iter().filter(|share| **share < facts.at_least).count();
        let note = format!("{below} of {} under", values.len());
        Spread { name: name.to_owned(), note, category, values }
    };
    let mut subtitle = given.place();
    subtitle.push("dot: a client in a repetition".to_owned());
    subtitle.push("box: the middle half and the median".to_owned());
    let share = number(facts.at_least * 100.0, 0, false);
    subtitle.push(format!("below the names: how many are under {share} %"));
    let picture = Boxes {
        title: "What each client got".to_owned(),
        subtitle,
        y: Axis::percent("requests answered in time, per client"),
        boxes: given.strategies().map(spread).collect(),
        bounds: vec![kept(facts)],
    };
    let caption = "The share of each client's requests that was answered in time, over the whole run.";
    figure("clients", caption.to_owned(), boxes(&picture))
}

/// Per instance and strategy, a number of the table `instances` of the first topology.
fn per_instance(given: &Given, read: impl Fn([&str; 2]) -> f64) -> Vec<BarGroup> {
    let mut groups: Vec<BarGroup> = Vec::new();
    for (category, _) in given.strategies() {
        let mut values: BTreeMap<usize, Values> = BTreeMap::new();
        for trial in given.on_first(category) {
            let cells = rows(trial, "instances", ["requests", "processing_p90_ms"]);
            for (instance, cells) in cells.into_iter().enumerate() {
                values.entry(instance).or_default().push(((0, trial.record.repetition), read(cells)));
            }
        }
        for (instance, values) in values {
            while groups.len() <= instance {
                groups.push(BarGroup { name: format!("i{}", groups.len() + 1), bars: Vec::new() });
            }
            let cells = Cells::new(values);
            // An interval of two or three repetitions would be longer than the axis.
            let five = Five::of(&cells.values()).filter(|_| cells.trials() > 1);
            groups[instance].bars.push(Bar {
                category,
                value: cells.estimate().map(|estimate| estimate.mean),
                interval: five.map(|five| (five.low, five.high)),
                dots: Vec::new(),
                text: String::new(),
            });
        }
    }
    groups
}

fn instance_bars(given: &Given, title: &str, what: &str, groups: Vec<BarGroup>) -> Bars {
    let reached = |bar: &Bar| bar.interval.map(|(_, high)| high).or(bar.value);
    let y = Axis::from_zero(what, groups.iter().flat_map(|group| &group.bars).filter_map(reached), false);
    let mut subtitle = given.place();
    subtitle.push("bar: mean over the repetitions".to_owned());
    subtitle.push("line: from the least to the most of them".to_owned());
    let categories = given.strategies().map(|(_, name)| name.to_owned()).collect();
    let title = title.to_owned();
    Bars { title, subtitle, y, x: "instance".to_owned(), groups, categories, bounds: Vec::new() }
}

/// Figure 7: requests per instance.
fn rates(facts: &BalancingFacts, given: &Given) -> Block {
    let seconds = (facts.duration.as_millis_f64() - facts.warm_up.as_millis_f64()) / 1_000.0;
    let groups = per_instance(given, |[requests, _]| parsed(requests) / seconds);
    let picture = instance_bars(given, "Requests of each instance", "requests per second", groups);
    let caption = "How many requests each instance got, as a rate over the whole run, by strategy.";
    figure("instance-rates", caption.to_owned(), bars(&picture))
}

/// Figure 8: 90th percentile of processing latency per instance.
fn processing(given: &Given) -> Block {
    let groups = per_instance(given, |[_, p90]| parsed(p90));
    let what = "90th percentile of processing latency (ms)";
    let picture = instance_bars(given, "Processing latency of each instance", what, groups);
    let caption =
        "What a request took at the instance, queue and service, without the ways: 90th percentile by strategy.";
    figure("instance-processing", caption.to_owned(), bars(&picture))
}

/// Figure 9: where two nodes send their requests; one that has an instance, one that has none.
fn routing(given: &Given) -> Option<Block> {
    let first = given.trials.iter().find(|trial| trial.record.topology == 0)?;
    let instances = rows(first, "instances", ["instance", "node"]);
    let holds = |node: &str| instances.iter().any(|[_, other]| *other == node);
    let senders: Vec<&str> = rows(first, "routing", ["node"]).into_iter().map(|[node]| node).collect();
    let nodes = [senders.iter().find(|node| holds(node)), senders.iter().find(|node| !holds(node))];
    let panels: Vec<StackPanel> = nodes.into_iter().flatten().map(|node| panel(given, node, &instances)).collect();
    if panels.is_empty() {
        return None;
    }
    let mut subtitle = given.place();
    subtitle.push("all requests of the node's clients".to_owned());
    let picture = Stacks {
        title: "Where nodes send their requests".to_owned(),
        subtitle,
        panels,
        shade: "round trip to the instance at the start (ms)".to_owned(),
    };
    let caption = "Which share of a node's requests each instance got, from the nearest instance to the farthest; of the \
                   nodes with and without an instance of their own the first of each kind.";
    Some(figure("routing", caption.to_owned(), stacks(&picture)))
}

fn panel(given: &Given, node: &str, instances: &[[&str; 2]]) -> StackPanel {
    let place = |name: &str| given.matrix.names().iter().position(|other| other.as_str() == name);
    let far = |other: &str| match (place(node), place(other)) {
        (Some(from), Some(to)) if from != to => given.matrix.round_trip(from, to).as_millis_f64(),
        _ => 0.0,
    };
    let own: Vec<&str> = instances.iter().filter(|[_, other]| *other == node).map(|[name, _]| *name).collect();
    let title = if own.is_empty() {
        format!("{node}, without an instance")
    } else {
        format!("{node}, with {}", own.join(", "))
    };
    let bar = |(category, name): (usize, &str)| {
        let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
        for trial in given.on_first(category) {
            for [_, instance, requests] in
                rows(trial, "routing", ["node", "instance", "requests"]).into_iter().filter(|[from, ..]| *from == node)
            {
                *counts.entry(instance).or_default() += parsed(requests);
            }
        }
        let all: f64 = counts.values().sum();
        let part = |(instance, count): (&str, f64)| {
            let at = instances.iter().find(|[name, _]| *name == instance).map_or(node, |[_, at]| at);
            Part { name: instance.to_owned(), share: count / all, shade: far(at) }
        };
        let mut parts: Vec<Part> = counts.into_iter().map(part).collect();
        parts.sort_by(|a, b| a.shade.total_cmp(&b.shade));
        (name.to_owned(), parts)
    };
    StackPanel { title, bars: given.strategies().map(bar).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::outcome::Table;
    use crate::experiment::run::TrialRecord;

    /// Ten requests a second; from second 3 on half of them are good, in second 6 nobody sends.
    #[test]
    fn a_window_is_what_was_sent_in_it() {
        let mut table = Table::new("seconds", &["second", "requests", "good"]);
        for second in 0..8 {
            let (all, good) = if second == 6 {
                (0, 0)
            } else if second < 3 {
                (10, 10)
            } else {
                (10, 5)
            };
            table.rows.push(vec![second.to_string(), all.to_string(), good.to_string()]);
        }
        let record = TrialRecord {
            id: String::new(),
            point: 0,
            topology: 0,
            repetition: 0,
            strategy: 0,
            metrics: BTreeMap::new(),
            caveats: Vec::new(),
            tables: Vec::new(),
        };
        let trial = TrialTables { record, tables: BTreeMap::from([("seconds".to_owned(), table)]) };
        let shares = windows(&trial, 2, 1);
        assert!(shares[..2].iter().all(|share| share.is_nan()), "{shares:?}");
        assert_eq!(shares[2..], [1.0, 0.75, 0.5, 0.5, 0.5, 0.5]);
        assert!(windows(&trial, 1, 0)[6].is_nan());
    }

    #[test]
    fn a_share_is_read_between_percentiles() {
        let curve = [(10.0, 0.01), (20.0, 0.5), (40.0, 1.0)];
        let shares = [5.0, 10.0, 15.0, 30.0, 99.0].map(|ms| share_within(&curve, ms));
        for (share, expected) in shares.iter().zip([0.0, 0.01, 0.255, 0.75, 1.0]) {
            assert!((share - expected).abs() < 1e-12, "{shares:?}");
        }
        assert!(share_within(&[], 1.0).is_nan());
    }
}
