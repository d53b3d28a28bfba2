//! What came of a placement: metrics and tables.

use std::collections::BTreeMap;

use crate::experiment::outcome::{Better, Metric, MetricUnit, Outcome, Table};
use crate::placement::{Evaluator, Loads, MAKESHIFT, Placed, Placement, Problem, start};
use crate::topology::{NodeIndex, NodeName};

use super::Placing;
use super::solve::Reading;

/// What trials are judged by, where services have traffic.
pub const METRICS: [Metric; 10] = [
    metric("cost", "cost of the traffic", MetricUnit::KilobyteMilliseconds, Better::Less),
    metric("ratio", "cost as a multiple of the best known", MetricUnit::Factor, Better::Less),
    metric("missed", "possible improvement that was missed", MetricUnit::Share, Better::Less),
    TIME,
    PROCESSOR_TIME,
    metric("moves", "services that moved", MetricUnit::Count, Better::Less),
    FEASIBLE,
    metric("busiest", "processors of the busiest node that are asked for", MetricUnit::Share, Better::Less),
    NODES,
    metric("proven", "placements proved to be the best", MetricUnit::Share, Better::More),
];

/// What trials are judged by, where services are all the same and belong together.
pub const ALIKE_METRICS: [Metric; 9] = [
    TIME,
    PROCESSOR_TIME,
    metric("latency", "mean delay between services of the group", MetricUnit::Milliseconds, Better::Less),
    metric("latencyMost", "longest delay within the group", MetricUnit::Milliseconds, Better::Less),
    metric("cpuAllocated", "processors of used nodes that are asked for", MetricUnit::Share, Better::More),
    metric("memoryAllocated", "memory of used nodes that is asked for", MetricUnit::Share, Better::More),
    NODES,
    metric("regions", "regions used", MetricUnit::Count, Better::Less),
    FEASIBLE,
];

/// Metrics that a clock gives: they differ from run to run.
pub(super) const TIME: Metric = metric("time", "time to place all services", MetricUnit::Milliseconds, Better::Less);
const PROCESSOR_TIME: Metric =
    metric("processorTime", "processor time to place all services", MetricUnit::Milliseconds, Better::Less);
const NODES: Metric = metric("nodes", "nodes used", MetricUnit::Count, Better::Less);
const FEASIBLE: Metric = metric("feasible", "placements within all capacities", MetricUnit::Share, Better::More);

const fn metric(name: &'static str, what: &'static str, unit: MetricUnit, better: Better) -> Metric {
    Metric { name, what, unit, better }
}

/// Resources, in the order of the problem's lists.
const CPU: usize = 0;
const MEMORY: usize = 1;

/// What came of `placed`.
pub(super) fn outcome(placing: &Placing, problem: &Problem, placed: &Placed, took: Reading) -> Outcome {
    let evaluator = Evaluator::new(problem, placed.placement.clone());
    let (valuation, loads) = (evaluator.valuation(), evaluator.loads());
    let counts = counts(problem, &placed.placement);
    let used: Vec<NodeIndex> = (0..counts.len()).filter(|node| counts[*node] > 0).collect();
    let regions = regions(problem, &counts);
    let mut metrics = BTreeMap::from([
        ("feasible", truth(valuation.excess <= 1e-9)),
        ("nodes", used.len() as f64),
        ("regions", regions.rows.len() as f64),
    ]);
    let mut tables = vec![nodes(problem, loads, &counts), regions, services(problem, &placed.placement)];
    if placing.is_alike() {
        let pairs = pairs(problem, &used, &counts);
        let count: u64 = pairs.values().sum();
        let mean = pairs.iter().map(|(ns, pairs)| ms(*ns) * *pairs as f64).sum::<f64>() / count as f64;
        metrics.insert("latency", mean);
        metrics.insert("latencyMost", pairs.keys().next_back().map_or(f64::NAN, |ns| ms(*ns)));
        let mean =
            |resource| used.iter().map(|node| share(problem, loads, *node, resource)).sum::<f64>() / used.len() as f64;
        metrics.insert("cpuAllocated", mean(CPU));
        metrics.insert("memoryAllocated", mean(MEMORY));
        tables.push(pair_table(&pairs));
    } else {
        let busiest = used.iter().map(|node| share(problem, loads, *node, CPU)).fold(0.0, f64::max);
        metrics.insert("cost", valuation.traffic.as_kb_ms());
        metrics.insert("startCost", Evaluator::new(problem, start(problem)).valuation().traffic.as_kb_ms());
        metrics.insert("problem", f64::from(fingerprint(problem)));
        metrics.insert("moves", valuation.moves as f64);
        metrics.insert("busiest", busiest);
        metrics.insert("proven", truth(placed.proven));
    }
    let named = |(name, value): (&str, f64)| (name.to_owned(), value);
    Outcome {
        metrics: metrics.into_iter().map(named).collect(),
        clocked: [(TIME.name, took.elapsed), (PROCESSOR_TIME.name, took.processor)]
            .map(|(name, span)| named((name, span.as_millis_f64())))
            .into(),
        tables,
        // In words that are the same for all trials, so that a report can count them.
        caveats: if placed.makeshift > 0 { vec![format!("Some {MAKESHIFT}")] } else { Vec::new() },
        ..Outcome::default()
    }
}

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// How many services are on each node.
fn counts(problem: &Problem, placement: &Placement) -> Vec<u64> {
    let mut counts = vec![0; problem.hosts().len()];
    placement.iter().for_each(|(_, node)| counts[node] += 1);
    counts
}

