//! What is counted while requests run, and the metrics and tables that come of it. The same for simulation and lab.

use crate::balance::Qos;
use crate::experiment::outcome::{Better, Metric, MetricUnit, Outcome, Table};
use crate::topology::NodeIndex;
use crate::units::{Moment, Span};

/// What a trial is judged by.
pub const METRICS: [Metric; 10] = [
    metric("clientsOk", "clients that keep their share over the run", MetricUnit::Share, Better::More),
    metric("requestsOk", "requests answered in time", MetricUnit::Share, Better::More),
    metric("windowsOk", "client windows that keep their share", MetricUnit::Share, Better::More),
    metric("finalOk", "requests answered in time in the last fifth of the run", MetricUnit::Share, Better::More),
    metric("jain", "Jain's index of the instances' request rates", MetricUnit::Index, Better::More),
    metric("failures", "requests without an answer", MetricUnit::Share, Better::Less),
    metric(
        "regret",
        "requests that an oracle with fixed weights would keep beyond these",
        MetricUnit::Share,
        Better::Less,
    ),
    metric("p50", "median latency of answered requests", MetricUnit::Milliseconds, Better::Less),
    metric("p90", "90th percentile of latency of answered requests", MetricUnit::Milliseconds, Better::Less),
    metric("p99", "99th percentile of latency of answered requests", MetricUnit::Milliseconds, Better::Less),
];

const fn metric(name: &'static str, what: &'static str, unit: MetricUnit, better: Better) -> Metric {
    Metric { name, what, unit, better }
}

/// One request, when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) client: usize,
    pub(super) instance: Option<usize>,
    pub(super) sent: Moment,
    pub(super) latency: Span,
    pub(super) answered: bool,
    /// At the instance: queue and service.
    pub(super) processing: Option<Span>,
}

/// Counts of a trial.
#[derive(Debug)]
pub(super) struct Tally {
    qos: Qos,
    warm_up: Moment,
    seconds: usize,
    /// The node of each client.
    clients: Vec<NodeIndex>,
    /// Per client and second of sending: all, good.
    cells: Vec<(u32, u32)>,
    /// The node of each instance.
    instances: Vec<NodeIndex>,
    /// What each instance took of its requests, µs.
    processing: Vec<Vec<u32>>,
    /// Requests per node and instance. Rows, not a map: of a thousand nodes and their instances a map has hundreds of thousands of
    /// entries, and every request would look for its own.
    routed: Vec<Vec<u64>>,
    /// Of all answered requests, µs.
    latencies: Vec<u32>,
    failures: u64,
    requests: u64,
}

