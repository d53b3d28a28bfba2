//! [`Service`]: the instances of one service and the policy that chooses among them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::histogram::Histogram;

use super::config::ServiceConfig;
use super::instances::Instance;
use super::metrics::{InstanceLabels, Metrics};
use super::upstream::Upstream;
use crate::balance::{Balancer, Completion, InstanceId, Outcome, RequestId, Setting, build};
use crate::sim::Streams;
use crate::units::{Moment, Rtt, Span};

/// A service.
pub(super) struct Service {
    pub(super) config: ServiceConfig,
    latency: Histogram,
    state: Mutex<State>,
}

struct State {
    balancer: Box<dyn Balancer>,
    upstreams: HashMap<InstanceId, Arc<Upstream>>,
    /// As the file has them, with the round trip as it was last measured.
    known: BTreeMap<Instance, InstanceId>,
    requests: u64,
}

/// Gives out numbers for instances, each once.
#[derive(Debug, Default)]
pub(super) struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> InstanceId {
        self.0 += 1;
        InstanceId(self.0)
    }
}

impl Service {
    /// Without instances.
    pub(super) fn new(config: ServiceConfig, seed: u64, metrics: &Metrics) -> Self {
        let setting = Setting {
            qos: config.qos,
            parameters: config.parameters.clone(),
            stream: Streams::new(seed).below("balancer", 0).stream(&config.name, 0),
        };
        let balancer = build(config.policy, setting);
        let latency = metrics.latency_of(&config.name);
        let state = State { balancer, upstreams: HashMap::new(), known: BTreeMap::new(), requests: 0 };
        Self { config, latency, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the instances those of `wanted`, which are all of this service. Who stays keeps its number and its connections.
    /// `rtts` are the round trips that are known, by where they are probed.
    pub(super) fn set_instances(
        &self,
        now: Moment,
        wanted: &[Instance],
        numbers: &mut Numbers,
        rtts: &dyn Fn(&Instance) -> Option<Rtt>,
        metrics: &Metrics,
    ) {
        let mut state = self.state();
        let state = &mut *state;
        let gone: Vec<Instance> = state.known.keys().filter(|known| !wanted.contains(known)).cloned().collect();
        for instance in gone {
            let Some(id) = state.known.remove(&instance) else { continue };
            state.balancer.remove(now, id);
            if let Some(upstream) = state.upstreams.remove(&id) {
                upstream.retire();
            }
            metrics.forget(&self.config.name, &instance.name);
        }
        for instance in wanted {
            if state.known.contains_key(instance) {
                continue;
            }
            let id = numbers.next();
            let counted = metrics.of(&self.config.name, &instance.name);
            let upstream = Upstream::new(id, instance, self.config.protocol, counted);
            state.upstreams.insert(id, Arc::new(upstream));
            state.known.insert(instance.clone(), id);
            state.balancer.add(now, id, rtts(instance));
        }
    }

    /// The instance for a request.
    pub(super) fn pick(&self, now: Moment) -> Option<(RequestId, Arc<Upstream>)> {
        let mut state = self.state();
        state.requests += 1;
        let request = RequestId(state.requests);
        let id = state.balancer.pick(now, request)?;
        Some((request, Arc::clone(state.upstreams.get(&id)?)))
    }

    /// A request has ended.
    pub(super) fn complete(&self, now: Moment, completion: &Completion, upstream: &Upstream) {
        self.state().balancer.complete(now, completion);
        match completion.outcome {
            Outcome::Answered => upstream.metrics.answered.inc(),
            Outcome::Failed => upstream.metrics.failed.inc(),
            Outcome::TimedOut => upstream.metrics.timed_out.inc(),
        };
        self.latency.observe(completion.latency.as_secs_f64());
    }

    /// Whether there is anyone to choose.
    pub(super) fn has_instances(&self) -> bool {
        !self.state().known.is_empty()
    }

    /// How often it wants to be maintained.
    pub(super) fn interval(&self) -> Option<Span> {
        self.state().balancer.interval()
    }

    pub(super) fn maintain(&self, now: Moment) {
        self.state().balancer.maintain(now);
    }

    /// A probe of the peer at `probe` has measured.
    pub(super) fn measured(&self, now: Moment, probe: std::net::SocketAddr, rtt: Rtt) {
        let mut state = self.state();
        let state = &mut *state;
        // In the order of their numbers, so that equal runs stay equal.
        for (_, id) in state.known.iter().filter(|(instance, _)| instance.probe == Some(probe)) {
            state.balancer.measured(now, *id, rtt);
            if let Some(upstream) = state.upstreams.get(id) {
                upstream.metrics.rtt.set(Span::from(rtt).as_secs_f64());
            }
        }
    }

    /// Instances with the share of requests that each is to have.
    pub(super) fn weights(&self) -> Vec<(Arc<Upstream>, f64)> {
        let state = self.state();
        let weights = state.balancer.weights().into_iter();
        weights.filter_map(|(id, weight)| Some((Arc::clone(state.upstreams.get(&id)?), weight))).collect()
    }

    /// Closes what has not been used for long, and tells the metrics of the weights.
    pub(super) fn tidy(&self, now: Moment, metrics: &Metrics) {
        for (upstream, weight) in self.weights() {
            let labels = InstanceLabels { service: self.config.name.clone(), instance: upstream.name.clone() };
            metrics.weight.get_or_create(&labels).set(weight);
        }
        for upstream in self.state().upstreams.values() {
            upstream.tidy(now);
        }
    }
}