/// What services ask for of a node, as a share of what it has.
fn share(problem: &Problem, loads: &Loads, node: NodeIndex, resource: usize) -> f64 {
    loads.asked(node)[resource] as f64 / problem.hosts()[node].capacity[resource].max(1) as f64
}

/// Nodes that have services.
fn nodes(problem: &Problem, loads: &Loads, counts: &[u64]) -> Table {
    let mut table = Table::new("nodes", &["node", "region", "services", "cpu_share", "memory_share"]);
    for (node, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let name = &problem.hosts()[node].name;
        let shares = [CPU, MEMORY].map(|resource| share(problem, loads, node, resource).to_string());
        let [cpu, memory] = shares;
        table.rows.push(vec![name.to_string(), region(name).to_owned(), count.to_string(), cpu, memory]);
    }
    table
}

/// Regions that have services.
fn regions(problem: &Problem, counts: &[u64]) -> Table {
    let mut sums: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    for (host, count) in problem.hosts().iter().zip(counts).filter(|(_, count)| **count > 0) {
        let region = region(&host.name);
        // By length first, so that r2 comes before r10.
        *sums.entry((region.len(), region)).or_default() += count;
    }
    let mut table = Table::new("regions", &["region", "services"]);
    table.rows.extend(sums.into_iter().map(|((_, region), count)| vec![region.to_owned(), count.to_string()]));
    table
}

/// The region of a node of a topology of regions, which are called r1-n1 and so on; any other node is its own.
fn region(name: &NodeName) -> &str {
    let name = name.as_str();
    let number = |text: &str, letter| text.strip_prefix(letter).is_some_and(|rest: &str| rest.parse::<u32>().is_ok());
    match name.split_once('-') {
        Some((region, node)) if number(region, 'r') && number(node, 'n') => region,
        _ => name,
    }
}

fn services(problem: &Problem, placement: &Placement) -> Table {
    let mut table = Table::new("services", &["service", "node"]);
    for (service, node) in placement.iter() {
        let names = (&problem.services()[service].name, &problem.hosts()[node].name);
        table.rows.push(vec![names.0.clone(), names.1.to_string()]);
    }
    table
}

/// How many ordered pairs of services are how far apart, in nanoseconds.
fn pairs(problem: &Problem, used: &[NodeIndex], counts: &[u64]) -> BTreeMap<u64, u64> {
    let mut pairs = BTreeMap::new();
    let nodes = problem.hosts().len();
    for from in used {
        for to in used {
            let others = counts[*to] - u64::from(from == to);
            let delay = problem.draft().delays[from * nodes + to].as_nanos();
            if others > 0 {
                *pairs.entry(delay).or_default() += counts[*from] * others;
            }
        }
    }
    pairs
}

fn pair_table(pairs: &BTreeMap<u64, u64>) -> Table {
    let mut table = Table::new("pairs", &["latency_ms", "pairs"]);
    table.rows.extend(pairs.iter().map(|(ns, pairs)| vec![ms(*ns).to_string(), pairs.to_string()]));
    table
}

/// A number that equal problems share: trials of it can be compared, at whatever point of a sweep.
fn fingerprint(problem: &Problem) -> u32 {
    let draft = problem.draft();
    let mut hash = 0x811c_9dc5_u32;
    let mut eat = |number: u64| {
        for byte in number.to_le_bytes() {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    };
    draft.delays.iter().for_each(|delay| eat(delay.as_nanos()));
    draft.hosts.iter().flat_map(|host| &host.capacity).for_each(|capacity| eat(*capacity));
    for service in &draft.services {
        service.demand.iter().for_each(|demand| eat(*demand));
        eat(service.current.map_or(u64::MAX, |node| node as u64));
    }
    for edge in &draft.edges {
        [edge.from as u64, edge.to as u64, edge.request, edge.response].into_iter().for_each(&mut eat);
    }
    eat(draft.weights.request.to_bits());
    eat(draft.weights.response.to_bits());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_from_names_that_have_them() {
        let of = |name: &str| region(&name.parse().expect("a name")).to_owned();
        let regions = ["r12-n3", "r1-n10", "n3", "eu-west", "r1-x"].map(of);
        assert_eq!(regions, ["r12", "r1", "n3", "eu-west", "r1-x"]);
    }
}
