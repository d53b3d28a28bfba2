//! What a service tells about itself, in the text form of Prometheus.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Counts.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    pub(super) answered: Counter,
    pub(super) refused: Counter,
    pub(super) taken: Gauge<i64, AtomicI64>,
    /// In seconds, as the form wants it.
    pub(super) processing: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("longhaul_service");
        let (answered, refused, taken) = (Counter::default(), Counter::default(), Gauge::default());
        let processing = Histogram::new(exponential_buckets(0.000_5, 2.0, 14));
        registry.register("answered", "Requests that were answered", answered.clone());
        registry.register("refused", "Requests that found the queue full", refused.clone());
        registry.register("present", "Requests in the queue or on a core", taken.clone());
        let help = "From coming to answer, queue included";
        registry.register_with_unit("processing", help, Unit::Seconds, processing.clone());
        Self { registry, answered, refused, taken, processing }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