impl Tally {
    pub(super) fn new(qos: Qos, warm_up: Span, duration: Span) -> Self {
        let seconds = usize::try_from(duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(usize::MAX);
        Self {
            qos,
            warm_up: Moment::START + warm_up,
            seconds,
            clients: Vec::new(),
            cells: Vec::new(),
            instances: Vec::new(),
            processing: Vec::new(),
            routed: Vec::new(),
            latencies: Vec::new(),
            failures: 0,
            requests: 0,
        }
    }

    /// A client on a node; its number.
    pub(super) fn client(&mut self, node: NodeIndex) -> usize {
        self.clients.push(node);
        self.cells.resize(self.clients.len() * self.seconds, (0, 0));
        self.clients.len() - 1
    }

    /// An instance on a node; its number.
    pub(super) fn instance(&mut self, node: NodeIndex) -> usize {
        self.instances.push(node);
        self.processing.push(Vec::new());
        self.instances.len() - 1
    }

    /// A request has ended. What was sent in the warm-up does not count.
    pub(super) fn end(&mut self, ended: &Ended) {
        if ended.sent < self.warm_up {
            return;
        }
        let second = usize::try_from(ended.sent.as_nanos() / 1_000_000_000).unwrap_or(usize::MAX);
        let good = ended.answered && ended.latency <= self.qos.within;
        if second < self.seconds {
            let cell = &mut self.cells[ended.client * self.seconds + second];
            cell.0 += 1;
            cell.1 += u32::from(good);
        }
        self.requests += 1;
        if ended.answered {
            self.latencies.push(micros(ended.latency));
        } else {
            self.failures += 1;
        }
        if let Some(instance) = ended.instance {
            self.route(self.clients[ended.client], instance);
            if let Some(processing) = ended.processing {
                self.processing[instance].push(micros(processing));
            }
        }
    }

    fn route(&mut self, node: NodeIndex, instance: usize) {
        if self.routed.len() <= node {
            self.routed.resize_with(node + 1, Vec::new);
        }
        let row = &mut self.routed[node];
        if row.len() <= instance {
            row.resize(self.instances.len().max(instance + 1), 0);
        }
        row[instance] += 1;
    }

    /// Nodes and instances with requests between them, in the order of both.
    fn routes(&self) -> impl Iterator<Item = (NodeIndex, usize, u64)> {
        let rows = self.routed.iter().enumerate();
        let cells =
            rows.flat_map(|(node, row)| row.iter().enumerate().map(move |(instance, count)| (node, instance, *count)));
        cells.filter(|(_, _, count)| *count > 0)
    }

    /// What the trial gives; `names` are the nodes'.
    pub(super) fn outcome(mut self, names: &[String]) -> Outcome {
        self.latencies.sort_unstable();
        for times in &mut self.processing {
            times.sort_unstable();
        }
        let tables = vec![
            self.client_table(names),
            self.second_table(),
            self.instance_table(names),
            self.routing_table(names),
            self.latency_table(),
        ];
        let metrics = self.metrics().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Outcome { metrics, tables, ..Outcome::default() }
    }

    fn metrics(&self) -> [(&'static str, f64); 9] {
        let per_client: Vec<(u32, u32)> = (0..self.clients.len()).map(|client| self.sum(self.row(client))).collect();
        let kept = |(all, good): &&(u32, u32)| share(*good, *all) >= self.qos.at_least;
        let senders: Vec<&(u32, u32)> = per_client.iter().filter(|(all, _)| *all > 0).collect();
        let kept = senders.iter().filter(|counts| kept(counts)).count();
        let all: u32 = senders.iter().map(|(all, _)| all).sum();
        let good: u32 = senders.iter().map(|(_, good)| good).sum();
        let last = self.seconds - self.seconds.div_ceil(5);
        let (last_all, last_good) = self.sum_of((0..self.clients.len()).flat_map(|client| &self.row(client)[last..]));
        let percentile =
            |share| self.latencies.get(rank(self.latencies.len(), share)).map_or(f64::NAN, |us| f64::from(*us) / 1e3);
        [
            ("clientsOk", kept as f64 / senders.len() as f64),
            ("requestsOk", share(good, all)),
            ("windowsOk", self.windows()),
            ("finalOk", share(last_good, last_all)),
            ("jain", self.jain()),
            ("failures", self.failures as f64 / self.requests as f64),
            ("p50", percentile(0.5)),
            ("p90", percentile(0.9)),
            ("p99", percentile(0.99)),
        ]
    }

    /// Equation (6) of paper 004, looked at every second: the share of client windows in which the client kept its share.
    fn windows(&self) -> f64 {
        let length = usize::try_from(self.qos.window.as_nanos() / 1_000_000_000).unwrap_or(1).max(1);
        let (mut seen, mut kept) = (0u64, 0u64);
        for client in 0..self.clients.len() {
            for window in self.row(client).windows(length) {
                let (all, good) = self.sum(window);
                if all > 0 {
                    seen += 1;
                    kept += u64::from(share(good, all) >= self.qos.at_least);
                }
            }
        }
        kept as f64 / seen as f64
    }

    /// Jain's index (Σx)² / (n Σx²) of the instances' request counts; instances that nobody used count too.
    fn jain(&self) -> f64 {
        let counts: Vec<f64> = self.per_instance().iter().map(|count| *count as f64).collect();
        jain(&counts)
    }

    fn per_instance(&self) -> Vec<u64> {
        let mut counts = vec![0; self.instances.len()];
        for (_, instance, count) in self.routes() {
            counts[instance] += count;
        }
        counts
    }

    fn row(&self, client: usize) -> &[(u32, u32)] {
        &self.cells[client * self.seconds..(client + 1) * self.seconds]
    }

    fn sum(&self, cells: &[(u32, u32)]) -> (u32, u32) {
        self.sum_of(cells.iter())
    }

    #[allow(clippy::unused_self)] // reads better beside the other sums
    fn sum_of<'a>(&self, cells: impl Iterator<Item = &'a (u32, u32)>) -> (u32, u32) {
        cells.fold((0, 0), |(all, good), cell| (all + cell.0, good + cell.1))
    }

    fn client_table(&self, names: &[String]) -> Table {
        let mut table = Table::new("clients", &["client", "node", "requests", "good", "share"]);
        for (client, node) in self.clients.iter().enumerate() {
            let (all, good) = self.sum(self.row(client));
            let cells = [format!("c{}", client + 1), names[*node].clone(), all.to_string(), good.to_string()];
            table.rows.push([&cells[..], &[format!("{:.6}", share(good, all))]].concat());
        }
        table
    }

    fn second_table(&self) -> Table {
        let mut table = Table::new("seconds", &["second", "requests", "good"]);
        for second in 0..self.seconds {
            let (all, good) = self.sum_of((0..self.clients.len()).map(|client| &self.row(client)[second]));
            table.rows.push(vec![second.to_string(), all.to_string(), good.to_string()]);
        }
        table
    }

    fn instance_table(&self, names: &[String]) -> Table {
        let columns = ["instance", "node", "requests", "processing_p50_ms", "processing_p90_ms", "processing_p99_ms"];
        let mut table = Table::new("instances", &columns);
        for (instance, (node, count)) in self.instances.iter().zip(self.per_instance()).enumerate() {
            let times = &self.processing[instance];
            let percentile = |share| times.get(rank(times.len(), share)).map_or(String::new(), |us| milli(*us));
            let cells = [format!("i{}", instance + 1), names[*node].clone(), count.to_string()];
            table.rows.push([&cells[..], &[percentile(0.5), percentile(0.9), percentile(0.99)]].concat());
        }
        table
    }

    fn routing_table(&self, names: &[String]) -> Table {
        let mut table = Table::new("routing", &["node", "instance", "requests"]);
        for (node, instance, count) in self.routes() {
            table.rows.push(vec![names[node].clone(), format!("i{}", instance + 1), count.to_string()]);
        }
        table
    }

    fn latency_table(&self) -> Table {
        let mut table = Table::new("latency", &["share", "latency_ms"]);
        let shares = (1..100).map(|percent| f64::from(percent) / 100.0).chain([0.995, 0.999, 1.0]);
        for share in shares {
            if let Some(us) = self.latencies.get(rank(self.latencies.len(), share)) {
                table.rows.push(vec![share.to_string(), milli(*us)]);
            }
        }
        table
    }
}

/// Jain's index (Σx)² / (n Σx²); 1 where all are equal, also all nothing.
pub(super) fn jain(values: &[f64]) -> f64 {
    let (sum, squares): (f64, f64) = (values.iter().sum(), values.iter().map(|value| value * value).sum());
    if squares > 0.0 { sum * sum / (values.len() as f64 * squares) } else { 1.0 }
}

fn share(good: u32, all: u32) -> f64 {
    if all == 0 { 1.0 } else { f64::from(good) / f64::from(all) }
}

/// The place of a quantile in a sorted list: the nearest rank.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and the length
fn rank(length: usize, share: f64) -> usize {
    ((length as f64 * share).ceil() as usize).clamp(1, length.max(1)) - 1
}

fn micros(span: Span) -> u32 {
    u32::try_from((span.as_nanos() + 500) / 1_000).unwrap_or(u32::MAX)
}

fn milli(us: u32) -> String {
    format!("{:.3}", f64::from(us) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GOLDEN: ten instances at four rates, and one at 40 beside nine at 128.9.
    #[test]
    fn jain_is_one_only_where_all_are_equal() {
        assert!((jain(&[10.0, 20.0, 30.0, 40.0]) - 0.833_33).abs() < 1e-5);
        let uneven: Vec<f64> = std::iter::once(40.0).chain([128.9; 9]).collect();
        assert!((jain(&uneven) - 0.952_94).abs() < 1e-4);
        assert!((jain(&[3.0; 7]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_counted_becomes_shares_windows_and_percentiles() {
        let qos = Qos { within: Span::from_millis(80), at_least: 0.9, window: Span::from_secs(2) };
        let mut tally = Tally::new(qos, Span::from_secs(1), Span::from_secs(5));
        let (client, instance) = (tally.client(0), tally.instance(0));
        // One request in each of the seconds 0 to 4; the first in the warm-up, that of second 2 too slow, of 4 lost.
        for (second, ms, answered) in [(0, 500, true), (1, 10, true), (2, 90, true), (3, 80, true), (4, 0, false)] {
            let sent = Moment::from_millis(second * 1_000);
            let processing = answered.then_some(Span::from_millis(5));
            let latency = Span::from_millis(ms);
            tally.end(&Ended { client, instance: Some(instance), sent, latency, answered, processing });
        }
        let outcome = tally.outcome(&["a".to_owned()]);
        for (name, value) in [
            ("clientsOk", 0.0),
            ("requestsOk", 0.5),
            // Windows of two seconds with requests: 0-1 (good), 1-2, 2-3, 3-4: one of four.
            ("windowsOk", 0.25),
            ("finalOk", 0.0),
            ("failures", 0.25),
            ("p50", 80.0),
            ("p90", 90.0),
        ] {
            assert!((outcome.metrics[name] - value).abs() < 1e-9, "{name}: {}", outcome.metrics[name]);
        }
        assert_eq!(outcome.tables[0].rows, [["c1", "a", "4", "2", "0.500000"]]);
        assert_eq!(outcome.tables[2].rows, [["i1", "a", "4", "5.000", "5.000", "5.000"]]);
    }
}
