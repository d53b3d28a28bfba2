//! What the proxy counts, in the text form of Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct InstanceLabels {
    pub(super) service: String,
    pub(super) instance: String,
}

/// A way for a request of an instance to end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    service: String,
    instance: String,
    outcome: &'static str,
}

/// Why a request reached no instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabels {
    service: String,
}

/// A number between 0 and 1, or a time in seconds.
type Level = Gauge<f64, AtomicU64>;

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<OutcomeLabels, Counter>,
    latency: Family<ServiceLabels, Histogram, fn() -> Histogram>,
    refused: Family<ReasonLabels, Counter>,
    pub(super) weight: Family<InstanceLabels, Level>,
    pub(super) rtt: Family<InstanceLabels, Level>,
    pub(super) in_flight: Gauge,
    pub(super) retries: Counter,
    /// Requests that the lane has answered.
    pub(super) plain: Counter,
    /// 1 while the file of instances is as the last read one says.
    pub(super) instances_valid: Gauge,
}

/// What is counted of one instance, found once.
#[derive(Debug, Clone)]
pub(super) struct InstanceMetrics {
    pub(super) answered: Counter,
    pub(super) failed: Counter,
    pub(super) timed_out: Counter,
    pub(super) rtt: Level,
}

/// From a fifth of a millisecond to ten seconds.
fn latencies() -> Histogram {
    Histogram::new([
        0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2, 0.5, 1.0,
        10.0,
    ])
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("longhaul_proxy");
        let metrics = (
            Family::default(),
            Family::new_with_constructor(latencies as fn() -> Histogram),
            Family::default(),
            Family::<InstanceLabels, Level>::default(),
            Family::<InstanceLabels, Level>::default(),
            Gauge::default(),
            Counter::default(),
            Gauge::default(),
        );
        let (requests, latency, refused, weight, rtt, in_flight, retries, instances_valid) = metrics;
        let plain = Counter::default();
        registry.register("plain", "Requests and answers that were passed on as they came", Counter::clone(&plain));
        registry.register("requests", "Requests that instances had, by how they ended", Family::clone(&requests));
        let help = "From choosing an instance to the end of its answer";
        registry.register_with_unit("latency", help, Unit::Seconds, Family::clone(&latency));
        registry.register("refused", "Requests that no instance had, by why", Family::clone(&refused));
        registry.register("weight", "The share of requests that an instance is to have", weight.clone());
        registry.register_with_unit("rtt", "How far the node of an instance is", Unit::Seconds, rtt.clone());
        registry.register("in_flight", "Requests without the end of their answer so far", Gauge::clone(&in_flight));
        registry.register("retries", "Requests that were given to another instance", Counter::clone(&retries));
        let help = "1 while the file of instances is valid";
        registry.register("instances_valid", help, Gauge::clone(&instances_valid));
        Self { registry, requests, latency, refused, weight, rtt, in_flight, retries, plain, instances_valid }
    }

    /// A request reached no instance.
    pub(super) fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    pub(super) fn latency_of(&self, service: &str) -> Histogram {
        self.latency.get_or_create_owned(&ServiceLabels { service: service.to_owned() })
    }

    pub(super) fn of(&self, service: &str, instance: &str) -> InstanceMetrics {
        let outcome = |outcome| {
            let (service, instance) = (service.to_owned(), instance.to_owned());
            self.requests.get_or_create_owned(&OutcomeLabels { service, instance, outcome })
        };
        let labels = InstanceLabels { service: service.to_owned(), instance: instance.to_owned() };
        InstanceMetrics {
            answered: outcome("answered"),
            failed: outcome("failed"),
            timed_out: outcome("timed_out"),
            rtt: self.rtt.get_or_create_owned(&labels),
        }
    }

    /// An instance is gone: what is said of the present no longer holds. What was counted stays.
    pub(super) fn forget(&self, service: &str, instance: &str) {
        let labels = InstanceLabels { service: service.to_owned(), instance: instance.to_owned() };
        self.weight.remove(&labels);
        self.rtt.remove(&labels);
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
