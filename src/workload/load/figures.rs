//! [`Summary`]: what a load came to; pure.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Ending, Quality, Record, quality};
use crate::balance::Qos;
use crate::units::{Moment, Span};

/// Quantiles of some spans, in milliseconds, to three digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many there were.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// Of a hundred, ten are longer.
    pub p90_ms: f64,
    /// Of a hundred, one is longer.
    pub p99_ms: f64,
    /// Of a thousand, one is longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Quantiles {
    /// `None` without spans.
    fn of(spans: impl Iterator<Item = Span>) -> Option<Self> {
        // Nanoseconds to three digits. The bounds are right ones; it grows by itself.
        let mut histogram = Histogram::<u64>::new(3).ok()?;
        for span in spans {
            histogram.record(span.as_nanos()).ok()?;
        }
        let at = |quantile| Span::from_nanos(histogram.value_at_quantile(quantile)).as_millis_f64();
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e6,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        })
    }
}

/// What a client saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientFigures {
    /// Which, from 0.
    pub client: u32,
    /// Its requests.
    pub requests: usize,
    /// How well it was served.
    #[serde(flatten)]
    pub quality: Quality,
    /// Latencies of what was answered.
    pub latency: Option<Quantiles>,
}

/// What an instance had.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceFigures {
    /// What it calls itself.
    pub instance: String,
    /// Requests that it answered.
    pub requests: usize,
    /// Their share of all that were answered.
    pub share: f64,
    /// How long it had them.
    pub processing: Option<Quantiles>,
}

/// What a load came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Requests that were to be sent.
    pub requests: usize,
    /// How they ended, by the word for it.
    pub endings: BTreeMap<&'static str, usize>,
    /// Answers well and in time, as a share of all requests.
    pub good: f64,
    /// From when a request was to leave until its answer was there.
    pub latency: Option<Quantiles>,
    /// How much later than intended requests left.
    pub lateness: Option<Quantiles>,
    /// How long services say they had requests.
    pub processing: Option<Quantiles>,
    /// What is left of the latency of those: the ways, and waiting on them.
    pub network: Option<Quantiles>,
    /// By client.
    pub clients: Vec<ClientFigures>,
    /// By who answered.
    pub instances: Vec<InstanceFigures>,
    /// What went wrong, by how often.
    pub failures: BTreeMap<String, usize>,
}

/// Sums up. The records may be in any order.
pub fn summarise(records: &[Record], qos: &Qos) -> Summary {
    let mut endings = BTreeMap::new();
    let mut failures = BTreeMap::new();
    for record in records {
        *endings.entry(record.ending.name()).or_default() += 1;
        if let Ending::Failed(what) = &record.ending {
            *failures.entry(what.clone()).or_default() += 1;
        }
    }
    let answered = || records.iter().filter(|record| matches!(record.ending, Ending::Answered(_)));
    let good = records.iter().filter(|record| record.is_good(qos)).count();
    let network = answered().filter_map(|one| Some(one.latency.saturating_sub(one.processing?)));
    Summary {
        requests: records.len(),
        endings,
        good: good as f64 / (records.len() as f64).max(1.0),
        latency: Quantiles::of(answered().map(|record| record.latency)),
        lateness: Quantiles::of(records.iter().filter(|record| record.ending != Ending::NotSent).map(Record::lateness)),
        processing: Quantiles::of(answered().filter_map(|record| record.processing)),
        network: Quantiles::of(network),
        clients: clients(records, qos),
        instances: instances(records),
        failures,
    }
}

fn clients(records: &[Record], qos: &Qos) -> Vec<ClientFigures> {
    let mut by_client: BTreeMap<u32, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_client.entry(record.client).or_default().push(record);
    }
    let figures = by_client.into_iter().filter_map(|(client, mut own)| {
        own.sort_by_key(|record| record.intended);
        let judged: Vec<(Moment, bool)> = own.iter().map(|one| (one.intended, one.is_good(qos))).collect();
        let answered = own.iter().filter(|record| matches!(record.ending, Ending::Answered(_)));
        let latency = Quantiles::of(answered.map(|record| record.latency));
        Some(ClientFigures { client, requests: own.len(), quality: quality(&judged, qos)?, latency })
    });
    figures.collect()
}

fn instances(records: &[Record]) -> Vec<InstanceFigures> {
    let mut by_instance: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        if let (Ending::Answered(_), Some(instance)) = (&record.ending, &record.instance) {
            by_instance.entry(instance).or_default().push(record);
        }
    }
    let all: usize = by_instance.values().map(Vec::len).sum();
    let figures = by_instance.into_iter().map(|(instance, own)| InstanceFigures {
        instance: instance.to_owned(),
        requests: own.len(),
        share: own.len() as f64 / all as f64,
        processing: Quantiles::of(own.iter().filter_map(|record| record.processing)),
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::*;

    fn record(client: u32, ms: u64, latency: u64, ending: Ending) -> Record {
        let (intended, begun) = (Moment::from_millis(ms), Moment::from_millis(ms + 1));
        let processing = Some(Span::from_millis(latency / 2));
        Record { client, intended, begun, latency: Span::from_millis(latency), ending, instance: None, processing }
    }

    #[test]
    fn figures_are_those_of_the_records() {
        let qos = Qos { within: Span::from_millis(80), at_least: 0.9, window: Span::from_secs(10) };
        let mut records: Vec<Record> =
            (1..=98).map(|n| record(n % 2, 10 * u64::from(n), u64::from(n), Ending::Answered(200))).collect();
        records[0].instance = Some("a".into());
        records[1].instance = Some("b".into());
        records.push(record(0, 5, 1_000, Ending::TimedOut));
        records.push(record(1, 6, 2, Ending::Failed("connection refused".to_owned())));
        let summary = summarise(&records, &qos);
        assert_eq!((summary.requests, summary.good), (100, 0.8));
        assert_eq!(summary.endings, BTreeMap::from([("ok", 98), ("timed out", 1), ("failed", 1)]));
        let latency = summary.latency.unwrap();
        assert!((latency.p50_ms - 49.0).abs() < 0.1 && (latency.max_ms - 98.0).abs() < 0.1, "{latency:?}");
        assert!((summary.lateness.unwrap().p99_ms - 1.0).abs() < 0.01);
        assert!((summary.network.unwrap().max_ms - 49.0).abs() < 0.1);
        assert_eq!(summary.clients.iter().map(|client| client.requests).collect::<Vec<_>>(), [50, 50]);
        assert_eq!(summary.instances.iter().map(|one| one.share).collect::<Vec<_>>(), [0.5, 0.5]);
        assert_eq!(summary.failures, BTreeMap::from([("connection refused".to_owned(), 1)]));
        assert_eq!(summarise(&[], &qos).latency, None);
    }
}
